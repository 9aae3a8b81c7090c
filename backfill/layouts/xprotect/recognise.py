"""Recognising XProtect's folders for `init`: is it a bank, or does it hold banks, and what are its cameras called?

Rule: looks at names and at the banks' caches, never into a table: one without a time in its name may be being written.
That is also why an export is not guessed: its tables look live.
"""

import os
from dataclasses import dataclass, field
from itertools import islice

from backfill.layouts.base import Stamp
from backfill.layouts.capabilities import Recognised
from backfill.layouts.xprotect.cache import MOST_BYTES, CacheBad, Table, tables
from backfill.layouts.xprotect.names import CACHES, What, parse, what
from backfill.sharing import TooLarge, read_whole

_MARKS = ("config.xml", "synckey")
_BANKS = 64
"""Folders that are looked at for banks; a recorder has a few."""

_LOOKS = 500_000
"""Entries of a folder that are looked at: five times the tables of a large bank, and an end to any other folder."""

_SAMPLES = 40
_EXPORT = (
    "every table is named by a GUID alone: they are being written, or this is an export; for one set"
    ' options = { export = "yes" }, and never for a folder that a recorder writes into'
)


@dataclass(slots=True)
class _Bank:
    """What lies in one folder that may be a bank."""

    path: str
    files: set[str] = field(default_factory=set)
    closed: list[str] = field(default_factory=list)
    live: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    @property
    def is_one(self) -> bool:
        """Whether this is a bank."""
        return bool(self.closed) or any(name in self.files for name in CACHES)


def recognise(folder: str) -> Recognised | None:
    """Return what `folder` is, None if it is nothing of XProtect's. Raises OSError."""
    here = _look(folder)
    if here.is_one:
        return _recognised(folder, [here], several=False)
    if here.files.intersection(_MARKS):
        return None  # a bank that has only just begun; what is in it may be being written
    inside = [_look(os.path.join(folder, name)) for name in sorted([*here.live, *here.foreign])[:_BANKS]]
    banks = [bank for bank in inside if bank.is_one]
    return _recognised(folder, banks, several=True) if banks else None


def _look(path: str) -> _Bank:
    """Return what lies in a folder, by name; nothing if it cannot be listed."""
    found = _Bank(path)
    try:
        with os.scandir(path) as entries:
            for entry in islice(entries, _LOOKS):
                if entry.name.startswith("."):
                    continue
                if not entry.is_dir(follow_symlinks=False):
                    found.files.add(entry.name.lower())
                    continue
                kind = what(entry.name, export=False)
                lists = {What.CLOSED: found.closed, What.LIVE: found.live, What.FOREIGN: found.foreign}
                lists[kind].append(entry.name)
    except PermissionError:
        return _Bank(path)
    return found


def _recognised(folder: str, banks: list[_Bank], *, several: bool) -> Recognised:
    named: dict[str, tuple[int, str]] = {}
    written: list[tuple[Stamp, int]] = []
    notes: list[str] = []
    for bank in banks:
        told, broken = _told(bank.path)
        notes += broken
        if not bank.closed and bank.live:
            notes.append(f"{bank.path}: {_EXPORT}")
        for name in (*bank.closed, *bank.live):
            _name(named, name, told.get(name))
        times = [(Stamp(at, local=True), end) for name in bank.closed for at, end in _times(name, told.get(name))]
        written += times[:: max(1, len(times) // _SAMPLES)]
    others = [
        f"{os.path.basename(bank.path)}/{name}" if several else name for bank in banks for name in sorted(bank.foreign)
    ]
    return Recognised(
        root=folder,
        options={"banks": "several"} if several else {},
        cameras={device: description for device, (_, description) in sorted(named.items())},
        units=sum(len(bank.closed) for bank in banks),
        others=tuple(others),
        written=tuple(written),
        notes=tuple(notes),
    )


def _told(bank: str) -> tuple[dict[str, Table], list[str]]:
    """Return what a bank's caches say, and what is wrong with them."""
    told: dict[str, Table] = {}
    notes = []
    for cache in reversed(CACHES):
        path = os.path.join(bank, cache)
        try:
            told.update(tables(read_whole(path, MOST_BYTES).content))
        except FileNotFoundError:
            continue
        except (CacheBad, TooLarge, OSError) as error:
            notes.append(f"{path} cannot be read now: {error}")
    return told, notes


def _name(named: dict[str, tuple[int, str]], name: str, table: Table | None) -> None:
    """Note what the device of a table is called; the latest table that says it knows best."""
    parts = parse(name)
    if parts is None:
        return
    device = parts.device.lower()
    media = table.media if table is not None else None
    known = (media.end_ms or 0) if media is not None else 0
    description = table.description if table is not None else ""
    if device not in named or (description and known >= named[device][0]):
        named[device] = known, description


def _times(name: str, table: Table | None) -> list[tuple[int, int]]:
    """Return the local digits of a closed table's name and where its media ends, if both are known."""
    parts, media = parse(name), table.media if table is not None else None
    if parts is None or parts.local_us is None or media is None or media.end_ms is None:
        return []
    return [(parts.local_us, media.end_ms * 1000)]
