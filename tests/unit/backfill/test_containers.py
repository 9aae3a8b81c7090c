"""What a container says of itself: a damaged recording that passes for a whole one is a hole that nobody is told of.

Players call a file cut in half whole (measured; see `backfill.containers`). So every cut at every byte is tried here,
and what recorders leave behind when they are killed. The truth of the samples is in tests/samples/truth.md.
"""

import os
import struct
from pathlib import Path

import pytest

from backfill.containers import Probe, probe
from schema.spans import SECOND
from tests import make
from tests.make import box
from tests.unit.backfill import boxes
from tests.unit.backfill.boxes import FTYP, Run, fragment, fragmented, look, mvex, mvhd, plain, trak


def verdict(found: Probe) -> tuple[str, bool | None, float | None, bool]:
    return found.container, found.closed, None if found.duration is None else found.duration / SECOND, found.plays


@pytest.mark.parametrize(
    ("name", "expected", "says"),
    [
        ("seg_faststart.mp4", ("mp4", True, 10.0, True), ""),
        ("seg_fmp4.mp4", ("fmp4", True, 10.0, True), ""),
        ("trunc_seg_faststart.mp4", ("mp4", False, 10.0, False), "cut short: mdat runs 61,447 bytes past the end"),
        ("trunc_seg_moovend.mp4", ("mp4", False, None, False), "cut short: mdat runs 60,209 bytes past the end"),
        ("trunc_seg_fmp4.mp4", ("fmp4", False, 5.0, False), "cut short: mdat runs 11,675 bytes past the end"),
        ("killed_mp4_48bytes.mp4", ("stub", False, None, False), "a stub of 48 bytes"),
    ],
)
def test_the_samples_are_what_their_truth_says(
    name: str, expected: tuple[str, bool, float | None, bool], says: str, tmp_path: Path
) -> None:
    path = make.unpack("damaged_some", tmp_path) / name
    found = probe(str(path), path.stat().st_size)
    assert (verdict(found), found.problem) == (expected, says)


def every_cut(folder: Path, content: bytes) -> list[Probe]:
    """Return what is said of the first n bytes of a file, for every n up to all of it."""
    path = folder / "cut"
    path.write_bytes(content)
    found = []
    for size in range(len(content), -1, -1):
        os.truncate(path, size)
        found.append(probe(str(path), size))
    return found[::-1]


@pytest.mark.parametrize("moov_last", [False, True], ids=["faststart", "moov last"])
def test_an_mp4_cut_at_any_byte_is_never_whole(moov_last: bool, tmp_path: Path) -> None:
    content = make.mp4(10, 2500)
    if moov_last:
        ftyp, moov = content[: len(FTYP)], box(b"moov", mvhd(10_000))
        content = ftyp + box(b"free", b"") + content[len(ftyp) + len(moov) :] + moov
    *cut, whole = every_cut(tmp_path, content)
    assert verdict(whole) == ("mp4", True, 10.0, True)
    for size, found in enumerate(cut):
        assert found.problem and not found.closed and not found.plays, size


@pytest.mark.parametrize(
    ("stated", "mfra"), [(0, False), (0, True), (6000, False)], ids=["never closed", "mfra", "duration patched"]
)
def test_fragments_cut_at_any_byte_count_only_while_they_are_whole(stated: int, mfra: bool, tmp_path: Path) -> None:
    parts = fragmented(6, stated=stated, mfra=mfra)
    content = b"".join(parts)
    ends = [sum(map(len, parts[: count + 1])) for count in range(7)]
    *cut, whole = every_cut(tmp_path, content)
    assert verdict(whole) == ("fmp4", bool(stated or mfra), 6.0, True)
    for size, found in enumerate(cut):
        assert found.closed is False, size
        fragments = sum(end <= size for end in ends) - 1
        if found.plays:
            assert size in ends and found.duration == fragments * SECOND and not stated
    if not stated:
        assert all(cut[end].plays for end in ends[2:6])


def test_a_patched_duration_is_not_believed_when_fragments_are_missing(tmp_path: Path) -> None:
    parts = fragmented(6, stated=6000)
    found = look(tmp_path, b"".join(parts[:5]))
    assert verdict(found) == ("fmp4", False, 6.0, False)
    assert found.problem == "cut short: its fragments end 2.0 s before its header says"
    found = look(tmp_path, b"".join(parts) + boxes.moof(Run(6000)))
    assert found.problem == "cut short: its last fragment has no data"


@pytest.mark.parametrize("stated", [5400, 6000, 60_000 // 9])
def test_a_patched_duration_may_differ_from_the_fragments_by_less_than_one(stated: int, tmp_path: Path) -> None:
    parts = fragmented(6, stated=6000)
    parts[0] = FTYP + box(b"moov", mvhd(min(stated, 6400)) + trak() + mvex(1))
    assert look(tmp_path, b"".join(parts)).closed is True


def test_a_muxer_that_puts_the_first_pictures_into_moov_is_not_closed_by_that(tmp_path: Path) -> None:
    # ffmpeg -movflags frag_keyframe without empty_moov: mvhd counts the first group of pictures alone.
    head = FTYP + box(b"moov", mvhd(1000) + trak(samples=10) + mvex(1)) + box(b"mdat", b"\x55" * 500)
    body = b"".join(fragment(Run(second * 1000)) for second in range(1, 5))
    assert verdict(look(tmp_path, head + body)) == ("fmp4", False, 5.0, True)
    assert verdict(look(tmp_path, head + body + box(b"mfra", b"\0" * 16))) == ("fmp4", True, 5.0, True)


@pytest.mark.parametrize("said", ["trun", "tfhd", "trex"])
@pytest.mark.parametrize("version", [0, 1])
def test_a_fragments_length_is_found_wherever_it_is_written(said: str, version: int, tmp_path: Path) -> None:
    head = FTYP + box(b"moov", mvhd(0, version=version) + trak(version=version) + mvex(1, default=100))
    runs = [Run(start, said=said, wide=bool(version)) for start in (5000, 6000, 7000)]
    content = head + b"".join(fragment(run, pictures=600) for run in runs)
    assert verdict(look(tmp_path, content)) == ("fmp4", False, 3.0, True)


def test_tracks_may_take_turns_and_count_from_anywhere(tmp_path: Path) -> None:
    head = FTYP + box(b"moov", mvhd(0) + trak(1, 1000) + trak(2, 8000) + mvex(1, 2))
    epoch = 1_795_348_800
    video = [fragment(Run((epoch + n) * 1000)) for n in range(3)]
    audio = [fragment(Run((epoch + n) * 8000, each=800, track=2)) for n in range(3)]
    turns = b"".join(one + other for one, other in zip(video, audio, strict=True))
    assert verdict(look(tmp_path, head + turns)) == ("fmp4", False, 3.0, True)


@pytest.mark.parametrize("version", [0, 1])
def test_both_versions_of_a_header_are_read(version: int, tmp_path: Path) -> None:
    assert verdict(look(tmp_path, plain(mvhd(900_000, 90_000, version)))) == ("mp4", True, 10.0, True)


def test_a_size_of_64_bits_is_read(tmp_path: Path) -> None:
    wide = struct.pack(">I4sQ", 1, b"mdat", 16 + 2000) + b"\x55" * 2000
    head = FTYP + box(b"moov", mvhd(10_000))
    assert verdict(look(tmp_path, head + wide)) == ("mp4", True, 10.0, True)
    assert "cut short" in look(tmp_path, head + wide[:-1]).problem
    beyond = struct.pack(">I4sQ", 1, b"mdat", 2**63) + b"\x55" * 2000
    assert "past the end" in look(tmp_path, head + beyond).problem


PICTURES = box(b"mdat", b"\x55" * 2000)
MOOV = box(b"moov", mvhd(10_000))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (FTYP + PICTURES, "no moov"),
        (FTYP + MOOV + box(b"free", b"\0" * 2000), "no mdat"),
        (FTYP + MOOV + struct.pack(">I4s", 0, b"mdat") + b"\x55" * 2000, "mdat was never closed"),
        (FTYP + struct.pack(">I4s", 0, b"mdat") + b"\x55" * 2000, "mdat was never closed"),
        (FTYP + MOOV + struct.pack(">I4s", 7, b"mdat") + b"\x55" * 2000, "impossible size"),
        (FTYP + MOOV + struct.pack(">I4sQ", 1, b"mdat", 15) + b"\x55" * 2000, "impossible size"),
        (FTYP + MOOV + PICTURES + b"junk", "4 stray bytes at the end"),
        (FTYP + MOOV + PICTURES + struct.pack(">I4s", 1, b"free"), "8 stray bytes at the end"),
        (FTYP + MOOV + PICTURES + b"\0" * 512, "garbage where a box should be, at byte"),
        (FTYP + MOOV + PICTURES + b"<html>404 not found</html>", "garbage where a box should be"),
        (plain(mvhd(0)), "its duration is zero"),
        (plain(mvhd(2**32 - 1)), "its duration is zero"),
        (plain(mvhd(10_000, 0)), "no readable mvhd"),
        (plain(box(b"mvhd", b"\0" * 8)), "no readable mvhd"),
        (plain(box(b"trak", b"")), "no readable mvhd"),
        (fragmented(0)[0] + box(b"free", b"\0" * 1000), "no fragment: it holds no pictures"),
        (b"\0" * 4000, "it begins with zeros"),
        (b"\0" * 512 + make.mp4(10)[512:], "it begins with zeros"),
        (b"", "a stub of 0 bytes"),
        (make.mp4(10)[:48], "a stub of 48 bytes"),
        (b"\x1bLua" * 500, "no container we know"),
    ],
)
def test_what_is_no_whole_recording_says_why(content: bytes, says: str, tmp_path: Path) -> None:
    found = look(tmp_path, content)
    assert says in found.problem
    assert not found.closed
    assert found.plays == (says == "no container we know")


def test_a_known_box_after_the_pictures_is_no_damage(tmp_path: Path) -> None:
    assert look(tmp_path, FTYP + MOOV + PICTURES + box(b"free", b"\0" * 100) + box(b"udta", b"")).closed is True


def test_zeros_inside_the_pictures_are_seen_only_where_a_header_is_hit(tmp_path: Path) -> None:
    folder = make.unpack("damaged_some", tmp_path)
    for name, closed in (("seg_faststart.mp4", True), ("seg_fmp4.mp4", False)):
        content = bytearray((folder / name).read_bytes())
        content[40_960 : 40_960 + 32_768] = bytes(32_768)
        found = look(tmp_path, bytes(content))
        assert found.closed is closed, "a digest finds the other one"


@pytest.mark.parametrize(
    ("content", "duration"),
    [
        (boxes.matroska(boxes.info()), 10.0),
        (boxes.matroska(boxes.info(struct.pack(">f", 2500.0))), 2.5),
        (boxes.matroska(boxes.info(scale=None)), 10.0),
        (boxes.matroska(boxes.info(scale=b"\x64")), 0.001),
        (boxes.matroska(boxes.element(0xEC, b"\0" * 300), boxes.info()), 10.0),
    ],
)
def test_a_closed_matroska_says_how_long_it_is(content: bytes, duration: float, tmp_path: Path) -> None:
    assert verdict(look(tmp_path, content)) == ("mkv", True, duration, True)


def test_a_matroska_cut_at_any_byte_is_never_whole(tmp_path: Path) -> None:
    *cut, whole = every_cut(tmp_path, boxes.matroska(boxes.info()))
    assert whole.closed is True
    for size, found in enumerate(cut):
        assert found.problem and not found.closed and not found.plays, size


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (boxes.matroska(boxes.info(), size=boxes.UNKNOWN), "not closed"),
        (boxes.matroska(boxes.info(None)), "duration is missing"),
        (boxes.matroska(boxes.info(struct.pack(">d", 0.0))), "duration is missing"),
        (boxes.matroska(boxes.info(struct.pack(">d", float("nan")))), "duration is missing"),
        (boxes.matroska(boxes.info(struct.pack(">d", float("inf")))), "duration is missing"),
        (boxes.matroska(boxes.info(scale=b"")), "duration is missing"),
        (boxes.matroska(boxes.element(0x1F43B675, b""), boxes.info()), "duration is missing"),
        (boxes.EBML + b"\x55" * 2000, "no segment"),
        (boxes.EBML[:4] + boxes.UNKNOWN + b"\0" * 2000, "not a Matroska file"),
    ],
)
def test_a_matroska_that_is_not_whole_says_why(content: bytes, says: str, tmp_path: Path) -> None:
    found = look(tmp_path, content)
    assert says in found.problem and not found.closed and not found.plays


def test_a_transport_stream_cannot_say_that_it_was_closed_but_that_it_was_cut(tmp_path: Path) -> None:
    whole = boxes.transport(20)
    assert look(tmp_path, whole).closed is None
    assert look(tmp_path, whole).problem == ""
    for size in range(len(whole) - 187, len(whole)):
        assert "cut short" in look(tmp_path, whole[:size]).problem
    assert "garbage" in look(tmp_path, whole[:-188] + b"\0" * 188).problem


def test_a_long_last_fragment_that_was_cut_off_at_its_boundary_is_missed(tmp_path: Path) -> None:
    header = FTYP + box(b"moov", mvhd(24_900) + trak() + mvex(1))
    whole = header + fragment(Run(0, 100)) + fragment(Run(10_000, 100))
    assert "cut short: its fragments end 4.9 s before" in look(tmp_path, whole).problem
    assert look(tmp_path, whole + fragment(Run(20_000, 49))).closed


def test_a_header_is_not_believed_where_no_fragment_tells_its_time(tmp_path: Path) -> None:
    header = FTYP + box(b"moov", mvhd(24_900) + trak() + mvex(1))
    foreign = header + fragment(Run(0, 100, track=9), pictures=900)
    found = look(tmp_path, foreign)
    assert (found.closed, found.plays) == (False, False)
    indexed = look(tmp_path, foreign + box(b"mfra", b"\0" * 16))
    assert (indexed.closed, indexed.duration) == (True, 24_900_000)
