"""Whether a peer is there: what each answer, and each silence, means.

Rule: pure; times come in. Nobody is called away for one lost answer, nor because *we* were suspended: it takes two
failures in a row and `away` without an answer, by a clock that only goes forward. An outage begins with the last
answer, not with our patience.
"""

from dataclasses import dataclass, replace

from schema.values import Reach

_FAILURES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of one peer. `heard` is by the monotonic clock in seconds, the others are microseconds UTC."""

    state: Reach = Reach.UNKNOWN
    since: int
    """When this state began."""
    last: int = 0
    """Its last answer; 0 if there never was one."""
    heard: float
    failures: int = 0
    detail: str = ""


def answered(seen: Seen, *, paused: str, now: int, clock: float) -> Seen:
    """Return what is known after an answer."""
    state = Reach.STANDBY if paused else Reach.UP
    since = seen.since if seen.state is state else now
    return Seen(state=state, since=since, last=now, heard=clock, detail=paused)


def failed(seen: Seen, *, refused: bool, detail: str, now: int, clock: float, away: float) -> Seen:
    """Return what is known after a failure; `refused`: something answered, and it is not the peer we know."""
    seen = replace(seen, failures=seen.failures + 1, detail=detail)
    if seen.failures < _FAILURES or clock - seen.heard < away:
        return seen
    state = Reach.REFUSED if refused else Reach.AWAY
    if seen.state is state:
        return seen
    gone = seen.state in (Reach.AWAY, Reach.REFUSED)
    since = seen.since if gone else (seen.last or now)
    return replace(seen, state=state, since=since)


def is_here(state: Reach) -> bool:
    """Tell whether a peer in this state can be asked for recordings."""
    return state in (Reach.UP, Reach.STANDBY)


def next_pulse(seen: Seen, pulse: float) -> float:
    """Return in how many seconds to ask again: sooner while it does not answer, so that its return is seen at once."""
    return pulse if is_here(seen.state) and not seen.failures else min(pulse, 0.5)
