"""An import that is killed at any step, and one that is taken back and killed at any step.

Every change to disk or service is a step; a child is killed before the first, then before the second, and so on. After
each kill every table is whole at one of two places, and taking back restores all that was, and the running recorder.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import backfill.importing.move as moving
import recorder_sync.importing.checking as checking
import recorder_sync.importing.importer as importing
from backfill.gate import Gate
from backfill.layouts.xprotect import layout as xprotect_layout
from recorder_sync.identity.drivers import State
from recorder_sync.identity.place import Place
from recorder_sync.importing.journal import Step, standing
from schema.errors import StorageEmptied
from tests import make
from tests.fault.children import Deadly, came_to_its_end
from tests.imports import Desk, desk
from tests.xprotect import FRONT

OS = ("open", "replace", "fsync", "rename", "mkdir")
MOST = 400

Act = Callable[[Desk], object]


def run(at: Desk) -> object:
    return at.importer().run(at.choice(), Gate())


def undo(at: Desk) -> object:
    return at.importer().undo()


def _doomed(at: Desk, act: Act, step: int) -> None:
    deadly = Deadly(step)
    for verb in ("stop", "start"):
        setattr(at.service, verb, deadly(getattr(at.service, verb)))
    moving.publish = deadly(moving.publish)  # type: ignore[assignment]
    at.bench.ledger.segments.land = deadly(at.bench.ledger.segments.land)  # type: ignore[method-assign]
    real = {name: getattr(os, name) for name in OS}
    reading = checking.take

    def armed() -> None:
        for name, function in real.items():
            setattr(os, name, deadly(function))

    def untouched(*arguments: object, **named: object) -> object:
        """Reading anew opens many files and changes none."""
        for name, function in real.items():
            setattr(os, name, function)
        found = reading(*arguments, **named)  # type: ignore[arg-type]
        armed()
        return found

    checking.take = untouched  # type: ignore[assignment]
    if act is undo:
        armed()
    act(at)


@pytest.fixture(autouse=True)
def _small_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xprotect_layout, "_RECORDER_SPARE", 1_000_000)
    monkeypatch.setattr(importing, "_INDEXED", 0.0)


def below(tree: dict[str, bytes], folder: str) -> dict[str, bytes]:
    return {path: held for path, held in tree.items() if path.startswith(f"{folder}/")}


def whole(at: Desk, tables: dict[str, dict[str, bytes]]) -> None:
    """Assert that each table is bit for bit what was fetched, and at one place only."""
    places = [make.tree(path) for path in (at.a.bank, at.side)]
    for name, files in tables.items():
        found = [below(tree, name) for tree in places]
        assert sorted(map(len, found)) == [0, len(files)] and files in found


@pytest.mark.parametrize("act", [run, undo])
def test_killed_at_any_step(tmp_path: Path, act: Act) -> None:
    kills = 0
    for step in range(1, MOST):
        with desk(tmp_path / str(step)) as at:
            place = Place(at.bench.settings.identity.folder)
            bank, side = make.tree(at.a.bank), make.tree(at.side)
            moves = at.choice().moves
            tables = {
                one.path: {path: held for path, held in side.items() if path.startswith(f"{one.path}/")}
                for one in moves
            }
            if act is undo:
                run(at)
            done = came_to_its_end(_doomed, at, act, step)
            whole(at, tables)
            if step % 3 == 0:
                with suppress(StorageEmptied):  # until the import is taken back, nothing may lie there any more
                    at.bench.scan(full=True)  # a service that runs beside it looks meanwhile
            entry = standing(place, "a")
            if act is run and done:
                assert entry is not None and entry.step is Step.DONE
            if entry is not None:
                undo(at)
            whole(at, tables)
            assert at.service.state() is State.RUNNING
            now = make.tree(at.a.bank)
            own = {path: held for path, held in bank.items() if path != "cache.xml"}
            assert {path: held for path, held in now.items() if path != "cache.xml"} == own
            at.bench.scan(full=True)
            assert at.bench.states("a", FRONT) == [("filled", 7200, 14400)], step
            assert [row.origin for row in at.rows(beside=True)] == ["b", "b"] and not at.rows(beside=False)
            beside = make.tree(at.side)
            beside.pop("cache.xml.new", None)  # half an index of ours, which the next one replaces
            assert beside == side
        if done:
            break
        kills += 1
    else:
        raise AssertionError("it never came to its end")
    assert kills > 15
