"""Segments that are a folder: files that mean something only together, such as a table of XProtect."""

import os
from collections.abc import Iterator


def measure_unit(folder: str) -> tuple[int, int]:
    """Return size and latest write in nanoseconds of a segment that is a folder. Raises OSError."""
    size, newest = 0, os.lstat(folder).st_mtime_ns
    for _, part in unit_files(folder):
        size += part.st_size
        newest = max(newest, part.st_mtime_ns)
    return size, newest


def unit_files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield name and stat of every file of a segment that is a folder, sorted, names relative to it.

    Symbolic links and special files are not part of a segment. Raises OSError.
    """
    pending = [""]
    while pending:
        below = pending.pop()
        with os.scandir(os.path.join(folder, below)) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                name = f"{below}/{entry.name}" if below else entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append(name)
                elif entry.is_file(follow_symlinks=False):
                    yield name, entry.stat(follow_symlinks=False)
