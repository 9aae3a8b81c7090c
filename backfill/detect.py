"""Recognising what recorder wrote a folder: layout, cameras, zone, from a sample of its files.

Rule: looks, and never guesses beyond what the files say; where two answers fit, it says so.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from backfill.clockcheck import quarters_late
from backfill.containers import probe
from backfill.layouts import Layout, Named
from backfill.layouts.registry import available, layout_class
from backfill.layouts.zones import resolve
from backfill.storage import STATE_FOLDER
from schema.errors import LayoutUnknown, NothingToDetect
from schema.settings import StorageSettings

_SAMPLE = 3000
"""Files looked at by name."""

_OPENED = 40
"""Files opened to compare their end with their last write."""

_SHARE = 0.5
"""Part of a folder's files that a layout must recognise."""

_BELOW = ("", "recordings", "videos", "media", "data/recordings", "output")
"""Where recordings lie below the folder that a person names."""

_ORDER = ("frigate", "mediamtx", "kerberos", "motioneye", "zoneminder", "shinobi", "motion")
"""The stricter pattern first, so that it wins where two recognise as much."""

_MEDIA = (".mp4", ".ts", ".mkv", ".m4s", ".avi", ".mov", ".flv", ".webm")


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
    zone: str
    notes: tuple[str, ...] = field(default=())


def detect(folder: str, machine_zone: str) -> Detected:
    """Return what recorder wrote `folder`, which may also lie one level below it.

    Args:
        machine_zone: the IANA name of this machine's zone, tried first for local names.

    Raises NothingToDetect if there are no recordings, LayoutUnknown if no layout fits half of them.
    """
    folder = os.path.abspath(folder)
    if not os.path.isdir(folder):
        raise NothingToDetect(folder, "it is not a folder")
    best: tuple[int, str, str, list[tuple[str, Named]], int] | None = None
    seen = 0
    for root in _roots(folder):
        names = list(_media_files(root))
        seen = max(seen, len(names))
        for name in [*_ORDER, *(other for other in available() if other not in _ORDER and other != "template")]:
            layout = layout_class(name).from_settings(StorageSettings(root=root, layout=name))
            read = [(path, named) for path in names if (named := layout.read(path)) is not None]
            if read and len(read) >= _SHARE * len(names) and (best is None or len(read) > best[0]):
                best = (len(read), root, name, read, len(names) - len(read))
    if best is None:
        if not seen:
            raise NothingToDetect(folder, f"no files ending in {', '.join(_MEDIA)}")
        raise LayoutUnknown(folder, f"{seen:,} media files have names that no layout reads")
    count, root, name, read, others = best
    layout = layout_class(name).from_settings(StorageSettings(root=root, layout=name))
    zone, notes = _zone(root, layout, read, machine_zone)
    cameras = Counter(named.channel for _, named in read)
    return Detected(
        root=root,
        layout=name,
        title=layout.traits.title,
        cameras=tuple(sorted(cameras)),
        files=count,
        others=others,
        zone=zone,
        notes=tuple(notes),
    )


def _roots(folder: str) -> Iterator[str]:
    """Yield where the recordings may be: here, in the usual places, or in any child."""
    usual = [os.path.join(folder, below) if below else folder for below in _BELOW]
    yield from (path for path in usual if os.path.isdir(path))
    try:
        children = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    yield from (path for path in children[:50] if path not in usual and not os.path.basename(path).startswith("."))


def _media_files(root: str) -> Iterator[str]:
    """Yield the relative paths of some media files, the newest folders first so that the sample is of today."""
    count = 0
    pending = [""]
    while pending and count < _SAMPLE:
        below = pending.pop()
        try:
            entries = sorted(os.scandir(os.path.join(root, below)), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                if entry.name != STATE_FOLDER and not entry.name.startswith("."):
                    pending.append(path)
            elif entry.name.lower().endswith(_MEDIA) and entry.is_file(follow_symlinks=False):
                yield path
                count += 1


def _zone(root: str, layout: Layout, read: list[tuple[str, Named]], machine_zone: str) -> tuple[str, list[str]]:
    """Return the zone of the names: what makes files end when they were last written."""
    if not layout.traits.local:
        return "UTC", []
    sample = _lateness(root, read[:: max(1, len(read) // _OPENED)])
    offsets = Counter(number for late in sample if (number := quarters_late(late)) is not None)
    if not offsets:
        return machine_zone, [f"no file tells the zone of the names; {machine_zone} is this machine's"]
    offset, votes = offsets.most_common(1)[0]
    if votes * 2 < sum(offsets.values()):
        return machine_zone, [f"the files do not agree on a zone; {machine_zone} is this machine's, check it"]
    named = read[0][1]
    assert named.stamp is not None
    for zone in (machine_zone, "UTC"):
        local = named.stamp.us - resolve(named.stamp, ZoneInfo(zone), None)[0]
        if quarters_late(-local) == offset:
            return zone, []
    hours = -offset * 15 / 60
    fixed = f"Etc/GMT{-round(hours):+d}" if hours == round(hours) else "UTC"
    return fixed, [f"names are {hours:+g} h from UTC; set 'zone' to the place's name, such as 'Europe/Berlin'"]


def _lateness(root: str, sample: list[tuple[str, Named]]) -> Iterator[int]:
    """Yield for closed files how long after their name's end, read as UTC, they were last written, microseconds."""
    for path, named in sample:
        full = os.path.join(root, path)
        try:
            info = os.stat(full, follow_symlinks=False)
            found = probe(full, info.st_size)
        except OSError:
            continue
        if named.stamp is not None and found.duration and found.closed is not False:
            yield info.st_mtime_ns // 1000 - (named.stamp.us + found.duration)
