"""MPEG transport streams: recognised by their packets; the duration comes from PyAV where it is installed.

Rule: a transport stream has no end mark, so nothing here can say that it was closed; that is the layout's concern.
"""

from functools import cache
from types import ModuleType

from backfill.containers.window import Window

PACKET = 188
_SYNC = 0x47


def looks_like_transport(window: Window) -> bool:
    """Tell whether the file starts with packets of 188 bytes."""
    head = window.read(0, 5 * PACKET)
    return len(head) == 5 * PACKET and all(head[at] == _SYNC for at in range(0, len(head), PACKET))


def problem(window: Window) -> str:
    """Return what is wrong with the file's end, empty if nothing is."""
    whole = window.size // PACKET
    if window.size % PACKET:
        return f"cut short: {window.size % PACKET} bytes of a packet at the end"
    if window.read((whole - 1) * PACKET, 1) != bytes([_SYNC]):
        return "garbage where the last packet should be"
    return ""


@cache
def _av() -> ModuleType | None:
    try:
        import av
    except ImportError:
        return None
    module: ModuleType = av
    return module


def duration(path: str) -> int | None:
    """Return microseconds of a transport stream, None without PyAV or where it cannot tell."""
    av = _av()
    if av is None:
        return None
    try:
        # Its format is known, so no other demuxer is tried on a hostile file; names in it may be in any encoding.
        with av.open(path, format="mpegts", metadata_errors="replace") as container:
            found = container.duration
    except (av.error.FFmpegError, ValueError):
        return None
    return int(found) if found and found > 0 else None
