"""Where filled segments came from, kept beside the data so that it survives the loss of the ledger.

Rule: a record is durable *before* its segment appears under its final name, so a filled file can never be taken for the
recorder's own. A record whose file never appeared is harmless: it speaks only for a file of exactly its size and mtime.

Format: one file a day of recording, `origins/2026-11-22.jsonl`; each line a JSON object, a tab and a checksum.
"""

import contextlib
import errno
import os
from collections.abc import Iterable

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


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Origin).decode


class OriginLog:
    """The origin records of one storage."""

    def __init__(self, state_folder: str) -> None:
        self._folder = os.path.join(state_folder, _FOLDER)
        self._days: dict[str, tuple[int, dict[str, list[Origin]]]] = {}
        """By day: the size its file had when it was read, and its records by path."""
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
        for day in {_day(near): None for near in (start, start - _NEAR, start + _NEAR)}:
            for one in reversed(self._day(day).get(path, ())):
                if one.size == size:
                    if not one.server:
                        break
                    found.append(one)
        return found

    def _present(self) -> bool:
        """Tell whether there is any record: most storages were never filled, and a first scan asks per file."""
        self._any = self._any or os.path.isdir(self._folder)
        return self._any

    def _day(self, day: str) -> dict[str, list[Origin]]:
        """Return a day's records by path, read anew when a fill has added some since: files are only appended to."""
        try:
            size = os.stat(os.path.join(self._folder, f"{day}.jsonl")).st_size
        except (FileNotFoundError, NotADirectoryError):
            return {}
        held = self._days.get(day)
        if held is not None and held[0] == size:
            return held[1]
        if len(self._days) >= _DAYS_KEPT:
            self._days.clear()
        found = self._load(day)
        self._days[day] = (size, found)
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


def _day(us: int) -> str:
    return to_datetime(us).strftime("%Y-%m-%d")
