"""Recognising what recorder wrote a folder: layout, cameras, zone, from a sample of its files.

Rule: looks, and never guesses beyond what the files say; where two answers fit, it says so.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from zoneinfo import ZoneInfo

from backfill.clockcheck import quarters_late
from backfill.containers import probe
from backfill.layouts import Layout, Named, Stamp
from backfill.layouts.registry import available, layout_class
from backfill.layouts.zones import resolve, to_local
from backfill.oddities import MEDIA
from backfill.storage import STATE_FOLDER
from schema.errors import LayoutUnknown, NothingToDetect, PermissionMissing
from schema.settings import StorageSettings, zone_problem
from schema.spans import DAY

_SAMPLE = 3000
"""Files looked at by name, in each folder where recordings may lie."""

_OPENED = 40
"""Files opened to compare their end with their last write."""

_SHARE = 0.5
"""Part of a folder's files that a layout must recognise."""

_BELOW = ("", "recordings", "videos", "media", "data/recordings", "output")
"""Where recordings lie below the folder that a person names."""

_ORDER = ("frigate", "mediamtx", "kerberos", "motioneye", "zoneminder", "shinobi", "motion")
"""The stricter pattern first, so that it wins where two recognise as much."""

_CHILDREN = 50
"""Folders looked at below the one that a person names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """What a folder is."""

    root: str
    layout: str
    title: str
    cameras: tuple[str, ...]
    files: int
    """Files looked at that the layout recognises."""
    others: int
    """Media files looked at that it does not."""
    other: str
    """The first of them."""
    zone: str
    notes: tuple[str, ...] = field(default=())


class _Fit(NamedTuple):
    """A layout that reads half of a folder's sample or more."""

    root: str
    name: str
    layout: Layout
    read: list[tuple[str, Named]]
    others: int
    other: str
    also: tuple[str, ...] = ()
    """Layouts that read as much."""


def detect(folder: str, machine_zone: str) -> Detected:
    """Return what recorder wrote `folder`, which may also lie one level below it.

    Args:
        machine_zone: the IANA name of this machine's zone, tried first for local names.

    Raises NothingToDetect if there are no recordings, LayoutUnknown if no layout fits half of them.
    """
    folder = os.path.abspath(folder)
    if not os.path.isdir(folder):
        raise NothingToDetect(folder, "it is not a folder")
    best: _Fit | None = None
    seen = 0
    broken: dict[str, str] = {}
    denied: list[str] = []
    for root, usual in _roots(folder):
        names = list(_media_files(root, denied))
        seen = max(seen, len(names))
        fit = _best_fit(root, names, broken)
        # Where a layout's camera may be many folders deep, the folder above `recordings` reads as well.
        if fit and (best is None or len(fit.read) > len(best.read) or (usual and len(fit.read) == len(best.read))):
            best = fit
    if best is None:
        if not seen and denied:
            raise PermissionMissing("looking for recordings", f"{denied[0]}: Permission denied")
        if not seen:
            raise NothingToDetect(folder, f"no files ending in {', '.join(MEDIA)}")
        raise LayoutUnknown(folder, f"{seen:,} media files have names that no layout reads")
    zone, notes = _zone(best, machine_zone)
    notes += [f"layout {name!r} reads these names as well" for name in best.also]
    return Detected(
        root=best.root,
        layout=best.name,
        title=best.layout.traits.title,
        cameras=tuple(sorted({named.channel for _, named in best.read})),
        files=len(best.read),
        others=best.others,
        other=best.other,
        zone=zone,
        notes=(*notes, *broken.values(), *(f"{path} could not be read: Permission denied" for path in denied[:1])),
    )


def _best_fit(root: str, names: list[str], broken: dict[str, str]) -> _Fit | None:
    """Return the layout that reads most of `names`, the stricter of two; `broken` collects what could not be tried."""
    best: _Fit | None = None
    for name in [*_ORDER, *(other for other in available() if other not in _ORDER and other != "template")]:
        try:
            layout = layout_class(name).from_settings(StorageSettings(root=root, layout=name))
        except ValueError as error:  # it cannot be loaded, or does not work without options
            broken[name] = f"layout {name!r} was not tried: {error}"
            continue
        read = [(path, named) for path in names if (named := layout.read(path)) is not None]
        if not read or len(read) < _SHARE * len(names):
            continue
        if best is None or len(read) > len(best.read):
            best = _Fit(root, name, layout, read, len(names) - len(read), _first_other(names, read))
        elif len(read) == len(best.read):
            best = best._replace(also=(*best.also, name))
    return best


def _first_other(names: list[str], read: list[tuple[str, Named]]) -> str:
    """Return the first of `names` that is not among those read; empty if there is none."""
    known = {path for path, _ in read}
    return next((name for name in names if name not in known), "")


def _roots(folder: str) -> Iterator[tuple[str, bool]]:
    """Yield where the recordings may be, and whether that is a usual place rather than any child of the folder."""
    usual = [os.path.join(folder, below) if below else folder for below in _BELOW]
    yield from ((path, True) for path in usual if os.path.isdir(path))
    try:
        children = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    below = [path for path in children if path not in usual and not os.path.basename(path).startswith(".")]
    yield from ((path, False) for path in below[:_CHILDREN])


def _media_files(root: str, denied: list[str]) -> Iterator[str]:
    """Yield the relative paths of some media files, the newest names first so that the sample is of today.

    `denied` collects the folders that must not be read.
    """
    count = 0
    pending = [""]
    while pending:
        below = pending.pop()
        try:
            entries = sorted(os.scandir(os.path.join(root, below)), key=lambda entry: entry.name)
        except PermissionError as error:
            denied.append(str(error.filename))
            continue
        except OSError:
            continue
        pending += [
            f"{below}/{entry.name}" if below else entry.name
            for entry in entries
            if _shown(entry.name) and entry.name != STATE_FOLDER and entry.is_dir(follow_symlinks=False)
        ]
        for entry in reversed(entries):
            if _shown(entry.name) and entry.name.lower().endswith(MEDIA) and entry.is_file(follow_symlinks=False):
                yield f"{below}/{entry.name}" if below else entry.name
                count += 1
                if count >= _SAMPLE:
                    return


def _shown(name: str) -> bool:
    """Tell whether a name is one that a scan would look at: hidden and unprintable ones are not."""
    return not name.startswith(".") and name.isprintable()


def _zone(fit: _Fit, machine_zone: str) -> tuple[str, list[str]]:
    """Return the zone of the names: what makes files end when they were last written."""
    if not fit.layout.traits.local:
        return "UTC", []
    sample = list(_written(fit.root, fit.read[:: max(1, len(fit.read) // _OPENED)]))
    fits = [zone for zone in (machine_zone, "UTC") if _agree(sample, ZoneInfo(zone)) * 2 > len(sample)]
    if fits:
        alike = len(fits) == 2 and _differs_from_utc(machine_zone, sample[0][1])
        return fits[0], [f"names fit {machine_zone} and UTC alike; {machine_zone} was taken, check it"] if alike else []
    offsets = Counter(quarters_late(start - stamp.us) for stamp, start in sample)
    offset, votes = offsets.most_common(1)[0] if offsets else (None, 0)
    if not sample or offset is None or votes * 2 <= len(sample):
        return machine_zone, [
            f"the files do not tell the zone of their names; {machine_zone} is this machine's, check it"
        ]
    hours = -offset * 15 / 60
    fixed = f"Etc/GMT{-round(hours):+d}"
    if hours != round(hours) or zone_problem(fixed) is not None:
        fixed = "UTC"
    return fixed, [f"names are {hours:+g} h from UTC; set 'zone' to the place's name, such as 'Europe/Berlin'"]


def _differs_from_utc(zone: str, at: int) -> bool:
    """Tell whether a zone is another than UTC in the half year around `at`."""
    return any(to_local(moment, ZoneInfo(zone)) != moment for moment in (at, at + 182 * DAY))


def _agree(sample: list[tuple[Stamp, int]], zone: ZoneInfo) -> int:
    """Return how many files were last written when they end, if their names are of `zone`."""
    return sum(quarters_late(start - resolve(stamp, zone, start)[0]) == 0 for stamp, start in sample)


def _written(root: str, sample: list[tuple[str, Named]]) -> Iterator[tuple[Stamp, int]]:
    """Yield for closed files what their name says and where they started by their last write, microseconds."""
    for path, named in sample:
        full = os.path.join(root, path)
        try:
            info = os.stat(full, follow_symlinks=False)
            found = probe(full, info.st_size)
        except OSError:
            continue
        if named.stamp is not None and found.duration and found.closed is not False:
            yield named.stamp, info.st_mtime_ns // 1000 - found.duration
