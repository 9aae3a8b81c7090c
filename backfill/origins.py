"""Where filled segments came from, kept beside the data so that it survives the loss of the ledger.

Rule: a record is durable *before* its segment appears under its final name, so a filled file can never be taken for the
recorder's own. A record whose file never appeared is harmless: it speaks only for a file of exactly its size and mtime,
or of its content.

Format: one file a day of recording, `origins/2026-11-22.jsonl`; each line a JSON object, a tab and a checksum.
"""

import contextlib
import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from backfill.storage import sync_folder
from schema.digests import text_checksum
from schema.moments import to_datetime
from schema.spans import HOUR

_FOLDER = "origins"
_DAYS_KEPT = 16
_NEAR = HOUR
"""A name may place a file up to a clock change away from what the record says."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """One filled segment. Times in microseconds UTC; `path` relative to the storage root."""

    path: str
    server: str
    """Where it came from. Nothing: the recorder here wrote a file of that size under this name, and what was noted
    of it before never appeared."""
    camera: str
    start: int
    end: int
    size: int
    mtime_ns: int
    digest: str
    source_path: str
    landed: int


class _Day(NamedTuple):
    """The records of a day."""

    read: int
    """The size its file had then."""
    by_path: Mapping[str, Sequence[Origin]]
    by_size: Mapping[tuple[str, int], Iterable[str]]
    """The paths by camera and size of the file."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Origin).decode


class OriginLog:
    """The origin records of one storage."""

    def __init__(self, state_folder: str) -> None:
        self._folder = os.path.join(state_folder, _FOLDER)
        self._days: dict[str, _Day] = {}
        self._any = False

    def append(self, origins: Iterable[Origin]) -> None:
        """Add records and make them durable, those of a day all or none. Raises OSError."""
        lines: dict[str, list[str]] = {}
        for origin in origins:
            text = _encode(origin).decode()
            lines.setdefault(_day(origin.start), []).append(f"{text}\t{text_checksum(text)}\n")
        made = False
        for day, new in lines.items():
            path = os.path.join(self._folder, f"{day}.jsonl")
            if not os.path.isdir(self._folder):
                os.makedirs(self._folder, exist_ok=True)
                sync_folder(os.path.dirname(self._folder))
            made = made or not os.path.exists(path)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                size = os.fstat(fd).st_size
                if size and os.pread(fd, 1, size - 1) != b"\n":
                    new.insert(0, "\n")  # a power cut tore the last line; ours must not continue it
                _write_all(fd, "".join(new).encode(), size)
            finally:
                os.close(fd)
            self._days.pop(day, None)
            self._any = True
        if made:
            sync_folder(self._folder)

    def find(self, path: str, start: int, size: int, mtime_ns: int) -> Origin | None:
        """Return the record of the file at `path` that starts about `start`, if it is that very file."""
        return next((one for one in self.about(path, start, size) if one.mtime_ns == mtime_ns), None)

    def about(self, path: str, start: int, size: int) -> list[Origin]:
        """Return every record of a file of `size` at `path` that starts about `start`, the latest first.

        Where the last write differs - a `touch`, a copy restored without its times - only the digest tells whether it
        is that file.
        """
        if not self._present():
            return []
        found: list[Origin] = []
        for day in _days(start):
            for one in reversed(self._day(day).by_path.get(path, ())):
                if one.size == size:
                    if not one.server:
                        break
                    found.append(one)
        return found

    def elsewhere(self, path: str, camera: str, start: int, size: int) -> list[Origin]:
        """Return the records of files of that camera and size that start about `start` and have another path.

        A recorder that archives moves files, also to another disk, and says nothing. Only the digest tells whether one
        of them is that file.
        """
        if not self._present():
            return []
        paths = {
            other: None
            for day in _days(start)
            for other in self._day(day).by_size.get((camera, size), ())
            if other != path
        }
        return [one for other in paths for one in self.about(other, start, size) if abs(one.start - start) <= _NEAR]

    def _present(self) -> bool:
        """Tell whether there is any record: most storages were never filled, and a first scan asks per file."""
        self._any = self._any or os.path.isdir(self._folder)
        return self._any

    def _day(self, day: str) -> "_Day":
        """Return a day's records, read anew when a fill has added some since: files are only appended to."""
        try:
            size = os.stat(os.path.join(self._folder, f"{day}.jsonl")).st_size
        except (FileNotFoundError, NotADirectoryError):
            return _Day(0, {}, {})
        held = self._days.get(day)
        if held is not None and held.read == size:
            return held
        if len(self._days) >= _DAYS_KEPT:
            self._days.clear()
        by_path = self._load(day)
        by_size: dict[tuple[str, int], dict[str, None]] = {}
        for path, records in by_path.items():
            for one in records:
                by_size.setdefault((one.camera, one.size), {})[path] = None
        self._days[day] = found = _Day(size, by_path, by_size)
        return found

    def _load(self, day: str) -> dict[str, list[Origin]]:
        found: dict[str, list[Origin]] = {}
        try:
            with open(os.path.join(self._folder, f"{day}.jsonl"), encoding="utf-8", errors="replace") as file:
                for line in file:
                    text, _, checksum = line.rstrip("\n").rpartition("\t")
                    if text and checksum == text_checksum(text):
                        origin = _decode(text)
                        found.setdefault(origin.path, []).append(origin)
        except (FileNotFoundError, NotADirectoryError):
            pass
        return found


def _write_all(fd: int, content: bytes, size: int) -> None:
    """Append all of `content` durably to a file of `size` bytes, or nothing. Raises OSError.

    On a disk that fills up a write is cut short without an error: a record that only seems to be there would let its
    segment be taken for the recorder's own.
    """
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[_write(fd, rest) :]
        os.fsync(fd)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, size)
        raise


def _write(fd: int, content: memoryview) -> int:
    """Write a part of `content` and return its size, which is not 0. Raises OSError."""
    done = os.write(fd, content)
    if not done:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return done


def _days(start: int) -> list[str]:
    """Return the days under which what starts about then may be noted, its own first."""
    return list(dict.fromkeys(_day(near) for near in (start, start - _NEAR, start + _NEAR)))


def _day(us: int) -> str:
    return to_datetime(us).strftime("%Y-%m-%d")
