"""The free space that live recording needs: kept on every disk while it is filled.

Rule: counted by disk, not by storage. Two storages may lie on one disk, and what is on its way to either of them takes
the same space.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from backfill.plan import within_space
from backfill.staging import Staging
from schema.errors import ReserveReached, WriteFailed
from schema.moments import human_size
from schema.values import Refused, Task


class Reserve:
    """What may be put where: `least` bytes stay free on each disk. Used by several threads."""

    def __init__(self, stagings: Mapping[int, Staging], least: int) -> None:
        self._stagings = stagings
        self._least = least
        self._lock = threading.Lock()
        self._under_way: set[Task] = set()
        self._full: dict[int, str] = {}
        """Disks that turned out to be full, with the reason."""

    def _disk(self, task: Task) -> int:
        return self._stagings[task.storage_id].disk

    def _held(self, tasks: Sequence[Task]) -> int:
        """Return how many bytes of these are here already, and need no space any more."""
        return sum(self._stagings[task.storage_id].held(task) for task in tasks)

    def fitting(self, tasks: Sequence[Task]) -> tuple[list[Task], list[Refused]]:
        """Return the tasks that free space allows, in order, and the others as refused. Raises OSError."""
        kept: set[Task] = set()
        left_out: list[Refused] = []
        for disk, staging in {staging.disk: staging for staging in self._stagings.values()}.items():
            mine = [task for task in tasks if self._disk(task) == disk]
            free, here = staging.free(), self._held(mine)
            fits, rest = within_space(mine, free + here - self._least)
            kept.update(fits)
            need = sum(task.source.size for task in mine) - here
            figures = f"{human_size(free)} free, {human_size(self._least)} in reserve, {human_size(need)} needed"
            left_out += [replace(one, detail=f"{staging.folder}: {figures}") for one in rest]
        return [task for task in tasks if task in kept], left_out

    @contextlib.contextmanager
    def kept(self, task: Task) -> Iterator[None]:
        """Count a task as under way while this block runs.

        Raises ReserveReached if what is under way to its disk would leave less than the reserve, WriteFailed if the
        staging folder is gone.
        """
        with self._lock:
            self._under_way.add(task)
        try:
            self._check(task)
            yield
        finally:
            with self._lock:
                self._under_way.discard(task)

    def _check(self, task: Task) -> None:
        staging = self._stagings[task.storage_id]
        try:
            free = staging.free()
        except OSError as error:  # the disk went away meanwhile
            raise WriteFailed(staging.folder, error.strerror) from None
        with self._lock:
            together = [one for one in self._under_way if self._disk(one) == staging.disk]
        short = self._least + sum(one.source.size for one in together) - free
        if short > 0 and short > self._held(together):
            raise ReserveReached(staging.folder, human_size(free), human_size(self._least))

    def note_full(self, task: Task, reason: str) -> None:
        """Remember that the disk a task goes to is full."""
        self._full[self._disk(task)] = reason

    def why_full(self, task: Task) -> str | None:
        """Return why the disk a task goes to takes no more, None if it does."""
        return self._full.get(self._disk(task))
