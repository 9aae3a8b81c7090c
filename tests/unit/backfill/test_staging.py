"""The staging folder: what waits in it, for how long, and who sweeps it."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from backfill.progress import BytesMoved
from backfill.staging import Staging
from schema.values import Plan
from tests import make
from tests.fault.checks import NEWEST_FIRST, ONE_BY_ONE, spoil, with_hole
from tests.fault.test_fill_here import TWO_STORAGES, motion_path

DAY = 24 * 3600


def partials(bench: make.Bench) -> list[Path]:
    return sorted(bench.base.rglob("*.part"))


@pytest.fixture
def waiting(pair: make.Bench) -> make.Bench:
    """`a` with the first half of a segment in staging, and nothing else brought."""
    with_hole(pair)
    spoil(pair, "..e")
    task = pair.plan("a").tasks[0]
    pair.fill("a", Plan(tasks=(task,)))
    assert len(partials(pair)) == 1
    return pair


def a_day_later(monkeypatch: pytest.MonkeyPatch) -> None:
    then = time.time() + DAY + 60
    monkeypatch.setattr("backfill.staging.time.time", lambda: then)


def sweep(bench: make.Bench) -> int:
    return asyncio.run(Staging(bench.site.storages[0]).sweep(()))


def test_a_partial_is_swept_once_nobody_touched_it_for_a_day(
    waiting: make.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sweep(waiting) == 0
    a_day_later(monkeypatch)
    assert sweep(waiting) == 1
    assert partials(waiting) == []


def test_a_finished_copy_is_not_as_old_as_its_source(waiting: make.Bench) -> None:
    """It has the last write of what it was made from, which may be weeks ago."""
    os.utime(partials(waiting)[0], (1e9, 1e9))
    assert sweep(waiting) == 0


def test_what_the_plan_wants_is_kept_however_old(waiting: make.Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    a_day_later(monkeypatch)
    task = next(task for task in waiting.plan("a").tasks if task.source.path == NEWEST_FIRST[0])
    assert asyncio.run(Staging(waiting.site.storages[0]).sweep([task])) == 0


def test_a_slice_that_does_not_come_to_a_segment_leaves_what_is_there_of_it(
    waiting: make.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_day_later(monkeypatch)
    assert waiting.fill("a", enough=lambda: True).landed == ()
    assert len(partials(waiting)) == 1
    assert [one.resumed for one in _moved(waiting) if one.resumed] != []


def _moved(bench: make.Bench) -> list[BytesMoved]:
    """Fill, and return what was moved or found to be here."""
    moved: list[BytesMoved] = []
    bench.fill("a", listener=lambda event: moved.append(event) if isinstance(event, BytesMoved) else None)
    return moved


def test_a_fill_with_nothing_to_do_sweeps_too(waiting: make.Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    a_day_later(monkeypatch)
    assert waiting.fill("a", Plan()).sent == 0
    assert partials(waiting) == []


def test_so_does_a_fill_of_another_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with make.bench(tmp_path, ONE_BY_ONE + TWO_STORAGES) as bench:
        for camera in ("front", "yard"):
            make.record(tmp_path / camera / "recordings", camera, [0, 40], seed=1, path=motion_path)
            make.record(bench.root("b"), camera, range(5, 45, 10), seed=2, size=200_000)
        bench.scan()
        planned = bench.plan("a").tasks
        front, yard = (tuple(t for t in planned if t.source.camera == camera) for camera in ("front", "yard"))
        spoil(bench, "..e")
        bench.fill("a", Plan(tasks=front[:1]))
        assert len(partials(bench)) == 1
        a_day_later(monkeypatch)
        assert len(bench.fill("a", Plan(tasks=yard)).landed) == len(yard)
        assert partials(bench) == []


def test_nothing_is_made_where_nothing_was_ever_filled(pair: make.Bench) -> None:
    with_hole(pair)
    pair.fill("a", Plan())
    assert list(pair.base.rglob("staging")) == []


def test_what_another_fill_is_at_is_not_swept(waiting: make.Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    a_day_later(monkeypatch)
    with Staging(waiting.site.storages[0]).locked():
        assert waiting.fill("a", Plan()).sent == 0
    assert len(partials(waiting)) == 1
