"""Verifying: what is rot, and what is somebody else's writing; and digests that anyone can check without us."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from backfill.gate import Gate
from backfill.verify import VerifyReport, export, from_scan, verify
from schema.values import Segment
from tests import make
from tests.faults import record_table, table_path, with_tables

CHUNK = 64 * 1024
SIZE = 3 * CHUNK
PATH = make.frigate_path("front", make.T0 + 10_000_000)


@pytest.fixture
def recorded(pair: make.Bench) -> make.Bench:
    """`a` with three segments of three chunks whose digests are taken."""
    make.record(pair.root("a"), "front", make.tens(0, 30), size=SIZE)
    pair.scan()
    assert check(pair).first_digests == 3
    return pair


def check(bench: make.Bench, **options: object) -> VerifyReport:
    return verify(bench.ledger, [bench.site.storages[0]], chunk_size=CHUNK, gate=Gate(), **options)  # type: ignore[arg-type]


def kinds(report: VerifyReport) -> list[tuple[str, str]]:
    return [(one.kind, one.path) for one in report.damage]


def flip(path: Path, at: int = -1) -> None:
    """Flip a bit as a disk would: size, time and inode stay."""
    when = path.stat().st_mtime_ns
    with open(path, "r+b") as file:
        file.seek(at, os.SEEK_END if at < 0 else os.SEEK_SET)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(when, when))


def test_what_is_sound_is_read_and_said_to_be(recorded: make.Bench) -> None:
    report = check(recorded)
    assert (report.read, report.size, report.first_digests, kinds(report)) == (3, 3 * SIZE, 0, [])


@pytest.mark.parametrize("chunk", [0, 1, 2])
def test_a_flipped_bit_is_rot_in_its_chunk(recorded: make.Bench, chunk: int) -> None:
    flip(recorded.root("a") / PATH, chunk * CHUNK + 100)
    [damage] = check(recorded).damage
    assert (damage.kind, damage.path, damage.chunks, damage.repairable) == ("rot", PATH, (chunk,), False)
    assert "the recorder's own, not touched" in damage.detail


def put_another(path: Path) -> None:
    """Another file of the same size and time takes the name."""
    when = path.stat().st_mtime_ns
    new = path.with_suffix(".new")
    new.write_bytes(make.mp4(10, SIZE, seed=99))
    os.utime(new, ns=(when, when))
    os.replace(new, path)


def write_into(path: Path) -> None:
    with open(path, "r+b") as file:
        file.write(b"written")


def grow(path: Path) -> None:
    when = path.stat().st_mtime_ns
    with open(path, "ab") as file:
        file.write(b"more")
    os.utime(path, ns=(when, when))


def link(path: Path) -> None:
    os.rename(path, path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


@pytest.mark.parametrize("how", [put_another, write_into, grow, link])
def test_what_somebody_wrote_is_changed_and_never_called_rot(recorded: make.Bench, how: Callable[[Path], None]) -> None:
    how(recorded.root("a") / PATH)
    [damage] = check(recorded).damage
    assert (damage.kind, damage.path, damage.repairable) == ("changed", PATH, False)


def test_a_file_written_to_while_it_is_read_is_changed(recorded: make.Bench) -> None:
    class Meddling(Gate):
        def take(self, count: int) -> None:
            write_into(recorded.root("a") / PATH)

    report = verify(recorded.ledger, [recorded.site.storages[0]], chunk_size=CHUNK, gate=Meddling())
    assert kinds(report) == [("changed", PATH)]


def test_a_missing_file_is_named(recorded: make.Bench) -> None:
    (recorded.root("a") / PATH).unlink()
    assert kinds(check(recorded)) == [("missing", PATH)]


def test_what_a_full_scan_saw_is_named_too(recorded: make.Bench) -> None:
    (recorded.root("a") / PATH).unlink()
    make.put(recorded.root("a"), "2026-11-22/12/front/notes.txt", b"no recording", make.T0)
    write_into(recorded.root("a") / make.frigate_path("front", make.T0))
    scanned = recorded.scan(full=True)[0]
    found = {(one.kind, one.path) for one in from_scan(recorded.site.storages[0], scanned)}
    assert found == {
        ("missing", PATH),
        ("foreign", "2026-11-22/12/front/notes.txt"),
        ("changed", make.frigate_path("front", make.T0)),
    }


def test_only_what_was_asked_for_is_read(recorded: make.Bench) -> None:
    from schema.spans import SECOND, Span

    window = Span(make.T0 + 12 * SECOND, make.T0 + 13 * SECOND)
    seen: list[str] = []

    def note(segment: Segment, _: VerifyReport) -> None:
        seen.append(segment.path)

    assert check(recorded, window=window, progress=note).read == 1
    assert seen == [PATH]
    assert check(recorded, cameras=frozenset({"yard"})).read == 0


def test_a_stop_ends_it_early_and_keeps_what_was_taken(pair: make.Bench) -> None:
    make.record(pair.root("a"), "front", make.tens(0, 30), size=SIZE)
    pair.scan()
    gate = Gate()
    report = verify(pair.ledger, [pair.site.storages[0]], chunk_size=CHUNK, gate=gate, progress=lambda *_: gate.stop())
    assert (report.stopped, report.read, report.first_digests) == ("stopped on request", 1, 1)
    assert check(pair).first_digests == 2


def test_without_taking_first_digests_they_are_counted(pair: make.Bench) -> None:
    make.record(pair.root("a"), "front", make.tens(0, 30), size=SIZE)
    pair.scan()
    report = check(pair, take_first=False)
    assert (report.read, report.without_digest, report.first_digests) == (0, 3, 0)


@pytest.mark.parametrize(
    ("how", "kind"), [(flip, "rot"), (write_into, "changed"), (Path.unlink, "changed"), (grow, "changed")]
)
def test_a_segment_that_is_a_folder_is_told_from_another_too(
    pair: make.Bench, how: Callable[[Path], None], kind: str
) -> None:
    with_tables(pair)
    folder = record_table(pair.root("a"), 0, {"data.blk": b"a" * 3000, "index.idx": b"b" * 50})
    pair.scan()
    assert check(pair).first_digests == 1
    assert kinds(check(pair)) == []
    how(folder / "index.idx")
    assert kinds(check(pair)) == [(kind, table_path("front", 0))]


def test_the_exported_digests_are_what_xxhsum_checks(recorded: make.Bench) -> None:
    if shutil.which("xxhsum") is None:
        pytest.skip("xxhsum is not installed (apt-get install xxhash)")
    sums = recorded.base / "sums"
    assert export(recorded.ledger, recorded.site.storages[0], str(sums)) == (3, 0)

    def xxhsum() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["xxhsum", "-c", sums], cwd=recorded.root("a"), capture_output=True, text=True, check=False
        )

    done = xxhsum()
    assert (done.returncode, done.stdout.count(": OK")) == (0, 3), done.stdout + done.stderr
    flip(recorded.root("a") / PATH)
    done = xxhsum()
    assert done.returncode == 1
    assert f"{PATH}: FAILED" in done.stdout


def test_an_export_says_what_has_no_digest_yet(recorded: make.Bench) -> None:
    make.record(recorded.root("a"), "front", [50], size=SIZE)
    recorded.scan()
    assert export(recorded.ledger, recorded.site.storages[0], str(recorded.base / "sums")) == (3, 1)
