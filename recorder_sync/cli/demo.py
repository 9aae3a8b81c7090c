"""`recorder-sync demo`: the whole product on two real recorders, with the proof in pictures."""

import contextlib
import filecmp
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from backfill.gate import Gate
from backfill.seal import REST
from recorder_sync.app import App, opened
from recorder_sync.cli.gaps import report, timelines_of
from recorder_sync.cli.output import complaints, print_document, results, signs, writing_to
from recorder_sync.cli.progress import FillProgress
from recorder_sync.cli.stopping import stopping
from recorder_sync.demo import FPS, require_media
from recorder_sync.demo.outage import CAMERAS, SERVERS, Stage, Timing
from recorder_sync.demo.proof import count, held
from schema.documents import DemoDocument
from schema.errors import EXIT_DONE, EXIT_INTERRUPTED, DemoFailed, Interrupted, UsageInvalid
from schema.moments import human_duration, human_size
from schema.spans import SECOND
from schema.values import FillResult

LAYOUTS = ("frigate", "mediamtx")

_CONFIG = """\
ledger = "recorder-sync.db"

[gaps]
settle = "0s"        # the recorders have stopped: nothing is still being written

[fill]
reserve = "50 MB"
"""

_SERVER = """
[[servers]]
name = "{server}"

[[servers.storages]]
root = "{server}/recordings"
layout = "{layout}"
zone = "UTC"
"""


@dataclass(frozen=True, slots=True)
class _Filled:
    """What the fills of both servers did."""

    results: tuple[FillResult, ...]
    identical: int
    again: int
    """Bytes that a second fill moved; must be 0."""

    @property
    def files(self) -> int:
        return sum(len(result.landed) for result in self.results)


def run(layout: str, keep: Path | None, *, as_json: bool, timing: Timing | None = None) -> int:
    """Play the demo; returns the exit code."""
    if layout not in LAYOUTS:
        raise UsageInvalid("--layout", f"{layout!r} is none of {', '.join(LAYOUTS)}")
    require_media()
    if keep is not None and keep.exists() and not (keep.is_dir() and not any(keep.iterdir())):
        raise UsageInvalid("--keep", f"{keep} exists already; name a new folder")
    try:
        document = _play(layout, keep, timing or Timing(), as_json)
    except (KeyboardInterrupt, Interrupted):
        rest = "nothing is left of it" if keep is None else f"what was recorded until then is in {keep}"
        complaints().print(f"The demo was stopped; {rest}.", soft_wrap=True)
        return EXIT_INTERRUPTED
    if as_json:
        print_document(document)
    else:
        results().print(_proof(document), soft_wrap=True)
    return EXIT_DONE if document.ok else DemoFailed.exit_code


def _play(layout: str, keep: Path | None, timing: Timing, as_json: bool) -> DemoDocument:
    """Record, lose, fill and count; returns the proof."""
    began = time.monotonic()
    with _folder(keep) as folder:
        with Stage(folder, layout, timing, _narrator(began)) as stage:
            stage.play()
        time.sleep(REST / SECOND)  # a segment counts once it rests
        config = folder / "recorder-sync.toml"
        config.write_text(_CONFIG + "".join(_SERVER.format(server=server, layout=layout) for server in SERVERS))
        with opened(config) as app:
            return _fill_and_prove(app, stage, layout, began, keep, as_json)


def _narrator(began: float) -> Callable[[str], None]:
    console = complaints()
    return lambda text: console.print(f"{time.monotonic() - began:5.1f} s  {text}")


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Give the demo's folder; a temporary one is gone afterwards."""
    if keep is not None:
        with writing_to(keep):
            keep.mkdir(parents=True, exist_ok=True)
        yield keep.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="recorder-sync-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill_and_prove(
    app: App, stage: Stage, layout: str, began: float, keep: Path | None, as_json: bool
) -> DemoDocument:
    roots = {server: stage.root(server) for server in SERVERS}
    _look(app, "What is missing", as_json)
    before = held(roots, list(CAMERAS))
    filled = _fill(app)
    _look(app, "After the fill", as_json)
    counts = count(before, held(roots, list(CAMERAS)))
    left = sum(one.fillable_left for one in counts)
    back = sum(one.back for one in counts)
    return DemoDocument(
        layout=layout,
        cameras=counts,
        missing=sum(one.missing for one in counts),
        back=back,
        lost=sum(one.lost for one in counts),
        fillable_left=left,
        filled_files=filled.files,
        identical_files=filled.identical,
        moved_by_second_fill=filled.again,
        sent=sum(result.sent for result in filled.results),
        fill_seconds=round(sum(result.seconds for result in filled.results), 3),
        seconds=round(time.monotonic() - began, 1),
        kept=None if keep is None else str(keep),
        ok=left == 0 and back > 0 and filled.identical == filled.files and filled.again == 0,
    )


def _look(app: App, title: str, as_json: bool) -> None:
    """Scan, and show the report."""
    for one in app.scan():
        if one.error is not None:
            raise one.error
    if as_json:
        return
    found = app.survey(app.question())
    console = results()
    console.print()
    console.rule(title, align="left")
    console.print(report(found, timelines_of(found), app.refusals(found.window), [], console.width, signs(console)))


def _fill(app: App) -> _Filled:
    """Fill both servers, compare every file with its source byte by byte, and fill again."""
    outcomes: list[FillResult] = []
    identical = 0
    gate = Gate()
    with stopping(gate):
        found = app.survey(app.question())
        for server in SERVERS:
            planned = app.plan(found, server)
            with FillProgress() as progress:
                outcome = app.fill(planned, server, gate, progress)
            if gate.stopped:
                raise Interrupted
            outcomes.append(outcome)
            for landed in outcome.landed:
                here = Path(app.site.storage(landed.storage_id).root) / landed.path
                source = landed.task.source
                there = Path(app.site.storage(source.storage_id).root) / source.path
                identical += filecmp.cmp(here, there, shallow=False)
    app.scan()
    found = app.survey(app.question())
    again = sum(app.fill(app.plan(found, server), server, Gate()).sent for server in SERVERS)
    return _Filled(tuple(outcomes), identical, again)


def _proof(document: DemoDocument) -> Text:
    """Return the demo's result in one line."""
    bits = (
        "every one is"
        if document.identical_files == document.filled_files
        else f"only {document.identical_files:,} are"
    )
    text = (
        f"Of {document.missing:,} missing pictures ({FPS} a second) {document.back:,} are back and"
        f" {document.lost:,} are lost for good"
        f" (no recorder ran, or it died with them); {document.filled_files:,} files were filled"
        f" ({human_size(document.sent)} in {human_duration(round(document.fill_seconds * SECOND))}),"
        f" {bits} bit for bit the peer's; filling again moved {document.moved_by_second_fill:,} bytes."
    )
    if document.fillable_left:
        text += f" {document.fillable_left:,} pictures could have come back and did not."
    if document.lost:
        text += (
            " The tables call more seconds lost than these pictures last: the first file after a restart holds pictures"
            " from before its name, and what no name covers counts as lost."
        )
    if document.kept:
        text += f" Everything is in {document.kept}."
    return Text(text, style="bold green" if document.ok else "bold red")
