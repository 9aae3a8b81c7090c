"""Walking the boxes of an MP4: is it whole, was it closed, how long is it.

Rule: whole means that no box runs past the end of the file; closed means, for a plain MP4, that `moov` and `mdat` are
there, for a fragmented one that `mfra` or a duration in `mvhd` was written at the end, and that its fragments reach
that far. Damage inside `mdat` is invisible from here; only a digest or a decoder finds it. What a hostile file can make
us read is capped.

Sources: ISO/IEC 14496-12; sizes 0 and 1, and what writers leave behind when killed, measured on ffmpeg, MediaMTX-like
and ZoneMinder files.
"""

from dataclasses import dataclass
from struct import Struct

from backfill.containers.boxes import Box, Walk, child, children, walk_file
from backfill.containers.window import Window
from schema.spans import SECOND

_U32 = Struct(">I")
_U64 = Struct(">Q")

_MAX_MOOV = 64 * 2**20
"""A moov larger than this belongs to no surveillance segment; reading it would be an attack on memory."""

_MAX_MOOF = 8 * 2**20
"""A fragment's header holds 16 bytes a frame: this is hours of video in one fragment."""

_MISSING = SECOND
"""What a header may claim beyond the last fragment at most: another track ends later, a duration was rounded up."""


@dataclass(frozen=True, slots=True)
class Mp4:
    """The verdict on one MP4. `duration` in microseconds of what plays, None if nothing does."""

    fragmented: bool
    closed: bool
    duration: int | None
    problem: str = ""


def looks_like_mp4(head: bytes) -> bool:
    """Tell whether a file that begins with `head` claims to be an MP4."""
    return head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp")


def inspect(window: Window) -> Mp4:
    """Return what the boxes of an open file say. Raises OSError."""
    walk = walk_file(window)
    moov = walk.boxes.get(b"moov")
    if moov is None:
        return Mp4(False, False, None, walk.problem or "no moov: the writer never closed it")
    if moov.end - moov.body > _MAX_MOOV:
        return Mp4(False, False, None, walk.problem or "moov is larger than any recorder writes")
    body = window.read(moov.body, moov.end - moov.body)
    duration = _movie_duration(body)
    if duration is None:
        return Mp4(False, False, None, walk.problem or "moov has no readable mvhd")
    if walk.moofs or any(box.name == b"mvex" for box in children(body)):
        return _fragmented(window, walk, body, duration)
    problem = walk.problem or ("" if b"mdat" in walk.boxes else "no mdat: it holds no pictures")
    if not problem and not duration:
        problem = "its duration is zero"
    return Mp4(False, not problem, duration or None, problem)


def _fragmented(window: Window, walk: Walk, moov: bytes, stated: int) -> Mp4:
    """Return the verdict on a file of fragments; `stated` is what its mvhd says, 0 if nothing."""
    begun = _has_samples(moov)
    if begun:
        stated = 0  # it counts the samples in moov alone, and was written before the first fragment
    problem = walk.problem or ("" if walk.moofs else "no fragment: it holds no pictures")
    found, last = _fragments_duration(window, moov, walk.moofs, from_zero=begun) if walk.moofs else (0, 0)
    if not problem and walk.last == b"moof":
        problem = "cut short: its last fragment has no data"
    missing = stated - found
    if not problem and found and missing > min(max(SECOND, last) // 2, _MISSING):
        problem = f"cut short: its fragments end {missing / SECOND:.1f} s before its header says"
    if not found and b"mfra" not in walk.boxes:
        stated = 0  # nothing in the file bears it out: it may be of before the first fragment, or of what was cut off
    duration = stated or found
    if not problem and not duration:
        problem = "its duration is zero"
    closed = b"mfra" in walk.boxes or stated > 0
    return Mp4(True, closed and not problem, duration or None, problem)


def _timed(body: bytes, box: Box) -> tuple[int, int] | None:
    """Return timescale and duration, 0 if unknown, of an mvhd or mdhd."""
    if box.end - box.body < 4:
        return None
    if body[box.body] == 1:
        if box.end - box.body < 32:
            return None
        scale = _U32.unpack_from(body, box.body + 20)[0]
        duration = _U64.unpack_from(body, box.body + 24)[0]
        unknown = 2**64 - 1
    else:
        if box.end - box.body < 20:
            return None
        scale = _U32.unpack_from(body, box.body + 12)[0]
        duration = _U32.unpack_from(body, box.body + 16)[0]
        unknown = 2**32 - 1
    return (scale, 0 if duration == unknown else duration) if scale else None


def _movie_duration(moov: bytes) -> int | None:
    """Return microseconds (0 if unknown) from a moov's mvhd, None if it has none."""
    mvhd = next((box for box in children(moov) if box.name == b"mvhd"), None)
    timed = _timed(moov, mvhd) if mvhd is not None else None
    return None if timed is None else timed[1] * SECOND // timed[0]


def _has_samples(moov: bytes) -> bool:
    """Tell whether any track has samples of its own, beside those of the fragments."""
    for track in (box for box in children(moov) if box.name == b"trak"):
        box: Box | None = track
        for name in (b"mdia", b"minf", b"stbl", b"stts"):
            box = child(moov, box, name)
        if box is not None and box.end - box.body >= 8 and _U32.unpack_from(moov, box.body + 4)[0]:
            return True
    return False


def _track_scales(moov: bytes) -> dict[int, tuple[int, int]]:
    """Return timescale and default sample duration of each track, by its id."""
    defaults: dict[int, int] = {}
    scales: dict[int, int] = {}
    for box in children(moov):
        if box.name == b"mvex":
            for trex in children(moov, box.body, box.end):
                if trex.name == b"trex" and trex.end - trex.body >= 16:
                    track, _, duration = (_U32.unpack_from(moov, trex.body + at)[0] for at in (4, 8, 12))
                    defaults[track] = duration
        elif box.name == b"trak":
            tkhd = child(moov, box, b"tkhd")
            mdhd = child(moov, child(moov, box, b"mdia"), b"mdhd")
            timed = _timed(moov, mdhd) if mdhd is not None else None
            if tkhd is not None and timed is not None and tkhd.end - tkhd.body >= 24:
                at = tkhd.body + (20 if moov[tkhd.body] == 1 else 12)
                scales[_U32.unpack_from(moov, at)[0]] = timed[0]
    return {track: (scale, defaults.get(track, 0)) for track, scale in scales.items()}


def _fragments_duration(window: Window, moov: bytes, moofs: list[Box], *, from_zero: bool) -> tuple[int, int]:
    """Return microseconds from the first fragment's first sample to the last fragment's end, and of that fragment.

    The two may hold different tracks. `from_zero`: the first samples are not in a fragment, they are at 0.
    """
    scales = _track_scales(moov)
    first = _fragment_times(window, moofs[0], scales)
    last = _fragment_times(window, moofs[-1], scales)
    if not first or not last:
        return 0, 0
    start = 0 if from_zero else min(start for start, _ in first)
    end = max(end for _, end in last)
    return max(0, end - start), max(0, end - min(start for start, _ in last))


def _fragment_times(window: Window, moof: Box, scales: dict[int, tuple[int, int]]) -> list[tuple[int, int]]:
    """Return start and end of each known track in one fragment, microseconds."""
    times: list[tuple[int, int]] = []
    if moof.end - moof.body > _MAX_MOOF:
        return times
    body = window.read(moof.body, moof.end - moof.body)
    for traf in (box for box in children(body) if box.name == b"traf"):
        tfhd = child(body, traf, b"tfhd")
        tfdt = child(body, traf, b"tfdt")
        if tfhd is None or tfdt is None or tfhd.end - tfhd.body < 8 or tfdt.end - tfdt.body < 8:
            continue
        track = _U32.unpack_from(body, tfhd.body + 4)[0]
        if track not in scales:
            continue
        wide = body[tfdt.body] == 1 and tfdt.end - tfdt.body >= 12
        start = (_U64 if wide else _U32).unpack_from(body, tfdt.body + 4)[0]
        scale, fallback = scales[track]
        default = _default_duration(body, tfhd, fallback)
        runs = [box for box in children(body, traf.body, traf.end) if box.name == b"trun"]
        end = start + sum(_run_duration(body, run, default) for run in runs)
        times.append((start * SECOND // scale, end * SECOND // scale))
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
