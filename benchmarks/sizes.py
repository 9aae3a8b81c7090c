"""How large everything is: the sizes that the figures stand for, and small ones that only show that it runs."""

from dataclasses import dataclass

from benchmarks.data import KIB, MIB, Shape
from benchmarks.tables import Tables

_STUB = 2 * KIB
"""The smallest file that is still a recording; an archive of 200,000 of them fits on any disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Everything that differs between a full and a quick run."""

    large: Shape
    small: Shape
    archive: Shape
    archive_tenth: Shape
    resume: Shape
    segments: int
    segments_tenth: int
    segments_short: int
    """Of ten seconds; enough that an hour of 50 cameras has something before and behind it."""
    bank_cameras: int
    bank_hours: int
    """Tables of one hour each."""
    tables: Tables
    slow: Shape
    """What is filled over a slow line."""
    back: Shape
    backs: int
    """How often a peer comes back."""
    idle_seconds: float
    """As long as a service takes to do everything once that it does again and again: rescans are the seldomest."""
    rounds: int
    """At most; a case ends earlier when its time is up."""


def _hole(files: int, size: int, cameras: int = 1) -> Shape:
    """Return a short archive with a missing hour of so many files."""
    return Shape(cameras=cameras, hours=3, per_hour=20, size=_STUB, lost_per_hour=files // cameras, lost_size=size)


def _archive(files: int, size: int) -> Shape:
    """Return an archive of about so many files that lacks an hour of 200, of 50 from each of four cameras."""
    return Shape(cameras=4, hours=files // 200 + 1, per_hour=50, size=_STUB, lost_per_hour=50, lost_size=size)


FULL = Sizes(
    large=_hole(16, 128 * MIB),
    small=_hole(1000, 2 * MIB, cameras=5),
    archive=_archive(200_000, MIB),
    archive_tenth=_archive(20_000, MIB),
    resume=_hole(1, 1024 * MIB),
    segments=1_000_000,
    segments_tenth=100_000,
    segments_short=100_000,
    bank_cameras=50,
    bank_hours=30 * 24,
    tables=Tables(cameras=50, hours=3 * 24, lost_hours=3, blocks=1, block=16_740_000),
    slow=_hole(240, 2 * MIB),
    back=_hole(1000, 2 * MIB, cameras=5),
    backs=3,
    idle_seconds=300,
    rounds=7,
)

QUICK = Sizes(
    large=_hole(2, 8 * MIB),
    small=_hole(20, 256 * KIB, cameras=5),
    archive=_archive(2_000, 16 * KIB),
    archive_tenth=_archive(600, 16 * KIB),
    resume=_hole(1, 16 * MIB),
    segments=40_000,
    segments_tenth=20_000,
    segments_short=60_000,
    bank_cameras=4,
    bank_hours=24,
    tables=Tables(cameras=3, hours=8, lost_hours=3, blocks=2, block=200_000),
    slow=_hole(8, 256 * KIB),
    back=_hole(20, 256 * KIB, cameras=5),
    backs=1,
    idle_seconds=2,
    rounds=1,
)
