"""Choosing what to fetch: the fewest whole segments that cover the gaps, each once, in the right order.

Rule: pure; the same input gives the same plan. Segments are taken whole, bit for bit: a trimmed file is a new file that
nothing could be compared with. The price is time held twice at the edges, and it is reported.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schema.spans import HOUR, Span, merge
from schema.values import Refusal, Refused, Segment, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A segment that a peer offers. `start` and `end` are what it covers for certain; see `sure`."""

    peer: str
    segment: Segment
    start: int
    end: int
    deleted_at: int | None = None
    """When retention there will delete it, microseconds UTC; None if unknown."""


def sure(segments: Sequence[Segment], late: int) -> list[Span]:
    """Return what each of one recorder's segments of one camera, by start, covers for certain.

    A recorder names its first file after a start up to `late` microseconds late and is then believed to end late too,
    inside its successor. What overlaps so is counted for the successor alone.
    """
    spans = []
    for index, segment in enumerate(segments):
        end = segment.end
        if index + 1 < len(segments) and 0 < end - segments[index + 1].start <= late:
            end = segments[index + 1].start
        spans.append(Span(segment.start, max(end, segment.start)))
    return spans


def widen(gaps: Sequence[Span], before: int, after: int) -> list[Span]:
    """Return gaps made longer at both ends, merged.

    Names are blurred: a file that claims to begin at 18:33 may begin at 18:33.9. To lose nothing, sources must reach
    `before` microseconds (the peer's blur) further back and `after` (ours) further on than names alone would ask for.
    """
    return merge(Span(gap.start - before, gap.end + after) for gap in gaps)


def choose(wanted: Sequence[Span], offered: Iterable[Source], gaps: Sequence[Span]) -> list[tuple[Source, int]]:
    """Return the fewest sources that cover all of `wanted` that any of them covers, with how much of `gaps` each fills.

    Args:
        wanted: merged; the gaps, widened by what names may be wrong by.
        gaps: merged.

    Greedy from the left: of the segments that cover the first missing moment take the one that reaches farthest. That
    is optimal for one line of intervals, and stays so over several gaps because the next moment is always the first
    one still missing. Of two that reach equally far the smaller is taken, then the one that sorts first.
    """

    def by_start(source: Source) -> tuple[int, str, str]:
        return source.start, source.peer, source.segment.path

    candidates = sorted(offered, key=by_start)
    chosen: list[Source] = []
    at = 0
    best: Source | None = None
    for span in wanted:
        cursor = span.start
        while cursor < span.end:
            while at < len(candidates) and candidates[at].start <= cursor:
                if best is None or _better(candidates[at], best):
                    best = candidates[at]
                at += 1
            if best is None or best.end <= cursor:
                if at == len(candidates):
                    return _with_gain(chosen, gaps)
                cursor = candidates[at].start  # nobody has what lies before: jump to where somebody begins
                continue
            if not chosen or chosen[-1] is not best:
                chosen.append(best)
            cursor = best.end
    return _with_gain(chosen, gaps)


def _better(one: Source, other: Source) -> bool:
    return one.end > other.end or (one.end == other.end and one.segment.size < other.segment.size)


def _with_gain(chosen: list[Source], gaps: Sequence[Span]) -> list[tuple[Source, int]]:
    """Count for each chosen source, in order, what of the gaps it is the first to cover."""
    result = []
    cursor = 0
    first = 0
    for source in chosen:
        start, end = max(source.segment.start, cursor), source.segment.end
        while first < len(gaps) and gaps[first].end <= start:
            first += 1
        at, gain = first, 0
        while at < len(gaps) and gaps[at].start < end:
            gain += min(end, gaps[at].end) - max(start, gaps[at].start)
            at += 1
        result.append((source, gain))
        cursor = max(cursor, end)
    return result


AT_RISK = 6 * HOUR
"""A segment that retention will delete within this time is fetched before newer ones."""


def order(tasks: Iterable[tuple[Task, int | None]], now: int) -> list[Task]:
    """Return tasks in the order to fetch them: what retention at the source deletes soonest, then newest first."""

    def key(item: tuple[Task, int | None]) -> tuple[int, int, str]:
        task, deleted_at = item
        if deleted_at is not None and deleted_at - now < AT_RISK:
            return 0, deleted_at, task.source.path
        return 1, -task.source.start, task.source.path

    return [task for task, _ in sorted(tasks, key=key)]


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
    )


def windows(gaps: Iterable[Span], slack: int) -> list[Span]:
    """Return the windows in which to look for sources: gaps close together in one, so that few queries serve many."""
    return merge(((span.start, span.end) for span in gaps), joint=slack)
