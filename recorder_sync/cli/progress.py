"""A fill as it runs, on stderr: the whole with rate and time left, and each segment under way."""

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from backfill.progress import BytesMoved, Event, FillStarted, SegmentLanded, SegmentRefused, SegmentStarted
from recorder_sync.cli.output import complaints
from schema.moments import iso


class FillProgress:
    """Shows a fill as it runs: a line for the whole with rate and time left, one for each segment under way."""

    def __init__(self) -> None:
        console = complaints()
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,  # elsewhere it would leave empty lines
        )
        self._segments: dict[str, TaskID] = {}
        self._total: TaskID | None = None
        self._landed = 0
        self._planned = 0

    def __enter__(self) -> "FillProgress":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, event: Event) -> None:
        """Take one event; called from worker threads."""
        if isinstance(event, BytesMoved):
            self._advance(self._segments.get(event.task.source.path), event.count)
            self._advance(self._total, event.count)
        elif isinstance(event, SegmentStarted):
            source = event.task.source
            name = f"  {source.camera} {iso(source.start)[11:19]}"
            self._segments[source.path] = self._bars.add_task(name, total=event.size)
        elif isinstance(event, SegmentLanded):
            self._landed += 1
            self._drop(event.landed.task.source.path)
        elif isinstance(event, SegmentRefused):
            self._drop(event.refused.path)
        elif isinstance(event, FillStarted):
            self._planned = len(event.plan.tasks)
            self._total = self._bars.add_task(event.server, total=event.plan.size)
        if self._total is not None and isinstance(event, SegmentLanded | FillStarted):
            server = self._bars.tasks[0].description.partition(" ")[0]
            self._bars.update(self._total, description=f"{server} {self._landed:,}/{self._planned:,}")

    def _advance(self, task: TaskID | None, count: int) -> None:
        if task is not None:
            self._bars.advance(task, count)

    def _drop(self, path: str) -> None:
        task = self._segments.pop(path, None)
        if task is not None:
            self._bars.remove_task(task)
