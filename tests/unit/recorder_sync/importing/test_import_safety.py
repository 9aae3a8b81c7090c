"""Imports when something else happens meanwhile: another import, another disk, a full one, a peer, a lost ledger."""

import errno
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import backfill.importing.move as moving
import recorder_sync.cli.importing as cli
import recorder_sync.importing.importer as importing
from backfill.gate import Gate
from backfill.importing.choose import Choice
from backfill.layouts.xprotect.cache import tables
from backfill.scanned import ScanOptions
from recorder_sync.app import App
from recorder_sync.identity.clone import Cloner
from recorder_sync.identity.drivers import State
from recorder_sync.identity.exchange import this_system
from recorder_sync.identity.registry import NoRegistry
from recorder_sync.importing.journal import Journal, Step, problems, standing
from schema.errors import (
    EXIT_DONE,
    EXIT_FOUND,
    IdentityBusy,
    ImportCutOff,
    ImportHalfDone,
    ImportNotWritten,
    ImportUnsafe,
    LedgerUnreachable,
    OperatorError,
    RecorderWrites,
    StorageAway,
    StorageSwapped,
)
from schema.wire import IdentityMessage
from tests import imports, make
from tests.identities import NEW, OWN, WANTED, allowed
from tests.imports import Desk, Peer, desk_of_banks, laid, place, steps
from tests.xprotect import FRONT, MEDIA, Recorder


class Cut(BaseException):
    """The end of a process, as far as a test can have it without one."""


def killed(at: Desk, monkeypatch: pytest.MonkeyPatch, before: Step) -> None:
    """Import, and end before the journal says `before`, with nothing taken back."""
    real = Journal.note

    def note(self: Journal, entry: Any) -> None:
        if entry.step is before:
            raise Cut
        real(self, entry)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "note", note)
        patched.setattr(importing.Importer, "_take_back_after", lambda *_: None)
        with pytest.raises(Cut):
            at.importer().run(at.choice(), Gate())


def broken(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, error: BaseException, first: int = 1) -> None:
    """Let a function fail from its so many-th call on."""
    real: Callable[..., object] = getattr(owner, name)
    calls = 0

    def call(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls >= first:
            raise error
        return real(*arguments, **named)

    monkeypatch.setattr(owner, name, call)


# Whose id the recorder answers with


def test_a_recorder_with_anothers_id_is_not_started_by_taking_an_import_back(
    known: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import was cut off; then the stopped recorder was given a peer's id, which is to be given back first."""
    killed(known, monkeypatch, Step.STARTING)
    file = known.bench.settings.identity.config
    assert file is not None
    Cloner(file, place(known), known.service, NoRegistry(), this_system(), known.bench.clock).clone(WANTED, allowed)
    known.service.log.clear()
    outcome = known.importer().undo()
    assert known.service.log == [] and known.service.state() is State.STOPPED
    assert "left stopped" in outcome.notes[0] and "it has the id of nvr-a for now" in outcome.notes[0]
    assert outcome.kept_stopped


def test_not_while_a_peer_runs_and_does_not_tell_with_which_id(known: Desk) -> None:
    known.clients = [Peer(IdentityMessage(service="running", problem="its notes are damaged"))]  # type: ignore[list-item]
    with pytest.raises(ImportUnsafe, match="its notes are damaged"):
        known.importer().run(known.choice(), Gate())
    known.clients = [Peer(IdentityMessage(problem="identity.config is not set on that host"))]  # type: ignore[list-item]
    assert len(known.importer().run(known.choice(), Gate()).moved) == 2


# Another import, another disk


def test_an_import_that_another_was_faster_than_takes_nothing_back(at: Desk) -> None:
    """Both chose the same tables; the other one ended after this one had read them."""
    choice, other = at.choice(), at.importer()
    importer = at.importer()
    importer.run(choice, Gate(), lambda _, number: number == 2 and other.run(choice, Gate()) and None)
    assert len(at.rows(beside=False)) == 2 and not at.rows(beside=True)
    assert at.service.log == ["stop", "start"], "the second one had no reason to stop the recorder"
    assert steps(at) == [Step.BEGAN, Step.MOVING, Step.STARTING, Step.DONE]


@pytest.mark.parametrize("which", ["bank", "beside"])
@pytest.mark.parametrize("back", [False, True], ids=["import", "undo"])
def test_another_disk_is_noticed_before_the_recorder_is_stopped(at: Desk, which: str, back: bool) -> None:
    """Else everything would count as deleted by the recorder, and could never be taken back."""
    choice = at.choice()
    if back:
        at.importer().run(choice, Gate())
    log, before = list(at.service.log), steps(at)
    storage = next(one for one in at.bench.site.of("a") if (one.origin is None) is (which == "bank"))
    note = Path(storage.state_folder(), "identity.json")
    saved = note.read_text()
    note.write_text(json.dumps({"storage": "another"}))
    with pytest.raises(StorageSwapped):
        at.importer().undo() if back else at.importer().run(choice, Gate())
    assert (at.service.log, steps(at)) == (log, before)
    note.write_text(saved)
    if back:
        assert len(at.importer().undo().moved) == 2


@pytest.mark.parametrize("which", ["bank", "beside"])
def test_a_disk_that_is_away_is_noticed_before_the_recorder_is_stopped(at: Desk, which: str) -> None:
    at.importer().run(at.choice(), Gate())
    log, before = list(at.service.log), steps(at)
    unplugged = at.a.bank if which == "bank" else at.side
    unplugged.rename(unplugged.with_name("unplugged"))
    with pytest.raises(StorageAway):
        at.importer().undo()
    assert (at.service.log, steps(at)) == (log, before)
    assert not unplugged.exists()


def test_where_nothing_was_moved_no_disk_is_needed_to_start_the_recorder_again(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(at, monkeypatch, Step.MOVING)
    assert at.service.state() is State.STOPPED
    at.a.bank.rename(at.a.bank.with_name("unplugged"))
    shutil.rmtree(at.side)
    monkeypatch.setattr(at.a, "wake", lambda _: None)
    assert at.importer().undo().service is State.RUNNING
    assert not at.side.exists()


def test_taken_back_after_the_ledger_was_lost(at: Desk) -> None:
    side = make.tree(at.side)
    at.importer().run(at.choice(), Gate())
    with at.bench.ledger.writing() as connection:
        for storage in at.bench.site.of("a"):
            at.bench.ledger.segments.forget_storage(connection, storage.id)
    at.importer().undo()
    at.bench.scan(full=True)
    assert make.tree(at.side) == side
    assert [row.origin for row in at.rows(beside=True)] == ["b", "b"] and not at.rows(beside=False)
    assert all(row.digest for row in at.rows(beside=True))


def test_what_was_fetched_anew_under_its_old_name_is_not_taken_for_it(at: Desk) -> None:
    """The recorder deleted what was imported, and a fill brought something else of that name beside the bank."""
    [first, _] = at.choice().moves
    at.importer().run(at.choice(), Gate())
    shutil.copytree(at.a.bank / first.path, at.side / first.segment.path)
    (at.side / first.segment.path / MEDIA / "block0.blk").write_bytes(b"another")
    shutil.rmtree(at.a.bank / first.path)
    outcome = at.importer().undo()
    assert [one.move.segment.path for one in outcome.stayed] == [first.segment.path]
    assert [row.path for row in at.rows(beside=True)] == [outcome.moved[0].segment.path]


@pytest.mark.parametrize("another", ["bank", "storage"])
@pytest.mark.parametrize("how", ["renamed", "copied"])
@pytest.mark.parametrize("lost", [False, True], ids=["ledger", "no ledger"])
def test_what_the_recorder_archives_afterwards_is_still_nobodys_own(
    tmp_path: Path, another: str, how: str, lost: bool
) -> None:
    """Archiving moves tables to another bank, most often on another disk, under another tag."""
    more = 'options = { banks = "several" }\n'
    archive_storage = f'[[servers.storages]]\nname = "archive"\nroot = "a/archive"\nlayout = "xprotect"\n{more}'
    text = make.config_text("a", layout="xprotect", more=more) + (archive_storage if another == "storage" else "")
    text += make.config_text("b", layout="xprotect", more=more, head="") + '[identity]\nserver = "a"\n'
    with make.bench(tmp_path, text) as bench:
        roots = {name: bench.root(name) for name in ("a", "b")}
        place_of = {name: root / f"bank-{name}" for name, root in roots.items()}
        bench.root = place_of.__getitem__  # type: ignore[method-assign]
        at = laid(bench)
        home = roots["a"] if another == "bank" else tmp_path / "a" / "archive"
        archive = Recorder(home / "old", tag="ARCHIVE")
        at.importer().run(at.choice(), Gate())
        for name in [row.path.split("/")[1] for row in at.rows(beside=False)]:
            moved = archive.bank / at.a.archive(name, archive)
            if how == "copied":
                shutil.copytree(moved, tmp_path / "copy")
                shutil.rmtree(moved)
                (tmp_path / "copy").rename(moved)
        if lost:
            with bench.ledger.writing() as connection:
                for storage in bench.site.of("a"):
                    bench.ledger.segments.forget_storage(connection, storage.id)
        bench.scan()
        found = at.rows(beside=False)
        assert [("ARCHIVE" in row.path, row.origin) for row in found] == [(True, "b")] * 2


# What fails half way: the recorder runs again, and somebody is told


def test_the_recorder_runs_again_although_the_journal_cannot_be_written(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, side = make.tree(at.a.bank), make.tree(at.side)
    real = Journal.note

    def full(self: Journal, entry: Any) -> None:
        if entry.step is not Step.BEGAN:
            raise ImportNotWritten("imports.jsonl", "No space left on device")
        real(self, entry)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "note", full)
        with pytest.raises(ImportHalfDone, match="running"):
            at.importer().run(at.choice(), Gate())
    assert at.service.log == ["stop", "start"]
    at.is_as_before(bank, side)
    at.importer().undo()
    at.is_as_before(bank, side)


def test_the_recorder_runs_again_although_the_ledger_is_gone(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    bank, side = make.tree(at.a.bank), make.tree(at.side)
    with monkeypatch.context() as patched:
        broken(patched, at.bench.ledger.segments, "land", LedgerUnreachable("postgresql://x", "no route"))
        with pytest.raises(ImportHalfDone, match="no route"):
            at.importer().run(at.choice(), Gate())
        assert at.service.log == ["stop", "start"]
    assert make.tree(at.a.bank) == bank
    at.importer().undo()
    at.is_as_before(make.tree(at.a.bank), side)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), RuntimeError("a defect")])
def test_the_recorder_runs_again_whatever_failed(
    at: Desk, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    bank, side = make.tree(at.a.bank), make.tree(at.side)
    with monkeypatch.context() as patched:
        broken(patched, importing, "carry_in", error)
        with pytest.raises((OperatorError, RuntimeError)):
            at.importer().run(at.choice(), Gate())
    at.is_as_before(bank, side)


@pytest.mark.parametrize("name", ["publish", "set_aside"])
def test_taking_back_that_fails_lets_the_recorder_run_again_and_goes_on_later(
    at: Desk, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    side = make.tree(at.side)
    at.importer().run(at.choice(), Gate())
    with monkeypatch.context() as patched:
        owner = moving if name == "publish" else importing
        broken(patched, owner, name, OSError(errno.EIO, "Input/output error"), 2 if name == "publish" else 1)
        with pytest.raises(ImportHalfDone, match=r"Input/output error.*running"):
            at.importer().undo()
    assert at.service.state() is State.RUNNING
    at.importer().undo()
    at.is_as_before(make.tree(at.a.bank), side)


@pytest.mark.parametrize("had", [True, False], ids=["set aside", "none before"])
def test_a_recorder_that_ran_with_the_tables_before_they_were_taken_back_makes_its_index_anew(
    at: Desk, had: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the journal says that it may be started; the operator, or the machine, started it."""
    if not had:
        (at.a.bank / "cache.xml").unlink()
    killed(at, monkeypatch, Step.STARTING)
    at.service.start()
    assert len(tables((at.a.bank / "cache.xml").read_bytes())) == 6
    at.importer().undo()
    names = {path.name for path in at.a.bank.glob("*_*_*")}
    assert len(names) == 4
    assert tables((at.a.bank / "cache.xml").read_bytes()).keys() == names


# Who writes there


def test_one_that_writes_in_another_bank_of_the_storage_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk_of_banks(tmp_path, monkeypatch) as at:
        found = at.choice()
        only = Choice(moves=[one for one in found.moves if one.path.startswith("archive/")])
        assert only.moves
        importer = at.importer()
        live = at.a.bank / FRONT / MEDIA / "block0.blk"
        importer._pause = lambda _: live.open("ab").write(b"x") and None  # type: ignore[assignment]
        with pytest.raises(RecorderWrites, match="block0"):
            importer.run(only, Gate())


def test_one_that_closes_its_live_table_is_noticed(at: Desk) -> None:
    importer = at.importer()
    live = at.a.bank / FRONT
    importer._pause = lambda _: live.rename(f"{live}_LOCAL_2026-11-22_07-00-00") and None  # type: ignore[assignment]
    with pytest.raises(RecorderWrites):
        importer.run(at.choice(), Gate())


def test_index_files_that_were_set_aside_are_never_replaced(at: Desk) -> None:
    """Not even where a clock that was set back gives two imports one beginning."""
    first = at.importer().run(at.choice(), Gate())
    at.importer().undo()
    kept = make.tree(Path(first.aside[0].place))
    at.bench.now = standing_began = Journal(place(at)).entries()[0].began
    second = at.importer().run(at.choice(), Gate())
    assert make.tree(Path(first.aside[0].place)) == kept
    assert second.aside[0].place != first.aside[0].place
    entry = standing(place(at), "a")
    assert entry is not None and entry.began == standing_began


def test_a_recorder_that_was_left_stopped_is_in_the_exit_status(known: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    config = known.bench.base / "recorder-sync.toml"
    config.write_text(imports.CONFIG)
    monkeypatch.setattr(cli, "driver", lambda _: known.service)
    asked = cli.Asked(since=None, until=None, cameras=[], undo=False, dry_run=False, yes=True, scan_first=False)
    free, taken = IdentityMessage(id=NEW), IdentityMessage(holds=OWN)
    monkeypatch.setattr(cli, "clients", lambda *_: [Peer(free, taken)])
    assert cli.run(config, asked, as_json=True) == EXIT_FOUND
    assert known.service.state() is State.STOPPED
    known.service.start()
    monkeypatch.setattr(cli, "clients", lambda *_: [Peer(free)])
    assert cli.run(config, replace(asked, undo=True), as_json=True) == EXIT_DONE
    assert cli.run(config, asked, as_json=True) == EXIT_DONE


def test_a_journal_that_cannot_be_relied_on_is_told_of_with_what_to_do(at: Desk) -> None:
    folder = at.bench.settings.identity.folder
    assert problems(folder, ["a", "b"]) == []
    at.importer().run(at.choice(), Gate())
    assert problems(folder, ["a", "b"]) == []
    path = Path(place(at).path("imports.jsonl"))
    path.write_bytes(path.read_bytes().replace(b"began", b"begun", 1))
    [(said, hint), _] = problems(folder, ["a", "b"])
    assert "is damaged" in said and "set it aside" in hint and "--undo" not in hint


def test_only_the_import_that_the_operator_saw_is_taken_back(at: Desk) -> None:
    """Another one began while the question was on the screen."""
    first, second = at.choice().moves
    at.importer().run(Choice(moves=[first]), Gate())
    seen = standing(place(at), "a")
    assert seen is not None
    at.bench.now += 1
    at.importer().run(Choice(moves=[second]), Gate())
    log = list(at.service.log)
    with pytest.raises(ImportUnsafe, match="another import"):
        at.importer().undo(seen.began)
    assert at.service.log == log and len(at.rows(beside=False)) == 2


def test_what_was_moved_and_not_told_yet_is_not_said_to_be_deleted(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        broken(patched, moving, "_record", Cut())
        patched.setattr(importing.Importer, "_take_back_after", lambda *_: None)
        with pytest.raises(Cut):
            at.importer().run(at.choice(), Gate())
    app = App(at.bench.settings, at.bench.ledger, at.bench.site)
    options = ScanOptions(full=True)
    assert [type(one.error) for one in app.scan(options) if one.error is not None] == [ImportCutOff]
    with place(at).locked():
        assert [type(one.error) for one in app.scan(options) if one.error is not None] == [IdentityBusy]
    at.importer().undo()
    assert [one.error for one in app.scan(options) if one.error is not None] == []
