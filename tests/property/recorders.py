"""Recorders as they are: what they truly hold, and what their names make of it.

A made-up recorder films from start to death, cuts its files as it likes, names the first after a start late, cuts names
off to its resolution, and loses or keeps the file that is open when it dies. Each file knows its true time, which the
product never sees, and its `Segment`, which is all that the product sees.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from backfill.gaps import Coverage
from backfill.plan import Source, offer
from schema.spans import SECOND, Run, Span, certain, early, merge, runs
from schema.values import Segment, State

TICK = SECOND // 10
"""Everything true happens at a whole tick; whole-second names cut off up to nine of them."""


@dataclass(frozen=True)
class Kind:
    """What a layout knows of its recorder; see `backfill.layouts.Traits`."""

    late: int = 5 * SECOND
    joint: int = SECOND + SECOND // 2
    blur: int = SECOND


FRIGATE = Kind()
MEDIAMTX = Kind(late=SECOND, joint=SECOND // 2, blur=SECOND // 5)
MOTION = Kind(late=0, joint=2 * SECOND)


@dataclass(frozen=True)
class File:
    """One file: what it truly holds, and what its name and length say."""

    truth: Span
    segment: Segment


@dataclass(frozen=True)
class Server:
    """What one server has of the camera, and what was deleted on it."""

    name: str
    kind: Kind
    files: list[File]
    deleted: list[File] = field(default_factory=list)

    def truth(self) -> list[Span]:
        """Return what it truly holds."""
        return merge(file.truth for file in self.files)

    def runs(self) -> list[Run]:
        """Return its recordings as the ledger keeps them."""
        return runs(
            ((file.segment.start, file.segment.end, file.segment.start) for file in self.files), self.kind.joint
        )

    def coverage(self, filled: Mapping[str, Sequence[File]] = {}) -> Coverage:
        """Return what the product believes of it, as the survey puts it together from the ledger."""
        own = self.runs()
        return Coverage(
            own=certain(own, self.kind.late, from_start=True),
            claimed=[Span(run.start, run.end) for run in own],
            early=early(own, self.kind.late),
            gone=merge(file.segment.span for file in self.deleted),
            filled={
                peer: merge((file.segment.span for file in files), self.kind.joint) for peer, files in filled.items()
            },
        )

    def sources(self, retention: int | None = None) -> list[Source]:
        """Return what it offers, as the plan asks for it."""
        kind = self.kind
        segments = [file.segment for file in self.files]
        return offer(self.name, segments, late=kind.late, joint=kind.joint, blur=kind.blur, retention=retention)


def _name(truth: Span, late: int, blur: int) -> int:
    """Return the time in the name of a file opened `late` after its first picture."""
    return (truth.start + late) // blur * blur


@st.composite
def servers(
    draw: st.DrawFn, name: str, kind: Kind, *, until: int, flaps: bool = False, deletes: bool = False
) -> Server:
    """Draw a server that was away now and then until `until`; its first file is named in time.

    `flaps`: it may come back sooner than the time by which it names its first file late.
    """
    files: list[File] = []
    now = draw(st.integers(0, 200)) * TICK
    first = True
    while now < until:
        end = now + draw(st.integers(5, 600)) * TICK
        lengths = draw(st.lists(st.integers(65, 150), min_size=1, max_size=3))
        late = 0 if first else draw(st.integers(0, kind.late // TICK)) * TICK
        loses_last = draw(st.booleans())
        preroll = draw(st.integers(0, 30)) * TICK if kind.late == 0 else 0
        number = 0
        while now < end:
            cut = min(now + lengths[number % len(lengths)] * TICK, end)
            truth = Span(now - (preroll if number else 0), cut)
            opened = late if number == 0 else 0
            if (cut == end and loses_last) or cut - now <= opened:
                break
            start = _name(truth, opened, kind.blur)
            files.append(make_file(name, len(files), truth, start))
            now = cut
            number += 1
            first = False
        rest = 0 if flaps else (kind.late + kind.joint + kind.blur) // TICK
        now = end + draw(st.integers(rest, 300)) * TICK
    gone = draw(st.sets(st.integers(0, max(len(files) - 1, 0)), max_size=3)) if deletes else set()
    kept = [file for index, file in enumerate(files) if index not in gone]
    return Server(name, kind, kept, [file for index, file in enumerate(files) if index in gone])


def make_file(server: str, number: int, truth: Span, start: int) -> File:
    """Return a file that truly holds `truth` and is named `start`."""
    segment = Segment(
        storage_id=1,
        camera="front",
        path=f"{server}/{number:04d}.mp4",
        start=start,
        end=start + truth.length,
        size=1000 + number * 7919 % 997,
        mtime_ns=truth.end * 1000,
        inode=number,
        state=State.SEALED,
    )
    return File(truth, segment)
