"""Opening files so that a recorder can still rename, move and delete them: the one guard for that.

Rule: on Windows a folder cannot be renamed while a handle below it does not share deletion, and XProtect may halt over
that. So everything of a recorder's is opened here, shared for reading, writing and deletion; never mapped, never kept
longer than one read of it takes. Elsewhere a plain open does no such harm. Source for Windows: the vendor's manuals
and the documentation of `CreateFileW`; this was not run on Windows.
"""

import errno
import os
import stat
import sys
from collections.abc import Callable
from typing import NamedTuple

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)

GENERIC_READ = 0x80000000
SHARE_ALL = 0x1 | 0x2 | 0x4
"""FILE_SHARE_READ, FILE_SHARE_WRITE and FILE_SHARE_DELETE."""

OPEN_EXISTING = 3
OPEN_REPARSE_POINT = 0x00200000
"""A link is opened itself, and is then no regular file; never what it leads to."""

_INVALID_HANDLE = -1

CreateFile = Callable[[str, int, int, None, int, int, None], int | None]
"""`CreateFileW`: path, access, sharing, security, disposition, flags, template; returns a handle."""


class Whole(NamedTuple):
    """A small file as it was read at once."""

    content: bytes
    mtime_ns: int


class TooLarge(Exception):
    """A file is larger than whoever reads it at once expects."""


def open_shared(path: str, *, dir_fd: int | None = None) -> int:
    """Return a descriptor for reading what is at `path`, that keeps nobody from renaming or deleting it.

    Follows no symbolic link and never waits. Raises OSError; on Windows also for `dir_fd`, which it does not know.
    """
    if sys.platform == "win32":
        if dir_fd is not None:
            raise OSError(errno.ENOTSUP, "Windows opens nothing relative to a folder", path)
        return _windows_open(path)
    return os.open(path, _FLAGS, dir_fd=dir_fd)


def read_whole(path: str, most: int) -> Whole:
    """Return all that is in the file at `path`, read in one go and closed at once.

    Raises TooLarge if that is more than `most` bytes, OSError.
    """
    fd = open_shared(path)
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise FileNotFoundError(path)
        if info.st_size > most:
            raise TooLarge(path)
        with open(fd, "rb", buffering=0, closefd=False) as file:
            parts = []
            while part := file.read(most):
                parts.append(part)
        return Whole(b"".join(parts), info.st_mtime_ns)
    finally:
        os.close(fd)


def open_by(create_file: CreateFile, to_descriptor: Callable[[int, int], int], path: str) -> int:
    """Return a descriptor of what Windows opens at `path`, shared for everything.

    Args:
        create_file: `CreateFileW`, or what stands for it in tests; raises OSError or returns an invalid handle.
        to_descriptor: `msvcrt.open_osfhandle`, or what stands for it.

    Raises OSError.
    """
    handle = create_file(path, GENERIC_READ, SHARE_ALL, None, OPEN_EXISTING, OPEN_REPARSE_POINT, None)
    if handle is None or handle == _INVALID_HANDLE:
        raise OSError(f"{path} cannot be opened")
    return to_descriptor(handle, _FLAGS)


if sys.platform == "win32":
    import ctypes
    import msvcrt

    def _windows_open(path: str) -> int:
        function = ctypes.WinDLL("kernel32", use_last_error=True).CreateFileW
        function.argtypes = [ctypes.c_wchar_p, *[ctypes.c_uint32] * 2, ctypes.c_void_p]
        function.argtypes += [ctypes.c_uint32] * 2 + [ctypes.c_void_p]
        function.restype = ctypes.c_void_p

        def create(*given: object) -> int | None:
            handle: int | None = function(*given)
            if handle in (None, ctypes.c_void_p(_INVALID_HANDLE).value):
                raise ctypes.WinError(ctypes.get_last_error())
            return handle

        return open_by(create, msvcrt.open_osfhandle, path)
