"""What an import finds beside a recorder's storage; what cannot go in is said, never left out."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import backfill.importing.find as finding
from backfill.importing.find import APART, AWAY, find
from backfill.layouts.xprotect import layout as xprotect_layout
from schema.spans import DAY, HOUR, Span
from tests import make
from tests.imports import LOST, Desk, desk
from tests.make import T0


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(xprotect_layout, "_RECORDER_SPARE", 1_000_000)
    with desk(tmp_path) as found:
        yield found


def whys(at: Desk) -> set[str]:
    found = at.choice()
    assert not found.moves and len(found.left) == len(LOST)
    return {one.why for one in found.left}


def test_all_that_was_filled_by_time_and_camera(at: Desk) -> None:
    assert len(at.choice().moves) == len(LOST)
    assert len(at.choice(window=Span(T0 + 2 * HOUR, T0 + 2 * HOUR + 1)).moves) == 1
    assert not at.choice(window=Span(T0 - DAY, T0)).moves
    assert not at.choice(cameras=frozenset({"another"})).moves


def test_a_place_beside_that_is_away_is_not_an_empty_one(at: Desk) -> None:
    shutil.rmtree(at.side)
    assert whys(at) == {AWAY}


@pytest.mark.parametrize("apart", ["side", "notes"])
def test_what_cannot_be_renamed_into_the_storage_stays(at: Desk, apart: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "same_mount", lambda place, _: (str(at.side) in place) is (apart == "notes"))
    assert whys(at) == {APART}


def test_a_recorder_that_cannot_be_given_recordings_is_named(tmp_path: Path) -> None:
    """Nobody is to believe that nothing was filled."""
    config = make.config_text("a", "b", more='fill = "side"\n')
    with make.bench(tmp_path, config) as bench:
        make.record(bench.root("b"), "front", make.tens(0, 600))
        make.record(bench.root("a"), "front", [*make.tens(0, 100), *make.tens(400, 600)])
        bench.scan()
        landed = bench.fill("a").landed
        found = find(bench.ledger, bench.site, "a", bench.now, cameras=frozenset())
        assert landed and not found.moves and len(found.left) == len(landed)
        title = bench.site.storages[0].layout.traits.title
        assert all(one.why.startswith(f"no recording can be put into the storage of {title}") for one in found.left)
