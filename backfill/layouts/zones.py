"""From the digits of a local clock to UTC, with the two hours a year in which that is not a function.

Rule: pure. A zone is an IANA name, never an offset. A name in the repeated hour is resolved by when the file was
last written; if that does not settle it, the time is marked uncertain and nothing rests on it.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from backfill.layouts.base import Stamp
from schema.spans import MINUTE

_QUARTER = 15 * MINUTE
"""Every zone changes its offset at a quarter of an hour of local time; before 2023 a few did so a minute later."""

_BELIEVABLE = 25 * MINUTE
"""How far a file's last write may be from the end that a candidate implies, and still decide for it."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  digits of a local clock: naive on purpose
_MICROSECOND = timedelta(microseconds=1)


@lru_cache(maxsize=8192)
def _offsets(zone: ZoneInfo, quarter: int) -> tuple[int, int]:
    """Return the UTC offsets in microseconds before and after the change that local time `quarter` lies in.

    Equal: there is no change. The first larger: the clock was put back, the quarter came twice. The second larger: the
    clock was put forward over it.
    """
    clock = _EPOCH + timedelta(microseconds=quarter * _QUARTER)
    before = clock.replace(tzinfo=zone, fold=0).utcoffset()
    after = clock.replace(tzinfo=zone, fold=1).utcoffset()
    assert before is not None and after is not None
    return before // _MICROSECOND, after // _MICROSECOND


def candidates(local: int, zone: ZoneInfo) -> list[int]:
    """Return every UTC time whose local digits are `local`, earliest first."""
    before, after = _offsets(zone, local // _QUARTER)
    if before == after:
        return [local - before]
    return [local - before, local - after] if before > after else []


def resolve(stamp: Stamp, zone: ZoneInfo, written_start: int | None) -> tuple[int, bool]:
    """Return the UTC time of a stamp, and whether it is certain.

    `written_start` is the start that the file's last write implies (its mtime less its duration), None if unknown.
    """
    if not stamp.local:
        return stamp.us, True
    possible = candidates(stamp.us, zone)
    if len(possible) == 1:
        return possible[0], True
    if not possible:
        # No clock in this zone ever showed it: the zone is wrong, or the clock was. Read it with the offset before.
        return stamp.us - _offsets(zone, stamp.us // _QUARTER)[0], False
    if written_start is None:
        return possible[0], False
    best, other = sorted(possible, key=lambda us: abs(us - written_start))
    # Half way between the two nothing is settled; where the clock goes back half an hour, half way is not far.
    apart = abs(other - best)
    return best, abs(best - written_start) <= min(_BELIEVABLE, apart * 5 // 12)


def to_local(us: int, zone: ZoneInfo) -> int:
    """Return the digits that a clock in `zone` shows at `us`, read as if they were UTC."""
    clock = (_EPOCH + timedelta(microseconds=us)).replace(tzinfo=ZoneInfo("UTC")).astimezone(zone)
    offset = clock.utcoffset()
    assert offset is not None
    return us + offset // _MICROSECOND
