"""Walking the boxes of an MP4: is it whole, was it closed, how long is it.

Rule: whole means that no box runs past the end of the file; closed means, for a plain MP4, that `moov` and `mdat` are
there, for a fragmented one that `mfra` or a duration in `mvhd` was written at the end. Damage inside `mdat` is
invisible from here; only a digest or a decoder finds it.

Sources: ISO/IEC 14496-12; sizes 0 and 1, and what writers leave behind when killed, measured on ffmpeg, MediaMTX-like
and ZoneMinder files.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import NamedTuple

from backfill.containers.window import Window
from schema.spans import SECOND

_HEADER = Struct(">I4s")
_U32 = Struct(">I")
_U64 = Struct(">Q")

_MAX_MOOV = 64 * 2**20
"""A moov larger than this belongs to no surveillance segment; reading it would be an attack on memory."""

_EPOCH_1904 = 2_082_844_800
"""Seconds from 1904, where MP4 counts from, to 1970."""


class Box(NamedTuple):
    """One box: its four letters, where its body starts and where it ends."""

    name: bytes
    body: int
    end: int


@dataclass(slots=True)
class Walk:
    """What the top level of a file told."""

    boxes: dict[bytes, Box] = field(default_factory=dict)
    """The first box of each name."""
    moofs: list[Box] = field(default_factory=list)
    """First and last fragment headers."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Mp4:
    """The verdict on one MP4. `duration` in microseconds of what plays, None if nothing does."""

    fragmented: bool
    closed: bool
    duration: int | None
    created: int | None
    problem: str = ""


def looks_like_mp4(head: bytes) -> bool:
    """Tell whether a file that begins with `head` claims to be an MP4."""
    return head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp")


def inspect(window: Window) -> Mp4:
    """Return what the boxes of an open file say. Raises OSError."""
    walk = _walk(window)
    moov = walk.boxes.get(b"moov")
    if moov is None:
        return Mp4(False, False, None, None, walk.problem or "no moov: the writer never closed it")
    if moov.end > window.size or moov.end - moov.body > _MAX_MOOV:
        return Mp4(False, False, None, None, walk.problem or "moov is larger than any recorder writes")
    body = window.read(moov.body, moov.end - moov.body)
    header = _movie_header(body)
    if header is None:
        return Mp4(False, False, None, None, walk.problem or "moov has no readable mvhd")
    duration, created = header
    fragmented = bool(walk.moofs) or any(box.name == b"mvex" for box in _children(body))
    if not fragmented:
        problem = walk.problem or ("" if b"mdat" in walk.boxes else "no mdat: it holds no pictures")
        if not problem and duration <= 0:
            problem = "its duration is zero"
        return Mp4(False, not problem, duration or None, created, problem)
    closed = b"mfra" in walk.boxes or duration > 0
    if duration <= 0 and walk.moofs:
        duration = _fragments_duration(window, body, walk.moofs)
    problem = walk.problem or ("" if walk.moofs else "no fragment: it holds no pictures")
    if not problem and duration <= 0:
        problem = "its duration is zero"
    return Mp4(True, closed and not problem, duration if duration > 0 else None, created, problem)


def _walk(window: Window) -> Walk:
    """Step over the top-level boxes."""
    walk = Walk()
    at = 0
    while at < window.size:
        left = window.size - at
        head = window.read(at, 16)
        if len(head) < 8:
            walk.problem = f"{left} stray bytes at the end"
            break
        length, name = _HEADER.unpack_from(head)
        if not name.isalnum():
            walk.problem = f"garbage where a box should be, at byte {at:,}"
            break
        body = at + 8
        if length == 1:
            if len(head) < 16:
                walk.problem = f"{left} stray bytes at the end"
                break
            length, body = _U64.unpack_from(head, 8)[0], at + 16
        elif length == 0:
            # "To the end of the file" is what a writer leaves in mdat until it closes.
            walk.problem = f"{name.decode()} was never closed"
            walk.boxes.setdefault(name, Box(name, body, window.size))
            break
        if length < body - at:
            walk.problem = f"box {name.decode()} at byte {at:,} has an impossible size"
            break
        if length > left:
            walk.problem = f"cut short: {name.decode()} runs {length - left:,} bytes past the end"
            break
        box = Box(name, body, at + length)
        walk.boxes.setdefault(name, box)
        if name == b"moof":
            walk.moofs[1:] = [box]
        at += length
    return walk


def _children(body: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Yield the boxes inside a body; stops at the first that does not fit."""
    end = len(body) if end is None else end
    at = start
    while at + 8 <= end:
        length, name = _HEADER.unpack_from(body, at)
        inner = at + 8
        if length == 1 and at + 16 <= end:
            length, inner = _U64.unpack_from(body, at + 8)[0], at + 16
        if length < inner - at or at + length > end:
            return
        yield Box(name, inner, at + length)
        at += length


def _child(body: bytes, box: Box | None, name: bytes) -> Box | None:
    if box is None:
        return None
    return next((child for child in _children(body, box.body, box.end) if child.name == name), None)


def _timed(body: bytes, box: Box) -> tuple[int, int, int] | None:
    """Return creation time, timescale and duration of an mvhd or mdhd."""
    if box.end - box.body < 4:
        return None
    if body[box.body] == 1:
        if box.end - box.body < 32:
            return None
        created = _U64.unpack_from(body, box.body + 4)[0]
        scale = _U32.unpack_from(body, box.body + 20)[0]
        duration = _U64.unpack_from(body, box.body + 24)[0]
        unknown = 2**64 - 1
    else:
        if box.end - box.body < 20:
            return None
        created = _U32.unpack_from(body, box.body + 4)[0]
        scale = _U32.unpack_from(body, box.body + 12)[0]
        duration = _U32.unpack_from(body, box.body + 16)[0]
        unknown = 2**32 - 1
    return (created, scale, 0 if duration == unknown else duration) if scale else None


def _movie_header(moov: bytes) -> tuple[int, int | None] | None:
    """Return duration in microseconds (0 if unknown) and creation time of a moov."""
    mvhd = next((box for box in _children(moov) if box.name == b"mvhd"), None)
    timed = _timed(moov, mvhd) if mvhd is not None else None
    if timed is None:
        return None
    created, scale, duration = timed
    moment = (created - _EPOCH_1904) * SECOND if created > _EPOCH_1904 else None
    return duration * SECOND // scale, moment


def _track_scales(moov: bytes) -> dict[int, tuple[int, int]]:
    """Return timescale and default sample duration of each track, by its id."""
    defaults: dict[int, int] = {}
    scales: dict[int, int] = {}
    for box in _children(moov):
        if box.name == b"mvex":
            for trex in _children(moov, box.body, box.end):
                if trex.name == b"trex" and trex.end - trex.body >= 16:
                    track, _, duration = (_U32.unpack_from(moov, trex.body + at)[0] for at in (4, 8, 12))
                    defaults[track] = duration
        elif box.name == b"trak":
            tkhd = _child(moov, box, b"tkhd")
            mdhd = _child(moov, _child(moov, box, b"mdia"), b"mdhd")
            timed = _timed(moov, mdhd) if mdhd is not None else None
            if tkhd is not None and timed is not None:
                at = tkhd.body + (20 if moov[tkhd.body] == 1 else 12)
                if at + 4 <= tkhd.end:
                    scales[_U32.unpack_from(moov, at)[0]] = timed[1]
    return {track: (scale, defaults.get(track, 0)) for track, scale in scales.items()}


def _fragments_duration(window: Window, moov: bytes, moofs: list[Box]) -> int:
    """Return microseconds from the first fragment's first sample to the last fragment's last one."""
    scales = _track_scales(moov)
    longest = 0
    first = _fragment_times(window, moofs[0], scales)
    last = _fragment_times(window, moofs[-1], scales)
    for track, (_, end) in last.items():
        scale = scales[track][0]
        start = first.get(track, (0, 0))[0]
        longest = max(longest, (end - start) * SECOND // scale)
    return longest


def _fragment_times(window: Window, moof: Box, scales: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """Return start and end of each known track in one fragment, in the track's timescale."""
    times: dict[int, tuple[int, int]] = {}
    if moof.end - moof.body > _MAX_MOOV:
        return times
    body = window.read(moof.body, moof.end - moof.body)
    for traf in (box for box in _children(body) if box.name == b"traf"):
        tfhd = _child(body, traf, b"tfhd")
        tfdt = _child(body, traf, b"tfdt")
        if tfhd is None or tfdt is None or tfhd.end - tfhd.body < 8 or tfdt.end - tfdt.body < 8:
            continue
        track = _U32.unpack_from(body, tfhd.body + 4)[0]
        if track not in scales:
            continue
        wide = body[tfdt.body] == 1 and tfdt.end - tfdt.body >= 12
        start = (_U64 if wide else _U32).unpack_from(body, tfdt.body + 4)[0]
        default = _default_duration(body, tfhd, scales[track][1])
        runs = [box for box in _children(body, traf.body, traf.end) if box.name == b"trun"]
        times[track] = (start, start + sum(_run_duration(body, run, default) for run in runs))
    return times


def _default_duration(body: bytes, tfhd: Box, fallback: int) -> int:
    """Return the sample duration that a tfhd states, or the track's."""
    flags = _U32.unpack_from(body, tfhd.body)[0] & 0xFFFFFF
    at = tfhd.body + 8 + (8 if flags & 0x01 else 0) + (4 if flags & 0x02 else 0)
    if flags & 0x08 and at + 4 <= tfhd.end:
        return int(_U32.unpack_from(body, at)[0])
    return fallback


def _run_duration(body: bytes, trun: Box, default: int) -> int:
    """Return the summed sample durations of a trun."""
    if trun.end - trun.body < 8:
        return 0
    flags = _U32.unpack_from(body, trun.body)[0] & 0xFFFFFF
    count = _U32.unpack_from(body, trun.body + 4)[0]
    if not flags & 0x100:
        return int(count) * default
    at = trun.body + 8 + (4 if flags & 0x01 else 0) + (4 if flags & 0x04 else 0)
    step = 4 * sum(bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800))
    fits = min(count, max(0, trun.end - at) // step)
    return sum(_U32.unpack_from(body, at + index * step)[0] for index in range(fits))
