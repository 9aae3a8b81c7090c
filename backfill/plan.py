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
    """A segment that a peer offers."""

    peer: str
    segment: Segment
    deleted_at: int | None = None
    """When retention there will delete it, microseconds UTC; None if unknown."""


def choose(gaps: Sequence[Span], offered: Iterable[Source]) -> list[tuple[Source, int]]:
    """Return the fewest sources that cover all of `gaps` that any of them covers, with what each adds.

    Args:
        gaps: merged.

    Greedy from the left: of the segments that cover the first missing moment take the one that reaches farthest. That
    is optimal for one line of intervals, and stays so over several gaps because the next moment is always the first
    one still missing. Of two that reach equally far the smaller is taken, then the one that sorts first.
    """

    def by_start(source: Source) -> tuple[int, str, str]:
        return source.segment.start, source.peer, source.segment.path

    candidates = sorted(offered, key=by_start)
    chosen: list[Source] = []
    at = 0
    best: Source | None = None
    for gap in gaps:
        cursor = gap.start
        while cursor < gap.end:
            while at < len(candidates) and candidates[at].segment.start <= cursor:
                if best is None or _better(candidates[at].segment, best.segment):
                    best = candidates[at]
                at += 1
            if best is None or best.segment.end <= cursor:
                if at == len(candidates):
                    return _with_gain(chosen, gaps)
                cursor = candidates[at].segment.start  # nobody has what lies before: jump to where somebody begins
                continue
            if not chosen or chosen[-1] is not best:
                chosen.append(best)
            cursor = best.segment.end
    return _with_gain(chosen, gaps)


def _better(one: Segment, other: Segment) -> bool:
    return one.end > other.end or (one.end == other.end and one.size < other.size)


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
