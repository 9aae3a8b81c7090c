"""Repairing damaged copies while the source is gone, or rotten, and the recorder writes.

What must hold: a damaged copy gives way only to a good one that is here already, nothing that a recorder wrote moves,
nothing but what is damaged is fetched, and whatever was not repaired is named with its reason.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import pytest

from backfill.gate import Gate
from backfill.progress import Listener, SegmentStarted, nobody
from backfill.repair import Repair, _forget, set_aside
from backfill.storage import Storage
from backfill.verify import Damage, verify
from schema.documents import VerifyDocument
from schema.ledger import Ledger
from schema.values import FillResult, Refusal, Segment
from tests import make
from tests.fault.checks import (
    MISSING,
    NEWEST_FIRST,
    ONE_BY_ONE,
    SIZE,
    false_claims,
    fingerprint,
    record_both,
    spoil,
    with_hole,
)
from tests.fault.test_fill_disk import immutable
from tests.faults import as_root, record_table, rot, table_path, with_tables

Benches = Callable[[str], AbstractContextManager[make.Bench]]
Cli = Callable[..., subprocess.CompletedProcess[str]]

CONFIG = make.config_text("a", "b", head=ONE_BY_ONE)
VICTIM, OTHER = NEWEST_FIRST[0], NEWEST_FIRST[3]


@pytest.fixture
def filled(benches: Benches) -> Iterator[make.Bench]:
    """`a` with the minute that `b` gave it. Whatever a test does, the ledger claims nothing that is not there."""
    with benches(CONFIG) as bench:
        with_hole(bench)
        assert len(bench.fill("a").landed) == len(MISSING)
        bench.scan()
        yield bench
        rotten = "has another content"  # what could not be repaired stays
        found = [one for one in false_claims(bench.ledger, bench.site.storages[0]) if not one.endswith(rotten)]
        assert found == []


def damage(bench: make.Bench) -> list[Damage]:
    return verify(bench.ledger, bench.site.of("a"), chunk_size=64 * 1024, gate=Gate()).damage


def repair(bench: make.Bench, found: list[Damage], listener: Listener = nobody) -> tuple[Repair, FillResult]:
    """Repair what was found on `a`, as the command does."""
    wanted = Repair(bench.ledger, bench.site, found)
    [planned] = wanted.plans().values()
    result = bench.fill("a", planned, listener=listener, make_room=wanted.make_room)
    wanted.note(result)
    return wanted, result


def quarantined(bench: make.Bench) -> list[Path]:
    return [path for path in (bench.base / "a").rglob("quarantine/**/*") if path.is_file()]


def copy(bench: make.Bench, path: str) -> tuple[int, str]:
    return bench.site.storages[0].id, path


def test_a_good_copy_takes_the_place_of_a_damaged_one_and_nothing_else_is_fetched(filled: make.Bench) -> None:
    """Neither the rest of the day nor another camera, however much they lack."""
    record_both(filled.root("a"), filled.root("b"), camera="yard")
    filled.scan()
    before = fingerprint(filled.root("a"))
    good = rot(filled.root("a") / VICTIM)
    wanted, result = repair(filled, damage(filled))
    assert [one.path for one in result.landed] == [VICTIM]
    assert result.sent == SIZE
    assert wanted.repaired == {copy(filled, VICTIM)}
    assert (filled.root("a") / VICTIM).read_bytes() == good
    [aside] = quarantined(filled)
    assert aside.read_bytes() != good
    after = fingerprint(filled.root("a"))
    assert {path: what for path, what in after.items() if path != VICTIM} == {
        path: what for path, what in before.items() if path != VICTIM
    }
    assert damage(filled) == []
    filled.scan(full=True)
    assert filled.fill("a", filled.plan("a", cameras={"front"})).sent == 0


def test_while_the_good_copy_is_on_its_way_the_damaged_one_can_be_played(filled: make.Bench) -> None:
    rot(filled.root("a") / VICTIM)
    there: list[bool] = []
    repair(filled, damage(filled), lambda event: there.append((filled.root("a") / VICTIM).exists()))
    assert len(there) > 4 and all(there)


def test_once_the_source_is_gone_the_damaged_copy_stays(filled: make.Bench) -> None:
    rot(filled.root("a") / VICTIM)
    (filled.root("b") / VICTIM).unlink()
    before = fingerprint(filled.root("a"))
    wanted, result = repair(filled, damage(filled))  # nobody has scanned since
    assert [one.why for one in result.refused] == [Refusal.SOURCE_GONE]
    assert wanted.why_not == {copy(filled, VICTIM): result.refused[0].sentence}
    filled.scan()
    wanted, result = repair(filled, damage(filled))
    assert [one.why for one in result.refused] == [Refusal.SOURCE_GONE]
    assert "the damaged copy stays" in wanted.why_not[copy(filled, VICTIM)]
    assert (fingerprint(filled.root("a")), quarantined(filled), wanted.repaired) == (before, [], set())


def test_a_source_that_fails_midway_leaves_the_damaged_copy(filled: make.Bench) -> None:
    rot(filled.root("a") / VICTIM)
    before = fingerprint(filled.root("a"))
    spoil(filled, "..e")
    _, result = repair(filled, damage(filled))
    assert [one.why for one in result.refused] == [Refusal.SOURCE_UNREADABLE]
    assert (fingerprint(filled.root("a")), quarantined(filled)) == (before, [])
    _, result = repair(filled, damage(filled))
    assert (len(result.landed), result.refused) == (1, ())


def test_a_source_that_is_not_what_it_was_either_does_not_replace_the_copy(filled: make.Bench) -> None:
    """Without a digest of its own at the source only the copy's tells that it rotted there too."""
    rot(filled.root("a") / VICTIM)
    rot(filled.root("b") / VICTIM)
    with filled.ledger.writing() as connection:
        filled.ledger.segments.forget_storage(connection, filled.site.storages[1].id)
    filled.scan()
    before = fingerprint(filled.root("a"))
    _, result = repair(filled, damage(filled))
    assert [one.why for one in result.refused] == [Refusal.SOURCE_DAMAGED]
    assert (fingerprint(filled.root("a")), quarantined(filled)) == (before, [])


def another(path: Path) -> None:
    """The recorder puts a file of its own there, of the same size and time."""
    when = path.stat().st_mtime_ns
    new = path.with_suffix(".new")
    new.write_bytes(make.mp4(10, SIZE, seed=99))
    os.utime(new, ns=(when, when))
    os.replace(new, path)


def test_what_the_recorder_wrote_under_that_name_is_never_moved(filled: make.Bench) -> None:
    """Before it is verified, and hours later between verifying and repairing."""
    rot(filled.root("a") / VICTIM)
    found = damage(filled)
    another(filled.root("a") / VICTIM)
    before = fingerprint(filled.root("a"))
    _, result = repair(filled, found)
    assert [one.why for one in result.refused] == [Refusal.CHANGED_HERE]
    assert (fingerprint(filled.root("a")), quarantined(filled)) == (before, [])
    assert [(one.kind, one.repairable) for one in damage(filled)] == [("changed", False)]
    filled.scan(full=True)


def test_what_the_recorder_writes_while_the_good_copy_is_fetched_is_never_moved(filled: make.Bench) -> None:
    rot(filled.root("a") / VICTIM)

    def write(event: object) -> None:
        if isinstance(event, SegmentStarted):
            another(filled.root("a") / VICTIM)

    _, result = repair(filled, damage(filled), write)
    assert [one.why for one in result.refused] == [Refusal.CHANGED_HERE]
    assert (filled.root("a") / VICTIM).read_bytes() == make.mp4(10, SIZE, seed=99)
    filled.scan(full=True)


def test_a_link_in_the_way_is_not_followed(filled: make.Bench) -> None:
    rot(filled.root("a") / VICTIM)
    found = damage(filled)
    folder = (filled.root("a") / VICTIM).parent
    folder.rename(filled.base / "moved")
    folder.symlink_to(filled.base / "moved")
    before = fingerprint(filled.base / "moved")
    _, result = repair(filled, found)
    assert result.landed == () and len(result.refused) == 1
    assert fingerprint(filled.base / "moved") == before
    folder.unlink()
    (filled.base / "moved").rename(folder)


def test_a_name_taken_in_the_last_moment_is_left_and_the_copy_counts_under_its_new_one(
    filled: make.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = rot(filled.root("a") / VICTIM)
    wanted = Repair(filled.ledger, filled.site, damage(filled))
    [planned] = wanted.plans().values()

    def and_the_recorder_is_faster(staged):  # type: ignore[no-untyped-def]
        refused = wanted.make_room(staged)
        make.put(filled.root("a"), VICTIM, b"the recorder's", make.T0)
        return refused

    result = filled.fill("a", planned, make_room=and_the_recorder_is_faster)
    wanted.note(result)
    [landed] = result.landed
    assert (landed.renamed, (filled.root("a") / landed.path).read_bytes()) == (True, good)
    assert (filled.root("a") / VICTIM).read_bytes() == b"the recorder's"
    assert wanted.repaired == {copy(filled, VICTIM)}
    filled.scan(full=True)


@as_root
def test_a_copy_that_cannot_be_moved_is_named_and_the_others_are_repaired(filled: make.Bench, cli: Cli) -> None:
    (filled.base / "recorder-sync.toml").write_text(CONFIG)
    rot(filled.root("a") / VICTIM)
    good = rot(filled.root("a") / OTHER)
    with immutable(filled.root("a") / VICTIM):
        done = cli("verify", "--repair", "--yes", "--json")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    said = {one.path: one for one in msgspec.json.decode(done.stdout, type=VerifyDocument).damage}
    assert (said[VICTIM].repaired, said[OTHER].repaired) == (False, True)
    assert "not permitted" in (said[VICTIM].not_repaired or "")
    assert said[OTHER].not_repaired is None
    assert (filled.root("a") / OTHER).read_bytes() == good
    assert (filled.root("a") / VICTIM).exists()
    assert {one.path for one in damage(filled)} == {VICTIM}, "it is still known, and known to be damaged"
    assert cli("verify", "--repair", "--yes").returncode == 0, "its good copy was waiting"


def test_the_command_names_what_is_missing_foreign_and_beyond_repair(filled: make.Bench, cli: Cli) -> None:
    (filled.base / "recorder-sync.toml").write_text(CONFIG)
    rot(filled.root("a") / VICTIM)
    (filled.root("b") / VICTIM).unlink()
    (filled.root("a") / OTHER).unlink()
    make.put(filled.root("a"), "2026-11-22/12/front/notes.txt", b"no recording", make.T0)
    done = cli("verify", "--repair", "--yes", "--json")
    assert done.returncode == 1, done.stderr
    found = msgspec.json.decode(done.stdout, type=VerifyDocument).damage
    assert {(one.server, one.kind, one.path) for one in found} == {
        ("a", "rot", VICTIM),
        ("a", "missing", OTHER),
        ("a", "foreign", "2026-11-22/12/front/notes.txt"),
        ("b", "missing", VICTIM),
    }
    assert next(one.not_repaired for one in found if one.kind == "rot")
    assert not any(one.repaired for one in found)
    assert (filled.root("a") / VICTIM).exists()
    shown = " ".join(cli("verify", "--repair", "--yes").stdout.split())
    assert "not repaired" in shown


def test_a_table_is_repaired_whole(pair: make.Bench) -> None:
    with_tables(pair)
    files = {"data.blk": b"a" * 3000, "below/index.idx": b"b" * 50}
    for second in (0, 60):
        record_table(pair.root("a"), second, files)
    for second in range(0, 70, 10):
        record_table(pair.root("b"), second, files)
    pair.scan()
    pair.fill("a")
    pair.scan()
    victim = pair.root("a") / table_path("front", 30)
    rot(victim / "below/index.idx")
    wanted, result = repair(pair, damage(pair))
    assert ([one.path for one in result.landed], result.refused) == ([table_path("front", 30)], ())
    assert make.tree(victim) == files
    assert len(wanted.repaired) == 1 and damage(pair) == []
    assert len(quarantined(pair)) == 2


def test_what_the_recorder_wrote_is_never_set_aside(filled: make.Bench) -> None:
    own = make.frigate_path("front", make.T0)
    verify(filled.ledger, filled.site.of("a"), chunk_size=64 * 1024, gate=Gate())
    rot(filled.root("a") / own)
    found = damage(filled)
    assert [(one.path, one.repairable) for one in found] == [(own, False)]
    assert Repair(filled.ledger, filled.site, found).plans() == {}
    with pytest.raises(ValueError, match="not a copy of ours"):
        set_aside(filled.ledger, found[0])


class Killed(BaseException):
    """As good as kill -9: nobody handles it."""


def killed(*_: object) -> None:
    raise Killed


def forgotten_and_killed(ledger: Ledger, storage: Storage, segment: Segment) -> None:
    _forget(ledger, storage, segment)
    raise Killed


@pytest.mark.parametrize("moved", [False, True])
def test_a_repair_that_is_killed_is_finished_by_the_next_ones(
    filled: make.Bench, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    """After the row is forgotten, or after the copy was moved: nothing then counts as deleted on purpose."""
    good = rot(filled.root("a") / VICTIM)
    wanted = Repair(filled.ledger, filled.site, damage(filled))
    [planned] = wanted.plans().values()
    with monkeypatch.context() as patched, pytest.raises(Killed):
        if moved:
            patched.setattr("backfill.landing.Lander.land", killed)
        else:
            patched.setattr("backfill.repair._forget", forgotten_and_killed)
        filled.fill("a", planned, make_room=wanted.make_room)
    assert (filled.root("a") / VICTIM).exists() is not moved
    filled.scan()
    if moved:
        result = filled.fill("a")
    else:
        assert [one.kind for one in damage(filled)] == ["rot"], "it was taken in again"
        _, result = repair(filled, damage(filled))
    assert [(filled.root("a") / one.path).read_bytes() for one in result.landed] == [good]
    assert result.sent == 0, "the good copy was waiting"
    assert {state for state, _, _ in filled.states("a")} == {"filled"}
