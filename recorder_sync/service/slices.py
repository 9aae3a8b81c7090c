"""A long fill in slices: each is planned anew, and none goes on beyond the window that it began in.

Rule: pure; clocks come in. A slice only ends by beginning nothing more: what is under way is brought to its end, so it
leaves no partial behind that was not there before. To operators the slices of one fill are one: what they came to is
added up in one `Account`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from backfill.timing import Timing, is_open, next_closing
from schema.spans import MINUTE, SECOND, Span, intersect, merge
from schema.values import FillResult, Gap, Plan, Task

LONGEST = 10 * MINUTE
"""A slice begins nothing more after this long: what is fresh, or soon deleted at its source, waits no longer for the
bulk before it has its turn."""


def enough(timing: Timing, now: Callable[[], int], clock: Callable[[], float]) -> Callable[[], bool]:
    """Return what tells whether a slice that begins now has lasted long enough.

    Args:
        now: microseconds UTC, by which windows close; it may be set at any time.
        clock: seconds that only go forward.
    """
    began, moment = clock(), now()
    closes = next_closing(moment, timing) if is_open(moment, timing) else None
    return lambda: clock() - began >= LONGEST / SECOND or (closes is not None and now() >= closes)


def tried(planned: Plan, result: FillResult) -> list[Task]:
    """Return the tasks of a slice that came to anything; the others were not begun, or waited for a peer."""
    refused = {(one.peer, one.path) for one in result.refused}
    landed = {(one.task.peer, one.task.source.path) for one in result.landed}
    return [task for task in planned.tasks if (task.peer, task.source.path) in refused | landed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the slices of one fill have come to so far."""

    started: int
    """Microseconds UTC."""
    segments: int = 0
    size: int = 0
    refused: frozenset[tuple[str | None, str]] = frozenset()
    """Peer and path of each that was refused and did not come later."""
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    """What of the gaps came back, by camera."""

    def after(self, gaps: Iterable[Gap], result: FillResult) -> "Account":
        """Return the account after a slice that was to close `gaps`."""
        wanted: dict[str, list[Span]] = {}
        for gap in gaps:
            wanted.setdefault(gap.camera, []).append(gap.span)
        came: dict[str, list[Span]] = {}
        for one in result.landed:
            came.setdefault(one.task.source.camera, []).append(one.task.source.span)
        spans = dict(self.spans)
        for camera, found in came.items():
            back = intersect(merge(found), merge(wanted.get(camera, ())))
            spans[camera] = tuple(merge([*spans.get(camera, ()), *back]))
        refused = self.refused | {(one.peer, one.path) for one in result.refused}
        return replace(
            self,
            segments=self.segments + len(result.landed),
            size=self.size + sum(one.size for one in result.landed),
            refused=refused - {(one.task.peer, one.task.source.path) for one in result.landed},
            spans=spans,
        )
