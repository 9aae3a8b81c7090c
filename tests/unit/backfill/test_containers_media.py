"""What we read by hand of real files agrees with the library that wrote them, to within a frame.

Made with PyAV, which is an optional extra: without it the boxes are still walked, and only transport streams lose their
length.
"""

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from backfill.containers import probe
from schema.spans import SECOND

av = pytest.importorskip("av", reason="PyAV is not installed (pip install 'recorder-sync[media]')")

RATE = 10
FRAMES = 37
FRAME = SECOND // RATE

KINDS = [
    ("mp4", {"movflags": "+faststart"}, "mp4"),
    ("mp4", {}, "mp4"),
    ("mov", {}, "mp4"),
    ("mp4", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}, "fmp4"),
    ("mp4", {"movflags": "frag_keyframe"}, "fmp4"),
    ("mp4", {"movflags": "empty_moov+default_base_moof", "frag_duration": "500000"}, "fmp4"),
    ("matroska", {}, "mkv"),
    ("webm", {}, "mkv"),
    ("mpegts", {}, "ts"),
]


def encode(path: Path, kind: str, options: dict[str, str], language: str = "") -> Path:
    """Write a few seconds of pictures, a key frame every second; with sound if that has a language."""
    webm = kind == "webm"
    with av.open(str(path), "w", format=kind, options=options) as container:
        video = container.add_stream("libvpx" if webm else "libx264", rate=RATE)
        video.width, video.height, video.pix_fmt, video.gop_size = 64, 64, "yuv420p", RATE
        video.options = {"deadline": "realtime"} if webm else {"preset": "ultrafast", "tune": "zerolatency"}
        sound = container.add_stream("aac", rate=8000, layout="mono") if language else None
        if sound is not None:
            sound.metadata["language"] = language
        for number in range(FRAMES):
            picture = av.VideoFrame(64, 64, "yuv420p")
            for index, plane in enumerate(picture.planes):
                plane.update(bytes([(number * 7 + index) % 256]) * plane.buffer_size)
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            container.mux(video.encode(picture))
            if sound is not None:
                samples = av.AudioFrame("fltp", "mono", 8000 // RATE)
                samples.planes[0].update(bytes(samples.planes[0].buffer_size))
                samples.rate, samples.pts, samples.time_base = 8000, number * 8000 // RATE, Fraction(1, 8000)
                container.mux(sound.encode(samples))
        container.mux(video.encode(None))
        if sound is not None:
            container.mux(sound.encode(None))
    return path


def frames_end(path: Path) -> float:
    """Return where the last picture ends, by demuxing all of it."""
    with av.open(str(path)) as container:
        packets = [one for one in container.demux(video=0) if one.pts is not None]
    first = min(float(one.pts * one.time_base) for one in packets)
    return max(float(one.pts * one.time_base) for one in packets) - first + 1 / RATE


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: f"{kind[0]} {kind[1].get('movflags', '')}".strip())
def media(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    kind, options, container = request.param
    folder = tmp_path_factory.mktemp("media")
    yield encode(folder / "whole", kind, options), container


def test_a_real_file_is_whole_and_as_long_as_its_pictures(media: tuple[Path, str]) -> None:
    path, container = media
    found = probe(str(path), path.stat().st_size)
    assert (found.container, found.problem, found.plays) == (container, "", True)
    assert found.closed is (None if container == "ts" else True)
    truth = frames_end(path) * SECOND
    assert truth == pytest.approx(FRAMES * FRAME, abs=FRAME)
    assert found.duration == pytest.approx(truth, abs=FRAME)


def test_half_of_a_real_file_is_never_whole(media: tuple[Path, str], tmp_path: Path) -> None:
    path, container = media
    whole = path.read_bytes()
    half = tmp_path / "half"
    for part in range(1, 40):
        size = len(whole) * part // 40
        half.write_bytes(whole[:size])
        found = probe(str(half), size)
        assert not found.closed
        assert found.problem or container == "ts" or (container == "fmp4" and found.plays)


@pytest.mark.parametrize("options", [options for _, options, container in KINDS if container == "fmp4"])
def test_what_a_killed_writer_leaves_of_fragments_plays_as_far_as_they_are_whole(
    options: dict[str, str], tmp_path: Path
) -> None:
    whole = encode(tmp_path / "whole", "mp4", options).read_bytes()
    cuts = [at - 4 for at in range(4, len(whole)) if whole[at : at + 4] in (b"moof", b"mfra")]
    lengths = []
    for size in cuts:
        if size < 1024:
            continue
        part = tmp_path / "part"
        part.write_bytes(whole[:size])
        found = probe(str(part), size)
        if found.plays:
            assert found.closed is False
            assert frames_end(part) * SECOND == pytest.approx(found.duration, abs=2 * FRAME)
            lengths.append(found.duration or 0)
    assert len(lengths) >= 2 and lengths == sorted(lengths)


def test_sound_may_be_a_little_longer_than_the_pictures(tmp_path: Path) -> None:
    path = encode(tmp_path / "talking", "mp4", {"movflags": "+faststart"}, language="deu")
    found = probe(str(path), os.path.getsize(path))
    assert found.closed and FRAMES * FRAME <= (found.duration or 0) <= FRAMES * FRAME + 2 * FRAME


def test_a_language_that_is_none_does_not_stop_a_transport_stream_from_being_read(tmp_path: Path) -> None:
    path = encode(tmp_path / "stream.ts", "mpegts", {}, language="deu")
    content = bytearray(path.read_bytes())
    for at in range(0, len(content), 188):
        if content[at + 1 : at + 3] == b"\x50\x00":  # the table with the streams
            section = at + 5
            end = section + 3 + (int.from_bytes(content[section + 1 : section + 3], "big") & 0xFFF)
            name = content.index(b"deu", section, end)
            content[name : name + 3] = b"\xe9\xff\xfe"
            content[end - 4 : end] = crc(bytes(content[section : end - 4]))
    path.write_bytes(content)
    found = probe(str(path), os.path.getsize(path))
    assert found.container == "ts" and found.duration == pytest.approx(FRAMES * FRAME, abs=3 * FRAME)


def crc(data: bytes) -> bytes:
    """Return the checksum of a table in a transport stream."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value.to_bytes(4, "big")
