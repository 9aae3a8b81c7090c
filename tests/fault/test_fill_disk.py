"""Disks that are full, that may not be written, or that must keep a reserve for the live recording.

What must hold: the reserve is never touched, a full disk costs the segments that do not fit and says so, a copy that
could not be written is dropped, and once there is space the next run brings the rest. The disks are real, and small.
"""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec
import pytest

from backfill.progress import BytesMoved, Event, SegmentLanded, SegmentStarted
from schema.documents import FillsDocument
from schema.errors import DiskFull, StagingUnusable
from schema.values import Refusal
from tests import make
from tests.fault.checks import (
    MISSING,
    NEWEST_FIRST,
    ONE_BY_ONE,
    SIZE,
    claims,
    cut,
    ext4,
    false_claims,
    fingerprint,
    lost_or_touched,
    not_whole,
    record_both,
    whys,
    with_hole,
)
from tests.faults import as_root, mounted

Benches = Callable[[str], AbstractContextManager[make.Bench]]
Cli = Callable[..., subprocess.CompletedProcess[str]]

MIB = 2**20


def config(reserve: str = "0 B", *, more: str = "in_flight = 1\n") -> str:
    head = make.CONFIG.replace('"1 MB"', f'"{reserve}"') + more
    return make.config_text("a", "b", head=head)


def free(folder: Path) -> int:
    info = os.statvfs(folder)
    return info.f_bavail * info.f_frsize


def eat(folder: Path, leaving: int = 0) -> Path:
    """Fill the disk of `folder` up to so many bytes."""
    filler = folder / "filler"
    with open(filler, "ab") as file:
        left = free(folder) - leaving
        try:
            while left > 0:
                left -= os.write(file.fileno(), b"\0" * min(left, MIB))
        except OSError:
            assert leaving == 0
    return filler


@pytest.fixture(params=["tmpfs", "ext4"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB for everything of `a`."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if request.param == "tmpfs":
        arguments = ["-t", "tmpfs", "-o", "size=16m", "tmpfs"]
    else:
        arguments = ["-o", "loop", str(ext4(tmp_path / "image"))]
    with mounted(*arguments, at=tmp_path / "a") as disk:
        yield disk


def check(bench: make.Bench, own: dict[str, tuple[bytes, int, int, int]]) -> None:
    """Check that whatever happened, what is here is whole, and what the ledger says is so."""
    assert lost_or_touched(own, bench.root("a")) == []
    assert not_whole(bench.root("a"), own, bench.root("b")) == []
    assert false_claims(bench.ledger, bench.site.storages[0]) == []


def test_a_disk_that_fills_up_midway_costs_what_does_not_fit(small: Path, benches: Benches) -> None:
    with benches(config()) as bench:
        with_hole(bench)
        own = fingerprint(bench.root("a"))

        def somebody_else_is_faster(event: Event) -> None:
            if isinstance(event, BytesMoved) and event.task.source.path == NEWEST_FIRST[3] and not event.resumed:
                eat(small)

        result = bench.fill("a", listener=somebody_else_is_faster)
        assert {one.why for one in result.refused} == {Refusal.NO_SPACE}
        assert [one.path for one in result.refused][-4:] == NEWEST_FIRST[3:]
        assert "no space left" in result.refused[-1].detail
        assert len(result.landed) + len(result.refused) == len(MISSING)
        assert list((small / ".recorder-sync").rglob("*.part")) == [], "a copy that cannot be finished takes no space"
        check(bench, own)
        (small / "filler").unlink()
        again = bench.fill("a")
        assert (len(again.landed), again.refused) == (len(result.refused), ())
        check(bench, own)


def test_what_does_not_fit_is_known_before_it_is_read(small: Path, benches: Benches) -> None:
    with benches(config("6 MiB")) as bench:
        with_hole(bench)
        eat(small, leaving=6 * MIB + 3 * SIZE + SIZE // 2)
        result = bench.fill("a")
        assert 1 <= len(result.landed) <= 3
        assert set(whys(result)) == {"NO_SPACE"}
        assert result.sent == len(result.landed) * SIZE, "nothing was read in vain"
        assert free(small) >= 6 * MIB


def test_the_reserve_is_kept_when_the_live_recording_takes_the_space(small: Path, benches: Benches) -> None:
    with benches(config("4 MiB")) as bench:
        with_hole(bench)
        left: list[int] = []

        def live(event: Event) -> None:
            if isinstance(event, SegmentStarted) and event.task.source.path == NEWEST_FIRST[1]:
                eat(small, leaving=4 * MIB + SIZE + SIZE // 2)
            elif isinstance(event, SegmentStarted | SegmentLanded):
                left.append(free(small))

        result = bench.fill("a", listener=live)
        assert min(left) >= 4 * MIB
        assert set(whys(result)) == {"NO_SPACE"}
        assert "less than the reserve" in result.refused[-1].detail
        assert NEWEST_FIRST[1] in [one.path for one in result.landed], "it was begun while there was space"


def test_the_command_says_that_the_disk_is_full(small: Path, cli: Cli, tmp_path: Path) -> None:
    record_both(small / "recordings", tmp_path / "b/recordings")
    (tmp_path / "recorder-sync.toml").write_text(config("1 MB"))
    assert cli("scan").returncode == 0
    eat(small, leaving=MIB)
    done = cli("fill", "--server", "a", "--json")
    assert done.returncode == 1, done.stderr
    [fill] = msgspec.json.decode(done.stdout, type=FillsDocument).fills
    assert [one.why for one in fill.refusals] == ["no-space"] * len(MISSING)
    assert fill.refusals[0].reason.startswith("free space would fall below the reserve")
    (small / "filler").unlink()
    done = cli("fill", "--server", "a", "--json")
    assert done.returncode == 0, done.stderr


def test_a_full_disk_under_the_ledger_ends_the_fill_and_what_landed_is_found(small: Path, benches: Benches) -> None:
    text = make.config_text("c", "b", head=ONE_BY_ONE.replace("ledger.db", "a/ledger.db"))
    with benches(text) as bench:
        record_both(bench.root("c"), bench.root("b"))
        bench.scan()
        own = fingerprint(bench.root("c"))

        def full(event: Event) -> None:
            if isinstance(event, SegmentLanded):
                eat(small)

        with pytest.raises(DiskFull, match="the ledger"):
            bench.fill("c", listener=full)
        assert not_whole(bench.root("c"), own, bench.root("b")) == []
        assert false_claims(bench.ledger, bench.site.storages[0]) == []
        (small / "filler").unlink()
        here = set(fingerprint(bench.root("c"))) - set(own)
        bench.scan()
        again = bench.fill("c")
        assert here.isdisjoint(one.path for one in again.landed), "what has its name is not fetched twice"
        assert here | {one.path for one in again.landed} == set(NEWEST_FIRST)
        assert {one.origin for one in claims(bench.ledger, bench.site.storages[0]) if one.path in here} == {"b"}


@as_root
def test_a_disk_that_dies_midway_costs_the_rest_and_what_was_landed_is_there(tmp_path: Path, benches: Benches) -> None:
    """Every write and every fsync is an error from then on. The ledger lies elsewhere and must have told the truth."""
    image = ext4(tmp_path / "image")
    with benches(config()) as bench:
        with mounted("-o", "loop", str(image), at=tmp_path / "a") as disk:
            with_hole(bench)
            own = fingerprint(bench.root("a"))
            os.sync()  # the recorder's own files were written by a test, and a moment ago

            def die(event: Event) -> None:
                if isinstance(event, SegmentStarted) and event.task.source.path == NEWEST_FIRST[3]:
                    cut(disk)

            result = bench.fill("a", listener=die)
            assert set(whys(result)) == {"WRITE_FAILED"}
            assert "Input/output error" in result.refused[-1].detail
            assert len(result.refused) >= 4
            assert len(result.landed) + len(result.refused) == len(MISSING)
        with mounted("-o", "loop", str(image), at=tmp_path / "a"):
            check(bench, own)
            bench.scan()
            again = bench.fill("a")
            assert again.refused == ()
            assert {one.path for one in (*result.landed, *again.landed)} <= set(NEWEST_FIRST)
            assert {state for state, _, _ in bench.states("a")} == {"filled"}
            check(bench, own)


@contextmanager
def immutable(folder: Path) -> Iterator[None]:
    """Forbid even root to write to a folder, or to move a file; skips where the file system cannot."""
    done = subprocess.run(["chattr", "+i", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot forbid writing: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", folder], check=True)


@pytest.fixture
def hole(benches: Benches) -> Iterator[make.Bench]:
    """`a` lacks a minute of what `b` has."""
    with benches(config()) as bench:
        yield with_hole(bench)


@as_root
def test_where_we_may_not_write_nothing_is_moved(hole: make.Bench) -> None:
    with immutable(hole.root("a") / "2026-11-22/12/front"):
        result = hole.fill("a")
    assert (whys(result), result.landed, result.sent) == (["NOT_PERMITTED"] * len(MISSING), (), 0)
    assert "front" in result.refused[0].detail
    assert list((hole.base / "a").rglob("*.part")) == [], "nor was it read"
    assert len(hole.fill("a").landed) == len(MISSING)


@as_root
def test_a_copy_that_was_not_let_in_waits_and_is_not_sent_again(hole: make.Bench) -> None:
    forbidden = contextlib.ExitStack()

    def forbid(event: Event) -> None:
        if isinstance(event, SegmentStarted) and event.task.source.path == NEWEST_FIRST[-1]:
            forbidden.enter_context(immutable(hole.root("a") / "2026-11-22/12/front"))

    with forbidden:
        result = hole.fill("a", listener=forbid)
    assert NEWEST_FIRST[-1] in [one.path for one in result.refused]
    assert set(whys(result)) == {"NOT_PERMITTED"}
    again = hole.fill("a")
    assert (len(again.landed), again.sent) == (len(result.refused), 0)


@as_root
def test_without_a_place_for_incoming_files_it_says_so_before_anything_is_moved(hole: make.Bench, cli: Cli) -> None:
    (hole.base / "recorder-sync.toml").write_text(config())
    before = fingerprint(hole.root("a"))
    with immutable(hole.base / "a/.recorder-sync/recordings"):
        with pytest.raises(StagingUnusable):
            hole.fill("a")
        done = cli("fill", "--server", "a")
    assert done.returncode == StagingUnusable.exit_code
    assert "set 'state' to a writable folder" in done.stderr
    assert fingerprint(hole.root("a")) == before
