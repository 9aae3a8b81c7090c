"""The number that every demo frame carries: painted as black and white boxes, read back from any copy.

Rule: 20 boxes of 16x16 pixels in the top 16 rows of a picture of 320x180; box k is white when bit k is set, and the
luma at its middle says which. Boxes are whole macroblocks, so they survive any encoder, and stream copies keep them
bit for bit: a number says *which* frame somebody holds, whatever files and clocks claim.
"""

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from recorder_sync.demo import require_media

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

WIDTH = 320
HEIGHT = 180
"""Size in pixels of every demo picture."""

BITS = 20
BOX = 16
"""How many boxes, and the pixels of each side of one."""

NUMBERS = 1 << BITS
"""Numbers start again at 0 after so many frames: 29 hours at 10 frames a second."""

_BLACK = bytes([16]) * BOX
_WHITE = bytes([235]) * BOX
_MIDDLE = 128


def paint(luma: memoryview | bytearray, line_size: int, number: int) -> None:
    """Paint `number`, modulo NUMBERS, into the luma plane of a picture; a row takes `line_size` bytes."""
    row = b"".join(_WHITE if number >> bit & 1 else _BLACK for bit in range(BITS))
    for start in range(0, BOX * line_size, line_size):
        luma[start : start + WIDTH] = row


def read(luma: memoryview | bytes | bytearray, line_size: int) -> int:
    """Return the number in the luma plane of a picture of ours; a row takes `line_size` bytes."""
    first = BOX // 2 * line_size + BOX // 2
    return sum(1 << bit for bit in range(BITS) if luma[first + BOX * bit] > _MIDDLE)


def paint_frame(frame: "VideoFrame", number: int) -> None:
    """Paint `number` into a yuv420p frame of WIDTH x HEIGHT. The bar is black and white if its chroma is neutral."""
    plane = frame.planes[0]
    paint(memoryview(plane), plane.line_size, number)


def read_frame(frame: "VideoFrame") -> int:
    """Return the number of a decoded frame. Raises ValueError for a picture that is not of our size."""
    if (frame.width, frame.height) != (WIDTH, HEIGHT):
        raise ValueError(f"a picture of {frame.width}x{frame.height} carries no bar code of the demo")
    plane = frame.planes[0]
    return read(memoryview(plane), plane.line_size)


def frames_of(path: str | os.PathLike[str]) -> list[int]:
    """Return the numbers of the frames of one recording, in order.

    A recording that breaks off gives the frames before the damage; none is [].
    Raises ValueError for what cannot be opened or has no pictures of ours, ExtraMissing without PyAV.
    """
    require_media()
    import av

    try:
        with av.open(os.fspath(path), "r") as recording:
            return [read_frame(frame) for frame in _decoded(recording)]
    except av.error.FFmpegError as error:
        raise ValueError(f"{os.fspath(path)} is no recording: {error}") from None


def frames_in_tree(paths: Iterable[str | os.PathLike[str]]) -> set[int]:
    """Return every frame number that any of `paths` holds; files that are no recordings of ours hold none."""
    held: set[int] = set()
    for path in paths:
        try:
            held.update(frames_of(path))
        except ValueError:
            continue
    return held


def _decoded(recording: "InputContainer") -> Iterator["VideoFrame"]:
    """Yield the sound frames of the first video stream up to where decoding fails."""
    import av

    if not recording.streams.video:
        return
    video = recording.streams.video[0]
    # Threads cost more than they save for ten seconds of a small picture.
    video.thread_count = 1
    frames = recording.decode(video)
    while True:
        try:
            frame = next(frames)
        except (StopIteration, av.error.FFmpegError):
            return
        # A decoder paints over what it lacks; such a picture may carry the number of the one before.
        if not frame.is_corrupt:
            yield frame
