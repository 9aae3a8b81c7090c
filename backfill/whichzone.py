"""Which zone the names of a recorder's files are in: the one in which they end when they were last written.

Rule: what the files say, and no more. A zone that fits is named; where several do, or none, that is said.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from zoneinfo import ZoneInfo, available_timezones

from backfill.clockcheck import quarters_late
from backfill.containers import probe
from backfill.layouts import Named, Stamp
from backfill.layouts.zones import resolve, to_local
from schema.settings import zone_problem
from schema.spans import DAY

_OPENED = 40
"""Files opened to compare their end with their last write."""

_USUAL = (
    "Europe/Berlin", "Europe/London", "Europe/Helsinki", "America/New_York", "America/Chicago", "America/Denver",
    "America/Los_Angeles", "America/Halifax", "America/St_Johns", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Yangon",
    "Asia/Tehran", "Asia/Kabul", "Australia/Sydney", "Australia/Adelaide", "Australia/Darwin", "Pacific/Auckland",
    "Pacific/Chatham",
)  # fmt: skip
"""Of places whose clocks go alike the one that most people would name."""

Written = Sequence[tuple[Stamp, int]]
"""What names say, and when their files started by their last write, microseconds."""


def zone_of(root: str, read: Sequence[tuple[str, Named]], machine_zone: str) -> tuple[str, list[str]]:
    """Return the zone of local names below `root`, and what is doubtful about it.

    Args:
        machine_zone: the IANA name of this machine's zone, tried first.
    """
    return zone_by(list(_written(root, read[:: max(1, len(read) // _OPENED)])), machine_zone)


def zone_by(written: Written, machine_zone: str) -> tuple[str, list[str]]:
    """Return the zone in which names are what they were in UTC, and what is doubtful about it."""
    fits = [zone for zone in (machine_zone, "UTC") if fitting(written, zone)]
    if fits:
        alike = len(fits) == 2 and _differs_from_utc(machine_zone, written[0][1])
        return fits[0], [f"names fit {machine_zone} and UTC alike; {machine_zone} was taken, check it"] if alike else []
    offsets = Counter(quarters_late(start - stamp.us) for stamp, start in written)
    late, votes = offsets.most_common(1)[0] if offsets else (None, 0)
    whole = late is not None and late % 4 == 0 and zone_problem(_fixed(late)) is None
    # Where the files are of one season, many places fit, and the offset says all that is known.
    places = _places(written, votes + 1 if whole else len(written) // 2 + 1)
    if places:
        others = f"; so do {', '.join(places[1:4])}" if len(places) > 1 else ""
        return places[0], [f"names fit {places[0]}{others}: check it, or name the place's zone with --zone"]
    if late is None or votes * 2 <= len(written):
        return machine_zone, [
            f"the files do not tell the zone of their names; {machine_zone} is this machine's, check it"
        ]
    hours = f"names are {-late / 4:+g} h from UTC"
    if whole:
        return _fixed(late), [f"{hours}; set 'zone' to the place's name, such as 'Europe/Berlin'"]
    return machine_zone, [
        f"{hours}, as in no zone: is the recorder's clock wrong? {machine_zone} was taken, see --zone"
    ]


def _fixed(late: int) -> str:
    """Return the name of the zone that is so many quarters of an hour off the whole year."""
    return f"Etc/GMT{late // 4:+d}"


def disagreement(root: str, read: Sequence[tuple[str, Named]], zone: str) -> list[str]:
    """Return what speaks against a zone that the operator named."""
    return disagreement_of(list(_written(root, read[:: max(1, len(read) // _OPENED)])), zone)


def disagreement_of(written: Written, zone: str) -> list[str]:
    """Return what speaks against a zone: names that are not what they were in UTC."""
    if not written or fitting(written, zone):
        return []
    return [f"the files were not last written when their names say in {zone}: check it"]


def fitting(written: Written, zone: str) -> bool:
    """Tell whether most files end when they were last written, if their names are of `zone`."""
    return _agree(written, ZoneInfo(zone)) * 2 > len(written)


def _agree(written: Written, zone: ZoneInfo) -> int:
    return sum(quarters_late(start - resolve(stamp, zone, start)[0]) == 0 for stamp, start in written)


def _places(written: Written, least: int) -> list[str]:
    """Return the places that fit most files, if `least` or more: one for each way that clocks go through the year."""
    if not written:
        return []
    fits = {name: _agree(written, ZoneInfo(name)) for name in _named_places()}
    best = max(fits.values(), default=0)
    if best < least or best * 2 <= len(written):
        return []
    by_year: dict[tuple[int, ...], str] = {}
    for name in sorted((name for name, count in fits.items() if count == best), key=_rank):
        by_year.setdefault(_through_the_year(ZoneInfo(name), written[0][1]), name)
    return list(by_year.values())


def _rank(name: str) -> tuple[int, str]:
    return (_USUAL.index(name) if name in _USUAL else len(_USUAL)), name


def _named_places() -> Iterable[str]:
    regions = ("Africa/", "America/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/")
    return (name for name in available_timezones() if name.startswith(regions))


def _through_the_year(zone: ZoneInfo, at: int) -> tuple[int, ...]:
    return tuple(to_local(moment, zone) - moment for moment in range(at, at + 360 * DAY, 15 * DAY))


def _differs_from_utc(zone: str, at: int) -> bool:
    """Tell whether a zone is another than UTC in the half year around `at`."""
    return any(to_local(moment, ZoneInfo(zone)) != moment for moment in (at, at + 182 * DAY))


def _written(root: str, read: Iterable[tuple[str, Named]]) -> Iterator[tuple[Stamp, int]]:
    """Yield for closed files what their name says and where they started by their last write, microseconds."""
    for path, named in read:
        full = os.path.join(root, path)
        try:
            info = os.stat(full, follow_symlinks=False)
            found = probe(full, info.st_size)
        except OSError:
            continue
        if named.stamp is not None and found.duration and found.closed is not False:
            yield named.stamp, info.st_mtime_ns // 1000 - found.duration
