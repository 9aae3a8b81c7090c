"""Trees of recordings as two Frigate servers leave them: the same archive twice, of which one lacks an hour.

Rule: small valid MP4s, every content different, every time stamp in the past. Both trees agree in all but the missing
hour, which is generous to the tools that compare trees: two real recorders never write the same bytes.
"""

import os
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

START = 1_735_689_600
"""2025-01-01 00:00 UTC in seconds: long past, so that everything has settled."""

HOUR = 3600
KIB = 1024
MIB = 1024 * KIB

_PIECE = os.urandom(MIB)
"""What recordings are filled with: not compressible, as video is not."""


class Trees(Protocol):
    """What a pair of trees holds, of which one lacks something."""

    layout: ClassVar[str]
    tree: ClassVar[str]
    """What the folder is called that the recorder writes into."""
    beside: ClassVar[bool]
    """Whether what is filled goes beside the tree, into a side store."""

    @property
    def lost_title(self) -> str:
        """What the destination lacks, in words."""
        ...

    @property
    def lost_files(self) -> int:
        """How many files the destination lacks."""
        ...

    @property
    def lost_bytes(self) -> int:
        """How many bytes it lacks."""
        ...

    @property
    def lost_folders(self) -> tuple[str, ...]:
        """The folders that it lacks, relative to a root."""
        ...

    def write(self, root: Path, whole: bool) -> None:
        """Write one tree; `whole` is the one that lacks nothing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Two Frigate servers."""

    layout: ClassVar[str] = "frigate"
    tree: ClassVar[str] = "recordings"
    beside: ClassVar[bool] = False

    cameras: int
    hours: int
    """At least three: something must stand before and behind the missing one."""
    per_hour: int
    """Segments of a camera in an hour; a divisor of 3600."""
    size: int
    """Bytes of a segment in the archive."""
    lost_per_hour: int
    """Segments of a camera in the hour that the destination lacks."""
    lost_size: int
    """Bytes of each of them."""

    @property
    def lost_hour(self) -> int:
        """Which hour the destination lacks."""
        return self.hours // 2

    @property
    def lost_title(self) -> str:
        """What it lacks, in words."""
        return f"{self.lost_files:,} files of {self.lost_size / MIB:g} MiB"

    @property
    def lost_files(self) -> int:
        """How many files it lacks."""
        return self.cameras * self.lost_per_hour

    @property
    def lost_bytes(self) -> int:
        """How many bytes it lacks."""
        return self.lost_files * self.lost_size

    @property
    def lost_folders(self) -> tuple[str, ...]:
        """The folder of the missing hour, relative to a root."""
        return (_hour_folder(self.lost_hour),)

    def write(self, root: Path, whole: bool) -> None:
        """Write one tree."""
        _write(root, self, whole)


class _Recording(NamedTuple):
    folder: str
    name: str
    start: int
    seconds: int
    size: int


def build(source: Path, destination: Path, shape: Trees) -> None:
    """Write both trees, one in a process each."""
    with ProcessPoolExecutor(2) as pool:
        for done in (pool.submit(shape.write, source, True), pool.submit(shape.write, destination, False)):
            done.result()


def _hour_folder(hour: int) -> str:
    return time.strftime("%Y-%m-%d/%H", time.gmtime(START + hour * HOUR))


def _recordings(shape: Shape, whole: bool) -> Iterator[_Recording]:
    """Yield what one tree holds; `whole` is the one with the lost hour.

    Names hold whole seconds, so a plan reaches a second beyond a hole and takes the peer's segments there as well. The
    whole tree lacks those two, so that what is missing is the hour and nothing else, for everyone.
    """
    for hour in range(shape.hours):
        lost = hour == shape.lost_hour
        if lost and not whole:
            continue
        number = shape.lost_per_hour if lost else shape.per_hour
        seconds = HOUR // number
        for camera in range(shape.cameras):
            folder = f"{_hour_folder(hour)}/camera-{camera + 1}"
            for index in range(number):
                at_edge = (hour, index) in ((shape.lost_hour - 1, number - 1), (shape.lost_hour + 1, 0))
                if whole and at_edge and not lost:
                    continue
                second = index * seconds
                name = f"{second // 60:02d}.{second % 60:02d}.mp4"
                size = shape.lost_size if lost else shape.size
                yield _Recording(folder, name, START + hour * HOUR + second, seconds, size)


def _write(root: Path, shape: Shape, whole: bool) -> None:
    """Write one tree. Folders get the time of their last file, as those of an old archive have."""
    folders: dict[str, int] = {}
    at = ""
    folder = -1
    try:
        for one in _recordings(shape, whole):
            if one.folder != at:
                if folder >= 0:
                    os.close(folder)
                at = one.folder
                os.makedirs(root / at)
                folder = os.open(root / at, os.O_RDONLY)
            end = one.start + one.seconds
            _write_one(folder, one, end)
            folders[at] = end
            folders[os.path.dirname(at)] = end
            folders[os.path.dirname(os.path.dirname(at))] = end
    finally:
        if folder >= 0:
            os.close(folder)
    for path, end in folders.items():
        os.utime(root / path, (end, end))


def _write_one(folder: int, one: _Recording, end: int) -> None:
    fd = os.open(one.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=folder)
    try:
        seed = f"{one.folder}/{one.name}".encode()
        os.write(fd, _head(one.seconds, one.size, seed))
        write_noise(fd, seed, one.size - os.lseek(fd, 0, os.SEEK_CUR))
        os.utime(fd, (end, end))
    finally:
        os.close(fd)


def write_noise(fd: int, seed: bytes, size: int) -> None:
    """Write so many bytes that cannot be compressed and are of this file alone."""
    while size > 0:
        # A different cut of the same noise for each file and piece.
        at = _hash_of(seed, size) % (MIB // 2)
        size -= os.write(fd, memoryview(_PIECE)[at : at + min(size, MIB - at)])


def _hash_of(seed: bytes, number: int) -> int:
    """Return a number that follows from both, for content that differs from file to file."""
    return int.from_bytes(seed[-6:], "big") * 2_654_435_761 + number * 40_503


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


def _head(seconds: int, size: int, seed: bytes) -> bytes:
    """Return the head of a closed faststart MP4 of so many seconds, whose `mdat` reaches to `size`."""
    ftyp = _box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41")
    mvhd = _box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, 1000, seconds * 1000) + b"\0" * 80)
    head = ftyp + _box(b"moov", mvhd)
    return head + struct.pack(">I4s", size - len(head), b"mdat") + seed
