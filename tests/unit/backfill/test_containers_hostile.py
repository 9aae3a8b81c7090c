"""A recording can hold anything: no content may raise, hang, or fill the memory, and what is said of it must be sane.

One file that stops a scan is a storage that is never read again; a scan of it would fail at three every morning.
"""

import os
import random
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backfill.containers import Probe, probe
from backfill.containers.mp4 import inspect
from backfill.containers.window import Window
from tests import make
from tests.make import box
from tests.unit.backfill import boxes
from tests.unit.backfill.boxes import FTYP, Run, full, look, mvex, mvhd, plain, trak

CONTAINERS = {"stub", "mp4", "fmp4", "mkv", "ts", "unknown"}


def check(found: Probe) -> None:
    assert found.container in CONTAINERS
    assert found.duration is None or found.duration > 0
    assert not (found.closed and (found.problem or not found.plays)), "closed and damaged at once"
    assert found.problem.isprintable()


WHOLE = [
    make.mp4(10, 1500),
    plain(mvhd(10_000, version=1), trak(), trak(2, version=1)),
    b"".join(boxes.fragmented(3, mfra=True)),
    b"".join(boxes.fragmented(3, stated=3000)),
    boxes.matroska(boxes.info()),
    boxes.transport(8),
]
LEAST = 1024
"""Smaller files are stubs and not opened."""

wild = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


HEADS = [b"", FTYP, FTYP + box(b"moov", mvhd(9)), boxes.EBML, b"\x47", b"\0"]


@wild
@given(head=st.sampled_from(HEADS), body=st.binary(max_size=300))
def test_no_content_raises(head: bytes, body: bytes, tmp_path: Path) -> None:
    check(look(tmp_path, (head + body).ljust(LEAST, body[-1:] or b"\0")))


@wild
@given(
    whole=st.sampled_from(WHOLE),
    changes=st.lists(st.tuples(st.integers(0, 2500), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6),
    cut=st.integers(LEAST, 3000),
)
def test_no_change_to_a_whole_file_raises(
    whole: bytes, changes: list[tuple[int, bytes]], cut: int, tmp_path: Path
) -> None:
    content = bytearray(whole)
    for at, new in changes:
        content[at % len(content) : at % len(content) + len(new)] = new
    check(look(tmp_path, bytes(content[:cut]).ljust(LEAST, b"\0")))


def test_no_change_to_a_real_header_raises(tmp_path: Path) -> None:
    folder = make.unpack("damaged_some", tmp_path)
    chance = random.Random(20261122)
    numbers = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1", b"\x7f\0\0\0"]
    for name in ("seg_faststart.mp4", "seg_fmp4.mp4"):
        whole = (folder / name).read_bytes()
        headers = [at for at in range(len(whole) - 4) if whole[at : at + 4].isalpha()][:200]
        for _ in range(400):
            content = bytearray(whole[: chance.choice([len(whole), 4096, 70_000])])
            for _ in range(chance.randint(1, 4)):
                at = max(0, min(len(content) - 8, chance.choice(headers) + chance.randint(-6, 30)))
                content[at : at + 4] = chance.choice([*numbers, chance.randbytes(4)])
            check(look(tmp_path, bytes(content)))


SHORT = box(b"mdhd", full(0, b"\0" * 8 + struct.pack(">II", 1, 1) + b"\0" * 4))


@pytest.mark.parametrize(
    "parts",
    [
        [mvhd(0), trak()[:8], mvex(1)],
        [mvhd(0), box(b"trak", box(b"mdia", SHORT) + box(b"tkhd", b""))],
        [mvhd(0), box(b"trak", box(b"tkhd", b"\1") + box(b"mdia", box(b"mdhd", b"\1"))), box(b"mvex", b"\0" * 8)],
        [mvhd(0), box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", box(b"stts", b"\0" * 4))))), mvex(1)],
        [mvhd(1, version=1)[:30]],
    ],
)
def test_a_header_that_ends_too_early_is_no_accident(parts: list[bytes], tmp_path: Path) -> None:
    moov = box(b"moov", b"".join(parts))
    check(look(tmp_path, FTYP + moov + boxes.fragment(Run(0), pictures=2000)))


def begun(default: int = 0) -> bytes:
    return FTYP + box(b"moov", mvhd(0) + trak() + mvex(1, default=default))


@pytest.mark.parametrize(
    "content",
    [
        plain(mvhd(2**64 - 2, 1, version=1)),
        begun(2**32 - 1) + boxes.fragment(Run(2**63, 2**32 - 1, said="trex"), pictures=900),
        begun() + boxes.fragment(Run(9000), pictures=900) + boxes.fragment(Run(0)),
    ],
)
def test_absurd_lengths_are_numbers_like_others(content: bytes, tmp_path: Path) -> None:
    check(look(tmp_path, content))


def peak(action: Callable[[], object]) -> int:
    """Return how many bytes of memory an action takes at most."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


GIGABYTES = 2**31


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (FTYP + struct.pack(">I4s", GIGABYTES, b"moov"), "larger than any recorder writes"),
        (FTYP + struct.pack(">I4s", GIGABYTES, b"mdat"), "no moov"),
        (boxes.fragmented(0)[0] + struct.pack(">I4s", GIGABYTES, b"moof"), "no fragment"),
        (b"".join(boxes.fragmented(1)) + struct.pack(">I4s", GIGABYTES, b"moof"), "no data"),
        (boxes.EBML + b"\x18\x53\x80\x67\x08\x7f\xff\xff\xf0" + b"\x15\x49\xa9\x66\x08\x7f\xff\xff\xe0", "missing"),
    ],
)
def test_a_header_of_gigabytes_is_not_read(head: bytes, says: str, tmp_path: Path) -> None:
    path, size = tmp_path / "sparse", len(head) - 8 + GIGABYTES
    path.write_bytes(head)
    os.truncate(path, size)
    found: list[Probe] = []
    assert peak(lambda: found.append(probe(str(path), size))) < 2**20
    assert says in found[0].problem
    check(found[0])


class Endless(Window):
    """A file that is the same box for ever."""

    def __init__(self, box: bytes, size: int) -> None:
        super().__init__(-1, size)
        self.reads = 0
        self._box = box

    def read(self, offset: int, length: int) -> bytes:
        self.reads += 1
        at = offset % len(self._box)
        return (self._box * (2 + length // len(self._box)))[at : at + length]


@pytest.mark.parametrize("one", [box(b"free", b""), box(b"moof", b""), box(b"mdat", b"")])
def test_a_file_of_nothing_but_boxes_is_given_up(one: bytes) -> None:
    window = Endless(one, 2**50)
    found = inspect(window)
    assert not found.closed and found.problem == "it has more boxes than any recorder writes"
    assert window.reads < 2_000_000


def test_names_of_boxes_are_not_collected(tmp_path: Path) -> None:
    names = (struct.pack(">I4s", 8, f"{number:04x}".encode()) for number in range(2**16))
    path = tmp_path / "names"
    path.write_bytes(FTYP + b"".join(names))
    assert peak(lambda: probe(str(path), path.stat().st_size)) < 2**20


def test_a_header_of_nothing_but_boxes_is_given_up_soon(tmp_path: Path) -> None:
    crowd = box(b"free", b"") * 500_000
    path = tmp_path / "crowd"
    path.write_bytes(FTYP + box(b"moov", crowd + mvhd(10_000)) + box(b"mdat", b"\x55" * 100))
    found = probe(str(path), path.stat().st_size)
    assert not found.closed and "no readable mvhd" in found.problem


def test_a_file_that_shrinks_while_it_is_looked_at_is_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "shrinking"
    for whole in WHOLE[:5]:
        for kept in range(0, len(whole), 61):
            path.write_bytes(whole[:kept])
            found = probe(str(path), len(whole))
            check(found)


def test_what_is_not_there_or_no_file_is_the_callers_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        probe(str(tmp_path / "nothing"), 5000)
    with pytest.raises(OSError):
        probe(str(tmp_path), 5000)
    (tmp_path / "file").write_bytes(make.mp4(10))
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(OSError):
        probe(str(tmp_path / "link"), 5000)


def test_without_pyav_a_transport_stream_has_no_length_and_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "stream.ts"
    path.write_bytes(boxes.transport(20))
    look_at = f"from backfill.containers import probe; print(probe({str(path)!r}, {path.stat().st_size}))"
    code = f"import sys; sys.modules['av'] = None; {look_at}"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "Probe(container='ts', closed=None, duration=None, problem='', plays=True)"
