"""Banks of XProtect as a scan sees them: which tables count, with what span, and what is never touched.

The simulated recorder (`tests/xprotect.py`) writes what was measured. What must hold whatever it does: a live table is
neither opened nor listed, a table counts only when index and disk agree, and an index that is away for a moment turns
no coverage into a gap.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from backfill import sharing
from backfill.scanned import ScanReport
from schema.spans import HOUR, MINUTE, SECOND
from schema.values import Kind, Mark, Segment, State
from tests import make
from tests.make import T0, Bench
from tests.xprotect import FRONT, MEDIA, SMALL, YARD, Recorder, export, utc

Benches = Callable[[str], AbstractContextManager[Bench]]

ONE = make.config_text("a", layout="xprotect")


def options(**given: str) -> str:
    inside = ", ".join(f'{key} = "{value}"' for key, value in given.items())
    return make.config_text("a", layout="xprotect", more=f"options = {{ {inside} }}")


@pytest.fixture
def bench(benches: Benches) -> Iterator[Bench]:
    """One server with one bank."""
    with benches(ONE) as bench:
        yield bench


def rows(bench: Bench) -> dict[str, Segment]:
    """Return what the ledger holds, by path."""
    storage = bench.site.storages[0]
    with bench.ledger.reading() as connection:
        found = [bench.ledger.segments.after(connection, storage.id, state, 0) for state in State]
    return {row.path: row for some in found for _, row in some if row}


def only(bench: Bench) -> Segment:
    """Return the one segment that the ledger holds."""
    [row] = rows(bench).values()
    return row


def test_a_closed_table_is_one_segment_with_the_span_of_its_pictures(bench: Bench) -> None:
    recorder = Recorder(bench.root("a"), signed=True)
    start = T0 + 638_000
    recorder.record(FRONT, start, start + HOUR - 7_000)
    name = recorder.close(FRONT, start + HOUR)
    bench.scan()
    row = only(bench)
    assert (row.path, row.camera, row.kind, row.state, row.marks, row.reason) == (
        name, FRONT, Kind.FOLDER, State.SEALED, 0, "",
    )  # fmt: skip
    assert (row.start, row.end) == (start, start + HOUR - 7_000), "to the millisecond, not as the folder is named"
    assert row.size == sum(map(len, make.tree(bench.root("a") / name).values()))


def test_a_live_table_is_neither_listed_nor_opened(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(bench.root("a"))
    recorder.hours(FRONT, T0, 2)
    recorder.record(FRONT, T0 + 2 * HOUR, T0 + 2 * HOUR + MINUTE)
    touched: list[str] = []

    def noting(function: Callable[..., object]) -> Callable[..., object]:
        def call(path: object, *more: object, **named: object) -> object:
            touched.append(str(path))
            return function(path, *more, **named)

        return call

    for module, name in ((os, "scandir"), (os, "open"), (os, "stat"), (os, "lstat"), (os, "listdir")):
        monkeypatch.setattr(module, name, noting(getattr(module, name)))
    [report] = bench.scan(full=True)
    monkeypatch.undo()
    live = str(bench.root("a") / FRONT)
    assert any(path.startswith(f"{live}_") for path in touched), "what is noted here does see tables"
    assert [path for path in touched if path == live or path.startswith(f"{live}/")] == []
    assert report.skipped["live table, being written: never opened"] == 1
    assert len(rows(bench)) == 2 and all(row.state is State.SEALED for row in rows(bench).values())


def test_what_belongs_into_a_bank_is_no_foreign_file(bench: Bench) -> None:
    recorder = Recorder(bench.root("a"))
    recorder.hours(FRONT, T0, 1)
    recorder.write_cache(T0, name="archives_cache.xml")
    [report] = bench.scan()
    assert dict(report.skipped) == {}


def test_unknown_folders_are_left_alone_and_told(bench: Bench) -> None:
    recorder = Recorder(bench.root("a"))
    recorder.hours(FRONT, T0, 1)
    stamped = ("2026-13-01_00-00-00", "0001-01-01_00-00-00", "2026-11-22_12-00-00.part")
    for name in ("New folder", *(f"{FRONT}_LOCAL_{stamp}" for stamp in stamped)):
        make.put(bench.root("a"), f"{name}/x.blk", b"x", T0)
    [report] = bench.scan()
    assert report.skipped["unknown folder: it is no table of this recorder"] == 4
    with bench.ledger.reading() as connection:
        odd = bench.ledger.oddities.of(connection, bench.site.storages[0].id)
    from backfill.oddities import sentences

    [said] = sentences("a/main", odd)
    assert said.startswith("a/main: 4 folders are left alone (") and "it is no table of this recorder" in said
    assert len(rows(bench)) == 1


def broken(bench: Bench, harm: Callable[[Path], object]) -> Segment:
    """Return what becomes of a table to which `harm` was done."""
    recorder = Recorder(bench.root("a"))
    [name] = recorder.hours(FRONT, T0, 1)
    harm(bench.root("a") / name)
    recorder.touch(name, T0 + HOUR)
    bench.scan()
    return only(bench)


def test_a_table_that_lacks_bytes_of_its_media_is_quarantined_with_both_figures(bench: Bench) -> None:
    row = broken(bench, lambda folder: os.truncate(folder / MEDIA / "block0.blk", 3_000))
    assert row.state is State.QUARANTINED
    assert row.reason.startswith("its media column has ") and "the recorder's index says" in row.reason


def test_a_table_that_lacks_a_whole_column_is_quarantined(bench: Bench) -> None:
    row = broken(bench, lambda folder: shutil.rmtree(folder / SMALL[0]))
    assert (row.state, row.reason) == (
        State.QUARANTINED, "its column 8b742df9 has 0 bytes, and the recorder's index says 148",
    )  # fmt: skip


@pytest.mark.parametrize(("config", "state"), [(ONE, State.QUARANTINED), (options(sizes="least"), State.SEALED)])
def test_more_bytes_than_the_index_says_count_only_if_that_is_configured(
    config: str, state: State, benches: Benches
) -> None:
    def grow(folder: Path) -> None:
        with (folder / MEDIA / "block0.blk").open("ab") as file:
            file.write(bytes(5_000))  # a block file created in advance

    with benches(config) as bench:
        assert broken(bench, grow).state is state


def test_what_lies_beside_block_and_index_files_is_not_counted_as_media(bench: Bench) -> None:
    row = broken(bench, lambda folder: (folder / MEDIA / "Public Key Certificate.xml").write_text("<certificate/>"))
    assert row.state is State.SEALED


def test_an_empty_table_is_quarantined(bench: Bench) -> None:
    def empty(folder: Path) -> None:
        shutil.rmtree(folder)
        folder.mkdir()

    row = broken(bench, empty)
    assert row.state is State.QUARANTINED and "has 0 bytes" in row.reason


def test_a_closed_table_without_a_block_file_holds_no_pictures(bench: Bench) -> None:
    recorder = Recorder(bench.root("a"))
    [name] = recorder.hours(FRONT, T0, 1)
    for block in (bench.root("a") / name).rglob("*.blk"):
        block.unlink()
    (bench.root("a") / "cache.xml").unlink()
    recorder.touch(name, T0 + HOUR)
    bench.scan()
    assert (only(bench).state, only(bench).reason) == (State.QUARANTINED, "it was closed without a block file")


def test_a_table_of_a_device_without_pictures_covers_nothing(bench: Bench) -> None:
    recorder = Recorder(bench.root("a"))
    recorder.hours(FRONT, T0, 1)
    columns = recorder.closed[0].columns
    recorder.closed[0].columns = {column: (size, False) for column, (size, _) in columns.items()}
    recorder.write_cache(T0 + HOUR)
    bench.scan()
    assert (only(bench).state, only(bench).reason) == (State.QUARANTINED, "it holds no pictures")


def test_encryption_is_a_fact_of_the_segment(bench: Bench) -> None:
    Recorder(bench.root("a"), encrypted=True).hours(FRONT, T0, 1)
    bench.scan()
    assert (only(bench).state, only(bench).marks) == (State.SEALED, Mark.ENCRYPTED)


def test_a_rescan_of_an_unchanged_bank_reads_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    Recorder(bench.root("a")).hours(FRONT, T0, 3)
    os.utime(bench.root("a"), ns=((T0 + 3 * HOUR) * 1000,) * 2)
    bench.scan()
    monkeypatch.setattr(sharing, "open_shared", lambda path, **_: pytest.fail(f"opened {path}"))
    [report] = bench.scan()
    assert report.listed == 0


def test_of_a_changed_bank_only_the_new_table_is_measured(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from backfill.layouts.xprotect import index

    recorder = Recorder(bench.root("a"))
    recorder.hours(FRONT, T0, 5)
    bench.scan()
    [name] = recorder.hours(FRONT, T0 + 5 * HOUR, 1)
    measured: list[str] = []
    original = index.unit_files
    monkeypatch.setattr(index, "unit_files", lambda folder: (measured.append(folder), original(folder))[1])
    [report] = bench.scan()
    assert (report.added, [os.path.basename(path) for path in measured]) == (1, [name])


# Caches that are not whole.


def test_a_cache_that_is_half_written_is_read_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(bench.root("a"))
    recorder.hours(FRONT, T0, 1)
    recorder.write_cache(T0 + HOUR, stop_half=True)
    waited: list[float] = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            recorder.write_cache(T0 + HOUR)  # the recorder has finished meanwhile

    monkeypatch.setattr("time.sleep", pause)
    bench.scan()
    assert only(bench).state is State.SEALED
    assert len(waited) == 2


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries that take no time."""
    monkeypatch.setattr("time.sleep", lambda _: None)


def test_while_a_cache_stays_half_what_is_new_waits_and_what_is_known_stays(bench: Bench, impatient: None) -> None:
    recorder = Recorder(bench.root("a"))
    [first] = recorder.hours(FRONT, T0, 1)
    bench.now = T0 + HOUR + 5 * MINUTE
    bench.scan()
    [second] = recorder.hours(FRONT, T0 + HOUR, 1)
    recorder.write_cache(T0 + 2 * HOUR, stop_half=True)
    bench.now = T0 + 2 * HOUR + 5 * MINUTE
    bench.scan(full=True)
    found = rows(bench)
    assert (found[first].state, found[first].start) == (State.SEALED, T0)
    assert (found[second].state, found[second].reason) == (State.OPEN, "the recorder is writing its index anew")
    recorder.write_cache(T0 + 2 * HOUR)
    bench.scan()
    assert (rows(bench)[second].state, rows(bench)[second].start) == (State.SEALED, T0 + HOUR)


def test_what_a_whole_cache_said_is_remembered_while_it_is_half(bench: Bench, impatient: None) -> None:
    recorder = Recorder(bench.root("a"))
    [name] = recorder.hours(FRONT, T0, 1)
    block = bench.root("a") / name / MEDIA / "block0.blk"
    whole = block.read_bytes()
    os.truncate(block, 10)  # the table is being copied here
    recorder.touch(name, T0 + HOUR)
    bench.now = T0 + HOUR + 5 * MINUTE
    bench.scan()
    assert only(bench).state is State.QUARANTINED
    block.write_bytes(whole)
    recorder.touch(name, T0 + HOUR)
    recorder.write_cache(T0 + HOUR, stop_half=True)
    bench.scan()
    assert (only(bench).state, only(bench).start, only(bench).end) == (State.SEALED, T0, T0 + HOUR)


def test_an_index_that_is_lost_turns_no_coverage_into_a_gap(bench: Bench) -> None:
    recorder = Recorder(bench.root("a"))
    recorder.hours(FRONT, T0, 3)
    bench.scan()
    before = rows(bench)
    (bench.root("a") / "cache.xml").unlink()
    bench.scan(full=True)
    assert rows(bench) == before


def test_a_table_that_the_index_does_not_name_yet_waits_an_hour(bench: Bench) -> None:
    recorder = Recorder(bench.root("a"))
    recorder.hours(FRONT, T0, 1)
    known = list(recorder.closed)
    [name] = recorder.hours(FRONT, T0 + HOUR, 1)
    recorder.closed = known
    recorder.write_cache(T0 + 2 * HOUR)
    bench.now = T0 + 2 * HOUR + 5 * MINUTE
    bench.scan()
    assert (rows(bench)[name].state, rows(bench)[name].reason) == (State.OPEN, "not in the recorder's index yet")
    bench.now = T0 + 3 * HOUR + 5 * MINUTE
    bench.scan()
    row = rows(bench)[name]
    assert row.state is State.SEALED and row.marks & Mark.UNCERTAIN
    assert bench.survey().coverage[FRONT]["a"].own == [(T0, T0 + HOUR)], "a name alone is no coverage"


def test_an_uncertain_table_becomes_certain_once_the_index_names_it(bench: Bench) -> None:
    recorder = Recorder(bench.root("a"))
    recorder.record(FRONT, T0 + 7 * MINUTE, T0 + HOUR)
    name = recorder.close(FRONT)
    (bench.root("a") / "cache.xml").unlink()
    bench.scan()
    assert (only(bench).marks, only(bench).start) == (Mark.UNCERTAIN | Mark.SUSPECT, T0), "an hour, for all it knows"
    assert "only its folder's name tells a time" in only(bench).reason
    recorder.write_cache(T0 + HOUR)
    bench.scan()
    assert (only(bench).path, only(bench).marks, only(bench).start) == (name, 0, T0 + 7 * MINUTE)


def test_of_two_caches_the_second_tells_what_the_first_does_not(bench: Bench) -> None:
    recorder = Recorder(bench.root("a"))
    recorder.hours(FRONT, T0, 1)
    recorder.write_cache(T0 + HOUR, name="archives_cache.xml")
    early = list(recorder.closed)
    recorder.hours(FRONT, T0 + HOUR, 1)
    recorder.closed = [one for one in recorder.closed if one not in early]
    recorder.write_cache(T0 + 2 * HOUR)
    bench.scan()
    assert sorted((row.state, row.marks, row.start) for row in rows(bench).values()) == [
        (State.SEALED, 0, T0),
        (State.SEALED, 0, T0 + HOUR),
    ]


# Times in names.


@pytest.mark.parametrize(
    ("start", "stamp"),
    [
        ("2026-10-25 00:00", "2026-10-25_02-30-00"),  # before the clock goes back: summer time
        ("2026-10-25 01:00", "2026-10-25_02-30-00"),  # the same digits an hour later
        ("2026-03-29 00:20", "2026-03-29_01-50-00"),  # before the hour that does not exist
    ],
)
def test_where_the_index_is_lost_a_stamp_is_read_with_its_last_write_and_stays_uncertain(
    start: str, stamp: str, benches: Benches
) -> None:
    with benches(make.config_text("a", layout="xprotect", more='zone = "Europe/Berlin"')) as bench:
        begin = utc(start)
        recorder = Recorder(bench.root("a"), zone="Europe/Berlin")
        recorder.record(FRONT, begin, begin + 30 * MINUTE)
        name = recorder.close(FRONT)
        assert name == f"{FRONT}_LOCAL_{stamp}"
        (bench.root("a") / "cache.xml").unlink()
        bench.now = begin + 48 * HOUR
        bench.scan()
        row = only(bench)
        assert row.end == begin + 30 * MINUTE and row.marks & Mark.UNCERTAIN


def test_two_tables_of_the_repeated_hour_have_their_own_true_times(benches: Benches) -> None:
    with benches(make.config_text("a", layout="xprotect", more='zone = "Europe/Berlin"')) as bench:
        recorder = Recorder(bench.root("a"), zone="Europe/Berlin")
        begin = utc("2026-10-25 00:00")
        names = recorder.hours(FRONT, begin, 2)
        bench.now = begin + 48 * HOUR
        bench.scan()
        assert [rows(bench)[name].start for name in names] == [begin, begin + HOUR]
        assert bench.survey().coverage[FRONT]["a"].own == [(begin, begin + 2 * HOUR)]


def test_a_table_by_name_alone_is_not_longer_than_to_the_one_before(bench: Bench) -> None:
    recorder = Recorder(bench.root("a"))
    recorder.hours(FRONT, T0, 2, minutes=20)
    (bench.root("a") / "cache.xml").unlink()
    bench.scan()
    [_, second] = sorted(rows(bench).values(), key=lambda row: row.end)
    assert (second.start, second.end) == (T0 + 20 * MINUTE, T0 + 40 * MINUTE)


# Banks, archives, exports.


def test_several_banks_are_one_storage_and_archiving_is_a_move(benches: Benches) -> None:
    with benches(options(banks="several")) as bench:
        first = Recorder(bench.root("a") / "11f3a5c0-6f0f-4d0e-9b58-7f2f2a0c9e10")
        archive = Recorder(bench.root("a") / "2c2b1d6e-0d1a-4a44-8a7e-5b9a1c0f7702", tag="ARCHIVE")
        names = first.hours(FRONT, T0, 2)
        first.record(FRONT, T0 + 2 * HOUR, T0 + 2 * HOUR + MINUTE)
        bench.scan()
        assert sorted(rows(bench)) == sorted(f"{first.bank.name}/{name}" for name in names)
        moved = first.archive(names[0], archive)
        [report] = bench.scan()
        assert (report.moved, report.deleted, report.retired) == (1, 0, 0)
        assert sorted(rows(bench)) == sorted([f"{first.bank.name}/{names[1]}", f"{archive.bank.name}/{moved}"])
        assert bench.survey().coverage[FRONT]["a"].own == [(T0, T0 + 2 * HOUR)]


def test_a_bank_taken_for_a_folder_of_banks_is_told(benches: Benches) -> None:
    with benches(options(banks="several")) as bench:
        Recorder(bench.root("a")).hours(FRONT, T0, 2)
        [report] = bench.scan()
        assert report.skipped['unknown folder: a table among banks; is banks = "several" right?'] == 2
        assert rows(bench) == {}


def test_an_export_has_bare_names_and_is_read_where_that_is_configured(benches: Benches) -> None:
    with benches(options(export="yes")) as bench:
        recorder = Recorder(bench.base / "recorder", {FRONT: "Shoe Store", YARD: "Yard"})
        recorder.hours(FRONT, T0, 1)
        recorder.hours(YARD, T0, 1)
        export(recorder, bench.root("a"))
        bench.scan()
        assert {row.path: row.state for row in rows(bench).values()} == {FRONT: State.SEALED, YARD: State.SEALED}
        assert rows(bench)[FRONT].start == T0


def test_without_that_an_exports_tables_are_taken_for_live_and_never_opened(bench: Bench) -> None:
    recorder = Recorder(bench.base / "recorder")
    recorder.hours(FRONT, T0, 1)
    export(recorder, bench.root("a"))
    [report] = bench.scan()
    assert report.skipped["live table, being written: never opened"] == 1
    assert rows(bench) == {}


def test_retention_leaves_no_tombstones(bench: Bench) -> None:
    recorder = Recorder(bench.root("a"))
    recorder.hours(FRONT, T0, 5)
    bench.scan()
    recorder.retain(T0 + 2 * HOUR)
    [report] = bench.scan()
    assert (report.retired, report.deleted, len(rows(bench))) == (2, 0, 3)


def test_several_tables_an_hour_are_joined(bench: Bench) -> None:
    recorder = Recorder(bench.root("a"))
    at = T0
    for minutes in (7, 3, 20, 30):
        recorder.record(FRONT, at, at + minutes * MINUTE - SECOND)  # the next begins with the next group of pictures
        recorder.close(FRONT)
        at += minutes * MINUTE
    bench.scan()
    [whole] = bench.survey().coverage[FRONT]["a"].own
    assert whole == (T0, T0 + HOUR - SECOND)


def report_of(bench: Bench) -> ScanReport:
    [report] = bench.scan()
    return report


def test_a_name_with_more_behind_its_time_is_a_table(bench: Bench) -> None:
    recorder = Recorder(bench.root("a"))
    recorder.record(FRONT, T0, T0 + HOUR)
    recorder.close(FRONT)
    recorder.record(FRONT, T0 + HOUR - SECOND, T0 + HOUR)
    name = recorder.close(FRONT)  # two tables that were closed in one second
    assert name.endswith(" (2)")
    assert report_of(bench).added == 2
    assert rows(bench)[name].state is State.SEALED
