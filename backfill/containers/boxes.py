"""The boxes that an MP4 is made of: name, length, body, one inside the other.

Rule: a box is what fits. The first that does not ends the walk with what is wrong; what a hostile file can make us
look at is capped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import NamedTuple

from backfill.containers.window import Window

_HEADER = Struct(">I4s")
_U64 = Struct(">Q")

_MAX_BOXES = 1_000_000
"""At the top level: a day of fragments of 0.2 s each."""

_MAX_CHILDREN = 1_000
"""Inside one box of a header."""


class Box(NamedTuple):
    """One box: its four letters, where its body starts and where it ends."""

    name: bytes
    body: int
    end: int


@dataclass(slots=True)
class Walk:
    """What the top level of a file told."""

    boxes: dict[bytes, Box] = field(default_factory=dict)
    """The first box of each name that matters."""
    moofs: list[Box] = field(default_factory=list)
    """First and last headers of fragments whose pictures follow."""
    last: bytes = b""
    """The last box's name."""
    problem: str = ""


def walk_file(window: Window) -> Walk:
    """Step over the top-level boxes."""
    found = Walk()
    header: Box | None = None
    at = 0
    for _ in range(_MAX_BOXES):
        if at >= window.size:
            return found
        box = _box_at(window, at)
        if isinstance(box, str):
            found.problem = box
            return found
        found.last = box.name
        if box.name in (b"moov", b"mdat", b"mfra"):
            found.boxes.setdefault(box.name, box)
        if box.name == b"moof":
            header = box
        elif header is not None:
            found.moofs[1:] = [header]
            header = None
        at = box.end
    found.problem = "it has more boxes than any recorder writes"
    return found


def _box_at(window: Window, at: int) -> Box | str:
    """Return the top-level box at `at`, or what is wrong with it."""
    left = window.size - at
    head = window.read(at, 16)
    if len(head) < 8:
        return f"{left} stray bytes at the end"
    length, name = _HEADER.unpack_from(head)
    if not name.isalnum():
        return f"garbage where a box should be, at byte {at:,}"
    body = at + 8
    if length == 1:
        if len(head) < 16:
            return f"{left} stray bytes at the end"
        length, body = _U64.unpack_from(head, 8)[0], at + 16
    elif length == 0:
        # "To the end of the file" is what a writer leaves in mdat until it closes.
        return f"{name.decode()} was never closed"
    if length < body - at:
        return f"box {name.decode()} at byte {at:,} has an impossible size"
    if length > left:
        return f"cut short: {name.decode()} runs {length - left:,} bytes past the end"
    return Box(name, body, at + length)


def children(body: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Yield the boxes inside a body; stops at the first that does not fit."""
    end = len(body) if end is None else end
    at = start
    for _ in range(_MAX_CHILDREN):
        if at + 8 > end:
            return
        length, name = _HEADER.unpack_from(body, at)
        inner = at + 8
        if length == 1 and at + 16 <= end:
            length, inner = _U64.unpack_from(body, at + 8)[0], at + 16
        if length < inner - at or at + length > end:
            return
        yield Box(name, inner, at + length)
        at += length


def child(body: bytes, box: Box | None, name: bytes) -> Box | None:
    """Return the first box called `name` inside `box`, if there is one."""
    if box is None:
        return None
    return next((inner for inner in children(body, box.body, box.end) if inner.name == name), None)
