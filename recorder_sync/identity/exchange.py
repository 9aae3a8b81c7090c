"""Putting new bytes in the place of a recorder's file: all at once, durable, with the rights that it had.

Rule: at every moment the name leads to the old file or to the new one, whole. The order is: write beside, give it the
owner, mode and access list of the old one, fsync, read back, make sure that the old one is still what was judged,
replace, fsync the folder. Whatever fails before the replacing leaves the old file untouched and nothing beside it.
"""

import contextlib
import ctypes
import errno
import os
import stat
import sys
from typing import Any, Protocol

from backfill.storage import sync_folder
from recorder_sync.identity.document import LARGEST, digest
from schema.errors import IdentityChanged, IdentityNotWritten, RecorderFileUnreadable

BESIDE = ".recorder-sync-new"
"""What follows the file's name while the new bytes are not in place yet; a leftover of a crash is replaced."""

_WITHOUT = (errno.ENOTSUP, errno.ENODATA, errno.ENOSYS)


class System(Protocol):
    """What differs between operating systems."""

    def keep_rights(self, new: str, old: str) -> None:
        """Give `new` the owner, mode and access list of `old`, or raise OSError: none of them is lost in silence."""

    def replace(self, new: str, old: str) -> None:
        """Put `new` in the place of `old` at once and durably. Raises OSError, with `old` as it was."""


class Posix:
    """Linux and its like: extended attributes carry the access list."""

    def keep_rights(self, new: str, old: str) -> None:
        """See System. The mode is set before the access list, which the mode would change."""
        info = os.stat(old)
        mine = os.stat(new)
        if (info.st_uid, info.st_gid) != (mine.st_uid, mine.st_gid):
            os.chown(new, info.st_uid, info.st_gid)
        os.chmod(new, stat.S_IMODE(info.st_mode))
        try:
            names = os.listxattr(old)
        except OSError as error:
            if error.errno in _WITHOUT:
                return
            raise
        for name in names:
            value = os.getxattr(old, name)
            with contextlib.suppress(OSError):
                if os.getxattr(new, name) == value:
                    continue  # such as a label of the system's own, which we may not set and need not
            os.setxattr(new, name, value)

    def replace(self, new: str, old: str) -> None:
        """See System."""
        os.replace(new, old)
        sync_folder(os.path.dirname(old))


class Windows:
    """`ReplaceFileW` gives the new file the old one's access list and attributes. Not run on Windows."""

    def __init__(self, kernel: Any = None) -> None:
        self._kernel = kernel

    def keep_rights(self, new: str, old: str) -> None:
        """Nothing here: replacing does it."""

    def replace(self, new: str, old: str) -> None:
        """See System. Without the flags that would let it lose an access list in silence."""
        kernel = self._kernel or getattr(ctypes, "WinDLL")("kernel32", use_last_error=True)  # noqa: B009  Windows only
        if not kernel.ReplaceFileW(old, new, None, 0, None, None):
            code = int(getattr(ctypes, "get_last_error", lambda: 0)())
            raise OSError(errno.EACCES, f"Windows could not replace it (error {code})")


def this_system() -> System:
    """Return what fits the system that this runs on."""
    return Windows() if sys.platform == "win32" else Posix()


def load(path: str) -> bytes:
    """Return the bytes of a recorder's file, at most one more than may be. Raises RecorderFileUnreadable."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        with open(fd, "rb") as file:
            regular = stat.S_ISREG(os.fstat(fd).st_mode)
            raw = file.read(LARGEST + 1) if regular else b""
    except (OSError, ValueError) as error:
        raise RecorderFileUnreadable(path, getattr(error, "strerror", None) or error) from None
    if not regular:
        raise RecorderFileUnreadable(path, "it is no regular file")
    return raw


def exchange(path: str, expected: str, content: bytes, system: System) -> None:
    """Replace the file at `path`, whose digest is `expected`.

    Raises IdentityChanged if it is another, IdentityNotWritten, RecorderFileUnreadable.
    """
    path = os.path.realpath(path)  # a link stays one, and leads to the new file
    beside = path + BESIDE
    done = False
    try:
        _check_alone(path)
        _write(beside, content)
        system.keep_rights(beside, path)
        _sync(beside)
        _check_written(beside, content)
        _check_expected(path, expected)
        system.replace(beside, path)
        done = True
    except OSError as error:
        raise IdentityNotWritten(path, error.strerror or error) from None
    finally:
        if not done:
            _drop(beside)


def _check_alone(path: str) -> None:
    if os.stat(path).st_nlink > 1:
        raise IdentityNotWritten(path, "it has more than one name (hard links), and one would keep the old file")


def _check_written(path: str, content: bytes) -> None:
    if load(path) != content:
        raise IdentityNotWritten(path, "the new file read back differently from what was written")


def _check_expected(path: str, expected: str) -> None:
    if digest(load(path)) != expected:
        raise IdentityChanged(path, "it changed while its id was to be changed")


def _write(path: str, content: bytes) -> None:
    """Write a new file, for nobody else to read until it has the old one's rights. Raises OSError."""
    _drop(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags, 0o600), "wb") as file:
        file.write(content)


def _sync(path: str) -> None:
    """Make a file durable, with its rights. Raises OSError."""
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def sweep(path: str) -> None:
    """Remove what a crash left beside a recorder's file."""
    _drop(os.path.realpath(path) + BESIDE)


def _drop(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
