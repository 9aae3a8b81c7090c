"""The coded key frames of a recording: when each was shown, and a digest of its picture that no container changes.

Rule: reads, never decodes, and never raises for what a file contains: what cannot be read is a sentence beside what
could. Bytes, packets and seconds are capped, the demuxer is chosen by us from the first bytes, and FFmpeg gets our file
and no name, so that a hostile one cannot send it anywhere.

The digest is XXH3-128 over the slices of the picture alone, without what stands before each: containers of the MP4 and
Matroska families put lengths there, transport streams start codes, and parameter sets, SEI and delimiters come and go.
Sources: ITU-T H.264 7.4.1 and Annex B, H.265 7.4.2, ISO/IEC 14496-15 for avcC and hvcC.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from xxhash import xxh3_128

from backfill.containers import matroska, mp4
from backfill.containers.transport import PACKET
from backfill.keyframes.match import KeyFrame
from schema.errors import ExtraMissing
from schema.spans import SECOND, Span

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer
    from av.video.stream import VideoStream

_BLOCK = 256 * 1024
"""Bytes that FFmpeg asks for at once: over a link each read is a round trip."""


class Source(Protocol):
    """An open recording of known size."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes at `offset`, none only at the end. Raises OSError, OperatorError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What reading one recording may cost."""

    size: int = 64 * 2**20
    """Bytes."""
    packets: int = 100_000
    seconds: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What was found: the key frames in order, how many bytes were read for it, and why there are not more."""

    frames: tuple[KeyFrame, ...] = ()
    read: int = 0
    problem: str = ""


def fingerprint(source: Source, start: int, window: Span | None = None, limits: Limits | None = None) -> Fingerprint:
    """Return the key frames of a recording whose first picture was taken at `start`, those in `window` if one is given.

    Raises ExtraMissing without PyAV, and what `source` raises.
    """
    av = _media()
    file = _Capped(source, limits or Limits())
    kind = _kind(file.read(5 * PACKET))
    if not kind:
        return Fingerprint(read=file.spent, problem="no container that we know")
    file.seek(0)
    found: list[KeyFrame] = []
    try:
        with av.open(file, format=kind, metadata_errors="replace", buffer_size=_BLOCK, options=_LOOK) as container:
            for frame in _key_frames(container, file, start, window):
                found.append(frame)  # noqa: PERF402 - what was found before an error counts
    except (av.error.FFmpegError, EOFError, ValueError, IndexError) as error:
        return Fingerprint(frames=tuple(found), read=file.spent, problem=file.problem or f"unreadable: {error}")
    problem = file.problem or ("" if found else "no key frame")
    return Fingerprint(frames=tuple(found), read=file.spent, problem=problem)


_LOOK = {
    # Without these FFmpeg decodes pictures and watches for seconds, to learn what copying does not need.
    "fpsprobesize": "0",
    "codec_whitelist": "none",
    "probesize": str(2**20),
    "enable_drefs": "0",
}


def _media() -> ModuleType:
    try:
        import av
    except ImportError:
        raise ExtraMissing("matching key frames", "PyAV", "media") from None
    module: ModuleType = av
    return module


def _kind(head: bytes) -> str:
    """Return FFmpeg's name of the container that begins with `head`, nothing for one that we do not read.

    Left to itself FFmpeg would take a play list for one too, and open what that names.
    """
    if mp4.looks_like_mp4(head):
        return "mp4"
    if matroska.looks_like_matroska(head):
        return "matroska"
    if len(head) == 5 * PACKET and set(head[::PACKET]) == {0x47}:
        return "mpegts"
    return ""


class _Capped:
    """The file object that FFmpeg reads: ends early, with a problem, when the limits are reached."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._at = 0
        self._packets = 0
        self._deadline = time.monotonic() + limits.seconds
        self.spent = 0
        self.problem = ""

    def read(self, length: int) -> bytes:
        """Return the next bytes, none at the end or at a limit."""
        length = min(length, self._limits.size - self.spent)
        if length <= 0:
            self.problem = f"not read further than {self._limits.size} bytes"
        elif time.monotonic() > self._deadline:
            self.problem = f"not read longer than {self._limits.seconds:.0f} s"
        if self.problem:
            return b""
        found = self._source.read_at(self._at, length)
        self._at += len(found)
        self.spent += len(found)
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to an offset from the start (0), from here (1) or from the end (2)."""
        self._at = max(0, offset + (0, self._at, self._source.size)[whence])
        return self._at

    def tell(self) -> int:
        """Return where the next read begins."""
        return self._at

    def seekable(self) -> bool:
        """Say that any offset can be read."""
        return True

    def allows(self) -> bool:
        """Tell whether one more packet is within the limits; a file may claim millions of empty ones."""
        self._packets += 1
        if self._packets > self._limits.packets:
            self.problem = f"not read further than {self._limits.packets} packets"
        elif self._packets % 100 == 0 and time.monotonic() > self._deadline:
            self.problem = f"not read longer than {self._limits.seconds:.0f} s"
        return not self.problem


def _key_frames(container: "InputContainer", file: _Capped, start: int, window: Span | None) -> Iterator[KeyFrame]:
    """Yield the key frames of the first video stream, in `window`."""
    if not container.streams.video:
        file.problem = "no video in it"
        return
    video: VideoStream = container.streams.video[0]
    _skip_the_others(video)
    tick, codec = video.time_base, video.codec_context
    if tick is None or codec is None:  # PyAV has no context for a codec that FFmpeg does not know
        file.problem = "no codec that we know"
        return
    zero = video.start_time
    if window is not None and zero is not None and window.start > start:
        container.seek(zero + int((window.start - start) / SECOND / tick), stream=video, backward=True)
    slices = _Slices(codec.name, bytes(codec.extradata or b""))
    for packet in container.demux(video):
        if not file.allows():
            return
        if packet.pts is None:
            continue
        zero = packet.pts if zero is None else zero
        at = start + int((packet.pts - zero) * tick * SECOND)
        if window is not None and at >= window.end:
            return
        if packet.is_keyframe and not packet.is_corrupt and (window is None or at >= window.start):
            digest = slices.digest(packet)
            if digest:
                yield KeyFrame(at, digest)


def _skip_the_others(video: "VideoStream") -> None:
    """Tell FFmpeg to pass over pictures that are no key frames: of an MP4 it then does not even read them."""
    try:
        from av.stream import Discard
    except ImportError:
        return  # older releases of PyAV give all; the caller chooses
    video.discard = Discard.nonkey


class _Slices:
    """How one stream's pictures are put together from units, and which of them are slices."""

    def __init__(self, codec: str, extradata: bytes) -> None:
        self._slice = {"h264": _h264_slice, "hevc": _h265_slice}.get(codec)
        self._length = _length_size(codec, extradata)

    def digest(self, packet: "Packet[Any]") -> bytes:
        """Return the digest of a coded picture, nothing if there is no slice in it."""
        picture = memoryview(packet)
        if self._slice is None:
            return xxh3_128(picture).digest()
        units = _by_length(picture, self._length) if self._length else _by_start_code(bytes(picture))
        digest = xxh3_128()
        found = False
        for unit in units:
            if len(unit) > 2 and self._slice(unit[0]):
                digest.update(unit if unit[-1] else bytes(unit).rstrip(b"\0"))
                found = True
        return digest.digest() if found else b""


def _h264_slice(first: int) -> bool:
    """Tell whether a unit with this first byte is a slice. Key frames without IDR (recovery points) have type 1."""
    return first & 0x1F in (1, 5)


def _h265_slice(first: int) -> bool:
    """Tell whether a unit with this first byte is a slice."""
    return first >> 1 & 0x3F < 32


def _length_size(codec: str, extradata: bytes) -> int:
    """Return how many bytes of length stand before each unit, 0 where start codes do.

    avcC and hvcC begin with version 1; parameter sets behind start codes, as transport streams have them, with 0.
    """
    at = {"h264": 4, "hevc": 21}.get(codec, 0)
    return (extradata[at] & 3) + 1 if at < len(extradata) and extradata[0] == 1 else 0


def _by_length(picture: memoryview, size: int) -> Iterator[memoryview | bytes]:
    """Yield the units of a picture, each behind its length in `size` bytes."""
    at = 0
    while at + size < len(picture):
        end = at + size + int.from_bytes(picture[at : at + size], "big")
        yield picture[at + size : end]
        at = end


def _by_start_code(picture: bytes) -> Iterator[memoryview | bytes]:
    """Yield the units of a picture, each behind 00 00 01, with the zeros that may follow one."""
    at = picture.find(b"\0\0\1")
    while at >= 0:
        following = picture.find(b"\0\0\1", at + 3)
        yield picture[at + 3 : following if following >= 0 else len(picture)]
        at = following
