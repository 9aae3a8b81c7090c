"""Two storages of one server on one disk, as most recorders have them: they share its space, and nothing else.

What must hold: the reserve is kept whatever goes to either of them, and what one cannot take, the other still gets.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from backfill.gate import Gate
from backfill.landing import publish
from backfill.progress import BytesMoved, Event
from schema.errors import CannotPublish
from schema.values import Refusal
from tests import make
from tests.fault.checks import MISSING, NEWEST_FIRST, false_claims, record_both, recordings
from tests.fault.test_fill_disk import eat, free
from tests.fault.test_fill_here import TWO_STORAGES, motion_path
from tests.faults import as_root, mounted

MIB = 2**20
RESERVE = 8 * MIB
ON_ONE_DISK = TWO_STORAGES.replace('"front/rec', '"disk/front/rec').replace('"yard/rec', '"disk/yard/rec')
CONFIG = make.CONFIG.replace('"1 MB"', '"8 MiB"') + "in_flight = 4\n" + ON_ONE_DISK

Benches = Callable[[str], AbstractContextManager[make.Bench]]


@pytest.fixture
def both(benches: Benches, tmp_path: Path) -> Iterator[make.Bench]:
    """`a` with two cameras on a disk of 24 MiB, each without 8 MiB of what `b` has."""
    with mounted("-t", "tmpfs", "-o", "size=24m", "tmpfs", at=tmp_path / "disk"), benches(CONFIG) as bench:
        for camera in ("front", "yard"):
            make.record(root(bench, camera), camera, [0, 40], seed=1, size=3000, path=motion_path)
            make.record(bench.root("b"), camera, make.tens(0, 50), seed=2, size=2 * MIB)
        bench.scan()
        yield bench


def root(bench: make.Bench, camera: str) -> Path:
    return Path(next(one.root for one in bench.site.storages if one.name == camera))


@as_root
def test_the_reserve_is_kept_for_what_goes_to_both(both: make.Bench) -> None:
    """13 MiB may be used, and each storage alone would take less than that."""
    eat(both.base / "disk", leaving=RESERVE + 5 * MIB)
    left: list[int] = []
    result = both.fill("a", listener=lambda _: left.append(free(both.base / "disk")), gate=Gate(40 * MIB))
    assert min(left) >= RESERVE
    assert len(result.landed) == 2
    assert {one.why for one in result.refused} == {Refusal.NO_SPACE}


@as_root
def test_what_is_under_way_to_one_counts_for_the_other(both: make.Bench) -> None:
    """The live recording takes the space while the first ones are on their way; then only so many more may begin."""
    left: list[int] = []

    def live(event: Event) -> None:
        if isinstance(event, BytesMoved) and not (both.base / "disk/filler").exists():
            eat(both.base / "disk", leaving=RESERVE + 9 * MIB)
        left.append(free(both.base / "disk"))

    result = both.fill("a", listener=live, gate=Gate(40 * MIB))
    assert min(left) >= RESERVE
    assert result.refused and {one.why for one in result.refused} == {Refusal.NO_SPACE}


def test_a_storage_that_cannot_take_files_keeps_no_other_from_being_filled(
    benches: Benches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its copies wait: once it can, nothing is sent again."""
    with benches(make.CONFIG + TWO_STORAGES) as bench:
        for camera in ("front", "yard"):
            record_both(root(bench, camera), bench.root("b"), camera=camera, path=motion_path)
        bench.scan()

        def no_links_in_front(staged: str, folder: int, name: str) -> None:
            if "/front/" in staged:
                raise CannotPublish(staged, "no links here")
            publish(staged, folder, name)

        with monkeypatch.context() as patched:
            patched.setattr("backfill.landing.publish", no_links_in_front)
            result = bench.fill("a")
        assert {one.task.source.camera for one in result.landed} == {"yard"}
        assert len(result.landed) == len(MISSING)
        assert [(one.camera, one.why) for one in result.refused] == [("front", Refusal.CANNOT_PUBLISH)] * len(MISSING)
        assert "no links here" in result.refused[0].sentence
        again = bench.fill("a")
        assert (len(again.landed), again.sent, again.refused) == (len(MISSING), 0, ())


def test_what_was_published_before_one_that_could_not_be_is_recorded(
    pair: make.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_both(pair.root("a"), pair.root("b"))
    pair.scan()
    unlucky = os.path.basename(NEWEST_FIRST[2])

    def fail_once(staged: str, folder: int, name: str) -> None:
        if name == unlucky:
            raise CannotPublish(staged, "no links here")
        publish(staged, folder, name)

    monkeypatch.setattr("backfill.landing.publish", fail_once)
    own = set(recordings(pair.root("a")))
    result = pair.fill("a")
    assert [(one.path, one.why) for one in result.refused] == [(NEWEST_FIRST[2], Refusal.CANNOT_PUBLISH)]
    there = {str(path.relative_to(pair.root("a"))) for path in set(recordings(pair.root("a"))) - own}
    assert there == {one.path for one in result.landed} == set(NEWEST_FIRST) - {NEWEST_FIRST[2]}
    assert false_claims(pair.ledger, pair.site.storages[0]) == []
