"""How fast filling may go, judged by how long a small durable write beside the recordings takes.

Rule: pure. The recorder waits for the same disk, so a slow write here is a late one there. Brake hard, recover slowly:
the factor is halved each time the disk is too slow and grows by a twentieth once it has been quick for a while. Between
quick and too slow nothing changes, so that the pace does not swing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

FLOOR = 1 / 64
"""Filling never stops for the guard: on a disk that is always slow it would never end."""

LEAST_RATE = 64 * 1024
"""Bytes a second that are always let through, for the same reason."""

RECENT = 3
"""Probes that are looked at together: one slow write among quick ones is the disk's own business."""

_OUTRIGHT = 4
"""One write this many times too slow is not waited out."""

_QUICK = 0.5
"""Recovery begins below this part of the limit; between here and the limit the pace is held."""

_CALM = 3
"""Quick probes in a row before the pace is raised, each further one raises it again."""

_STEP = 0.05


@dataclass(frozen=True, slots=True)
class Pace:
    """Which part of its unbraked speed filling may have, and how many probes in a row were quick."""

    factor: float = 1.0
    calm: int = 0

    @property
    def braked(self) -> bool:
        """Tell whether filling is held back."""
        return self.factor < 1.0


def decide(pace: Pace, latencies: Sequence[float], limit: float) -> Pace:
    """Return the pace that follows.

    Args:
        pace: so far.
        latencies: of the last probes in seconds, oldest first; at most the last RECENT count. None known: no change.
        limit: what a write may take, seconds; 0 for no guard.
    """
    recent = latencies[-RECENT:]
    if limit <= 0:
        return Pace()
    if not recent:
        return pace
    if median(recent) > limit or recent[-1] > _OUTRIGHT * limit:
        return Pace(max(FLOOR, pace.factor / 2))
    if max(recent) >= _QUICK * limit:
        return Pace(pace.factor)
    calm = pace.calm + 1
    return Pace(min(1.0, pace.factor + _STEP) if calm >= _CALM else pace.factor, calm)


def rate_for(pace: Pace, *, ceiling: int | None, unbraked: int) -> int | None:
    """Return the bytes a second to let through; None for no limit.

    Args:
        pace: as decided.
        ceiling: the operator's own limit, None for none.
        unbraked: how fast filling went when nothing held it back; 0 if that is not known. A limit far above what the
            disk gives anyway would brake nothing when it is halved.
    """
    if not pace.braked:
        return ceiling
    known = [rate for rate in (ceiling, unbraked) if rate]
    if not known:
        return None  # nothing has moved yet: there is nothing to hold back
    return max(min(LEAST_RATE, *known), int(min(known) * pace.factor))
