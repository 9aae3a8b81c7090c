"""Choosing what to fetch: the fewest whole segments that cover the gaps, each once, in the right order.

Rule: pure; the same input gives the same plan. Segments are taken whole, bit for bit: a trimmed file is a new file that
nothing could be compared with. The price is time held twice at the edges, and it is reported. Where a name leaves two
readings, the one is chosen that loses nothing.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from schema.spans import HOUR, SECOND, Span, clip, merge, subtract
from schema.values import Refusal, Refused, Segment, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A segment that a peer offers. `start` and `end` are what it covers for certain; see `sure`."""

    peer: str
    segment: Segment
    start: int
    end: int
    early: int = 0
    """By how much it may begin before its name, because the recorder may just have started; microseconds."""
    blur: int = 0
    """By how much names of this recorder may otherwise be too early, microseconds."""
    deleted_at: int | None = None
    """When retention there will delete it, microseconds UTC; None if unknown."""
    shift: int = 0
    """By how much every time here is later than the segment's own, because the peer's clock is not ours."""

    def on_our_clock(self, shift: int) -> "Source":
        """Return this with its times moved by `shift` microseconds; the segment keeps its own, by which it is known."""
        if not shift:
            return self
        deleted_at = None if self.deleted_at is None else self.deleted_at + shift
        return replace(
            self, start=self.start + shift, end=self.end + shift, deleted_at=deleted_at, shift=self.shift + shift
        )

    @property
    def claims(self) -> Span:
        """What its name and length say that it covers."""
        return Span(self.segment.start + self.shift, self.segment.end + self.shift)


def offer(
    peer: str, segments: Sequence[Segment], *, late: int, joint: int, blur: int, retention: int | None
) -> list[Source]:
    """Return what one recorder's segments of one camera are worth as sources. Times in microseconds."""
    sources = []
    reach = None
    segments = sorted(segments, key=lambda segment: (segment.start, segment.end, segment.path))
    for segment, span in zip(segments, sure(segments, late, joint, blur), strict=True):
        first = reach is None or segment.start > reach + joint
        reach = segment.end if reach is None else max(reach, segment.end)
        sources.append(
            Source(
                peer=peer,
                segment=segment,
                start=span.start,
                end=span.end,
                early=late if first else 0,
                blur=blur,
                deleted_at=None if retention is None else segment.start + retention,
            )
        )
    return sources


def sure(segments: Sequence[Segment], late: int, joint: int = 0, blur: int = SECOND) -> list[Span]:
    """Return what each of one recorder's segments of one camera, by start, covers for certain.

    A recorder names its first file after a start up to `late` microseconds late and is then believed to end late too,
    inside its successor, whose name may be early by `blur`. What overlaps so is counted for the successor alone;
    without a successor that much is taken off a file that nothing joins.
    """
    spans = []
    reach = None
    for index, segment in enumerate(segments):
        end = segment.end
        follower = segments[index + 1].start if index + 1 < len(segments) else None
        joined = reach is not None and segment.start <= reach + joint
        if follower is not None and follower <= end + joint:
            if 0 < end - follower <= late + blur:
                end = follower
        elif not joined:
            end -= late
        reach = segment.end if reach is None else max(reach, segment.end)
        spans.append(Span(segment.start, max(end, segment.start)))
    return spans


def widen(gaps: Sequence[Span], before: int, after: int) -> list[Span]:
    """Return gaps made longer at both ends, merged.

    Names are blurred: a file that claims to begin at 18:33 may begin at 18:33.9. To lose nothing, sources must reach
    `before` microseconds (the peer's blur) further back and `after` (ours) further on than names alone would ask for.
    """
    return merge(Span(gap.start - before, gap.end + after) for gap in gaps)


class _Recorder:
    """The sources of one peer's storage, to be asked which of them covers a moment and reaches farthest."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self.sources = sorted(sources, key=lambda source: (source.start, source.segment.path))
        self.blur = max(source.blur for source in self.sources)
        self._starts = [source.start for source in self.sources]
        self._best: list[Source] = []
        for source in self.sources:
            self._best.append(source if not self._best or _better(source, self._best[-1]) else self._best[-1])

    def reaching(self, moment: int) -> Source | None:
        """Return the source that starts by `moment` and reaches farthest; the smaller one of two."""
        at = bisect_right(self._starts, moment)
        return self._best[at - 1] if at else None

    def next_start(self, moment: int) -> int | None:
        """Return where the next source after `moment` starts."""
        at = bisect_right(self._starts, moment)
        return self._starts[at] if at < len(self._starts) else None


def choose(wanted: Sequence[Span], offered: Iterable[Source], gaps: Sequence[Span]) -> list[tuple[Source, int]]:
    """Return the fewest sources that cover all of `wanted` that any of them covers, with how much of `gaps` each fills.

    Args:
        wanted: merged; the gaps, widened by what names may be wrong by.
        offered: from any number of peers, in any order.
        gaps: merged.

    Beyond the fewest come the sources that may hold what none covers for certain: a file named late, or, where one
    recorder takes over from another whose names are blurred otherwise, the files at the seam.
    """
    by_recorder: dict[tuple[str, int], list[Source]] = {}
    for source in offered:
        by_recorder.setdefault((source.peer, source.segment.storage_id), []).append(source)
    recorders = [_Recorder(by_recorder[key]) for key in sorted(by_recorder)]
    fewest, seams = _cover(wanted, recorders)
    everything = [source for recorder in recorders for source in recorder.sources]
    covered = merge((source.start, source.end) for source in everything)
    unsure = merge([*subtract(list(wanted), covered), *seams])
    may_hold = (
        source
        for source in everything
        if clip(unsure, Span(source.start - source.early, source.claims.end + source.blur))
        and clip(list(wanted), Span(source.start - source.early, source.claims.end))
    )
    chosen = {_key(source): source for source in (*fewest, *may_hold)}
    return _with_gain([chosen[key] for key in sorted(chosen)], gaps)


def _cover(wanted: Sequence[Span], recorders: Sequence[_Recorder]) -> tuple[list[Source], list[Span]]:
    """Return the fewest sources that cover what of `wanted` any source covers, and the seams where they may not meet.

    Greedy from the left: of the sources that cover the first missing moment take the one that reaches farthest. That
    is optimal for one line of intervals, and stays so over several gaps because the next moment is always the first
    one still missing. A recorder that takes over should begin by its blur earlier; where none does there is a seam.
    """
    chosen: list[Source] = []
    seams: list[Span] = []
    cursor = wanted[0].start if wanted else 0
    ready = recorders
    for span in wanted:
        if cursor <= span.start:
            cursor, ready = span.start, recorders
        while cursor < span.end:
            found = _farthest(recorders, cursor, ready)
            if found is None:
                found = _farthest(recorders, cursor, recorders)
                if found is None:
                    # Nobody has what lies before: go on where somebody begins. What is no longer than names are
                    # wrong by was no hole for whoever recorded until then; after a longer one all began anew.
                    starts = (recorder.next_start(cursor) for recorder in recorders)
                    begins = min((start for start in starts if start is not None), default=span.end)
                    ready = () if ready is recorders else tuple(one for one in ready if begins - cursor <= one.blur)
                    cursor = begins
                    continue
                seams.append(Span(cursor, cursor + found[1].blur))
            source, recorder = found
            chosen.append(source)
            cursor, ready = source.end, (recorder,)
    return chosen, seams


def _farthest(
    recorders: Sequence[_Recorder], cursor: int, ready: Sequence[_Recorder]
) -> tuple[Source, _Recorder] | None:
    """Return the source that covers `cursor` and reaches farthest, with its recorder; the first of two equals.

    A source of a recorder that is not `ready` must begin by that one's blur before `cursor`.
    """
    best: tuple[Source, _Recorder] | None = None
    for recorder in recorders:
        source = recorder.reaching(cursor if recorder in ready else cursor - recorder.blur)
        if source is not None and source.end > cursor and (best is None or _better(source, best[0])):
            best = source, recorder
    return best


_Key = tuple[int, int, str, int, str]


def _key(source: Source) -> _Key:
    segment = source.segment
    return *source.claims, source.peer, segment.storage_id, segment.path


def _better(one: Source, other: Source) -> bool:
    return one.end > other.end or (one.end == other.end and one.segment.size < other.segment.size)


def _with_gain(chosen: Sequence[Source], gaps: Sequence[Span]) -> list[tuple[Source, int]]:
    """Count for each chosen source, by start, what of the gaps it is the first to cover."""
    result = []
    first = cursor = 0
    for source in chosen:
        start, end = max(source.claims.start, cursor), source.claims.end
        while first < len(gaps) and gaps[first].end <= start:
            first += 1
        at, gain = first, 0
        while start < end and at < len(gaps) and gaps[at].start < end:
            gain += min(end, gaps[at].end) - max(start, gaps[at].start)
            at += 1
        result.append((source, gain))
        cursor = max(cursor, end)
    return result


AT_RISK = 6 * HOUR
"""A segment that retention will delete within this time is fetched before newer ones."""


Order = Literal["retention", "newest", "oldest"]


def order(tasks: Iterable[Task], now: int, by: Order = "retention") -> list[Task]:
    """Return tasks in the order to fetch them.

    Args:
        now: microseconds UTC.
        by: `retention`: what is deleted soonest, then newest first; `newest` and `oldest`: by age alone.
    """

    def key(task: Task) -> tuple[int, int, int, str, str, int]:
        source = task.source
        first, when = 1, 0
        if by == "retention" and task.deleted_at is not None and task.deleted_at - now < AT_RISK:
            first, when = 0, task.deleted_at
        age = source.start if by == "oldest" else -source.start
        return first, when, age, source.path, task.peer, source.storage_id

    return sorted(tasks, key=key)


def within_space(tasks: Iterable[Task], free: int) -> tuple[list[Task], list[Refused]]:
    """Return the tasks whose sizes fit into `free` bytes, in order, and the others as refused.

    A small task may pass a large one: what fits is filled.
    """
    kept: list[Task] = []
    left_out: list[Refused] = []
    for task in tasks:
        if task.source.size <= free:
            free -= task.source.size
            kept.append(task)
        else:
            left_out.append(refuse(task, Refusal.NO_SPACE))
    return kept, left_out


def refuse(task: Task, why: Refusal, detail: str = "") -> Refused:
    """Return the refusal of a task."""
    return Refused(
        server=task.server,
        camera=task.source.camera,
        span=task.source.span,
        peer=task.peer,
        path=task.source.path,
        why=why,
        detail=detail,
        size=task.source.size,
    )


def windows(gaps: Iterable[Span], slack: int) -> list[Span]:
    """Return the windows in which to look for sources: gaps close together in one, so that few queries serve many."""
    return merge(((span.start, span.end) for span in gaps), joint=slack)
