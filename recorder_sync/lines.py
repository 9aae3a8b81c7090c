"""A journal of steps in a file: enough to go on, or back, after a crash at any moment.

Rule: lines are only added, durably; each carries a checksum, and a last line that a crash cut off counts as not
written. Anything else that does not hold what was written is an error, never skipped.
"""

import contextlib
import os
from io import FileIO
from typing import Generic, TypeVar

import msgspec

from backfill.storage import make_folders, sync_folder
from schema.digests import text_checksum
from schema.errors import OperatorError

_E = TypeVar("_E", bound=msgspec.Struct)


class Lines(Generic[_E]):
    """The journal at `path`, each line one step of `kind`.

    Args:
        damaged: the error for a journal that cannot be relied on, given its path and why.
        unwritten: the error for a step that could not be written down, given the same.
    """

    def __init__(
        self, path: str, kind: type[_E], *, damaged: type[OperatorError], unwritten: type[OperatorError]
    ) -> None:
        self._path = path
        self._kind = kind
        self._damaged = damaged
        self._unwritten = unwritten

    def entries(self) -> list[_E]:
        """Return every step, oldest first. Raises the error for a damaged journal."""
        try:
            with open(self._path, "rb") as file:
                content = file.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._damaged(self._path, f"it cannot be read: {error.strerror}") from None
        found = []
        lines = content.decode(errors="replace").split("\n")
        for number, line in enumerate(lines[:-1], 1):  # what follows the last line end was cut off
            said, _, body = line.partition(" ")
            if said != text_checksum(body):
                raise self._damaged(self._path, f"line {number} does not hold what was written")
            try:
                found.append(msgspec.json.decode(body, type=self._kind))
            except msgspec.DecodeError as error:
                raise self._damaged(self._path, f"line {number}: {error}") from None
        return found

    def add(self, entry: _E) -> None:
        """Write a step down; it is durable when this returns. Raises the errors for both."""
        self.entries()
        body = msgspec.json.encode(entry).decode()
        try:
            make_folders(os.path.dirname(self._path), 0o700)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
            with open(fd, "r+b", buffering=0) as file:
                end = file.read().rfind(b"\n") + 1
                file.truncate(end)
                file.seek(end)
                try:
                    self._put(file, f"{text_checksum(body)} {body}\n".encode())
                except OSError:
                    with contextlib.suppress(OSError):
                        file.truncate(end)  # the step is not taken: it must not be found here
                    raise
        except OSError as error:
            raise self._unwritten(self._path, error.strerror) from None

    def _put(self, file: FileIO, line: bytes) -> None:
        """Write a line, durably. Raises OSError."""
        rest = memoryview(line)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
        sync_folder(os.path.dirname(self._path))
