"""What a table is: its span, and whether it is whole, from what the recorder's index says and what is on the disk.

Rule: pure. A table counts only with the times of its media column, and only if every column has the bytes that the
index says; a name alone tells about when it ended, and is marked as uncertain, so that nothing rests on it.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from backfill.layouts.base import Named, Stamp
from backfill.layouts.capabilities import Told
from backfill.layouts.xprotect.cache import Table, media_column
from backfill.layouts.zones import resolve
from schema.spans import HOUR
from schema.values import Mark

_BLOCKS = (".blk", ".idx")
"""What a column's size counts; a certificate beside them it does not. Source: measured on three exports."""

_NAME_ONLY = "only its folder's name tells a time, which is about where it ends, in local time"
_UNINDEXED = HOUR
"""How long after its last write a closed table may be missing in the index; nobody knows how often that is written."""


class Sizes(Enum):
    """How the index's sizes must agree with the disk."""

    EXACT = "exact"
    LEAST = "least"
    """More may be there: nobody has seen what the index says of block files that were created in advance."""


class Weight(NamedTuple):
    """A table's folder on the disk."""

    size: int
    mtime_ns: int
    columns: Mapping[str, int]
    """Bytes of block and index files by the column's folder, in small letters."""
    with_blocks: frozenset[str]
    """The columns that have a block file."""

    @property
    def blocks(self) -> bool:
        """Whether there is any block file."""
        return bool(self.with_blocks)


class Standing(Enum):
    """What is known of the index that a table was looked up in."""

    GOOD = "good"
    ABSENT = "absent"
    """The bank has none."""
    BUSY = "busy"
    """It was written a moment ago and is not whole."""
    DAMAGED = "damaged"


def weigh(files: Sequence[tuple[str, int, int]], folder_mtime_ns: int) -> Weight:
    """Return what the files of a table weigh: each with its path in the folder, size and last write."""
    columns: dict[str, int] = {}
    with_blocks = set()
    for path, size, _ in files:
        column, slash, name = path.rpartition("/")
        if not slash:
            continue
        key = column.lower()
        columns.setdefault(key, 0)
        if name.lower().endswith(_BLOCKS):
            columns[key] += size
        if name.lower().endswith(".blk"):
            with_blocks.add(key)
    newest = max((mtime for _, _, mtime in files), default=folder_mtime_ns)
    return Weight(sum(size for _, size, _ in files), max(newest, folder_mtime_ns), columns, frozenset(with_blocks))


def told_by_index(named: Named, table: Table, weight: Weight, sizes: Sizes) -> Told:
    """Return what a table is that the index tells of."""
    media = table.media
    start, length = None, None
    if media is not None and media.begin_ms is not None and media.end_ms is not None:
        start, length = Stamp(media.begin_ms * 1000, local=False), (media.end_ms - media.begin_ms) * 1000
    return Told(
        named=named._replace(stamp=start, duration=length),
        size=weight.size,
        mtime_ns=weight.mtime_ns,
        marks=int(Mark.ENCRYPTED) if table.encrypted else 0,
        problem=_problem(table, weight, sizes),
    )


def told_by_name(
    named: Named, weight: Weight, zone: ZoneInfo, standing: Standing, now: int, *, before: int | None, ours: bool
) -> Told:
    """Return what a table is that the index does not tell of.

    Args:
        before: when the device's table before was closed, in local digits, if there is one.
        ours: it was filled by us, and our own notes will say what it is.
    """
    mtime = weight.mtime_ns // 1000
    waiting = ""
    if not ours and standing is Standing.BUSY:
        waiting = "the recorder is writing its index anew"
    elif not ours and standing is Standing.GOOD and now - mtime < _UNINDEXED:
        waiting = "not in the recorder's index yet"
    end = mtime if named.stamp is None else resolve(named.stamp, zone, mtime)[0]
    length = HOUR
    if named.stamp is not None and before is not None:
        length = min(length, max(named.stamp.us - before, 0)) or length
    return Told(
        named=named._replace(stamp=Stamp(end - length, local=False), duration=length),
        size=weight.size,
        mtime_ns=weight.mtime_ns,
        problem=_emptiness(weight),
        waiting=waiting,
        doubt=_NAME_ONLY,
    )


def _emptiness(weight: Weight) -> str:
    if not weight.size and not weight.columns:
        return "its folder holds nothing"
    return "" if weight.blocks else "it was closed without a block file"


def _problem(table: Table, weight: Weight, sizes: Sizes) -> str:
    """Return why a table is no recording, or nothing."""
    if table.problem:
        return table.problem
    media = table.media
    if media is None or media.begin_ms is None:
        return _emptiness(weight) or "it holds no pictures"
    for column in table.columns:
        here = weight.columns.get(column.name.lower(), 0)
        if here < column.size or (sizes is Sizes.EXACT and here > column.size):
            what = "media column" if column.name.lower() == media_column() else f"column {_short(column.name)}"
            return f"its {what} has {here:,} bytes, and the recorder's index says {column.size:,}"
    return _emptiness(weight)


def _short(name: str) -> str:
    return re.sub(r"-.*", "", name)
