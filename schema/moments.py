"""Between the integers inside and the words outside: ISO 8601, durations, sizes, rates.

Rule: pure, and the only place that formats or reads a time for people. `now` comes in as an argument.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from schema.spans import DAY, HOUR, MINUTE, SECOND

LONGEST = 100 * 365 * DAY
"""No length of time that an operator means is longer; keeps every moment within what can be written."""

_LARGEST = 2**62
"""Sizes have to fit the ledger's signed integers."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND

_DURATION_UNITS = {
    "ms": SECOND // 1000,
    "s": SECOND,
    "min": MINUTE,
    "m": MINUTE,
    "h": HOUR,
    "d": DAY,
    "w": 7 * DAY,
}
_SIZE_UNITS = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_BIT_UNITS = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
_NUMBER_AND_UNIT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*")


def to_datetime(us: int) -> datetime:
    """Return the aware UTC datetime of `us`, exact to the microsecond (floats are not)."""
    return _EPOCH + timedelta(microseconds=us)


def from_datetime(moment: datetime) -> int:
    """Return microseconds since the epoch of an aware datetime, exact."""
    return (moment - _EPOCH) // _MICROSECOND


def iso(us: int) -> str:
    """Return ISO 8601 UTC with six fractional digits, the one form of a time in our JSON."""
    return to_datetime(us).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def clock(us: int) -> str:
    """Return `2026-11-22 11:17:58Z`, the one form of a time in tables for people."""
    return to_datetime(us).strftime("%Y-%m-%d %H:%M:%SZ")


def parse_moment(text: str, now: int) -> int:
    """Read a moment as operators write it: `2026-11-22`, `2026-11-22T10:00:00Z`, `now`, or `2h` for two hours ago.

    A time without a zone is UTC; one before 1970 is the epoch. Raises ValueError with a sentence that shows the
    accepted forms.
    """
    if text.strip() == "now":
        return now
    try:
        return max(0, now - parse_duration(text))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time: write 2026-11-22, 2026-11-22T10:00:00Z, or 2h for two hours ago"
        ) from None
    return min(max(0, from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))), _LAST)


def parse_duration(text: str) -> int:
    """Read `90s`, `1.5h`, `10d` and the like; returns microseconds. Raises ValueError."""
    amount = _amount(text, _DURATION_UNITS)
    if amount is None:
        raise ValueError(f"{text!r} is not a duration: write a number and ms, s, min, h, d or w, such as '90s'")
    if amount > LONGEST:
        raise ValueError(f"{text!r} is longer than a hundred years")
    return amount


def parse_size(text: str) -> int:
    """Read `4 MiB`, `5GB` and the like; returns bytes. Raises ValueError."""
    amount = _amount(text, _SIZE_UNITS)
    if amount is None:
        raise ValueError(
            f"{text!r} is not a size: write a number and B, kB, MB, GB, TB, KiB, MiB, GiB or TiB, such as '5 GB'"
        )
    if amount > _LARGEST:
        raise ValueError(f"{text!r} is more than any disk holds")
    return amount


def _amount(text: str, units: Mapping[str, int]) -> int | None:
    """Return a number with its unit as so many of the smallest unit, exact; None if it is neither."""
    match = _NUMBER_AND_UNIT.fullmatch(text)
    if not match or match[2].lower() not in units:
        return None
    return round(Fraction(match[1]) * units[match[2].lower()])


def parse_rate(text: str) -> int:
    """Read `50 MB/s`, or `200 Mbit/s` as line rates are sold; returns bytes per second. Raises ValueError.

    `Mb/s` is refused: half of those who write it mean bits, and a limit eight times too high floods the line.
    """
    number, slash, per = text.strip().rpartition("/")
    if slash and per.strip() == "s" and not re.search(r"[A-Za-z]b\s*$", number):
        bits = _amount(number, _BIT_UNITS)
        size = _amount(number, _SIZE_UNITS) if bits is None else bits // 8
        rate = 0 if size is None or size > _LARGEST else size
        if rate > 0:
            return rate
    raise ValueError(f"{text!r} is not a rate: write bytes or bits per second, such as '50 MB/s' or '200 Mbit/s'")


def human_duration(us: int) -> str:
    """Return a length of time in at most two units: `37.0 s`, `12 min 3 s`, `3 h 20 min`, `2 d 4 h`."""
    seconds = us / SECOND
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, below, size, part in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit} {rest} {below}" if rest else f"{whole // size} {unit}"
    raise AssertionError("a minute or more always has a unit")


def human_size(size: int | float) -> str:
    """Return a size in powers of ten: `12.3 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < (999.5 if unit == "B" else 999.95):  # else it would be rounded to 1000
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
