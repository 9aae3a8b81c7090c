"""When the service may fill: nightly windows for the bulk, at once for what is fresh or about to be deleted.

Rule: pure. A window is what a clock on the wall there shows, so it is asked of the local time of each moment, never of
a length: on the day the clock goes forward the night is an hour shorter, on the day it goes back an hour longer, and
an hour that comes twice is in the window twice. What has to wait is a value that says until when.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from zoneinfo import ZoneInfo

from schema.moments import clock, human_duration, to_datetime
from schema.service import parse_window
from schema.spans import DAY, HOUR, MINUTE, SECOND
from schema.values import Task

_QUARTER = 15 * MINUTE
"""Zones change their offset at a quarter of an hour of UTC, so within one local time runs evenly."""

_HORIZON = 4 * DAY
"""How far to look for a change: a window may lie in the hour that one day does not have."""

_ROOM = HOUR
"""What would be deleted this soon after the opening is not left to it: others wait there too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When what may be filled. `windows` are begin and end in microseconds since local midnight; none: always."""

    windows: tuple[tuple[int, int], ...] = ()
    zone: ZoneInfo
    fresh: int
    """What is younger than this many microseconds need not wait for a window."""

    @classmethod
    def of(cls, windows: Iterable[str], zone: str, fresh: int) -> Self:
        """Return the timing that the keys `fill.windows`, `service.zone` and `fill.fresh` ask for."""
        return cls(windows=tuple(map(parse_window, windows)), zone=ZoneInfo(zone), fresh=fresh)


@dataclass(frozen=True, slots=True)
class Later:
    """A task that has to wait, until when (None: as far as can be seen), and why in words an operator reads."""

    task: Task
    opens: int | None
    reason: str


def is_open(now: int, timing: Timing) -> bool:
    """Tell whether everything may be filled now, not only what is fresh."""
    local = _since_midnight(now, timing.zone)
    return not timing.windows or any(_inside(local, *window) for window in timing.windows)


def may_fill(now: int, timing: Timing, *, age: int) -> bool:
    """Tell whether what is `age` microseconds old may be filled now."""
    return age < timing.fresh or is_open(now, timing)


def next_opening(now: int, timing: Timing) -> int | None:
    """Return the first moment from `now` on at which everything may be filled; None if there is none in days."""
    return _first(now, timing, wanted=True)


def next_closing(now: int, timing: Timing) -> int | None:
    """Return the first moment from `now` on at which only what is fresh may be filled; None if that does not come."""
    return _first(now, timing, wanted=False)


def sort_out(tasks: Iterable[Task], now: int, timing: Timing) -> tuple[list[Task], list[Later]]:
    """Return which tasks may be fetched now and which later, each in the order given.

    What its source deletes before the next opening does not wait for it: a limit that loses recordings is none that
    anybody wanted. `now` is in microseconds UTC.
    """
    tasks = list(tasks)
    if is_open(now, timing):
        return tasks, []
    opens = next_opening(now, timing)
    until = f"the window that opens at {clock(opens)}" if opens is not None else "a window that does not come"
    reason = f"older than {human_duration(timing.fresh)}: waits for {until}"
    ready: list[Task] = []
    later: list[Later] = []
    for task in tasks:
        gone = task.deleted_at
        at_risk = gone is not None and (opens is None or gone <= opens + _ROOM)
        if at_risk or may_fill(now, timing, age=now - task.source.end):
            ready.append(task)
        else:
            later.append(Later(task, opens, reason))
    return ready, later


def _first(now: int, timing: Timing, *, wanted: bool) -> int | None:
    """Return the first moment from `now` on at which it is open, or closed, as `wanted`."""
    edges = {edge for window in timing.windows for edge in window}
    start = now
    while start < now + _HORIZON:
        end = start - start % _QUARTER + _QUARTER
        local = _since_midnight(start, timing.zone)
        here = sorted(start + edge - local for edge in edges if 0 < edge - local < end - start)
        for moment in (start, *here):
            if is_open(moment, timing) == wanted:
                return moment
        start = end
    return None


def _since_midnight(us: int, zone: ZoneInfo) -> int:
    """Return what the clock on the wall shows at `us`, as microseconds since midnight."""
    shown = to_datetime(us).astimezone(zone)
    return shown.hour * HOUR + shown.minute * MINUTE + shown.second * SECOND + shown.microsecond


def _inside(local: int, begin: int, end: int) -> bool:
    """Tell whether a time of day is in a window; one whose end is not after its begin goes over midnight."""
    return begin <= local < end if begin < end else local >= begin or local < end
