"""Is what lies under a path still the very segment that the ledger's row speaks of?

Rule: size, last write and inode, all three. A recorder that wrote another file under that name, or into this one, is
seen; content alone could never tell its file from a damaged copy of ours.
"""

import errno
import os
import stat
from typing import NamedTuple

from backfill.storage import held_time, inode_of
from backfill.units import measure_unit
from schema.values import Kind, Segment


class Look(NamedTuple):
    """What tells one file, or one folder of files, from another without reading it."""

    size: int
    mtime_ns: int
    inode: int

    def is_of(self, segment: Segment) -> bool:
        """Tell whether this is what the ledger's row speaks of."""
        return (self.size, held_time(self.mtime_ns), self.inode) == (segment.size, segment.mtime_ns, segment.inode)


def look_of(info: os.stat_result) -> Look:
    """Return the look of a file from its stat."""
    return Look(info.st_size, info.st_mtime_ns, inode_of(info))


def look_in(parent: int, root: str, segment: Segment) -> Look:
    """Return the look of what lies at the segment's path below `root`, whose folder is open as `parent`.

    Links are not followed. Raises OSError, also NotADirectoryError for a file in place of a folder.
    """
    info = os.stat(segment.path.rpartition("/")[2], dir_fd=parent, follow_symlinks=False)
    if segment.kind is Kind.FILE:
        return look_of(info)
    if not stat.S_ISDIR(info.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), segment.path)
    return Look(*measure_unit(os.path.join(root, segment.path)), inode_of(info))
