"""Key frames of real recordings: the same in every container, in their file's own time, and no file can do harm."""

import os
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("av", reason="PyAV is not installed (pip install 'recorder-sync[media]')")

import av

from backfill.keyframes.fingerprint import Fingerprint, Limits, fingerprint
from schema.errors import SourceUnreadable
from schema.spans import SECOND, Span
from tests import film
from tests.make import T0

FRAMES = 100
KINDS = [
    ("mp4", {"movflags": "+faststart"}),
    ("mp4", {}),
    ("mp4", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    ("matroska", {}),
    ("mpegts", {}),
]


@dataclass
class Held:
    """A recording in memory, as `fingerprint` reads it."""

    content: bytes
    asked: int = 0

    @property
    def size(self) -> int:
        return len(self.content)

    def read_at(self, offset: int, length: int) -> bytes:
        self.asked += length
        return self.content[offset : offset + length]


@pytest.fixture(scope="module", params=["libx264", "libx265"])
def wrapped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Held]:
    """One stream in every container."""
    if request.param not in av.codecs_available:
        pytest.skip(f"this PyAV has no {request.param}")
    folder = tmp_path_factory.mktemp("wrapped")
    source = film.stream(FRAMES, codec=request.param)
    return [
        Held(film.remux(source, folder / f"{number}", kind, options).read_bytes())
        for number, (kind, options) in enumerate(KINDS)
    ]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """One MP4 of ten seconds."""
    path = tmp_path_factory.mktemp("plain") / "one.mp4"
    return film.remux(film.stream(FRAMES), path, "mp4", {"movflags": "+faststart"}).read_bytes()


def test_every_container_gives_the_same_pictures_at_the_same_times(wrapped: list[Held]) -> None:
    found = [fingerprint(one, T0) for one in wrapped]
    assert [one.problem for one in found] == [""] * len(KINDS)
    digests = [[frame.digest for frame in one.frames] for one in found]
    assert digests == [digests[0]] * len(KINDS)
    assert len(set(digests[0])) == FRAMES // film.GOP
    for one in found:
        assert [frame.at for frame in one.frames] == pytest.approx([T0 + n * SECOND for n in range(10)], abs=1000)


def test_another_encoding_of_the_same_scene_has_other_pictures(plain: bytes, tmp_path: Path) -> None:
    again = film.remux(film.stream(FRAMES, bit_rate=400_000), tmp_path / "again.mp4", "mp4").read_bytes()
    one, other = (fingerprint(Held(content), T0) for content in (plain, again))
    assert len(other.frames) == len(one.frames)
    assert {frame.digest for frame in one.frames} & {frame.digest for frame in other.frames} == set()


def test_a_codec_without_slices_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "old.mkv"
    film.remux(film.stream(30, codec="mpeg4"), path, "matroska")
    assert len(fingerprint(Held(path.read_bytes()), T0).frames) >= 3


def test_a_window_gives_the_pictures_in_it_and_reads_less(wrapped: list[Held]) -> None:
    for one in wrapped:
        every = fingerprint(one, T0)
        some = fingerprint(one, T0, Span(T0 + 5 * SECOND, T0 + 8 * SECOND))
        assert some.frames == every.frames[5:8]


def test_a_cut_recording_gives_what_comes_before_the_damage(wrapped: list[Held]) -> None:
    for number in (0, 2, 4):
        whole = fingerprint(wrapped[number], T0)
        cut = fingerprint(Held(wrapped[number].content[: wrapped[number].size * 6 // 10]), T0)
        assert cut.frames[:4] == whole.frames[:4]
        assert len(cut.frames) < len(whole.frames)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 10_000, b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n", b"ffconcat version 1.0\nfile /etc/hostname\n"],
    ids=["empty", "zeros", "play list", "list of files"],
)
def test_what_is_no_recording_is_not_given_to_a_demuxer(content: bytes) -> None:
    assert fingerprint(Held(content), T0).problem == "no container that we know"


def test_a_recording_without_an_index_is_told_not_raised(plain: bytes) -> None:
    found = fingerprint(Held(plain[:40] + b"\0" * 4000), T0)
    assert (found.frames, found.problem) == ((), "no video in it")


def test_a_header_that_leads_nowhere_is_unreadable() -> None:
    found = fingerprint(Held(b"\x1a\x45\xdf\xa3" + b"\xff" * 5000), T0)
    assert found.frames == ()
    assert found.problem.startswith("unreadable")


def test_bytes_packets_and_seconds_are_capped(plain: bytes) -> None:
    size, packets, seconds = len(plain) // 2, 3, 0.0
    by_size = fingerprint(Held(plain), T0, limits=Limits(size=size))
    assert by_size.read <= size and "bytes" in by_size.problem
    by_packets = fingerprint(Held(plain), T0, limits=Limits(packets=packets))
    assert len(by_packets.frames) <= packets and "packets" in by_packets.problem
    assert fingerprint(Held(plain), T0, limits=Limits(seconds=seconds)).problem == "no container that we know"


def test_damage_anywhere_is_a_value(plain: bytes, wrapped: list[Held]) -> None:
    chance = random.Random(17)
    for number in range(200):
        content = bytearray(wrapped[number % len(wrapped)].content)
        for _ in range(chance.randrange(1, 30)):
            content[chance.randrange(min(len(content), 6000))] = chance.randrange(256)
        assert isinstance(fingerprint(Held(bytes(content)), T0, limits=Limits(seconds=5)), Fingerprint)


def test_an_error_of_the_source_is_the_callers() -> None:
    class Gone(Held):
        def read_at(self, offset: int, length: int) -> bytes:
            if self.asked:
                raise SourceUnreadable("x.mp4", "b", os.strerror(5))
            return super().read_at(offset, length)

    with pytest.raises(SourceUnreadable):
        fingerprint(Gone(b"\0\0\0\x18ftypisom" + b"\0" * 5000), T0)
