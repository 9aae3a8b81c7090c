"""Half-open spans of time and their algebra: the arithmetic that every gap, plan and report rests on.

Rule: pure. A span is `[start, end)` in integer microseconds since the Unix epoch, UTC. Nothing here reads a
clock, a disk or a database. Lists called *merged* are sorted, disjoint and free of empty spans; every function
that returns a list returns a merged one.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import NamedTuple

SECOND = 1_000_000
"""One second in the unit of every time in this project."""

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Span(NamedTuple):
    """`[start, end)` in microseconds since the epoch, UTC. A tuple, so that millions of them sort in C."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Length in microseconds; negative never occurs in a merged list."""
        return self.end - self.start

    @property
    def seconds(self) -> float:
        """Length in seconds, for people and JSON."""
        return (self.end - self.start) / SECOND

    def overlaps(self, other: "Span") -> bool:
        """Tell whether the two share at least one microsecond."""
        return self.start < other.end and other.start < self.end


def merge(spans: Iterable[tuple[int, int]], joint: int = 0) -> list[Span]:
    """Return the union of `spans`; holes of at most `joint` microseconds are bridged.

    Empty and reversed spans are dropped: they cover nothing.
    """
    merged: list[Span] = []
    start = end = None
    for s, e in sorted(spans):
        if e <= s:
            continue
        if end is None or start is None:
            start, end = s, e
        elif s <= end + joint:
            end = max(end, e)
        else:
            merged.append(Span(start, end))
            start, end = s, e
    if start is not None and end is not None:
        merged.append(Span(start, end))
    return merged


def uncovered(window: Span, covered: Iterable[Span]) -> Iterator[Span]:
    """Yield the parts of `window` that no span of the merged list `covered` reaches, in order."""
    cursor = window.start
    for span in covered:
        if span.start >= window.end:
            break
        if span.start > cursor:
            yield Span(cursor, span.start)
        cursor = max(cursor, span.end)
    if cursor < window.end:
        yield Span(cursor, window.end)


def subtract(spans: list[Span], holes: list[Span]) -> list[Span]:
    """Return what of merged `spans` lies outside merged `holes`. Linear in both."""
    left: list[Span] = []
    first = 0
    for span in spans:
        while first < len(holes) and holes[first].end <= span.start:
            first += 1
        cursor = span.start
        at = first
        while at < len(holes) and holes[at].start < span.end:
            if holes[at].start > cursor:
                left.append(Span(cursor, holes[at].start))
            cursor = max(cursor, holes[at].end)
            at += 1
        if cursor < span.end:
            left.append(Span(cursor, span.end))
    return left


def intersect(one: list[Span], other: list[Span]) -> list[Span]:
    """Return what two merged lists have in common. Linear in both."""
    shared: list[Span] = []
    i = j = 0
    while i < len(one) and j < len(other):
        start = max(one[i].start, other[j].start)
        end = min(one[i].end, other[j].end)
        if start < end:
            shared.append(Span(start, end))
        if one[i].end < other[j].end:
            i += 1
        else:
            j += 1
    return shared


def clip(spans: list[Span], window: Span) -> list[Span]:
    """Return merged `spans` cut to `window`. Costs what it returns, not what there is."""
    if window.end <= window.start:
        return []
    first = bisect_right(spans, window.start, key=attrgetter("end"))
    last = bisect_left(spans, window.end, lo=first, key=attrgetter("start"))
    return [Span(max(start, window.start), min(end, window.end)) for start, end in spans[first:last]]


def moved(spans: Iterable[tuple[int, int]], us: int) -> list[Span]:
    """Return merged `spans`, all of them `us` microseconds later."""
    return [Span(start + us, end + us) for start, end in spans]


def total(spans: Iterable[Span]) -> int:
    """Return the summed length in microseconds of a merged list."""
    return sum(end - start for start, end in spans)


def total_each(spans: Iterable[tuple[str, Span]]) -> int:
    """Return the sum of lengths, of each name's spans what they cover together; microseconds."""
    by_name: dict[str, list[Span]] = {}
    for name, span in spans:
        by_name.setdefault(name, []).append(span)
    return sum(total(merge(those)) for those in by_name.values())


def longer_than(spans: Iterable[Span], threshold: int) -> list[Span]:
    """Return the spans longer than `threshold` microseconds."""
    return [span for span in spans if span.end - span.start > threshold]


class Run(NamedTuple):
    """A span covered by segments without a hole, and how far it is covered by all of them but the first.

    Only the first can have been named late, because only it follows a start. `rest` is where the others end; a value
    of `start` or less says that there are none.
    """

    start: int
    end: int
    rest: int


def runs(segments: Iterable[tuple[int, int, int]], joint: int) -> list[Run]:
    """Join `(start, end, rest)` rows into runs; holes of at most `joint` microseconds are bridged.

    Associative: joining runs that were joined in parts gives the same result as joining all at once, which is what
    lets the ledger keep coverage in pieces.
    """
    joined: list[Run] = []
    start = end = rest = None
    for s, e, r in sorted(segments):
        if e <= s:
            continue
        if start is None or end is None or rest is None:
            start, end, rest = s, e, r
        elif s <= end + joint:
            end = max(end, e)
            rest = max(rest, e)
        else:
            joined.append(Run(start, end, rest))
            start, end, rest = s, e, r
    if start is not None and end is not None and rest is not None:
        joined.append(Run(start, end, rest))
    return joined


def certain(joined: Iterable[Run], late: int, *, from_start: bool) -> list[Span]:
    """Return what runs cover for certain when a recorder may name its first file up to `late` microseconds late.

    A file named late is also believed to end late. The next file corrects that as far as it reaches; behind a run of
    one file, or of a first file and a shorter second (the recorder flapped), a hole of up to `late` would hide, so
    such an end is taken back. The price is at most one segment fetched that was not needed; the other way round
    footage would be lost. `from_start`: the first run is the first ever known, so nothing says that a lone file
    there follows a start.

    Assumes that a recorder that died needs longer than `late` and the joint to come back (Frigate and MediaMTX wait
    10 s and 5 s); else a hole of up to that length hides between two first files.
    Source: measured, up to 5.0 s for Frigate's ffmpeg, 0.5 to 3 s for others.
    """
    spans = []
    for index, run in enumerate(joined):
        lone = run.rest <= run.start
        end = run.end if lone and from_start and index == 0 else max(run.rest, run.end - late)
        if end > run.start:
            spans.append(Span(run.start, end))
    return spans


def early(joined: Iterable[Run], late: int) -> list[Span]:
    """Return the stretch before each run that its first file may hold, named up to `late` microseconds late."""
    return [Span(run.start - late, run.start) for run in joined] if late > 0 else []
