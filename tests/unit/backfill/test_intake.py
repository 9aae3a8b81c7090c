"""Looking at folders that live: files grow, vanish and come back while they are looked at, and some are traps.

One odd entry must never cost the others, nothing may be dropped without a reason, and what was judged too early is
judged again.
"""

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from backfill.scanned import ScanReport
from schema.spans import SECOND
from schema.values import Mark, Segment, State
from tests import make
from tests.make import LATER, T0, Bench, box, frigate_path, mediamtx_path, mp4, put, tens
from tests.unit.backfill.boxes import FTYP, fragmented, mvhd, plain

Benches = Callable[[str], AbstractContextManager[Bench]]


def rows(bench: Bench, server: str = "a") -> dict[str, Segment]:
    storage = next(one for one in bench.site.storages if one.server == server)
    with bench.ledger.reading() as connection:
        found = [bench.ledger.segments.after(connection, storage.id, state, 0) for state in State]
    return {row.path: row for rows in found for _, row in rows if row}


def scan(bench: Bench, server: str = "a", **options: object) -> ScanReport:
    return next(report for report in bench.scan(**options) if report.storage == f"{server}/main")


@pytest.fixture
def mediamtx(benches: Benches) -> Iterator[Bench]:
    with benches(make.config_text("a", "b", layout="mediamtx")) as bench:
        yield bench


def test_a_file_that_vanishes_while_its_folder_is_listed_costs_no_other(
    pair: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make.record(pair.root("a"), "front", tens(0, 50))
    listing = os.scandir

    class Late(list):  # type: ignore[type-arg]
        def __enter__(self) -> "Late":
            return self

        def __exit__(self, *_: object) -> None:
            pass

    def vanishing(path: str) -> object:
        with listing(path) as entries:
            found = Late(sorted(entries, key=lambda entry: entry.name))
        if str(path) == str(files[2].parent):
            files[2].unlink(missing_ok=True)
        return found

    monkeypatch.setattr(os, "scandir", vanishing)
    assert scan(pair).added == 4
    monkeypatch.undo()
    assert scan(pair).added == 0
    assert len(rows(pair)) == 4


@pytest.mark.parametrize("state", ["stalled mover", "unclosed fragments"])
def test_what_was_judged_too_early_is_judged_again_when_it_was_written_to(mediamtx: Bench, state: str) -> None:
    path = mediamtx_path("front", T0)
    early = mp4(10)[:1500] if state == "stalled mover" else b"".join(fragmented(4))
    full = put(mediamtx.root("a"), path, early, T0 + 4 * SECOND)
    mediamtx.now = T0 + 120 * SECOND
    scan(mediamtx)
    before = rows(mediamtx)[path]
    assert (before.state, before.marks) == ((State.QUARANTINED, 0) if state == "stalled mover" else (State.SEALED, 2))
    with full.open("r+b") as file:
        file.write(mp4(10) if state == "stalled mover" else b"".join(fragmented(10, stated=10_000)))
    os.utime(full, ns=((T0 + 130 * SECOND) * 1000,) * 2)
    make.record(mediamtx.root("a"), "front", [130], path=mediamtx_path)  # the recorder goes on: its folder changes
    mediamtx.now = LATER
    scan(mediamtx)
    after = rows(mediamtx)[path]
    assert (after.state, after.end - after.start, after.marks) == (State.SEALED, 10 * SECOND, 0)


def test_a_closed_file_is_sealed_at_the_first_look_and_a_growing_one_when_it_is_whole(pair: Bench) -> None:
    growing = put(pair.root("a"), frigate_path("front", T0), mp4(10)[:1500], T0 + 11 * SECOND)
    put(pair.root("a"), frigate_path("front", T0 + 10 * SECOND), mp4(10), T0 + 20 * SECOND)
    pair.now = T0 + 30 * SECOND
    assert scan(pair).still_open == 1
    assert [row.state for _, row in sorted(rows(pair).items())] == [State.OPEN, State.SEALED]
    put(growing.parent, growing.name, mp4(10), T0 + 31 * SECOND)
    pair.now = T0 + 40 * SECOND
    assert scan(pair).still_open == 0
    assert pair.states("a") == []


def test_absurd_headers_and_times_neither_stop_a_scan_nor_count(mediamtx: Bench) -> None:
    root = mediamtx.root("a")
    put(root, mediamtx_path("front", T0), mp4(10), T0 + 10 * SECOND)
    endless = plain(mvhd(2**63, 1, version=1))
    for second, written in ((20, T0), (40, LATER - SECOND), (60, LATER + 7200 * SECOND)):
        put(root, mediamtx_path("front", T0 + second * SECOND), endless, written)
    far = put(root, mediamtx_path("front", T0 + 80 * SECOND), mp4(10), T0)
    os.utime(far, (2**33 + 2**32, 2**33 + 2**32))
    if os.stat(far).st_mtime_ns < 2**63:
        pytest.skip("this file system ends before the year 2262")
    assert scan(mediamtx).added == 5
    states = [row.state for _, row in sorted(rows(mediamtx).items())]
    assert states == [State.SEALED, State.QUARANTINED, State.OPEN, State.OPEN, State.OPEN]
    assert all(0 <= row.end - row.start < 86_400 * SECOND for row in rows(mediamtx).values())


def test_what_is_no_recording_is_told_with_its_reason(pair: Bench, tmp_path: Path) -> None:
    folder = pair.root("a") / "2026-11-22/12/front"
    make.record(pair.root("a"), "front", [0])
    (folder / "00.10.mp4.part").write_bytes(mp4(10))
    (folder / "00.2\n0.mp4").write_bytes(mp4(10))
    (folder / "99.30.mp4").write_bytes(mp4(10))
    os.mkfifo(folder / "00.40.mp4")
    (folder / "00.50.mp4").symlink_to(make.put(tmp_path, "elsewhere.mp4", mp4(10), T0))
    (folder / "linked").symlink_to(tmp_path, target_is_directory=True)
    (folder / ".3").symlink_to("11/44/20")
    with open(os.fsencode(folder) + b"/01.0\xff.mp4", "wb") as file:
        file.write(mp4(10))
    report = scan(pair)
    assert len(rows(pair)) == 1
    assert {ascii(os.path.basename(path)).strip("'\""): reason for path, reason in report.foreign} == {
        "00.10.mp4.part": "name is not this recorder's",
        "99.30.mp4": "name is not this recorder's",
        "00.2\\\\n0.mp4": "name has control characters",
        "01.0\\\\udcff.mp4": "name is not UTF-8",
        "00.40.mp4": "not a regular file",
        "00.50.mp4": "symbolic link, not followed",
        "linked": "symbolic link, not followed",
    }


def test_a_file_that_cannot_be_opened_is_told_and_tried_again(pair: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    files = make.record(pair.root("a"), "front", tens(0, 30))
    opening = os.open

    def failing(path: str, *arguments: int, **more: int) -> int:
        if str(path) == str(files[1]):
            raise OSError(5, "Input/output error")
        return opening(path, *arguments, **more)

    monkeypatch.setattr(os, "open", failing)
    report = scan(pair)
    assert report.foreign == [(str(files[1].relative_to(pair.root("a"))), "cannot be read: Input/output error")]
    assert len(rows(pair)) == 2
    monkeypatch.undo()
    assert scan(pair).added == 1
    assert scan(pair).foreign == []


def test_the_mark_of_an_unclosed_filled_file_survives_a_lost_ledger(mediamtx: Bench) -> None:
    unclosed = b"".join(fragmented(10))
    for second in tens(0, 40):
        put(mediamtx.root("b"), mediamtx_path("front", T0 + second * SECOND), unclosed, T0 + (second + 10) * SECOND)
    make.record(mediamtx.root("a"), "front", [0, 30], path=mediamtx_path)
    mediamtx.scan()
    mediamtx.fill("a")
    before = {path: (row.origin, row.marks) for path, row in rows(mediamtx).items()}
    assert before[mediamtx_path("front", T0 + 20 * SECOND)] == ("b", Mark.UNCLOSED)
    with mediamtx.ledger.writing() as connection:
        for storage in mediamtx.site.storages:
            mediamtx.ledger.segments.forget_storage(connection, storage.id)
    mediamtx.scan()
    assert {path: (row.origin, row.marks) for path, row in rows(mediamtx).items()} == before


def test_a_box_that_counts_for_ever_is_only_a_damaged_file(mediamtx: Bench) -> None:
    wild = FTYP + box(b"moov", mvhd(0)) + struct.pack(">I4sQ", 1, b"mdat", 2**64 - 1) + b"\x55" * 2000
    put(mediamtx.root("a"), mediamtx_path("front", T0), wild, T0 + 10 * SECOND)
    put(mediamtx.root("a"), mediamtx_path("front", T0 + 9 * SECOND), b"".join(fragmented(2)) + wild[:900], T0)
    report = scan(mediamtx)
    assert len(report.quarantined) == 2 and rows(mediamtx).keys() == {path for path, _ in report.quarantined}
