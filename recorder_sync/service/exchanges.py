"""How far a peer's clock is from ours, from when we asked, what it said, and when the answer was here.

Rule: pure. The answer that took the shortest time says most; half of that time is how wrong it may be. How long it took
is told by a clock that nobody sets: an exchange during which ours was set, or this host was suspended, says nothing.
What is believed of a clock in the end is `backfill.clocks.Offset`; this is only what the link measured.
"""

from collections import deque
from dataclasses import dataclass

_KEPT = 30
_ASTRAY = 5_000
"""Microseconds by which the two clocks of this host may disagree on how long an answer took: one is slewed."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What one exchange says of a peer's clock less ours, and how far that may be wrong; microseconds."""

    us: int
    error: int


class Exchanges:
    """The last ones with one peer."""

    def __init__(self) -> None:
        self._last: deque[Exchange] = deque(maxlen=_KEPT)

    def add(self, asked: int, told: int, answered: int, took: int) -> Exchange | None:
        """Take in one exchange and return the best of the last ones, None while there is none.

        Args:
            asked: microseconds UTC by our clock, as `answered`.
            told: by the peer's.
            took: from the question to the answer by a clock that only goes forward, microseconds.
        """
        astray = abs(answered - asked - took)
        if astray <= _ASTRAY:
            latest = Exchange(told - (asked + took // 2), took // 2 + 1 + astray)
            kept = [one for one in self._last if abs(one.us - latest.us) <= one.error + latest.error]
            # What contradicts the newest was measured before a clock was set: it says nothing any more.
            self._last = deque([*kept, latest], maxlen=_KEPT)
        return min(self._last, key=lambda one: one.error, default=None)
