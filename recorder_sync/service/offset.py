"""How far a peer's clock is from ours, from when we asked, what it said, and when the answer was here.

Rule: pure. The answer that took the shortest time says most; half of that time is how wrong it may be.
"""

from collections import deque
from dataclasses import dataclass

_KEPT = 30


@dataclass(frozen=True, slots=True)
class Offset:
    """A peer's clock less ours, and how far that may be wrong; microseconds."""

    us: int
    error: int


class Offsets:
    """The last measurements of one peer."""

    def __init__(self) -> None:
        self._measured: deque[Offset] = deque(maxlen=_KEPT)

    def add(self, asked: int, told: int, answered: int) -> Offset:
        """Take in one exchange and return the best of the last ones. Times in microseconds UTC of either clock."""
        trip = max(0, answered - asked)
        latest = Offset(told - (asked + trip // 2), trip // 2 + 1)
        kept = [one for one in self._measured if abs(one.us - latest.us) <= one.error + latest.error]
        # What contradicts the newest was measured before a clock was set: it says nothing any more.
        self._measured = deque([*kept, latest], maxlen=_KEPT)
        return min(self._measured, key=lambda one: one.error)
