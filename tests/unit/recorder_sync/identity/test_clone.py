"""Giving an id and taking it back: in which order, how often one likes, and what is left when a step fails."""

import os
import threading
from pathlib import Path

import msgspec
import pytest

from recorder_sync.identity.clone import Result
from recorder_sync.identity.interlock import Verdict
from recorder_sync.identity.journal import NAME, Journal, Step
from recorder_sync.identity.vault import Known
from schema.errors import (
    IdentityBusy,
    IdentityChanged,
    IdentityHalfDone,
    IdentityNotesDamaged,
    IdentityNotTaken,
    IdentityNotWritten,
    IdentityRefused,
    RecorderFileInvalid,
    RecorderServiceStuck,
    UsageInvalid,
)
from tests.identities import AFTER, BEFORE, NEW, OWN, WANTED, Bench, allowed, in_turn, refused


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def steps(bench: Bench) -> list[Step]:
    return [entry.step for entry in Journal(bench.place).entries()]


def test_the_id_is_taken_while_the_service_is_stopped_and_given_back(bench: Bench) -> None:
    outcome = bench.cloner().clone(WANTED, allowed)
    assert (outcome.result, outcome.own, outcome.now) == (Result.CLONED, OWN, NEW)
    assert bench.path.read_bytes() == AFTER
    assert bench.driver.log == ["stop with OWN", "start with NEW"]
    assert Path(outcome.backup).read_bytes() == BEFORE
    undone = bench.cloner().undo()
    assert (undone.result, undone.now) == (Result.RETURNED, OWN)
    assert bench.driver.log[2:] == ["stop with NEW", "start with OWN"]
    assert steps(bench) == [Step.BEGAN, Step.TAKEN, Step.RETURNING, Step.RETURNED]
    bench.is_as_before()


def test_twice_is_once(bench: Bench) -> None:
    bench.cloner().clone(WANTED, allowed)
    info = bench.path.stat()
    outcome = bench.cloner().clone(WANTED, refused)
    assert outcome.result is Result.ALREADY
    assert (bench.path.stat().st_ino, bench.path.stat().st_mtime_ns) == (info.st_ino, info.st_mtime_ns)
    assert len(bench.driver.log) == 2
    bench.cloner().undo()
    with pytest.raises(IdentityNotTaken):
        bench.cloner().undo()
    bench.is_as_before()


def test_again_after_undo(bench: Bench) -> None:
    for _ in range(3):
        bench.cloner().clone(WANTED, allowed)
        assert bench.path.read_bytes() == AFTER
        bench.cloner().undo()
        bench.is_as_before()


def test_who_may_be_alive_is_not_cloned_and_nothing_is_touched(bench: Bench) -> None:
    with pytest.raises(IdentityRefused, match="it answers"):
        bench.cloner().clone(WANTED, refused)
    assert bench.driver.log == []
    assert steps(bench) == []
    bench.is_as_before()


def test_who_comes_back_meanwhile_finds_its_id_free(bench: Bench) -> None:
    with pytest.raises(IdentityRefused):
        bench.cloner().clone(WANTED, in_turn(allowed(), refused()))
    assert bench.driver.log == ["stop with OWN", "start with OWN"]
    assert steps(bench)[-1] is Step.RETURNED
    bench.is_as_before()


def test_what_did_not_run_before_does_not_run_after(bench: Bench) -> None:
    bench.note.write_text("stopped")
    bench.cloner().clone(WANTED, allowed)
    assert (bench.path.read_bytes(), bench.note.read_text()) == (AFTER, "stopped")
    bench.cloner().undo()
    bench.is_as_before(state="stopped")
    assert bench.driver.log == []


def test_what_an_operator_vouched_for_is_said(bench: Bench) -> None:
    outcome = bench.cloner().clone(WANTED, lambda: Verdict(True, "the operator vouches for it", forced=True))
    assert outcome.notes == ("the operator vouches for it",)
    assert Journal(bench.place).entries()[0].note == "the operator vouches for it"


@pytest.mark.parametrize("what", ["stop", "start"])
def test_a_service_that_does_not_obey_leaves_its_own_id(bench: Bench, what: str) -> None:
    bench.driver.fails = {what}
    if what == "start":
        with pytest.raises(IdentityHalfDone, match="and then"):
            bench.cloner().clone(WANTED, allowed)
        bench.is_as_before(state="stopped")
        bench.driver.fails = set()
        bench.cloner().undo()
    else:
        with pytest.raises(RecorderServiceStuck):
            bench.cloner().clone(WANTED, allowed)
    bench.is_as_before()


def test_a_service_that_fails_once_is_put_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = type(bench.driver).start

    def once(self: object) -> None:
        monkeypatch.setattr(type(bench.driver), "start", real)
        raise RecorderServiceStuck("recorder", "start", "once")

    monkeypatch.setattr(type(bench.driver), "start", once)
    with pytest.raises(RecorderServiceStuck, match="once"):
        bench.cloner().clone(WANTED, allowed)
    bench.is_as_before()


def test_a_stop_by_the_operator_is_put_back(bench: Bench) -> None:
    def interrupted() -> Verdict:
        if bench.driver.log:
            raise KeyboardInterrupt
        return allowed()

    with pytest.raises(KeyboardInterrupt):
        bench.cloner().clone(WANTED, interrupted)
    bench.is_as_before()


def test_a_change_by_others_survives_the_return(bench: Bench) -> None:
    bench.cloner().clone(WANTED, allowed)
    bench.path.write_bytes(AFTER.replace(b"ms-1", b"ms-2"))
    outcome = bench.cloner().undo()
    assert "changed otherwise" in outcome.notes[0]
    bench.is_as_before(BEFORE.replace(b"ms-1", b"ms-2"))


def test_a_file_that_was_put_back_by_hand_can_be_cloned_again(bench: Bench) -> None:
    bench.cloner().clone(WANTED, allowed)
    bench.path.write_bytes(BEFORE)
    assert bench.cloner().clone(WANTED, allowed).result is Result.CLONED
    bench.cloner().undo()
    bench.is_as_before()


def test_an_id_that_nobody_here_gave_is_left_alone(bench: Bench) -> None:
    bench.cloner().clone(WANTED, allowed)
    other = AFTER.replace(NEW.encode(), b"11111111-1111-4111-8111-111111111111")
    bench.path.write_bytes(other)
    for act in (bench.cloner().undo, lambda: bench.cloner().clone(WANTED, allowed)):
        with pytest.raises(IdentityChanged, match="neither its own"):
            act()
    assert bench.path.read_bytes() == other


def test_a_second_identity_is_not_taken_on_top_of_the_first(bench: Bench) -> None:
    bench.cloner().clone(WANTED, allowed)
    other = Known(server="nvr-c", id="11111111-1111-4111-8111-111111111111", digest="", at=1, source="x")
    with pytest.raises(UsageInvalid, match="first use --undo"):
        bench.cloner().clone(other, allowed)
    assert bench.path.read_bytes() == AFTER


def test_twins_that_have_one_id_without_us_are_said(bench: Bench) -> None:
    outcome = bench.cloner().clone(msgspec.structs.replace(WANTED, id=OWN.upper()), refused)
    assert outcome.result is Result.ALREADY
    assert "must never run together" in outcome.notes[0]
    assert steps(bench) == []


def test_a_file_that_cannot_be_relied_on_is_not_touched(tmp_path: Path) -> None:
    broken = Bench(tmp_path, content=b"<recorderconfig><recorder>")
    with pytest.raises(RecorderFileInvalid):
        broken.cloner().clone(WANTED, allowed)
    assert broken.driver.log == []
    broken.is_as_before(b"<recorderconfig><recorder>")


def test_a_damaged_journal_stops_everything(bench: Bench) -> None:
    bench.cloner().clone(WANTED, allowed)
    journal = bench.base / "identity" / NAME
    journal.write_bytes(journal.read_bytes().replace(b"nvr-a", b"nvr-b", 1))
    for act in (bench.cloner().undo, lambda: bench.cloner().clone(WANTED, allowed)):
        with pytest.raises(IdentityNotesDamaged, match="line 1"):
            act()
    assert bench.path.read_bytes() == AFTER


def test_a_line_that_was_cut_off_counts_as_not_written(bench: Bench) -> None:
    bench.cloner().clone(WANTED, allowed)
    journal = bench.base / "identity" / NAME
    whole = journal.read_bytes()
    for cut in range(whole.index(b"\n") + 1, len(whole)):
        journal.write_bytes(whole[:cut])
        assert steps(bench) == [Step.BEGAN]
    bench.cloner().undo()
    assert steps(bench) == [Step.BEGAN, Step.RETURNING, Step.RETURNED]
    bench.is_as_before()


def test_one_at_a_time(bench: Bench) -> None:
    with bench.place.locked(), pytest.raises(IdentityBusy):
        bench.cloner().clone(WANTED, allowed)
    bench.is_as_before()


def test_many_at_once_end_with_one_clone(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    results: list[str] = []

    def work() -> None:
        try:
            results.append(Bench(tmp_path).cloner().clone(WANTED, allowed).result.value)
        except IdentityBusy:
            results.append("kept out")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count("cloned") == 1
    assert set(results) <= {"cloned", "already", "kept out"}
    assert steps(bench) == [Step.BEGAN, Step.TAKEN]
    bench.cloner().undo()
    bench.is_as_before()


def test_rights_owner_and_access_list_are_kept(bench: Bench) -> None:
    os.chmod(bench.path, 0o640)
    if os.geteuid() == 0:
        os.chown(bench.path, 1234, 4321)
    # version 2; owner rw-, user 77 r--, group r--, mask rw-, others ---
    entries = [(1, 6, -1), (2, 4, 77), (4, 4, -1), (16, 6, -1), (32, 0, -1)]
    acl = b"\x02\0\0\0" + b"".join(
        tag.to_bytes(2, "little") + rights.to_bytes(2, "little") + (who & 0xFFFFFFFF).to_bytes(4, "little")
        for tag, rights, who in entries
    )
    try:
        os.setxattr(bench.path, "user.note", b"kept")
        os.setxattr(bench.path, "system.posix_acl_access", acl)
    except OSError as error:
        pytest.skip(f"this file system has no access lists: {error.strerror}")
    before = rights_of(bench.path)
    bench.cloner().clone(WANTED, allowed)
    assert rights_of(bench.path) == before
    bench.cloner().undo()
    assert rights_of(bench.path) == before


def rights_of(path: Path) -> tuple[object, ...]:
    info = path.stat()
    return info.st_mode, info.st_uid, info.st_gid, {name: os.getxattr(path, name) for name in os.listxattr(path)}


def test_rights_that_cannot_be_kept_keep_the_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", forbidden)
    monkeypatch.setattr(os, "setxattr", forbidden)
    monkeypatch.setattr(os, "chmod", forbidden)
    with pytest.raises(IdentityNotWritten, match="not permitted"):
        bench.cloner().clone(WANTED, allowed)
    bench.is_as_before()


def test_a_link_to_the_file_stays_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    real = tmp_path / "real.xml"
    bench.path.rename(real)
    bench.path.symlink_to(real)
    bench.cloner().clone(WANTED, allowed)
    assert bench.path.is_symlink()
    assert real.read_bytes() == AFTER


def test_a_file_of_two_names_is_refused(bench: Bench) -> None:
    os.link(bench.path, bench.base / "other")
    with pytest.raises(IdentityNotWritten, match="more than one name"):
        bench.cloner().clone(WANTED, allowed)
    bench.is_as_before()


def test_a_file_that_changes_at_the_last_moment_is_kept(bench: Bench) -> None:
    changed = BEFORE.replace(b"ms-1", b"ms-9")

    class Late(type(bench.system)):  # type: ignore[misc]
        def keep_rights(self, new: str, old: str) -> None:
            super().keep_rights(new, old)
            bench.path.write_bytes(changed)

    bench.system = Late()
    with pytest.raises(IdentityChanged, match="while its id was to be changed"):
        bench.cloner().clone(WANTED, allowed)
    bench.is_as_before(changed)


def test_a_trap_at_the_name_beside_is_not_followed(bench: Bench) -> None:
    victim = bench.base / "victim"
    victim.write_text("whole")
    (bench.path.parent / "RecorderConfig.xml.recorder-sync-new").symlink_to(victim)
    bench.cloner().clone(WANTED, allowed)
    assert victim.read_text() == "whole"
    assert not bench.path.is_symlink()
    assert bench.path.read_bytes() == AFTER


def test_the_notes_are_for_their_owner_alone(bench: Bench) -> None:
    bench.cloner().clone(WANTED, allowed)
    assert (bench.base / "identity").stat().st_mode & 0o077 == 0
