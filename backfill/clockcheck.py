"""Noticing a wrong zone or clock from when files were last written.

Rule: pure, and only a doubt: it is told to the operator and changes nothing. A recorder that writes in place finishes a
file when it ends, a mover some seconds later; most files a whole number of quarters of an hour off means that names are
read in the wrong zone.
"""

from collections import Counter
from collections.abc import Sequence

from schema.spans import MINUTE, SECOND

_QUARTER = 15 * MINUTE
_MOVER = 20 * SECOND
"""How much later than its end a file may have been written and still tell the zone."""

_FEWEST = 3


def quarters_late(late: int) -> int | None:
    """Return how many quarters of an hour `late` microseconds are, None if it is not near a whole number of them."""
    number = round(late / _QUARTER)
    return number if -SECOND * 5 <= late - number * _QUARTER <= _MOVER else None


def doubt(lateness: Sequence[int]) -> int | None:
    """Return by how many microseconds names seem to be wrong, None if nothing speaks for it.

    Args:
        lateness: last write less end of each file, microseconds.
    """
    votes = Counter(number for late in lateness if (number := quarters_late(late)) is not None)
    if not votes:
        return None
    number, count = votes.most_common(1)[0]
    if number == 0 or count < _FEWEST or count * 3 < len(lateness) * 2:
        return None
    return number * _QUARTER
