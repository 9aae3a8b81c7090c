"""A verdict that came too early does not stand for ever: the scans that come anyway find what became of the file.

None of these needs `--full`, and none of the folders tells anything: they are written to in place.
"""

import os
import time
from pathlib import Path

import pytest

from backfill.intake import FolderLook, Intake
from backfill.scan import scan
from schema.spans import DAY, HOUR, MINUTE, SECOND
from schema.values import Mark, Segment, State
from tests import make
from tests.fault.checks import NEWEST_FIRST, whys, with_hole
from tests.unit.backfill import boxes
from tests.unit.backfill.test_scan import settle

PATH = make.frigate_path("front", make.T0)
FOLDER = PATH.rpartition("/")[0]
WHOLE = make.mp4(10, 5000, seed=5)


def row(bench: make.Bench, path: str = PATH, server: str = "a") -> Segment:
    with bench.ledger.reading() as connection:
        found = bench.ledger.segments.by_path(connection, bench.site.of(server)[0].id, path)
    assert found is not None
    return found


def listed(bench: make.Bench) -> int:
    return bench.scan()[0].listed


def complete(file: Path, content: bytes, written: int) -> None:
    """Write a file in place to its end."""
    with open(file, "r+b") as open_file:
        open_file.write(content)
    os.utime(file, ns=(written * 1000,) * 2)


@pytest.fixture
def stalled(pair: make.Bench) -> make.Bench:
    """`a` with a file whose writer stalled for two minutes, so that it was taken for a stub."""
    make.put(pair.root("a"), PATH, WHOLE[:1500], make.T0 + 10 * SECOND)
    settle(pair.root("a"))
    pair.now = make.T0 + 2 * MINUTE
    pair.scan()
    assert row(pair).state is State.QUARANTINED
    return pair


def test_an_event_in_a_folder_is_followed_though_the_folder_did_not_change(stalled: make.Bench) -> None:
    stalled.now = make.T0 + 3 * DAY
    stalled.scan()
    assert listed(stalled) == 0
    complete(stalled.root("a") / PATH, WHOLE, make.T0 + 3 * MINUTE)
    storage = stalled.site.of("a")[0]
    report = stalled.scan(only=frozenset({FOLDER}))[0]
    assert (report.listed, storage.title) == (1, report.storage)
    assert row(stalled).state is State.SEALED


def test_a_stub_that_was_completed_later_is_found_by_the_next_scan(stalled: make.Bench) -> None:
    complete(stalled.root("a") / PATH, WHOLE, make.T0 + 3 * MINUTE)
    stalled.now = make.T0 + HOUR
    stalled.scan()
    assert row(stalled).state is State.SEALED
    assert listed(stalled) == 0


def test_a_stub_of_yesterday_is_done_with(stalled: make.Bench) -> None:
    stalled.now = make.T0 + HOUR
    assert listed(stalled) == 1
    stalled.now = make.T0 + DAY + HOUR
    assert [listed(stalled), listed(stalled)] == [1, 0]


def test_what_was_in_the_future_counts_when_its_time_has_come(pair: make.Bench) -> None:
    """The clock here was set back, or the recorder's was ahead: neither is the recording's fault."""
    make.put(pair.root("a"), PATH, WHOLE, make.T0 - MINUTE)
    settle(pair.root("a"))
    pair.now = make.T0 - HOUR - 2 * DAY
    os.utime(pair.root("a") / PATH, ns=((pair.now - 2 * DAY) * 1000,) * 2)
    pair.scan()
    assert row(pair).state is State.QUARANTINED and "in the future" in row(pair).reason
    assert listed(pair) == 1, "it is come back to"
    pair.now = make.T0 + MINUTE
    pair.scan()
    assert row(pair).state is State.SEALED
    assert [listed(pair)] == [0]


def test_a_clock_that_is_set_back_costs_nothing_that_was_sealed(pair: make.Bench) -> None:
    make.record(pair.root("a"), "front", make.tens(0, 60))
    settle(pair.root("a"))
    pair.scan()
    before = pair.survey().coverage["front"]["a"].own
    pair.now = make.T0 - 30 * DAY
    pair.scan()
    pair.scan(full=True)
    pair.now = make.LATER
    pair.scan()
    assert pair.survey().coverage["front"]["a"].own == before


def test_a_source_that_was_rewritten_in_place_is_refused_once_and_then_read_anew(pair: make.Bench) -> None:
    with_hole(pair)
    settle(pair.base)
    pair.scan()
    victim = NEWEST_FIRST[2]
    complete(pair.root("b") / victim, make.mp4(10, 70_000, seed=9), make.T0 + HOUR)
    assert "SOURCE_CHANGED" in whys(pair.fill("a"))
    pair.scan()
    assert (row(pair, victim, "b").mtime_ns, row(pair, victim, "b").marks) == ((make.T0 + HOUR) * 1000, 0)
    assert whys(pair.fill("a")) == []


def test_a_stream_whose_writer_paused_is_not_half_for_ever(tmp_path: Path) -> None:
    """A transport stream has no end mark, so a pause of a minute looks like its end."""
    with make.bench(tmp_path, make.config_text("a", layout="mediamtx")) as bench:
        path = make.mediamtx_path("front", make.T0)[:-4] + ".ts"
        file = make.put(bench.root("a"), path, boxes.transport(50), make.T0 + 20 * SECOND)
        settle(bench.root("a"))
        bench.now = make.T0 + 81 * SECOND
        bench.scan()
        early = row(bench, path)
        assert (early.state, early.marks) == (State.SEALED, Mark.SUSPECT)
        assert listed(bench) == 1
        complete(file, boxes.transport(200), make.T0 + 200 * SECOND)
        bench.now = make.T0 + HOUR
        bench.scan()
        late = row(bench, path)
        assert (late.state, late.marks, late.size) == (State.SEALED, 0, file.stat().st_size)
        assert late.end > early.end
        assert listed(bench) == 0


def test_a_stream_that_rested_is_final_and_not_looked_at_again(tmp_path: Path) -> None:
    with make.bench(tmp_path, make.config_text("a", layout="mediamtx")) as bench:
        path = make.mediamtx_path("front", make.T0)[:-4] + ".ts"
        make.put(bench.root("a"), path, boxes.transport(50), make.T0 + 20 * SECOND)
        settle(bench.root("a"))
        bench.now = make.T0 + 81 * SECOND
        bench.scan()
        bench.now = make.T0 + HOUR
        bench.scan()
        assert row(bench, path).marks == 0
        assert listed(bench) == 0


def test_a_folder_that_changes_while_it_is_listed_is_listed_again(
    pair: make.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow disk: between the look at the folder's time and the end of its listing a file came in the same tick."""
    make.record(pair.root("a"), "front", [0])
    folder = pair.root("a") / FOLDER
    looking = Intake.look
    late: list[int] = []

    def look(self: Intake, where: str, mtime_ns: int, *more: object, **options: object) -> FolderLook:
        found = looking(self, where, mtime_ns, *more, **options)  # type: ignore[arg-type]
        if where == FOLDER and not late:
            make.record(pair.root("a"), "front", [10])
            os.utime(folder, ns=(mtime_ns,) * 2)
            late.append(mtime_ns)
            real = time.time_ns
            monkeypatch.setattr(time, "time_ns", lambda: real() + 5 * 10**9)
        return found

    monkeypatch.setattr(Intake, "look", look)
    scan(pair.ledger, pair.site.of("a")[0], now=pair.clock)
    assert late
    assert pair.scan()[0].added == 1
