"""A clone that is killed at any step, a disk that is full, read-only or fails: the file is whole, and undo works.

Every call that changes something on disk is a step; a child is killed before the first, then before the second, and so
on until it comes to its end. After each kill one of three things follows: undo, the same again, or nothing at all.
"""

import errno
import itertools
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder_sync.identity.clone import Cloner
from recorder_sync.identity.journal import Journal, in_force
from schema.errors import IdentityHalfDone, IdentityNotTaken, IdentityNotWritten, OperatorError
from tests.fault.children import Deadly, came_to_its_end
from tests.faults import as_root, mounted
from tests.identities import AFTER, BEFORE, WANTED, Bench, allowed

STEPS = ("open", "replace", "fsync", "unlink", "chmod", "chown", "setxattr", "mkdir", "rename")
MOST = 200

Act = Callable[[Cloner], object]


def clone(cloner: Cloner) -> object:
    return cloner.clone(WANTED, allowed)


def undo(cloner: Cloner) -> object:
    return cloner.undo()


def _doomed(base: Path, act: Act, step: int) -> None:
    deadly = Deadly(step)
    bench = Bench(base)
    for driver_verb in ("stop", "start"):
        setattr(bench.driver, driver_verb, deadly(getattr(bench.driver, driver_verb)))
    for name in STEPS:
        setattr(os, name, deadly(getattr(os, name)))
    act(bench.cloner())


def rounds(tmp_path: Path, prepare: Act | None, act: Act, then: Callable[[Bench], None]) -> int:
    """Kill `act` before each of its steps, each time on a fresh recorder, and see what `then` finds."""
    for step in range(1, MOST):
        base = tmp_path / str(step)
        bench = Bench(base)
        if prepare is not None:
            prepare(bench.cloner())
        done = came_to_its_end(_doomed, base, act, step)
        assert bench.path.read_bytes() in (BEFORE, AFTER), step
        then(Bench(base))
        if done:
            return step
    raise AssertionError("it never came to its end")


def undo_works(bench: Bench) -> None:
    entry = in_force(Journal(bench.place).entries(), str(bench.path))
    if entry is None:
        assert bench.path.read_bytes() == BEFORE
        with pytest.raises(IdentityNotTaken):
            bench.cloner().undo()
    else:
        bench.cloner().undo()
    bench.is_as_before()


def clone_works(bench: Bench) -> None:
    bench.cloner().clone(WANTED, allowed)
    bench.is_as_before(AFTER)
    bench.cloner().undo()
    bench.is_as_before()


@pytest.mark.parametrize("then", [undo_works, clone_works])
def test_a_clone_that_is_killed_at_any_step(tmp_path: Path, then: Callable[[Bench], None]) -> None:
    assert rounds(tmp_path, None, clone, then) > 20


@pytest.mark.parametrize("then", [undo_works, clone_works])
def test_an_undo_that_is_killed_at_any_step(tmp_path: Path, then: Callable[[Bench], None]) -> None:
    assert rounds(tmp_path, clone, undo, then) > 15


def test_killed_again_and_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for step in itertools.chain.from_iterable((number, number) for number in range(1, MOST)):
        first = came_to_its_end(_doomed, tmp_path, clone, step)
        assert bench.path.read_bytes() in (BEFORE, AFTER)
        try:
            second = came_to_its_end(_doomed, tmp_path, undo, step)
        except AssertionError:
            second = False  # there was nothing to undo yet
        assert bench.path.read_bytes() in (BEFORE, AFTER)
        if first and second:
            break
    bench.is_as_before()


@pytest.mark.parametrize("name", ["fsync", "replace", "open", "unlink"])
@pytest.mark.parametrize("act", [clone, undo])
def test_any_call_that_fails_leaves_a_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, act: Act
) -> None:
    real = getattr(os, name)
    failed = 0
    for number in range(1, MOST):
        bench = Bench(tmp_path / str(number))
        if act is undo:
            clone(bench.cloner())
        counter = itertools.count(1)

        def fail(*arguments: object, **named: object) -> object:
            if next(counter) == number:  # noqa: B023  called in this round only
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(*arguments, **named)

        monkeypatch.setattr(os, name, fail)
        try:
            act(bench.cloner())
        except OperatorError as error:
            failed += 1
            if act is clone and not isinstance(error, IdentityHalfDone):
                assert bench.note.read_text() == "running"
        finally:
            monkeypatch.setattr(os, name, real)
        assert bench.path.read_bytes() in (BEFORE, AFTER)
        undo_works(bench)
        if next(counter) <= number:
            break
    assert failed or name == "unlink"


def eat(folder: Path) -> Path:
    """Fill the disk of a folder."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (65_536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


@as_root
@pytest.mark.parametrize("where", ["recorder", "identity"])
def test_a_full_disk(tmp_path: Path, where: str) -> None:
    with mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", at=tmp_path / where) as disk:
        bench = Bench(tmp_path)
        filler = eat(disk)
        with pytest.raises(IdentityNotWritten, match="No space"):
            bench.cloner().clone(WANTED, allowed)
        assert (bench.path.read_bytes(), bench.note.read_text()) == (BEFORE, "running")
        filler.unlink()
        clone_works(bench)


@as_root
def test_an_id_is_given_back_although_it_cannot_be_written_down(tmp_path: Path) -> None:
    with mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", at=tmp_path / "identity") as disk:
        bench = Bench(tmp_path)
        bench.cloner().clone(WANTED, allowed)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        outcome = bench.cloner().undo()
        assert "the journal does not say" in outcome.notes[0]
        bench.is_as_before()
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        undo_works(bench)
        clone_works(bench)


@as_root
@pytest.mark.parametrize("where", ["recorder", "identity"])
def test_a_disk_that_is_read_only(tmp_path: Path, where: str) -> None:
    with mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", at=tmp_path / where) as disk:
        bench = Bench(tmp_path)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(IdentityNotWritten, match=r"[Rr]ead-only"):
            bench.cloner().clone(WANTED, allowed)
        bench.is_as_before()
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        clone_works(bench)
