"""MP4, Matroska and transport streams put together by hand, each part as wrong as a test wants it."""

import struct
from dataclasses import dataclass
from pathlib import Path

from backfill.containers import Probe, probe
from tests.make import box

FTYP = box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41")


def look(folder: Path, content: bytes) -> Probe:
    """Return what is said of a file with this content."""
    path = folder / "file"
    path.write_bytes(content)
    return probe(str(path), len(content))


def full(version: int, body: bytes, flags: int = 0) -> bytes:
    """Return the body of a box with version and flags."""
    return struct.pack(">I", version << 24 | flags) + body


def mvhd(duration: int, scale: int = 1000, version: int = 0) -> bytes:
    """Return the box with a movie's duration."""
    form = ">QQIQ" if version else ">IIII"
    return box(b"mvhd", full(version, struct.pack(form, 0, 0, scale, duration) + b"\0" * 80))


def plain(*parts: bytes, pictures: int = 2000) -> bytes:
    """Return an MP4 of these parts in a moov, and pictures."""
    return FTYP + box(b"moov", b"".join(parts)) + box(b"mdat", b"\x55" * pictures)


def trak(number: int = 1, scale: int = 1000, samples: int = 0, version: int = 0) -> bytes:
    """Return a track with so many samples of its own."""
    tkhd = box(b"tkhd", full(version, b"\0" * (16 if version else 8) + struct.pack(">I", number) + b"\0" * 60))
    form = ">QQIQ" if version else ">IIII"
    mdhd = box(b"mdhd", full(version, struct.pack(form, 0, 0, scale, 0) + b"\0" * 4))
    stts = box(b"stts", full(0, struct.pack(">I", samples) + struct.pack(">II", 1, 1) * samples))
    return box(b"trak", tkhd + box(b"mdia", mdhd + box(b"minf", box(b"stbl", stts))))


def mvex(*tracks: int, default: int = 0) -> bytes:
    """Return the box that announces fragments, with each sample's default duration."""
    return box(b"mvex", b"".join(box(b"trex", full(0, struct.pack(">IIIII", n, 1, default, 0, 0))) for n in tracks))


@dataclass(frozen=True)
class Run:
    """One track's samples in one fragment; `said`: where their duration is written."""

    start: int
    samples: int = 10
    each: int = 100
    track: int = 1
    said: str = "trun"
    wide: bool = True


def moof(*runs: Run) -> bytes:
    """Return the header of a fragment."""
    trafs = b""
    for run in runs:
        tfhd = struct.pack(">I", run.track) + (struct.pack(">I", run.each) if run.said == "tfhd" else b"")
        each = struct.pack(">I", run.each) * run.samples if run.said == "trun" else b""
        flags = {"trun": 0x100, "tfhd": 0, "trex": 0}[run.said]
        trafs += box(
            b"traf",
            box(b"tfhd", full(0, tfhd, 0x08 if run.said == "tfhd" else 0))
            + box(b"tfdt", full(int(run.wide), struct.pack(">Q" if run.wide else ">I", run.start)))
            + box(b"trun", full(0, struct.pack(">I", run.samples) + each, flags)),
        )
    return box(b"moof", box(b"mfhd", full(0, struct.pack(">I", 1))) + trafs)


def fragment(*runs: Run, pictures: int = 300) -> bytes:
    """Return one fragment with its pictures."""
    return moof(*runs) + box(b"mdat", b"\x55" * pictures)


def fragmented(seconds: int, *, stated: int = 0, mfra: bool = False) -> list[bytes]:
    """Return the parts of a fragmented file of one-second fragments: header, each fragment, and what closes it."""
    parts = [FTYP + box(b"moov", mvhd(stated) + trak() + mvex(1))]
    parts += [fragment(Run(second * 1000)) for second in range(seconds)]
    return [*parts, box(b"mfra", b"\0" * 16)] if mfra else parts


def element(ident: int, body: bytes, size: bytes | None = None) -> bytes:
    """Return a Matroska element; `size` overrides what it says of its length."""
    name = ident.to_bytes((ident.bit_length() + 7) // 8, "big")
    return name + (size if size is not None else (len(body) | 1 << 56).to_bytes(8, "big")) + body


UNKNOWN = b"\x01" + b"\xff" * 7
EBML = element(0x1A45DFA3, element(0x4282, b"matroska"))


def info(ticks: bytes | None = struct.pack(">d", 10_000.0), scale: bytes | None = b"\x0f\x42\x40") -> bytes:
    """Return the element with the duration, in ticks of `scale` nanoseconds."""
    parts = element(0x2AD7B1, scale) if scale is not None else b""
    return element(0x1549A966, parts + (element(0x4489, ticks) if ticks is not None else b""))


def matroska(*parts: bytes, size: bytes | None = None, pictures: int = 2000) -> bytes:
    """Return a Matroska file whose segment holds these parts and pictures."""
    return EBML + element(0x18538067, b"".join(parts) + element(0x1F43B675, b"\x55" * pictures), size)


def transport(packets: int) -> bytes:
    """Return empty packets of a transport stream."""
    return (b"\x47\x1f\xff\x10" + b"\xff" * 184) * packets
