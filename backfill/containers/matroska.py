"""The first bytes of a Matroska file: was it closed, is it whole, how long is it.

Rule: only the header is read. A muxer writes the segment's size and duration when it closes; a size that says "unknown"
is a file still open or never closed, a size past the end is one cut short - which players do not notice.
Source: RFC 8794 (EBML), RFC 9559 (Matroska).
"""

from dataclasses import dataclass
from struct import unpack

from backfill.containers.window import Window
from schema.spans import SECOND

_EBML = 0x1A45DFA3
_SEGMENT = 0x18538067
_INFO = 0x1549A966
_CLUSTER = 0x1F43B675
_TIMESTAMP_SCALE = 0x2AD7B1
_DURATION = 0x4489
_MAX_ELEMENTS = 64


@dataclass(frozen=True, slots=True)
class Matroska:
    """The verdict on one file. `duration` in microseconds, None if the header does not say."""

    closed: bool
    duration: int | None
    problem: str = ""


def looks_like_matroska(head: bytes) -> bool:
    """Tell whether a file that begins with `head` is EBML."""
    return head[:4] == b"\x1a\x45\xdf\xa3"


def inspect(window: Window) -> Matroska:
    """Return what the header of an open file says. Raises OSError."""
    header = _element(window, 0)
    if header is None or header[0] != _EBML or header[2] is None:
        return Matroska(False, None, "not a Matroska file")
    segment = _element(window, header[1] + header[2])
    if segment is None or segment[0] != _SEGMENT:
        return Matroska(False, None, "no segment: the writer never got that far")
    body, size = segment[1], segment[2]
    if size is None:
        return Matroska(False, _duration(window, body, window.size), "its size was never written: not closed")
    if body + size > window.size:
        return Matroska(False, None, f"cut short: the segment runs {body + size - window.size:,} bytes past the end")
    duration = _duration(window, body, body + size)
    return Matroska(True, duration) if duration else Matroska(False, None, "its duration is missing")


def _element(window: Window, at: int) -> tuple[int, int, int | None] | None:
    """Return id, start of the body and size (None: unknown) of the element at `at`."""
    head = window.read(at, 12)
    if not head:
        return None
    id_length = 9 - head[0].bit_length()
    if not 1 <= id_length <= 4 or len(head) <= id_length:
        return None
    size_length = 9 - head[id_length].bit_length()
    if size_length > 8 or len(head) < id_length + size_length:
        return None
    raw = int.from_bytes(head[id_length : id_length + size_length], "big")
    marker = 1 << (7 * size_length)
    size = raw - marker
    unknown = size == marker - 1
    return int.from_bytes(head[:id_length], "big"), at + id_length + size_length, None if unknown else size


def _duration(window: Window, at: int, end: int) -> int | None:
    """Return microseconds from the Info element, if it stands before the first cluster."""
    for _ in range(_MAX_ELEMENTS):
        element = _element(window, at) if at < end else None
        if element is None or element[0] == _CLUSTER or element[2] is None:
            return None
        if element[0] == _INFO:
            return _info_duration(window, element[1], element[1] + element[2])
        at = element[1] + element[2]
    return None


def _info_duration(window: Window, at: int, end: int) -> int | None:
    scale = 1_000_000
    ticks: float | None = None
    for _ in range(_MAX_ELEMENTS):
        element = _element(window, at) if at < end else None
        if element is None or element[2] is None:
            break
        name, body, size = element[0], element[1], element[2]
        if name == _TIMESTAMP_SCALE and size <= 8:
            scale = int.from_bytes(window.read(body, size), "big")
        elif name == _DURATION and size in (4, 8):
            raw = window.read(body, size)
            if len(raw) == size:
                ticks = unpack(">f" if size == 4 else ">d", raw)[0]
        at = body + size
    if ticks is None or not 0 < ticks * scale < 10**18:
        return None
    return round(ticks * scale / (1_000_000_000 / SECOND))
