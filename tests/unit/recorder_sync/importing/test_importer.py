"""Importing into a stopped recorder's bank and taking it back: in which order, and what is left when a step fails."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import backfill.importing.move as moving
import recorder_sync.importing.importer as importing
from backfill.gate import Gate
from backfill.layouts.xprotect.cache import tables
from backfill.repair import Repair
from backfill.verify import verify
from recorder_sync.identity.drivers import State
from recorder_sync.identity.learn import tell
from recorder_sync.importing.journal import Step, standing
from schema.errors import (
    ImportCutOff,
    ImportFailed,
    ImportHalfDone,
    ImportNotesDamaged,
    ImportNotMade,
    ImportUnsafe,
    Interrupted,
    OperatorError,
    PeerUnreachable,
    RecorderServiceStuck,
    RecorderWrites,
    UnknownName,
)
from schema.identity import IdentityRules
from schema.wire import IdentityMessage
from tests import make
from tests.faults import rot
from tests.identities import NEW, OWN
from tests.imports import Desk, Peer, desk_of_banks, place, steps
from tests.xprotect import FRONT, MEDIA


def names(at: Desk) -> set[str]:
    """Return the closed tables in the bank."""
    return {path.name for path in at.a.bank.glob("*_*_*")}


def test_tables_move_in_while_the_service_is_stopped_and_the_recorder_tells_of_them(at: Desk) -> None:
    bank, before = make.tree(at.a.bank), names(at)
    brought = {path: content for path, content in make.tree(at.side).items() if path != "cache.xml"}
    outcome = at.importer().run(at.choice(), Gate())
    assert at.service.log == ["stop", "start"]
    stopped = "it is stopped: the recorder records nothing"
    assert at.said == ["stopping the service", stopped, "starting the service", "it runs"]
    assert (outcome.service, len(outcome.moved), outcome.told, outcome.notes) == (State.RUNNING, 2, 2, ())
    after = make.tree(at.a.bank)
    assert {path: after[path] for path in brought} == brought, "bit for bit what was fetched"
    untouched = {path: content for path, content in bank.items() if path != "cache.xml"}
    assert {path: after[path] for path in untouched} == untouched, "nothing of the recorder's own changed"
    assert set(after) == {*bank, *brought}
    [aside] = outcome.aside
    assert Path(aside.place, "cache.xml").read_bytes() == bank["cache.xml"], "its index is kept as it was"
    assert len(names(at) - before) == 2 and set(tables(after["cache.xml"])) == names(at)
    assert steps(at) == [Step.BEGAN, Step.MOVING, Step.STARTING, Step.DONE]


def test_what_was_imported_is_filled_and_nobody_elses_own(at: Desk) -> None:
    at.importer().run(at.choice(), Gate())
    for scan in ({}, {"full": True}):
        at.bench.scan(**scan)
        assert at.bench.states("a", FRONT) == [("filled", 7200, 14400)]
        rows = at.rows(beside=False)
        assert {row.origin for row in rows} == {"b"} and not at.rows(beside=True)
        assert all(row.digest is not None for row in rows)
        with at.bench.ledger.reading() as connection:
            assert all(at.bench.ledger.segments.manifest(connection, row) for row in rows), "each chunk's digest, too"
    report = verify(at.bench.ledger, list(at.bench.site.storages), chunk_size=65536, gate=Gate())
    assert not report.damage
    assert at.bench.fill("a").sent == 0
    assert set(tables((at.side / "cache.xml").read_bytes())) == set(), "the index beside tells of what is there"


def test_its_origin_survives_the_loss_of_the_ledger(at: Desk) -> None:
    at.importer().run(at.choice(), Gate())
    with at.bench.ledger.writing() as connection:
        for storage in at.bench.site.of("a"):
            at.bench.ledger.segments.forget_storage(connection, storage.id)
    at.bench.scan()
    assert [row.origin for row in at.rows(beside=False)] == ["b", "b"]


def test_taken_back_it_is_as_it_was_and_the_recorder_makes_its_index_anew(at: Desk) -> None:
    bank, side = make.tree(at.a.bank), make.tree(at.side)
    at.importer().run(at.choice(), Gate())
    outcome = at.importer().undo()
    assert (len(outcome.moved), outcome.stayed, at.service.log) == (2, (), ["stop", "start"] * 2)
    assert outcome.notes == ()
    assert tables(make.tree(at.a.bank)["cache.xml"]).keys() == names(at)
    now = make.tree(at.a.bank)
    assert {path: now[path] for path in now if path != "cache.xml"} == {
        path: bank[path] for path in bank if path != "cache.xml"
    }
    at.is_as_before(now, side)
    at.bench.scan(full=True)
    at.is_as_before(now, side)
    with pytest.raises(ImportNotMade):
        at.importer().undo()


def test_the_latest_import_is_taken_back_first(at: Desk) -> None:
    choice = at.choice()
    first, second = choice.moves
    for move in (first, second):
        at.bench.now += 1
        found = at.choice()
        at.importer().run(type(found)(moves=[one for one in found.moves if one.segment == move.segment]), Gate())
    assert [at.importer().undo().moved[0].segment.path for _ in range(2)] == [second.segment.path, first.segment.path]


def test_a_recorder_that_is_stopped_stays_so(at: Desk) -> None:
    at.service.stop()
    at.service.log.clear()
    outcome = at.importer().run(at.choice(), Gate())
    assert (outcome.service, outcome.told, at.service.log) == (State.STOPPED, 0, [])
    at.importer().undo()
    assert at.service.state() is State.STOPPED and at.service.log == []


def test_what_is_no_longer_what_was_fetched_stays_where_it_is(at: Desk) -> None:
    [first, _] = at.choice().moves
    block = at.side / first.segment.path / MEDIA / "block0.blk"
    rot(block)
    outcome = at.importer().run(at.choice(), Gate())
    assert len(outcome.moved) == 1
    assert [one.segment.path for one in outcome.left] == [first.segment.path]
    assert "not bit for bit what was fetched" in outcome.left[0].why


def test_somebody_who_still_writes_there_is_not_that_stopped_recorder(at: Desk) -> None:
    bank, side = make.tree(at.a.bank), make.tree(at.side)
    importer = at.importer()
    live = at.a.bank / FRONT / MEDIA / "block0.blk"
    importer._pause = lambda _: live.open("ab").write(b"x") and None  # type: ignore[assignment]
    with pytest.raises(RecorderWrites, match="block0"):
        importer.run(at.choice(), Gate())
    bank[f"{FRONT}/{MEDIA}/block0.blk"] += b"x"
    at.is_as_before(bank, side)
    assert at.service.log == ["stop", "start"]


@pytest.mark.parametrize(("verb", "log"), [("stop", []), ("start", ["stop"])])
def test_a_service_that_does_not_obey(at: Desk, verb: str, log: list[str]) -> None:
    bank, side = make.tree(at.a.bank), make.tree(at.side)
    at.service.fails = {verb}
    with pytest.raises(RecorderServiceStuck if verb == "stop" else ImportHalfDone) as failed:
        at.importer().run(at.choice(), Gate())
    assert at.service.log == log and str(failed.value).count(f"did not {verb}") == 1, "said once"
    at.service.fails = set()
    if verb == "start":
        with pytest.raises(ImportCutOff):
            at.importer().run(at.choice(), Gate())
        at.importer().undo()
        del bank["cache.xml"]  # it may have run with the tables: its index is made anew
        now = make.tree(at.a.bank)
        now.pop("cache.xml")
        assert now == bank
        at.is_as_before(make.tree(at.a.bank), side)
    else:
        at.is_as_before(bank, side)


@pytest.mark.parametrize("failing", ["publish", "set_aside", "carry_in"])
def test_what_fails_half_way_is_taken_back(at: Desk, failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bank, side = make.tree(at.a.bank), make.tree(at.side)
    owner = moving if failing == "publish" else importing
    real: Callable[..., object] = getattr(owner, failing)
    calls = 0

    def broken(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if (failing == "publish" and calls == 2) or (failing != "publish" and calls == 1):
            if failing != "publish":
                real(*arguments)
            raise OSError(5, "Input/output error")
        return real(*arguments)

    monkeypatch.setattr(owner, failing, broken)
    with pytest.raises(ImportFailed, match="Input/output"):
        at.importer().run(at.choice(), Gate())
    at.is_as_before(bank, side)
    assert steps(at)[-1] is Step.RETURNED
    monkeypatch.undo()


def test_ctrl_c_while_the_service_stops(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    bank, side = make.tree(at.a.bank), make.tree(at.side)
    gate, real = Gate(), at.service.stop
    monkeypatch.setattr(at.service, "stop", lambda: (real(), gate.stop()))
    with pytest.raises(Interrupted):
        at.importer().run(at.choice(), gate)
    at.is_as_before(bank, side)


def test_killed_before_anything_was_moved_nothing_is_said_to_be_taken_out(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, side = make.tree(at.a.bank), make.tree(at.side)
    real = at.service.stop

    def killed() -> None:
        real()
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(at.service, "stop", killed)
        patch.setattr(importing.Importer, "_take_back_after", lambda *_: None)  # as who is killed does
        with pytest.raises(SystemExit):
            at.importer().run(at.choice(), Gate())
    assert at.service.state() is State.STOPPED
    assert at.importer().undo().moved == ()
    at.is_as_before(bank, side)


@pytest.mark.parametrize("runs", [True, False], ids=["runs", "stopped again"])
def test_killed_and_started_by_hand_the_recorder_is_not_left_with_an_index_of_what_is_gone(
    at: Desk, runs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = names(at), importing.set_aside

    def killed(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(importing, "set_aside", killed)
        patch.setattr(importing.Importer, "_take_back_after", lambda *_: None)
        with pytest.raises(SystemExit):
            at.importer().run(at.choice(), Gate())
    at.service.start()
    assert len(tables((at.a.bank / "cache.xml").read_bytes())) == len(before) + 2
    if not runs:
        at.service.stop()
    at.importer().undo()
    assert names(at) == before == set(tables((at.a.bank / "cache.xml").read_bytes()))


def test_a_name_that_was_taken_meanwhile_is_not_replaced(at: Desk) -> None:
    choice = at.choice()
    (at.a.bank / choice.moves[1].path).mkdir()
    bank, side = make.tree(at.a.bank), make.tree(at.side)
    with pytest.raises(ImportFailed):
        at.importer().run(choice, Gate())
    at.is_as_before(bank, side)
    assert at.choice().moves[1].path != choice.moves[1].path, "the next free name, the next time"
    at.importer().run(at.choice(), Gate())


def test_what_the_recorder_changed_or_deleted_stays(at: Desk) -> None:
    at.importer().run(at.choice(), Gate())
    entry = standing(place(at), "a")
    assert entry is not None
    first, second = entry.moves
    (at.a.bank / first.path / "config.xml").write_text("longer than it was")
    shutil.rmtree(at.a.bank / second.path)
    outcome = at.importer().undo()
    assert outcome.moved == () and {one.move.path for one in outcome.stayed} == {first.path, second.path}
    assert {one.why for one in outcome.stayed} == {
        "the recorder changed it since",
        "it is not there any more: the recorder deleted or moved it",
    }
    assert (at.a.bank / first.path).is_dir(), "what the recorder changed is the recorder's"


@pytest.mark.parametrize(
    "answer", [IdentityMessage(holds=OWN), PeerUnreachable("nvr-x", "no route")], ids=["stands in", "silent"]
)
def test_not_while_a_peer_may_answer_with_its_id(known: Desk, answer: IdentityMessage | OperatorError) -> None:
    bank, side = make.tree(known.a.bank), make.tree(known.side)
    known.clients = [Peer(answer)]  # type: ignore[list-item]
    with pytest.raises(ImportUnsafe, match="nvr-x"):
        known.importer().run(known.choice(), Gate())
    assert known.service.log == [] and steps(known) == []
    known.is_as_before(bank, side)


def test_a_peer_that_took_the_id_meanwhile_keeps_the_recorder_stopped(known: Desk) -> None:
    free, taken = IdentityMessage(id=NEW), IdentityMessage(holds=OWN)
    known.clients = [Peer(free, taken)]  # type: ignore[list-item]
    outcome = known.importer().run(known.choice(), Gate())
    assert known.service.log == ["stop"] and outcome.service is State.STOPPED
    assert "left stopped: " in outcome.notes[0] and "nvr-x answers with its id" in outcome.notes[0]


def test_to_a_peer_it_counts_as_running_while_it_is_stopped_for_this(known: Desk) -> None:
    rules = known.bench.settings.identity
    seen: list[str] = []

    def state(_: IdentityRules) -> tuple[str, str]:
        return ("stopped", "") if known.service.state() is State.STOPPED else ("running", "")

    importer = known.importer()
    importer._pause = lambda _: seen.append(tell(rules, state).service)  # type: ignore[arg-type]
    importer.run(known.choice(), Gate())
    assert seen == ["running"]
    known.service.stop()
    assert tell(rules, state).service == "stopped"  # type: ignore[arg-type]


def test_a_damaged_journal_is_not_guessed_at(at: Desk) -> None:
    at.importer().run(at.choice(), Gate())
    path = Path(place(at).path("imports.jsonl"))
    path.write_bytes(path.read_bytes().replace(b"began", b"begun", 1))
    with pytest.raises(ImportNotesDamaged):
        at.importer().undo()


def test_a_storage_that_is_not_configured_any_more_is_named(at: Desk) -> None:
    at.importer().run(at.choice(), Gate())
    importer = at.importer()
    importer._stores.popitem()
    with pytest.raises(UnknownName, match="storage"):
        importer.undo()


def test_repair_does_not_touch_what_lies_in_a_bank(at: Desk) -> None:
    at.importer().run(at.choice(), Gate())
    row = at.rows(beside=False)[0]
    block = at.a.bank / row.path / MEDIA / "block0.blk"
    rot(block)
    found = verify(at.bench.ledger, list(at.bench.site.storages), chunk_size=65536, gate=Gate()).damage
    plans = Repair(at.bench.ledger, at.bench.site, found).plans()
    assert not plans["a"].tasks and "imported" in plans["a"].refused[0].sentence


def test_several_banks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into the bank in which the recorder has its own tables of about that time, under that bank's tag."""
    with desk_of_banks(tmp_path, monkeypatch) as at:
        into = {move.path for move in at.choice().moves}
        assert {path.split("/")[0] for path in into} == {"archive", "bank-a"}
        assert all(("_ARCHIVE_" in path) is path.startswith("archive/") for path in into)
