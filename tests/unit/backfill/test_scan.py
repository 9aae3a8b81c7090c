"""A scan is the truth (invariant 6): the ledger follows what storage holds, whatever happened to it meanwhile.

Nothing is left out in silence (invariant 12), retention is never a gap, and a storage that is away, swapped or empty
never looks like one whose recordings were deleted.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from backfill import scan as scanning
from backfill.scan import scan as scan_storage
from backfill.scanned import ScanOptions, ScanReport
from schema.errors import StorageAway, StorageEmptied, StorageSwapped
from schema.spans import SECOND
from schema.values import Segment, State
from tests import make
from tests.faults import digest_all

OLD = 1_000_000_000 * SECOND
"""A time long before any folder here was made: a folder set to it has settled."""


def settle(root: Path) -> None:
    """Give every folder an old time, as hours after the recorder wrote there."""
    for folder, _, _ in os.walk(root):
        os.utime(folder, ns=(OLD * 1000, OLD * 1000))


@pytest.fixture
def one(pair: make.Bench) -> make.Bench:
    """`a` with six segments in one folder and six in another, scanned and settled."""
    make.record(pair.root("a"), "front", make.tens(0, 60))
    make.record(pair.root("a"), "yard", make.tens(0, 60))
    settle(pair.root("a"))
    pair.scan()
    return pair


def scan(bench: make.Bench, **options: object) -> ScanReport:
    return bench.scan(**options)[0]


def held(bench: make.Bench, camera: str = "front") -> list[tuple[float, float]]:
    """Return the recorder's own coverage in seconds after T0."""
    coverage = bench.survey().coverage.get(camera, {})
    return [((s.start - make.T0) / SECOND, (s.end - make.T0) / SECOND) for s in coverage["a"].own] if coverage else []


def segments(bench: make.Bench, state: State = State.SEALED) -> list[str]:
    storage = bench.site.of("a")[0]
    with bench.ledger.reading() as connection:
        rows = bench.ledger.segments.after(connection, storage.id, state, 0)
    return sorted(segment.path for _, segment in rows if segment)


def path(second: int, camera: str = "front") -> str:
    return make.frigate_path(camera, make.T0 + second * SECOND)


def test_a_first_scan_knows_every_segment(one: make.Bench) -> None:
    assert len(segments(one)) == 12
    assert held(one) == held(one, "yard") == [(0, 60)]


def test_an_unchanged_storage_is_not_listed_again(one: make.Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda place: (listed.append(os.fspath(place)), real(place))[1])
    report = scan(one)
    assert (report.listed, report.added, report.changed) == (0, 0, 0)
    assert report.folders == 5  # the root, the day, the hour, two cameras
    assert [place for place in listed if place.startswith(str(one.root("a")))] == [str(one.root("a"))], "is it there?"


def test_only_the_folder_in_which_something_is_new_is_listed(one: make.Bench) -> None:
    make.record(one.root("a"), "front", [60])
    report = scan(one)
    assert (report.listed, report.added) == (1, 1)
    assert held(one) == [(0, 70)]
    assert report.fresh == [path(60)]


def test_a_folder_that_changed_a_moment_ago_is_listed_once_more(pair: make.Bench) -> None:
    make.record(pair.root("a"), "front", [0])
    assert scan(pair).listed == 4
    assert scan(pair).listed == 4, "its time may hide a change within the same tick"


def test_a_file_that_is_still_written_counts_for_nothing_until_it_is_whole(pair: make.Bench) -> None:
    make.record(pair.root("a"), "front", [0])
    whole = make.mp4(10, 5000)
    pair.now = make.T0 + 20 * SECOND
    late = make.put(pair.root("a"), path(10), whole[:3000], pair.now)
    report = scan(pair)
    assert report.still_open == 1
    assert held(pair) == [(0, 10)]
    late.write_bytes(whole)
    os.utime(late, ns=((make.T0 + 20 * SECOND) * 1000,) * 2)
    pair.now = make.LATER
    scan(pair)
    assert held(pair) == [(0, 20)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "a stub"),
        (b"\0" * 3000, "zeros"),
        (make.mp4(10, 5000)[:3000], "cut"),
        (make.box(b"ftyp", b"isom" + bytes(8)) + make.box(b"mdat", b"x" * 3000), "moov"),
    ],
    ids=["stub", "zeros", "cut", "no moov"],
)
def test_damaged_files_are_quarantined_with_a_reason(pair: make.Bench, content: bytes, reason: str) -> None:
    make.record(pair.root("a"), "front", [0, 20, 30])
    make.put(pair.root("a"), path(10), content, make.T0 + 20 * SECOND)
    report = scan(pair)
    [(name, why)] = report.quarantined
    assert name == path(10)
    assert reason in why
    assert held(pair) == [(0, 10), (20, 40)]
    assert segments(pair, State.QUARANTINED) == [path(10)]
    assert scan(pair).quarantined == [], "said once"


def test_what_is_no_recording_is_counted_with_its_reason(pair: make.Bench) -> None:
    root = pair.root("a")
    make.record(root, "front", [0])
    make.put(root, "notes.txt", b"hello", make.T0)
    make.put(root, "2026-11-22/12/front/99.99.mp4", make.mp4(10), make.T0)
    (root / path(30)).symlink_to(root / path(0))
    os.mkfifo(root / path(40))
    report = scan(pair)
    assert sum(report.skipped.values()) == len(report.foreign) == 4
    assert {name for name, _ in report.foreign} == {
        "notes.txt",
        "2026-11-22/12/front/99.99.mp4",
        path(30),
        path(40),
    }
    assert all(reason for _, reason in report.foreign)
    assert segments(pair) == [path(0)]


def test_a_folder_that_is_a_link_is_not_entered(pair: make.Bench, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    make.record(elsewhere, "front", [0])
    (pair.root("a") / "2026-11-22").symlink_to(elsewhere / "2026-11-22")
    report = scan(pair)
    assert segments(pair) == []
    assert [name for name, _ in report.foreign] == ["2026-11-22"]


def test_a_name_that_is_no_text_is_said_and_harms_nothing(pair: make.Bench) -> None:
    folder = pair.root("a") / "2026-11-22/12/front"
    make.record(pair.root("a"), "front", [0])
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.mp4"))).write_bytes(make.mp4(10))
    report = scan(pair)
    assert segments(pair) == [path(0)]
    assert sum(report.skipped.values()) == 1


def test_a_file_deleted_by_hand_is_no_gap(one: make.Bench) -> None:
    make.record(one.root("b"), "front", make.tens(0, 60), seed=2)
    (one.root("a") / path(20)).unlink()
    report = scan(one)
    assert (report.deleted, report.retired, report.vanished) == (1, 0, [path(20)])
    assert held(one) == [(0, 20), (30, 60)]
    assert [state for state, *_ in one.states("a")] == []


def test_what_retention_took_from_the_old_end_is_forgotten(one: make.Bench) -> None:
    make.record(one.root("b"), "front", make.tens(0, 60), seed=2)
    for second in (0, 10):
        (one.root("a") / path(second)).unlink()
    report = scan(one)
    assert (report.deleted, report.retired) == (0, 2)
    assert segments(one, State.GONE) == []
    assert one.states("a") == []


def test_a_folder_deleted_whole_is_followed(one: make.Bench) -> None:
    shutil.rmtree(one.root("a") / "2026-11-22/12/yard")
    report = scan(one)
    assert report.deleted + report.retired == 6
    assert held(one, "yard") == []
    assert held(one) == [(0, 60)]


def known(bench: make.Bench, name: str) -> Segment:
    with bench.ledger.reading() as connection:
        found = bench.ledger.segments.by_path(connection, bench.site.of("a")[0].id, name)
    assert found is not None
    return found


def test_a_segment_that_moved_within_the_storage_keeps_what_is_known_of_it(one: make.Bench) -> None:
    digest_all(one, "a")
    before = known(one, path(20)).digest
    assert before
    target = one.root("a") / "2026-11-22/12/gate"
    target.mkdir()
    (one.root("a") / path(20)).rename(target / "00.20.mp4")
    report = scan(one)
    assert (report.moved, report.deleted) == (1, 0)
    assert held(one, "gate") == [(20, 30)]
    assert known(one, "2026-11-22/12/gate/00.20.mp4").digest == before


def test_a_deleted_segment_that_comes_back_counts_again(one: make.Bench) -> None:
    file = one.root("a") / path(20)
    content = file.read_bytes()
    file.unlink()
    scan(one)
    make.put(one.root("a"), path(20), content, make.T0 + 30 * SECOND)
    scan(one)
    assert held(one) == [(0, 60)]


def test_a_sealed_segment_that_someone_wrote_to_is_said(one: make.Bench) -> None:
    make.put(one.root("a"), path(20), make.mp4(10, 3000, seed=9), make.T0 + 31 * SECOND)
    assert scan(one).listed == 0, "written in place: its folder tells nothing"
    report = scan(one, full=True)
    assert report.rewritten == [path(20)]
    assert report.changed == 1


def test_another_file_under_a_known_name_is_seen_without_a_full_scan(one: make.Bench) -> None:
    make.put(one.root("a"), "other", make.mp4(5, 3000, seed=9), make.T0 + 25 * SECOND)
    (one.root("a") / "other").rename(one.root("a") / path(20))
    scan(one)
    assert held(one) == [(0, 25), (30, 60)]


def test_a_storage_that_is_away_loses_nothing(one: make.Bench) -> None:
    one.root("a").rename(one.root("a").with_name("unplugged"))
    with pytest.raises(StorageAway):
        scan(one)
    assert held(one) == [(0, 60)]
    one.root("a").with_name("unplugged").rename(one.root("a"))
    assert scan(one).deleted == 0


def test_an_empty_mount_point_is_not_taken_for_a_deletion(one: make.Bench) -> None:
    shutil.rmtree(one.root("a") / "2026-11-22")
    with pytest.raises(StorageEmptied, match="12"):
        scan(one)
    assert len(segments(one)) == 12
    report = scan(one, accept_loss=True)
    assert report.deleted + report.retired == 12
    assert segments(one) == []


def test_another_disk_in_its_place_is_refused_until_it_is_adopted(one: make.Bench) -> None:
    state = one.root("a").parent / ".recorder-sync/recordings/identity.json"
    state.write_text('{"storage": "someone-elses"}')
    with pytest.raises(StorageSwapped):
        scan(one)
    assert len(segments(one)) == 12
    (one.root("a") / path(20)).unlink()
    report = scan(one, adopt=True)
    assert any("is now the one" in note for note in report.notes)
    assert report.deleted == 0, "what the old disk had and this one lacks was not deleted on purpose"
    assert scan(one).deleted == 0


def test_a_scan_that_breaks_off_leaves_what_is_true_and_the_next_one_completes(
    one: make.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.record(one.root("a"), "front", make.tens(60, 120))
    make.record(one.root("a"), "yard", make.tens(60, 120))
    (one.root("a") / path(20)).unlink()
    monkeypatch.setattr("backfill.scan._BATCH", 1)

    class Broken(Exception):
        pass

    def stop(report: ScanReport) -> None:
        raise Broken

    with pytest.raises(Broken):
        scan_storage(one.ledger, one.site.of("a")[0], now=one.clock, progress=stop)
    there = {str(file.relative_to(one.root("a"))) for file in one.root("a").rglob("*.mp4")}
    assert set(segments(one)) - {path(20)} <= there
    scan(one)
    assert set(segments(one)) == there


def test_a_wrong_zone_is_doubted(tmp_path: Path) -> None:
    config = make.config_text("a", "b", layout="mediamtx", more='zone = "Europe/Berlin"')
    with make.bench(tmp_path, config) as bench:
        make.record(bench.root("a"), "front", make.tens(0, 60), path=make.mediamtx_path)
        report = scan(bench)
    assert any("is zone 'Europe/Berlin' right" in note for note in report.notes)


def test_segments_in_the_future_cover_nothing_that_is_settled(pair: make.Bench) -> None:
    make.record(pair.root("a"), "front", make.tens(0, 60))
    make.record(pair.root("b"), "front", [*make.tens(0, 60), 100_000], seed=2)
    pair.now = make.T0 + 1000 * SECOND
    pair.scan()
    assert [gap for gap in pair.states("a") if gap[0] == "fillable"] == []


def test_an_event_costs_its_folder_and_not_the_storage(one: make.Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    make.record(one.root("a"), "front", [60])
    make.record(one.root("a"), "yard", [60])
    folder = path(0).rpartition("/")[0]
    asked: list[set[str]] = []
    real = type(one.ledger.folders).known

    def known(*arguments: object) -> object:
        found = real(*arguments)  # type: ignore[arg-type]
        asked.append(set(found))
        return found

    monkeypatch.setattr(type(one.ledger.folders), "known", known)
    report = scan(one, only=frozenset({folder}))
    assert asked[0] == {folder}
    assert (report.folders, report.listed, report.added) == (1, 1, 1)
    assert held(one) == [(0, 70)]
    assert held(one, "yard") == [(0, 60)]


def test_an_event_after_a_change_of_the_rules_does_not_pass_for_the_scan_that_they_need(one: make.Bench) -> None:
    changed = replace(one.site.of("a")[0], cameras={"front": "entrance", "yard": "garden"})
    folder = path(0).rpartition("/")[0]
    scan_storage(one.ledger, changed, now=one.clock, options=ScanOptions(only=frozenset({folder})))
    scan_storage(one.ledger, changed, now=one.clock)
    assert held(one, "entrance") == held(one, "garden") == [(0, 60)]


def test_a_folder_that_vanished_below_one_with_an_event_is_followed(one: make.Bench) -> None:
    shutil.rmtree(one.root("a") / "2026-11-22/12/yard")
    report = scan(one, only=frozenset({"2026-11-22/12"}))
    assert report.deleted + report.retired == 6
    assert held(one) == [(0, 60)]


def test_a_zone_too_far_in_the_west_is_doubted_although_every_name_is_of_the_future(tmp_path: Path) -> None:
    with make.bench(tmp_path, make.config_text("a", layout="mediamtx", more='zone = "UTC"')) as bench:
        for number in range(20):
            start = bench.now - (number + 3) * 60 * SECOND
            name = make.mediamtx_path("front", start + 19_800 * SECOND)  # Asia/Kolkata
            make.put(bench.root("a"), name, make.mp4(60), start + 60 * SECOND)
        (report,) = bench.scan()
        assert len(report.quarantined) == 20
        assert ["earlier than their names say" in note for note in report.notes] == [True]


def test_damaged_rows_go_in_the_transaction_that_brings_what_replaces_them(
    pair: make.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan that is killed between two batches must not leave a storage with fewer rows than it has files."""
    for camera in ("front", "yard", "gate"):
        make.record(pair.root("a"), camera, make.tens(0, 50), seed=1)
    pair.scan()
    with pair.ledger.writing() as connection:
        connection.exec_driver_sql("UPDATE segments SET size = size + 1")
    monkeypatch.setattr("backfill.scan._BATCH", 1)
    rows: list[int] = []

    def count(_: object) -> None:
        with pair.ledger.reading() as connection:
            rows.append(connection.exec_driver_sql("SELECT count(*) FROM segments").scalar_one())

    storage = pair.site.storages[0]
    report = scanning.scan(pair.ledger, storage, now=pair.clock, options=ScanOptions(full=True), progress=count)
    assert report.repaired == 15
    assert len(rows) > 3 and set(rows) == {15}


def test_a_scan_that_misses_nothing_does_not_look_for_what_retention_took(
    one: make.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking reads every row of the storage: half a second of a million, in which nobody else can write."""
    looked: list[int] = []
    monkeypatch.setattr(one.ledger.segments, "forget_retired", lambda _, storage: looked.append(storage) or 0)
    make.record(one.root("a"), "front", make.tens(60, 70))
    scan(one)
    assert looked == []
    (one.root("a") / path(0)).unlink()
    scan(one)
    assert len(looked) == 1
