"""What came from a peer is never called the recorder's own (invariant 4), whatever became of the file or of the notes.

Each test does to a filled file what operators and disks do, takes one of the witnesses away, and asks whose it is.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from backfill.origins import Origin, OriginLog
from backfill.scan import scan
from backfill.scanned import ScanReport
from schema.spans import HOUR, SECOND
from schema.values import Segment, State
from tests import make
from tests.fault.checks import NEWEST_FIRST, ONE_BY_ONE, with_hole

FILLED = NEWEST_FIRST[0]
FOLDER = FILLED.rpartition("/")[0]

Benches = Callable[[str], AbstractContextManager[make.Bench]]


@pytest.fixture
def hole(benches: Benches) -> Iterator[make.Bench]:
    """`a` lacks a minute of what `b` has."""
    with benches(make.config_text("a", "b", head=ONE_BY_ONE)) as bench:
        yield with_hole(bench)


@pytest.fixture
def filled(hole: make.Bench) -> make.Bench:
    """`a` with a minute that was filled from `b`."""
    hole.fill("a")
    hole.scan()
    return hole


def row(bench: make.Bench, path: str) -> Segment:
    with bench.ledger.reading() as connection:
        found = bench.ledger.segments.by_path(connection, bench.site.storages[0].id, path)
    assert found is not None
    return found


def rebuild(bench: make.Bench) -> None:
    """Lose the ledger and read the storages anew."""
    with bench.ledger.writing() as connection:
        for storage in bench.site.storages:
            bench.ledger.segments.forget_storage(connection, storage.id)
    bench.scan()


def rejudge(bench: make.Bench) -> ScanReport:
    """Scan `a` with a rule changed that decides how names are read, so that every file is judged anew."""
    return scan(bench.ledger, replace(bench.site.storages[0], cameras={"other": "x"}), now=bench.clock)


def notes(bench: make.Bench) -> Path:
    [file] = (bench.base / "a").rglob("origins/*.jsonl")
    return file


@pytest.mark.parametrize("target", [f"{FOLDER}/01.37.mp4", "2026-11-22/15/front/01.15.mp4"])
def test_a_filled_file_that_was_renamed_is_still_the_peers_after_a_rebuild(filled: make.Bench, target: str) -> None:
    before = row(filled, FILLED)
    new = filled.root("a") / target
    new.parent.mkdir(parents=True, exist_ok=True)
    (filled.root("a") / FILLED).rename(new)
    assert filled.scan()[0].moved == 1
    followed = row(filled, target)
    assert (followed.origin, followed.digest) == ("b", before.digest)
    assert followed.end - followed.start == before.end - before.start
    rebuild(filled)
    again = row(filled, target)
    assert (again.origin, again.digest, again.span) == (followed.origin, followed.digest, followed.span)


def test_a_filled_file_that_took_another_ones_name_is_still_the_peers(filled: make.Bench) -> None:
    """Its new name was known before, so it is a changed row and no new one; and its old name is taken again."""
    root = filled.root("a")
    own = make.frigate_path("front", make.T0 + 100 * SECOND)
    (root / FILLED).rename(root / own)
    make.put(root, FILLED, make.mp4(10, seed=50), make.T0 + 105 * SECOND)
    report = filled.scan()[0]
    assert (report.moved, report.deleted) == (1, 0)
    assert (row(filled, own).origin, row(filled, FILLED).origin) == ("b", None)
    rebuild(filled)
    assert (row(filled, own).origin, row(filled, FILLED).origin) == ("b", None)


def test_a_move_whose_note_cannot_be_written_is_said(filled: make.Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("backfill.origins.OriginLog.append", full)
    (filled.root("a") / FILLED).rename(filled.root("a") / FOLDER / "01.37.mp4")
    report = filled.scan()[0]
    assert [note for note in report.notes if FILLED in note and "ledger alone" in note]
    assert row(filled, f"{FOLDER}/01.37.mp4").origin == "b"


def test_a_damaged_note_is_outvoted_by_the_ledger(filled: make.Bench) -> None:
    before = row(filled, FILLED)
    notes(filled).write_text("damaged\n")
    rejudge(filled)
    assert row(filled, FILLED) == before


@pytest.mark.parametrize("witness", ["notes and ledger", "notes", "ledger"])
def test_a_touched_file_is_known_by_its_content(filled: make.Bench, witness: str) -> None:
    before = row(filled, FILLED)
    os.utime(filled.root("a") / FILLED, ns=((filled.now - HOUR) * 1000,) * 2)
    if witness == "ledger":
        notes(filled).write_text("damaged\n")
    if witness == "notes":
        rebuild(filled)
    else:
        filled.scan(full=True)
    after = row(filled, FILLED)
    assert (after.origin, after.digest, after.span) == ("b", before.digest, before.span)


def test_a_file_touched_just_now_is_not_final_and_still_known_when_it_is(filled: make.Bench) -> None:
    notes(filled).write_text("damaged\n")
    os.utime(filled.root("a") / FILLED, ns=(filled.now * 1000,) * 2)
    filled.scan(full=True)
    assert row(filled, FILLED).state is State.OPEN
    filled.now += HOUR
    filled.scan()
    assert (row(filled, FILLED).state, row(filled, FILLED).origin) == (State.SEALED, "b")


def test_files_restored_without_their_times_are_known(filled: make.Bench) -> None:
    for path in NEWEST_FIRST:
        file = filled.root("a") / path
        content = file.read_bytes()
        file.unlink()
        make.put(filled.root("a"), path, content, filled.now - HOUR)
    rebuild(filled)
    assert {row(filled, path).origin for path in NEWEST_FIRST} == {"b"}


def test_other_content_of_the_same_size_is_the_recorders_own(filled: make.Bench) -> None:
    file = filled.root("a") / FILLED
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    make.put(filled.root("a"), FILLED, bytes(content), filled.now - HOUR)
    filled.scan(full=True)
    assert row(filled, FILLED).origin is None
    rebuild(filled)
    assert row(filled, FILLED).origin is None


def test_a_file_that_must_be_compared_and_cannot_be_read_stays_what_it_was(
    filled: make.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = row(filled, FILLED)
    os.utime(filled.root("a") / FILLED, ns=((filled.now - HOUR) * 1000,) * 2)

    def broken(*_: object) -> int:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr("backfill.filled.open_beneath", broken)
    report = filled.scan(full=True)[0]
    assert report.foreign == [(FILLED, "cannot be read: Input/output error")]
    assert row(filled, FILLED) == before
    monkeypatch.undo()
    filled.scan(full=True)
    assert row(filled, FILLED).mtime_ns != before.mtime_ns
    assert row(filled, FILLED).origin == "b"


def test_notes_that_were_added_meanwhile_are_read(tmp_path: Path) -> None:
    """A scan asks for hours; a fill in another process lands meanwhile."""
    reading, writing = OriginLog(str(tmp_path)), OriginLog(str(tmp_path))

    def note(second: int) -> Origin:
        start = make.T0 + second * SECOND
        return Origin(
            path=make.frigate_path("front", start),
            server="b",
            camera="front",
            start=start,
            end=start + 10 * SECOND,
            size=1000,
            mtime_ns=start * 1000,
            digest="00" * 16,
            source_path="x",
            landed=make.LATER,
        )

    for one in (note(0), note(10), note(20)):
        assert reading.find(one.path, one.start, one.size, one.mtime_ns) is None
        writing.append([one])
        assert reading.find(one.path, one.start, one.size, one.mtime_ns) == one
