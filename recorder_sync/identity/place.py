"""The folder in which everything about identities is kept: the primary's id, the journal, copies of changed files.

Rule: it outlives the ledger, which can be rebuilt from recordings; an id cannot. Readable by its owner alone, every
note is whole or not there, and one process at a time changes an identity or stops the recorder for an import; a killed
one releases it.
"""

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator

from backfill.storage import make_folders, write_durably
from recorder_sync.identity.document import digest
from schema.errors import IdentityBusy, IdentityNotesDamaged, IdentityNotWritten

_TRIES = 4
_PAUSE = 0.05
_HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)


class Place:
    """One host's identity folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def path(self, name: str) -> str:
        """Return where a note of that name is."""
        return os.path.join(self.folder, name)

    def make(self) -> None:
        """Make the folder, durably. Raises IdentityNotWritten."""
        try:
            make_folders(self.folder, 0o700)
        except OSError as error:
            raise IdentityNotWritten(self.folder, error.strerror) from None

    def write(self, name: str, content: bytes) -> None:
        """Replace a note whole, durably. Raises IdentityNotWritten."""
        self.make()
        try:
            write_durably(self.path(name), content)
        except OSError as error:
            raise IdentityNotWritten(self.path(name), error.strerror) from None

    def read(self, name: str) -> bytes | None:
        """Return a note; None if there is none. Raises IdentityNotesDamaged."""
        try:
            with open(self.path(name), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise IdentityNotesDamaged(self.path(name), f"it cannot be read: {error.strerror}") from None

    def keep(self, content: bytes) -> str:
        """Keep a copy of a recorder's file, named by its digest, and return that name. Raises IdentityNotWritten."""
        name = f"before-{digest(content)}.xml"
        if self.read(name) != content:
            self.write(name, content)
        if self.read(name) != content:
            raise IdentityNotWritten(self.path(name), "it read back differently from what was written")
        return name

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from changing an identity while this block runs. Raises IdentityBusy, IdentityNotWritten."""
        self.make()
        fd = self._open_lock()
        try:
            self._lock(fd)
            yield
        finally:
            os.close(fd)

    def _lock(self, fd: int) -> None:
        """Lock; one that only looks whether it is locked is waited for. Raises IdentityBusy, IdentityNotWritten."""
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_PAUSE)
            try:
                _lock(fd)
            except OSError as error:
                if error.errno not in _HELD:
                    raise IdentityNotWritten(self.path("lock"), f"it cannot be locked: {error.strerror}") from None
            else:
                return
        raise IdentityBusy(self.folder)

    def busy(self) -> bool:
        """Tell whether somebody changes the identity or has the recorder stopped for a moment; where that cannot be
        told, nobody does."""
        try:
            fd = os.open(self.path("lock"), os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        except OSError:
            return False
        try:
            _lock(fd)
        except OSError as error:
            return error.errno in _HELD
        finally:
            os.close(fd)
        return False

    def _open_lock(self) -> int:
        """Open the file that is locked. Raises IdentityNotWritten."""
        try:
            return os.open(self.path("lock"), os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError as error:
            # One that is there can be locked all the same: an id is given back also where nothing can be written.
            if error.errno == errno.EROFS and os.path.exists(self.path("lock")):
                return os.open(self.path("lock"), os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            raise IdentityNotWritten(self.path("lock"), error.strerror) from None


def _lock(fd: int) -> None:
    """Lock an open file until it is closed, or its process ends however it ends. Raises OSError if it is locked."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
