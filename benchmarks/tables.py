"""Two XProtect banks of which one lacks some hours of every camera: whole tables, each a folder of files.

Rule: a table has the files, and the cache the shape, that were measured on exports (docs/guide/xprotect.md). Those that
are missing have block files as large as real ones, the others small ones, which nobody who looks for what is missing
reads. Both banks agree in all that is not missing, names included, which is generous to tools that compare trees: two
recorders close their tables at other seconds, so that every table of the one seems to be missing on the other.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar
from uuid import UUID, uuid5

from benchmarks.data import HOUR, START, write_noise

_CAMERA = UUID("11f3a5c0-6f0f-4d0e-9b58-7f2f2a0c9e10")
_MEDIA = "7ea9b53b-749e-420b-891b-43b238f6144e"
_SMALL = (
    "8b742df9-5ba1-49df-ace1-66e54f5dc295",
    "908d3e34-3510-4372-9e3f-20c53b92490a",
    "f3f39289-0372-410d-8936-802b1e627567",
)
_ZEROS = "".join(
    f"<{tag}>0</{tag}>"
    for tag in ("meta_data_first_record", "meta_data_last_record", "begin_time_last_record", "end_time_first_record")
)
_RECORDS = 3600
"""One a second: one for each group of pictures."""
_EMPTY = 12
"""Bytes of an index that tells of nothing."""
_STUB = 2000
"""Bytes of a block that nobody reads."""

Sizes = Mapping[str, int]
"""The files of a folder, and the bytes of each."""


def cameras(number: int) -> list[str]:
    """Return so many device ids, the same in every bank."""
    return [str(uuid5(_CAMERA, str(one))) for one in range(number)]


def table_name(camera: str, start: int) -> str:
    """Return what the table of an hour is called once it is closed, by the seconds at which it began."""
    return f"{camera}_LOCAL_{time.strftime('%Y-%m-%d_%H-%M-%S', time.gmtime(start + HOUR))}"


def write_table(bank: Path, camera: str, start: int, media: Sizes, small: Sequence[Sizes], beside: Sizes) -> str:
    """Write the table of one hour and return what the bank's cache says of it."""
    name = table_name(camera, start)
    folder = os.path.join(bank, name)
    os.makedirs(folder)
    columns = dict(zip((_MEDIA, *_SMALL), (media, *small), strict=True))
    end = start + HOUR
    _fill(folder, beside, end)
    for column, sizes in columns.items():
        os.mkdir(os.path.join(folder, column))
        _fill(os.path.join(folder, column), sizes, end)
    os.utime(folder, (end, end))
    times = f"<begin_time>{start}000</begin_time><end_time>{end}000</end_time>\n      {_ZEROS}"
    said = "".join(
        f"    <column><name>{column}</name>{times if any(one.endswith('.blk') for one in sizes) else ''}"
        f"<size>{sum(sizes.values())}</size></column>\n"
        for column, sizes in columns.items()
    )
    size = sum(map(sum, (one.values() for one in (beside, media, *small))))
    return (
        f"  <table>\n    <name>{name}</name>\n    <size>{size}</size><description>Camera {camera[:4]}</description>\n"
        f'    <meta_data><entry key="device_type">Camera</entry></meta_data>\n{said}  </table>\n'
    )


def write_cache(bank: Path, texts: Sequence[str]) -> None:
    """Write the cache of a bank, with what `write_table` said of each table."""
    head = '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<bank version="1.2">\n'
    (bank / "cache.xml").write_text(f"{head}{''.join(texts)}</bank>\n")


def _fill(folder: str, sizes: Sizes, end: int) -> None:
    """Write files of a table, last written when it ended; an XML document where one is due, noise elsewhere."""
    for name, size in sizes.items():
        path = os.path.join(folder, name)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        try:
            if name.endswith(".xml"):
                os.write(fd, b"<bank/>".ljust(size))
            else:
                write_noise(fd, _seed(path), size)
            os.utime(fd, (end, end))
        finally:
            os.close(fd)


def _seed(path: str) -> bytes:
    """Return what makes a file's noise its own: its name in the bank, so that it is the same in both."""
    return blake2b("/".join(Path(path).parts[-3:]).encode(), digest_size=6).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Two banks with a table for each camera and hour; the destination's recorder was away for some hours."""

    layout: ClassVar[str] = "xprotect"
    tree: ClassVar[str] = "bank"
    beside: ClassVar[bool] = True

    cameras: int
    hours: int
    lost_hours: int
    blocks: int
    """Block files of a missing table; an hour of 4 Mbit/s has 108."""
    block: int
    """Bytes of each; a real one ends just below 16 MiB."""

    @property
    def lost_tables(self) -> int:
        """How many the destination lacks."""
        return self.cameras * self.lost_hours

    @property
    def lost_title(self) -> str:
        """What it lacks, in words."""
        return (
            f"{self.lost_hours} h of {self.cameras} cameras: {self.lost_tables:,} tables, {self.lost_files:,} files,"
            f" {self.lost_bytes / 1e9:.2f} GB, in a bank of {self.cameras * self.hours:,} tables"
        )

    @property
    def lost_files(self) -> int:
        """How many files it lacks."""
        return self.lost_tables * sum(map(len, self._sizes(lost=True)))

    @property
    def lost_bytes(self) -> int:
        """How many bytes it lacks."""
        return self.lost_tables * sum(sum(one.values()) for one in self._sizes(lost=True))

    @property
    def lost_folders(self) -> tuple[str, ...]:
        """The tables that it lacks."""
        return tuple(table_name(camera, start) for camera, start, lost in self._each() if lost)

    def write(self, root: Path, whole: bool) -> None:
        """Write one bank."""
        os.makedirs(root)
        texts = []
        for camera, start, lost in self._each():
            if whole or not lost:
                beside, media, *small = self._sizes(lost=lost)
                texts.append(write_table(root, camera, start, media, small, beside))
        write_cache(root, texts)

    def _each(self) -> Iterator[tuple[str, int, bool]]:
        """Yield camera and start of each table in the order in which they are closed, and whether it is missing."""
        first = (self.hours - self.lost_hours) // 2
        for hour in range(self.hours):
            for camera in cameras(self.cameras):
                yield camera, START + hour * HOUR, first <= hour < first + self.lost_hours

    def _sizes(self, *, lost: bool) -> tuple[Sizes, ...]:
        """Return the files of a table: beside its columns, of the media, of the small columns."""
        number, size = (self.blocks, self.block) if lost else (1, _STUB)
        return (
            {"config.xml": 400, "desktop.ini": 120},
            {**{f"block{at}.blk": size for at in range(number)}, **_indexes(_RECORDS, number)},
            {"block0.blk": 32, **_indexes(1, 1)},
            _indexes(0, 0),
            _indexes(0, 0),
        )


def _indexes(records: int, blocks: int) -> Sizes:
    """Return the index files of a column, with the sizes that were measured."""
    sequence = {"sindex0.idx": 8 + 40 * records} if records else {}
    return {**sequence, "pindex.idx": 32 if records else _EMPTY, "cindex.idx": _EMPTY + 24 * blocks}
