"""Giving a finished file or folder its final name, once and for good.

Rule: never replaces anything. `renameat2` with RENAME_NOREPLACE where the kernel and the file system have it, else a
hard link, which refuses an existing name by itself. A file system that has neither is refused: renaming after looking
would be a race with the recorder.
"""

import ctypes
import errno
import os
from collections.abc import Callable

from schema.errors import CannotPublish

_RENAME_NOREPLACE = 1


def _load_renameat2() -> Callable[[int, bytes, int, bytes, int], int] | None:
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return function


_renameat2 = _load_renameat2()
_HERE = -100
"""AT_FDCWD: a path that is not relative to a descriptor."""

_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_NO_LINKS = (*_UNSUPPORTED, errno.EPERM, errno.EMLINK)
"""What file systems without hard links say; FAT says EPERM."""


def publish(staged: str, folder: int, name: str) -> None:
    """Move what is finished at `staged` to `name` in the open folder `folder`. The name is durable after its fsync.

    Raises FileExistsError if the name is taken, CannotPublish if the file system cannot refuse to replace, OSError
    for anything else, with `staged` where it was.
    """
    if _renameat2 is not None:
        result = _renameat2(_HERE, os.fsencode(staged), folder, os.fsencode(name), _RENAME_NOREPLACE)
        if result == 0:
            return
        code = ctypes.get_errno()
        if code not in _UNSUPPORTED:
            raise OSError(code, os.strerror(code), name)
    _publish_by_link(staged, folder, name)


def _publish_by_link(staged: str, folder: int, name: str) -> None:
    """Link the final name, then drop the staged one; a crash between leaves two names of one whole file."""
    if os.path.isdir(staged):
        raise CannotPublish(staged, "its file system has no renameat2, and a folder cannot be linked")
    try:
        os.link(staged, name, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise CannotPublish(staged, error.strerror) from None
        raise
    os.unlink(staged)


def same_mount(source: str, target: str) -> bool:
    """Tell whether something in folder `source` can be renamed into folder `target`: one and the same mount.

    Asking for the device is not enough: two bind mounts of one disk share it, and renaming between them fails. A rename
    of what does not exist tells, and changes nothing.
    """
    name = f".recorder-sync-{os.getpid()}-is-not-here"
    try:
        os.rename(os.path.join(source, name), os.path.join(target, name))
    except OSError as error:
        return error.errno != errno.EXDEV
    return True
