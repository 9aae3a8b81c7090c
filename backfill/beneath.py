"""Opening and creating things below a root, and nowhere else.

Rule: a path is walked part by part without following any symbolic link, so that neither a hostile name nor a link
planted in the tree reaches outside. Every path that did not come from our own listing goes through here.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from backfill.sharing import open_shared
from schema.errors import PathRefused

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_CLOSE = getattr(os, "O_CLOEXEC", 0)


class CaseClash(PathRefused):
    """path {0!r} is refused: {1}"""


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
    symbolic link on the way, CaseClash if something is to be created under a name that the file system takes for
    another, OSError as the system reports.
    """
    current = os.open(root, os.O_RDONLY | _DIRECTORY | _CLOSE)
    try:
        for part in check_relative(folder) if folder else []:
            child = _made(current, part, folder) if create else _open_folder(current, part, folder)
            os.close(current)
            current = child
        yield current
    finally:
        os.close(current)


def _made(parent: int, part: str, whole: str) -> int:
    """Return a descriptor of folder `part` below `parent`, making it if it is not there."""
    made = False
    try:
        child = _open_folder(parent, part, whole)
    except FileNotFoundError:
        with suppress(FileExistsError):  # the recorder was faster
            os.mkdir(part, 0o755, dir_fd=parent)
            made = True
        os.fsync(parent)  # what lands in the new folder must not vanish with it
        child = _open_folder(parent, part, whole)
    try:
        if made:
            like_parent(child, os.fstat(parent))
        else:
            _check_case(parent, part, child, whole)
    except BaseException:
        os.close(child)
        raise
    return child


def _check_case(parent: int, part: str, child: int, whole: str) -> None:
    """Raise CaseClash if folder `child` of `parent` is called something else than `part`.

    Where upper and lower case are one, a file put into `front` lies in `Front`: the next scan would find it under a
    path that no origin record knows, and take it for the recorder's own.
    """
    swapped = part.swapcase()
    if swapped == part:
        return
    try:
        other = os.stat(swapped, dir_fd=parent, follow_symlinks=False)
    except OSError:
        return  # the usual case: upper and lower case are two names here
    if os.path.samestat(other, os.fstat(child)) and part not in os.listdir(parent):
        raise CaseClash(whole, f"a folder here differs from {part!r} only in upper and lower case")


def _open_folder(parent: int, part: str, whole: str) -> int:
    try:
        return os.open(part, os.O_RDONLY | _DIRECTORY | _NO_FOLLOW | _CLOSE, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise PathRefused(whole, f"{part!r} is a symbolic link or not a folder") from None
        raise


def like_parent(fd: int, parent: os.stat_result) -> None:
    """Give what `fd` is open on the owner and group of its folder, where we may: a server of shares may forbid it."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        with suppress(PermissionError):
            os.fchown(fd, parent.st_uid, parent.st_gid)


def open_beneath(root: str, path: str) -> int:
    """Return a descriptor for reading the regular file at `path` below `root`.

    Never waits: a pipe that someone put there would else hold this thread for ever. Raises PathRefused, OSError.
    """
    folder, _, name = path.rpartition("/")
    check_relative(path)
    with folder_beneath(root, folder) as parent:
        try:
            fd = open_shared(name, dir_fd=parent)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise PathRefused(path, "it is a symbolic link or a socket") from None
            raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise PathRefused(path, "it is not a regular file")
    return fd
