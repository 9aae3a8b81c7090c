"""What happens here while a fill runs: the recorder writes too, disks come and go, folders vanish, another fill starts.

What must hold: nothing of the recorder's is touched, no disk but the one the plan was made for is filled, and what
cannot be filled now is a refusal with its reason, or one clear error before anything is moved.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from backfill.progress import BytesMoved, Event, SegmentStarted
from schema.errors import AlreadyRunning, StorageAway, StorageSwapped
from schema.values import Refusal
from tests import make
from tests.fault.checks import (
    MISSING,
    NEWEST_FIRST,
    ONE_BY_ONE,
    false_claims,
    fingerprint,
    record_both,
    with_hole,
)
from tests.faults import as_root, mounted

Benches = Callable[[str], AbstractContextManager[make.Bench]]
Cli = Callable[..., subprocess.CompletedProcess[str]]

VICTIM = NEWEST_FIRST[2]

TWO_STORAGES = """
[[servers]]
name = "a"

[[servers.storages]]
name = "front"
root = "front/recordings"
layout = "motion"
options = { movie_filename = "%Y%m%d%H%M%S", camera = "front" }

[[servers.storages]]
name = "yard"
root = "yard/recordings"
layout = "motion"
options = { movie_filename = "%Y%m%d%H%M%S", camera = "yard" }

[[servers]]
name = "b"

[[servers.storages]]
root = "b/recordings"
layout = "frigate"
"""


def motion_path(_camera: str, start: int) -> str:
    return time.strftime("%Y%m%d%H%M%S.mp4", make.utc(start))


@pytest.fixture
def hole(benches: Benches) -> Iterator[make.Bench]:
    """`a` lacks a minute of what `b` has."""
    with benches(make.config_text("a", "b", head=ONE_BY_ONE)) as bench:
        yield with_hole(bench)


def when_started(path: str, do: Callable[[], object]) -> Callable[[Event], None]:
    """Return a listener that does something as soon as a segment is begun."""

    def listen(event: Event) -> None:
        if isinstance(event, SegmentStarted) and event.task.source.path == path:
            do()

    return listen


def test_the_recorder_writes_the_very_same_file_meanwhile(hole: make.Bench) -> None:
    content = (hole.root("b") / VICTIM).read_bytes()
    result = hole.fill(
        "a", listener=when_started(VICTIM, lambda: make.put(hole.root("a"), VICTIM, content, make.LATER))
    )
    assert [(one.path, one.why) for one in result.refused] == [(VICTIM, Refusal.ALREADY_HERE)]
    assert (hole.root("a") / VICTIM).stat().st_mtime_ns == make.LATER * 1000, "the recorder's stayed"
    assert len(result.landed) == len(MISSING) - 1
    hole.scan()
    with hole.ledger.reading() as connection:
        found = hole.ledger.segments.by_path(connection, hole.site.storages[0].id, VICTIM)
    assert found is not None
    assert found.origin is None, "it is the recorder's own, and may be offered"
    assert hole.fill("a").sent == 0


def test_the_recorder_writes_something_else_under_that_name_meanwhile(hole: make.Bench) -> None:
    other = make.mp4(3, seed=77)
    result = hole.fill("a", listener=when_started(VICTIM, lambda: make.put(hole.root("a"), VICTIM, other, make.LATER)))
    assert result.refused == ()
    assert (hole.root("a") / VICTIM).read_bytes() == other
    [renamed] = [one for one in result.landed if one.renamed]
    assert (renamed.task.source.path, renamed.path) == (VICTIM, VICTIM.replace("01.15", "01.16"))
    assert (hole.root("a") / renamed.path).read_bytes() == (hole.root("b") / VICTIM).read_bytes()
    hole.scan()
    assert false_claims(hole.ledger, hole.site.storages[0]) == []
    assert hole.fill("a").sent == 0


def test_where_every_name_around_is_taken_it_says_so(hole: make.Bench) -> None:
    names = [VICTIM.replace("01.15", f"01.{second}") for second in range(15, 46)]
    taken = [path for path in names if not (hole.root("a") / path).exists()]

    def take() -> None:
        for path in taken:
            make.put(hole.root("a"), path, b"something else", make.LATER)

    result = hole.fill("a", listener=when_started(NEWEST_FIRST[0], take))
    assert [(one.path, one.why) for one in result.refused] == [(VICTIM, Refusal.CONFLICT)]
    assert len(result.landed) == len(MISSING) - 1, "the others found a name farther away"
    assert all((hole.root("a") / path).read_bytes() == b"something else" for path in taken)


@pytest.mark.parametrize("what", ["recordings", ".recorder-sync", ".recorder-sync/recordings/staging"])
def test_a_folder_that_vanishes_midway_costs_the_rest_and_no_more(hole: make.Bench, what: str) -> None:
    folder = hole.base / "a" / what
    result = hole.fill("a", listener=when_started(VICTIM, lambda: folder.rename(hole.base / "vanished")))
    assert len(result.landed) + len(result.refused) == len(MISSING)
    assert {one.why for one in result.refused} == {Refusal.WRITE_FAILED}
    assert len(result.refused) >= len(MISSING) - 3
    assert all(one.detail for one in result.refused)


def test_a_storage_that_vanishes_midway_does_not_keep_another_from_being_filled(benches: Benches) -> None:
    with benches(ONE_BY_ONE + TWO_STORAGES) as bench:
        for camera in ("front", "yard"):
            record_both(bench.base / camera / "recordings", bench.root("b"), camera=camera, path=motion_path)
        bench.scan()
        vanish = when_started(NEWEST_FIRST[0], lambda: (bench.base / "front").rename(bench.base / "vanished"))
        result = bench.fill("a", listener=vanish)
        assert [one.task.source.camera for one in result.landed] == ["yard"] * len(MISSING)
        assert [(one.camera, one.why) for one in result.refused] == [("front", Refusal.WRITE_FAILED)] * len(MISSING)


def test_a_swapped_disk_is_not_fetched_from_either(hole: make.Bench) -> None:
    planned = hole.plan("a")
    identity = Path(hole.site.of("b")[0].state_folder()) / "identity.json"
    identity.write_text(identity.read_text().replace('"storage": "', '"storage": "0'))
    result = hole.fill("a", planned)
    assert not result.landed
    assert {one.why for one in result.refused} == {Refusal.SOURCE_SWAPPED}
    identity.unlink()
    assert {one.why for one in hole.fill("a", planned).refused} == {Refusal.SOURCE_SWAPPED}


def test_a_disk_swapped_since_the_plan_was_made_is_not_filled(hole: make.Bench) -> None:
    planned = hole.plan("a")
    (hole.base / "a").rename(hole.base / "right")
    make.record(hole.root("a"), "front", make.tens(0, 40), seed=9)
    identity = hole.base / "a/.recorder-sync/recordings/identity.json"
    identity.parent.mkdir(parents=True)
    identity.write_text('{"storage": "another"}')
    before = fingerprint(hole.root("a"))
    with pytest.raises(StorageSwapped, match="it says another"):
        hole.fill("a", planned)
    assert fingerprint(hole.root("a")) == before


def test_an_empty_mount_point_is_not_filled(hole: make.Bench) -> None:
    planned = hole.plan("a")
    (hole.base / "a").rename(hole.base / "unmounted")
    with pytest.raises(StorageAway, match="does not exist"):
        hole.fill("a", planned)
    hole.root("a").mkdir(parents=True)
    with pytest.raises(StorageSwapped, match="identity file is missing"):
        hole.fill("a", planned)
    assert [path for path in (hole.base / "a").rglob("*") if path.is_file()] == []


@as_root
def test_a_disk_that_is_unmounted_midway_leaves_the_mount_point_empty(tmp_path: Path, benches: Benches) -> None:
    with (
        mounted("-t", "tmpfs", "-o", "size=20m", "tmpfs", at=tmp_path / "a"),
        benches(make.config_text("a", "b", head=ONE_BY_ONE)) as bench,
    ):
        with_hole(bench)
        result = bench.fill(
            "a",
            listener=when_started(VICTIM, lambda: subprocess.run(["umount", "-l", tmp_path / "a"], check=True)),
        )
        assert {one.why for one in result.refused} == {Refusal.WRITE_FAILED}
        assert len(result.landed) + len(result.refused) == len(MISSING)
        assert list((tmp_path / "a").rglob("*")) == []


def test_two_fills_at_once_are_one_and_an_error_that_says_who_is_there(hole: make.Bench) -> None:
    said: list[str] = []

    def second() -> None:
        with pytest.raises(AlreadyRunning) as raised:
            hole.fill("a")
        said.append(str(raised.value))

    result = hole.fill("a", listener=when_started(VICTIM, second))
    assert said == [f"another fill into a/main is running (process {os.getpid()})"]
    assert (len(result.landed), result.refused) == (len(MISSING), ())


def test_the_command_refuses_a_second_fill_and_its_exit_status_says_so(hole: make.Bench, cli: Cli) -> None:
    (hole.base / "recorder-sync.toml").write_text(make.config_text("a", "b"))
    done: list[subprocess.CompletedProcess[str]] = []
    result = hole.fill("a", listener=when_started(VICTIM, lambda: done.append(cli("fill", "--no-scan"))))
    assert done[0].returncode == 50
    assert f"another fill into a/main is running (process {os.getpid()})" in done[0].stderr
    assert "b: " in done[0].stdout, "the other server is looked after"
    assert len(result.landed) == len(MISSING)


def test_a_lock_outlives_nobody(hole: make.Bench) -> None:
    lock = hole.base / "a/.recorder-sync/recordings/fill.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    hold = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print(); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-uc", hold, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            with pytest.raises(AlreadyRunning):
                hole.fill("a")
        finally:
            other.kill()
    assert len(hole.fill("a").landed) == len(MISSING)


@as_root
def test_a_camera_on_a_mount_of_its_own_is_refused_before_a_byte_is_moved(benches: Benches) -> None:
    """What lies in the staging beside the root cannot be renamed into it."""
    with benches(make.config_text("a", "b", head=ONE_BY_ONE)) as bench:
        folder = bench.root("a") / "2026-11-22/12/front"
        with mounted("-t", "tmpfs", "-o", "size=20m", "tmpfs", at=folder):
            record_both(bench.root("a"), bench.root("b"))
            record_both(bench.root("a"), bench.root("b"), camera="yard")
            bench.scan()
            moved = []
            result = bench.fill(
                "a", listener=lambda event: moved.append(event.task) if isinstance(event, BytesMoved) else None
            )
            assert [(one.camera, one.why) for one in result.refused] == [("front", Refusal.OTHER_MOUNT)] * len(MISSING)
            assert str(folder) in result.refused[0].detail
            assert {task.source.camera for task in moved} == {"yard"}
            assert len(result.landed) == len(MISSING)
