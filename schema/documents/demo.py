"""What the demo proved, counted in pictures: `demo`.

Rule: as in the whole package, keys are only added. `ok` is the verdict; the rest is what it was judged by.
"""

import msgspec


class FrameCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The demo's proof for one camera on one server, in pictures."""

    server: str
    camera: str
    filmed: int
    missing: int
    back: int
    lost: int
    fillable_left: int


class DemoDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync demo --json`."""

    layout: str
    cameras: list[FrameCounts]
    missing: int
    back: int
    lost: int
    fillable_left: int
    filled_files: int
    identical_files: int
    moved_by_second_fill: int
    sent: int
    fill_seconds: float
    seconds: float
    kept: str | None
    ok: bool
