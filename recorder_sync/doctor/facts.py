"""What a host is asked: mounts, space, rights, limits, the clock. Thin functions that look and change nothing.

Rule: whatever cannot be looked at is None, never a guess. Nothing is written, made or locked, also not for a moment: a
disk that is full or failing is not made worse by being examined.
"""

import ctypes
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

_STA_UNSYNC = 0x0040
_TIMEX_BYTES = 208
_TIMEX_STATUS = 40
"""Offset of `status` in `struct timex` where a long has eight bytes (Linux, adjtimex(2))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder or file as the system sees it. None: it could not be looked at."""

    path: str
    exists: bool
    writable: bool | None
    filesystem: str | None
    """The type, such as `ext4` or `nfs4`."""
    disk: int | None
    free: int | None
    """Bytes that we may use."""


def place(path: str) -> Place:
    """Return what is known of `path`; of what does not exist, that of the folder in which it would be made."""
    there = nearest(path)
    disk: int | None
    free: int | None
    try:
        disk = os.stat(there).st_dev
        free = shutil.disk_usage(there).free
    except OSError:
        disk = free = None
    return Place(
        path=path,
        exists=os.path.lexists(path),
        writable=os.access(there, os.W_OK | (os.X_OK if os.path.isdir(there) else 0)),
        filesystem=filesystem(there),
        disk=disk,
        free=free,
    )


def nearest(path: str) -> str:
    """Return `path`, or the nearest folder above it that exists."""
    while not os.path.lexists(path):
        parent = os.path.dirname(path)
        if parent == path:
            break
        path = parent
    return path


def filesystem(path: str) -> str | None:
    """Return the type of the file system that `path` is on; None where the system does not tell."""
    try:
        told = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        return filesystem_in(told, os.path.realpath(path))
    except OSError:
        return None


def filesystem_in(mounts: str, path: str) -> str | None:
    """Return the type of the file system that an absolute path without links is on, by the text of `mountinfo`.

    The later of two mounts at one place hides the earlier (proc(5)).
    """
    found, kind = "", None
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(found):
            found, kind = point, after.split()[0]
    return kind


def clock_synchronised() -> bool | None:
    """Return whether the kernel's clock is kept by a time service; None where it cannot be asked.

    adjtimex(2) sets STA_UNSYNC while nobody disciplines the clock; reading needs no privilege.
    """
    if not sys.platform.startswith("linux") or ctypes.sizeof(ctypes.c_long) != 8:
        return None
    told = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        if ctypes.CDLL(None, use_errno=True).adjtimex(told) < 0:
            return None
    except (OSError, AttributeError):
        return None
    status = int.from_bytes(told.raw[_TIMEX_STATUS : _TIMEX_STATUS + 4], sys.byteorder)
    return not status & _STA_UNSYNC


def watches() -> int | None:
    """Return how many folders one user may watch (inotify(7)); None where there is no such limit."""
    try:
        return int(Path("/proc/sys/fs/inotify/max_user_watches").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def open_files() -> int | None:
    """Return how many files this process may hold open; None where there is no such limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft
