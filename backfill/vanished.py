"""What became of files that are not where they were: moved, deleted by hand, or taken by retention.

Rule: the ledger follows the storage, and never calls a deletion a gap. A moved file keeps its digest and origin; one
deleted from the middle leaves a tombstone; what retention takes from the old end is forgotten.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from schema.spans import HOUR
from schema.values import LASTING, Segment, State

DELETED = "deleted here"


@dataclass(frozen=True, slots=True)
class Moved:
    """A segment that appeared under another path: `new` as the scan saw it, `old` as the ledger knew it."""

    new: Segment
    old: Segment

    vacated: bool = True
    """Nothing else is under its old path now."""

    def merged(self) -> Segment:
        """Return the new row with what only the old one knew.

        A filled file's time is what its source said, as far as its new name does not tell another.
        """
        new, old = self.new, self.old
        kept = msgspec.structs.replace(new, digest=old.digest, origin=old.origin)
        if old.origin is None or new.state is State.OPEN or old.state not in (State.SEALED, State.GONE):
            return kept
        start = old.start if abs(new.start - old.start) <= HOUR else new.start
        end = start + old.end - old.start
        return msgspec.structs.replace(
            kept, start=start, end=end, state=State.SEALED, marks=old.marks & LASTING, reason=""
        )


def sort_out(lost: Iterable[Segment], appeared: Iterable[Segment]) -> tuple[list[Moved], list[Segment], list[Segment]]:
    """Match vanished segments with new ones; returns moved, to be buried, and to be forgotten.

    Same inode, size and time of last write is the same file, and it can have come from one place only. Only sealed
    segments get a tombstone: a stub or an open file that vanished never was coverage. What appeared under its old path
    has not vanished: its folder was away for a moment, or another file took its name.
    """
    there = {new.path: new for new in appeared}
    by_file = {(new.inode, new.size, new.mtime_ns): new for new in there.values() if new.inode}
    moved: list[Moved] = []
    buried: list[Segment] = []
    forgotten: list[Segment] = []
    for old in lost:
        file = (old.inode, old.size, old.mtime_ns)
        new = by_file.get(file)
        if new is not None and new.path != old.path:
            del by_file[file]
            moved.append(Moved(new, old, vacated=old.path not in there))
        elif old.path in there:
            continue
        elif old.state is State.SEALED:
            buried.append(old)
        elif old.state is not State.GONE:
            forgotten.append(old)
    return moved, buried, forgotten
