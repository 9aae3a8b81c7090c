"""A simulated XProtect recorder: writes a bank as banks were measured, live tables, closed ones, caches and all.

Rule: follows the facts of docs/guide/xprotect.md; what nobody knows is a switch here, with its own guess as default.
Block files are small (a real one ends just below 16 MiB), everything else has the measured shape: the sizes of index
files, what a column's `<size>` counts, a cache that is rewritten in place and is half a file for a moment.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from schema.spans import SECOND

MEDIA = "7ea9b53b-749e-420b-891b-43b238f6144e"
SIGNATURES = "2df16e48-06be-11e1-a0ff-e1314924019b"
SMALL = (
    "8b742df9-5ba1-49df-ace1-66e54f5dc295",
    "908d3e34-3510-4372-9e3f-20c53b92490a",
    "f3f39289-0372-410d-8936-802b1e627567",
)

FRONT = "e227d322-9fba-426a-92bc-7e05290eda00"
YARD = "0b8e1d55-51c4-4c8e-8a1b-2f6f0c3ad101"

BANK = "11f3a5c0-6f0f-4d0e-9b58-7f2f2a0c9e10"

_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n'
_BLOCK = 4000
"""Bytes of a block file at most."""


@dataclass
class Closed:
    """A closed table as the recorder's index knows it. Times in microseconds UTC."""

    name: str
    device: str
    start: int
    end: int
    columns: dict[str, tuple[int, bool]]
    """By column: its size, and whether it holds anything."""
    size: int
    encrypted: bool


@dataclass
class Recorder:
    """One recorder with one bank. Its clock is what it is told."""

    bank: Path
    devices: dict[str, str] = field(default_factory=lambda: {FRONT: "Shoe Store"})
    zone: str = "UTC"
    seed: int = 0
    """Makes the bytes of two recorders differ, as they do in the field."""
    encrypted: bool = False
    signed: bool = False
    tag: str = "LOCAL"
    between: Callable[[], None] = lambda: None
    """Called while a cache is half a file."""
    closed: list[Closed] = field(default_factory=list)
    live: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By device: from when to when its live table holds pictures."""
    alive: bool = True

    def __post_init__(self) -> None:
        self.bank.mkdir(parents=True, exist_ok=True)
        selector = 2 if self.encrypted else 0
        config = (
            f'{_HEAD}<bank id="{BANK.upper()}" version="1.2"><description>Local default</description>'
            f"<max_size_in_mb>500000</max_size_in_mb><max_minutes>43200</max_minutes><passwords><password"
            f' selector="{selector}" value="x"/></passwords></bank>'
        )
        (self.bank / "config.xml").write_text(config)
        (self.bank / "synckey").write_text("9D3F0B52-6B1E-4F7C-8C19-0A2E6A1C77B4")
        (self.bank / "desktop.ini").write_bytes("[.ShellClassInfo]\r\n".encode("utf-16"))

    # What a recorder does.

    def record(self, device: str, start: int, end: int) -> None:
        """Write pictures from `start` to `end` into the device's live table, one record a second."""
        assert self.alive
        folder = self.bank / device
        begun, reached = self.live.get(device, (start, start))
        folder.mkdir(exist_ok=True)
        self._columns(folder, device, begun, end)
        self.live[device] = (begun, max(end, reached))
        os.utime(folder, ns=(start * 1000, start * 1000))

    def close(self, device: str, at: int | None = None) -> str:
        """Close the live table of a device: renamed to local time, and the cache is rewritten. Returns its name."""
        start, end = self.live.pop(device)
        at = end if at is None else at
        stamp = datetime.fromtimestamp(at / SECOND, tz=ZoneInfo(self.zone)).strftime("%Y-%m-%d_%H-%M-%S")
        name = f"{device}_{self.tag}_{stamp}"
        while (self.bank / name).exists():
            name += " (2)"
        (self.bank / device).rename(self.bank / name)
        self.closed.append(self._known(name, device, start, end))
        self.touch(name, at)
        self.write_cache(at)
        return name

    def hours(self, device: str, start: int, tables: int, minutes: int = 60) -> list[str]:
        """Record and close so many tables in a row; returns their names."""
        names = []
        for number in range(tables):
            begin = start + number * minutes * 60 * SECOND
            self.record(device, begin, begin + minutes * 60 * SECOND)
            names.append(self.close(device))
        return names

    def write_cache(self, at: int, *, name: str = "cache.xml", stop_half: bool = False) -> None:
        """Rewrite a cache in place: for a moment it is half a file; `stop_half`: and the recorder dies then."""
        content = self.cache_text().encode()
        path = self.bank / name
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
            file.flush()
            os.utime(path, ns=(at * 1000, at * 1000))
            self.between()
            if stop_half:
                return
            file.write(content[len(content) // 2 :])
        os.utime(path, ns=(at * 1000, at * 1000))

    def retain(self, since: int) -> None:
        """Delete what ended before `since`, oldest first, as retention does."""
        for table in [one for one in self.closed if one.end <= since]:
            self.closed.remove(table)
            shutil.rmtree(self.bank / table.name)
        self.write_cache(since)

    def archive(self, name: str, other: "Recorder") -> str:
        """Move a closed table to another bank, as archiving does."""
        table = next(one for one in self.closed if one.name == name)
        self.closed.remove(table)
        moved = table.name.replace(f"_{self.tag}_", f"_{other.tag}_")
        (self.bank / name).rename(other.bank / moved)
        table.name = moved
        other.closed.append(table)
        self.write_cache(table.end)
        other.write_cache(table.end)
        return moved

    def kill(self) -> None:
        """Die: live tables stay as they are, nothing is closed."""
        self.alive = False

    def start(self, at: int) -> None:
        """Come back: what was live is closed now. That a recorder does so is a guess."""
        self.alive = True
        for device in list(self.live):
            self.close(device, at)

    def wake(self, at: int) -> None:
        """Come back after a stop: go on with what is live, and make the index anew if it is away. Both are guesses."""
        self.alive = True
        if not any((self.bank / name).exists() for name in ("cache.xml", "archives_cache.xml")):
            found = sorted(self.bank.glob(f"*_*_*/{MEDIA}/block0.blk"))
            self.closed = [self._read_table(block.parents[1]) for block in found]
            self.write_cache(at)

    def _read_table(self, folder: Path) -> Closed:
        """Return what a closed table on the disk is, from its own files, as a repair would."""
        device = folder.name[:36]
        start = int((folder / MEDIA / "block0.blk").read_bytes().split()[2])
        records = ((folder / MEDIA / "sindex0.idx").stat().st_size - 8) // 40
        return self._known(folder.name, device, start, start + records * SECOND)

    # What lies on the disk.

    def _columns(self, folder: Path, device: str, start: int, end: int) -> None:
        """Write a table's files: its columns in blocks with their indexes, and what it says of itself."""
        records = max(1, (end - start) // SECOND)
        body = f"{self.seed} {device} {start} ".encode() * 40
        self._column(folder / MEDIA, [body] * min(records, 12), records)
        if self.signed:
            self._column(folder / SIGNATURES, [b"signature " * 4], records)
            (folder / SIGNATURES / "Public Key Certificate.xml").write_text(f"{_HEAD}<certificate/>")
        self._column(folder / SMALL[0], [bytes(32)], 1)
        for column in SMALL[1:]:
            self._column(folder / column, [], 0)
        (folder / "config.xml").write_text(f'{_HEAD}<bank version="1.2">{self._about(device)}</bank>')
        (folder / "desktop.ini").write_bytes(f"[.ShellClassInfo]\r\n{self.devices[device]}\r\n".encode("utf-16"))

    @staticmethod
    def _column(folder: Path, parts: list[bytes], records: int) -> None:
        """Write one column; sizes of its indexes as measured."""
        folder.mkdir(exist_ok=True)
        content, number = b"".join(parts), 0
        for number, at in enumerate(range(0, len(content), _BLOCK), 1):
            (folder / f"block{number - 1}.blk").write_bytes(content[at : at + _BLOCK])
        if records:
            (folder / "sindex0.idx").write_bytes(bytes(8 + 40 * records))
        (folder / "pindex.idx").write_bytes(bytes(32 if records else 12))
        (folder / "cindex.idx").write_bytes(bytes(12 + 24 * number))

    def _about(self, device: str) -> str:
        """Return what both a table and the index say of it."""
        encryption = (
            "<encryption><algorithm>AES</algorithm><size_to_encrypt>0</size_to_encrypt>"
            "<password_selection>2</password_selection></encryption>"
        )
        return (
            f"<description>{escape(self.devices[device])}</description>{encryption if self.encrypted else ''}"
            '<meta_data><entry key="device_type">Camera</entry></meta_data>'
            f"{'<signing_algorithm>SHA2</signing_algorithm>' if self.signed else ''}"
        )

    def _known(self, name: str, device: str, start: int, end: int) -> Closed:
        folder = self.bank / name
        columns = {}
        for column in sorted(path for path in folder.iterdir() if path.is_dir()):
            size = sum(path.stat().st_size for path in column.iterdir() if path.suffix in (".blk", ".idx"))
            columns[column.name] = (size, bool(list(column.glob("*.blk"))))
        beside = sum((folder / file).stat().st_size for file in ("config.xml", "desktop.ini"))
        whole = sum(size for size, _ in columns.values()) + beside
        return Closed(name, device, start, end, columns, whole, self.encrypted)

    def touch(self, name: str, at: int) -> None:
        """Let a table and all in it have been last written at `at`."""
        folder = self.bank / name
        for path in (*folder.rglob("*"), folder):
            os.utime(path, ns=(at * 1000, at * 1000))

    def cache_text(self) -> str:
        """Return the index of the bank's closed tables."""
        return f'{_HEAD}<bank version="1.2">\n{"".join(map(self._table_text, self.closed))}</bank>\n'

    def _table_text(self, table: Closed) -> str:
        columns = "".join(
            f"<column><name>{name}</name>{self._times(table) if filled else ''}<size>{size}</size></column>\n"
            for name, (size, filled) in table.columns.items()
        )
        return (
            f"<table>\n  <name>{escape(table.name)}</name>\n  <size>{table.size}</size>{self._about(table.device)}\n"
            f"{columns}</table>\n"
        )

    @staticmethod
    def _times(table: Closed) -> str:
        return (
            f"<begin_time>{table.start // 1000}</begin_time><end_time>{table.end // 1000}</end_time>"
            "<meta_data_first_record>0</meta_data_first_record><meta_data_last_record>0</meta_data_last_record>"
            "<begin_time_last_record>0</begin_time_last_record><end_time_first_record>0</end_time_first_record>"
        )


def export(recorder: Recorder, into: Path) -> None:
    """Write what a recorder holds as an export does: every table under a bare GUID, closed all the same."""
    into.mkdir(parents=True, exist_ok=True)
    text = recorder.cache_text()
    for table in recorder.closed:
        shutil.copytree(recorder.bank / table.name, into / table.device)
        text = text.replace(f"<name>{table.name}</name>", f"<name>{table.device}</name>")
    (into / "cache.xml").write_text(text)
    (into / "config.xml").write_text(f'{_HEAD}<bank id="{BANK.upper()}" version="1.2"/>')


def utc(text: str) -> int:
    """Return the microseconds of a UTC time such as `2026-10-25 00:30`."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND
