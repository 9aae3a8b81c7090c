"""Opening and creating things below a root, and nowhere else.

Rule: a path is walked part by part without following any symbolic link, so that neither a hostile name nor a link
planted in the tree reaches outside. Every path that did not come from our own listing goes through here.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from schema.errors import PathRefused

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_CLOSE = getattr(os, "O_CLOEXEC", 0)


def check_relative(path: str) -> list[str]:
    """Return the parts of a relative path with `/`. Raises PathRefused for anything that could climb or confuse."""
    if not path:
        raise PathRefused(path, "it is empty")
    if "\0" in path:
        raise PathRefused(path, "it contains a zero byte")
    if os.name == "nt" and ("\\" in path or ":" in path):
        raise PathRefused(path, "it contains a backslash or a colon")
    parts = path.split("/")
    for part in parts:
        if part in ("", ".", ".."):
            raise PathRefused(path, "it is absolute or contains an empty part, '.' or '..'")
    return parts


@contextmanager
def folder_beneath(root: str, folder: str, *, create: bool = False) -> Iterator[int]:
    """Give a descriptor of `folder` below `root`, creating missing parts durably if asked.

    A created folder takes owner and group from its parent, as the recorder's own would have. Raises PathRefused for a
    symbolic link on the way, OSError as the system reports.
    """
    current = os.open(root, os.O_RDONLY | _DIRECTORY | _CLOSE)
    try:
        for part in check_relative(folder) if folder else []:
            child = _child(current, part, folder, create)
            os.close(current)
            current = child
        yield current
    finally:
        os.close(current)


def _child(parent: int, part: str, whole: str, create: bool) -> int:
    """Return a descriptor of folder `part` below `parent`."""
    try:
        return _open_folder(parent, part, whole)
    except FileNotFoundError:
        if not create:
            raise
    try:
        os.mkdir(part, 0o755, dir_fd=parent)
    except FileExistsError:
        return _open_folder(parent, part, whole)
    child = _open_folder(parent, part, whole)
    like_parent(child, os.fstat(parent))
    os.fsync(parent)
    return child


def _open_folder(parent: int, part: str, whole: str) -> int:
    try:
        return os.open(part, os.O_RDONLY | _DIRECTORY | _NO_FOLLOW | _CLOSE, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise PathRefused(whole, f"{part!r} is a symbolic link or not a folder") from None
        raise


def like_parent(fd: int, parent: os.stat_result) -> None:
    """Give what `fd` is open on the owner and group of its folder, where we may."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        os.fchown(fd, parent.st_uid, parent.st_gid)


def open_beneath(root: str, path: str) -> int:
    """Return a descriptor for reading the file at `path` below `root`. Raises PathRefused, OSError."""
    folder, _, name = path.rpartition("/")
    check_relative(path)
    with folder_beneath(root, folder) as parent:
        try:
            return os.open(name, os.O_RDONLY | _NO_FOLLOW | _CLOSE | _BINARY, dir_fd=parent)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise PathRefused(path, "it is a symbolic link") from None
            raise
