"""A bank whose recorder may be stopped: whether anything is written there all the same, its indexes, its limits.

Rule: looks and changes nothing. `being_written` enters live tables, which nobody but the recorder may do while it runs:
it is called once its service is stopped, and tells whether that is true.
"""

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping

from backfill.layouts.capabilities import Limits
from backfill.layouts.xprotect.bank import bank_limits
from backfill.layouts.xprotect.cache import MOST_BYTES, CacheBad, tables
from backfill.layouts.xprotect.names import CACHES, What, what
from backfill.sharing import TooLarge, read_whole
from backfill.units import unit_files

_CONFIG_BYTES = 2**20


def being_written(root: str, bank: str) -> Mapping[str, tuple[int, int]]:
    """Return size and last write, nanoseconds, of what a recorder writes: live tables and indexes. Raises OSError."""
    folder = os.path.join(root, bank)
    found = {}
    for name in _live(folder):
        with contextlib.suppress(FileNotFoundError):
            for path, info in unit_files(os.path.join(folder, name)):
                found[f"{name}/{path}"] = (info.st_size, info.st_mtime_ns)
    for name in CACHES:
        with contextlib.suppress(FileNotFoundError):
            info = os.lstat(os.path.join(folder, name))
            found[name] = (info.st_size, info.st_mtime_ns)
    return found


def _live(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and what(entry.name, export=False) is What.LIVE:
                yield entry.name


def index_paths(root: str, bank: str) -> list[str]:
    """Return the paths below `root` of the indexes that a bank has."""
    paths = [f"{bank}/{name}" if bank else name for name in CACHES]
    return [path for path in paths if os.path.lexists(os.path.join(root, path))]


def limits(root: str, bank: str) -> Limits:
    """Return what a bank's recorder keeps there; no limit where nothing can be read. Raises OSError."""
    try:
        return bank_limits(read_whole(os.path.join(root, bank, "config.xml"), _CONFIG_BYTES).content)
    except (FileNotFoundError, CacheBad, TooLarge):
        return Limits()


def told_of(root: str, bank: str, names: Collection[str]) -> set[str]:
    """Return which of the tables `names` of a bank its indexes tell of by now; one that is not whole tells of none."""
    told: set[str] = set()
    for cache in CACHES:
        with contextlib.suppress(OSError, CacheBad, TooLarge):
            told |= tables(read_whole(os.path.join(root, bank, cache), MOST_BYTES).content, names).keys()
    return told
