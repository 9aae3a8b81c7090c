"""What a recorder is writing is no gap: two healthy recorders with long segments must leave each other alone.

MediaMTX writes a file for an hour unless it is told otherwise. While it grows it is no coverage, and a peer that cuts
at other moments has closed files of the same time: taken for gaps, a healthy pair would copy its archive twice. The
other way round, the open file of a recorder that died must not hide what it lost.
"""

from pathlib import Path

import pytest
from sqlalchemy import text

from schema.spans import HOUR, MINUTE, SECOND
from tests.make import CONFIG, T0, Bench, bench, config_text, mediamtx_path, put
from tests.unit.backfill.boxes import fragmented

SETTLES = CONFIG.replace('settle = "1s"', "")


def segment(pair: Bench, server: str, start: float, end: float | None, camera: str = "front") -> None:
    """Write a segment from `start` to `end` seconds after T0, or one that grows until the bench's now."""
    begins = T0 + round(start * SECOND)
    written = pair.now - SECOND // 2 if end is None else T0 + round(end * SECOND)
    length = (written - begins) // SECOND
    content = b"".join(fragmented(length, stated=0 if end is None else length * 1000))
    put(pair.root(server), mediamtx_path(camera, begins), content, written)


def hours(pair: Bench, server: str, first: int, until: int) -> None:
    """Write an hour's segment after another from `first` on, the last of them still growing at `until`."""
    for start in range(first, until, 3600):
        segment(pair, server, start, start + 3600 if start + 3600 <= until else None)


@pytest.mark.parametrize("minute", [*range(0, 60, 7), 31, 59])
@pytest.mark.parametrize("settle", ["", 'settle = "1s"'])
def test_two_healthy_recorders_with_segments_of_an_hour_lack_nothing(minute: int, settle: str, tmp_path: Path) -> None:
    text = config_text("a", "b", layout="mediamtx", head=CONFIG.replace('settle = "1s"', settle))
    with bench(tmp_path, text) as pair:
        pair.now = T0 + minute * MINUTE + 10 * SECOND
        hours(pair, "a", -4 * 3600 - 1800, minute * 60)
        hours(pair, "b", -4 * 3600, minute * 60)
        pair.scan()
        found = pair.survey()
        assert (found.gaps, found.outages) == ([], [])
        assert pair.plan("a").tasks == pair.plan("b").tasks == ()


def test_what_one_lost_before_it_came_back_is_found_while_it_writes(tmp_path: Path) -> None:
    with bench(tmp_path, config_text("a", "b", layout="mediamtx")) as pair:
        pair.now = T0 + 30 * MINUTE
        segment(pair, "a", -7200, -3600)
        hours(pair, "b", -7200, 1800)
        segment(pair, "a", 600, None)
        pair.scan()
        assert pair.states("a") == [("fillable", -3600, 0)], "what b is still writing may hold the rest"


def test_the_open_file_of_a_dead_recorder_hides_nothing(tmp_path: Path) -> None:
    with bench(tmp_path, config_text("a", "b", layout="mediamtx")) as pair:
        pair.now = T0 + 31 * MINUTE
        segment(pair, "a", -7200, -3600)
        segment(pair, "a", -3600, None)  # a power cut
        for start in range(-7200, 1800, 1800):
            segment(pair, "b", start, start + 1800)
        put(pair.root("a"), mediamtx_path("front", T0 - HOUR), b"\0" * 48, pair.now - SECOND)
        pair.scan()
        assert pair.states("a") == [], "it may be alive"
        pair.now += MINUTE
        pair.scan()
        assert pair.states("a") == [("fillable", -3600, 1800)]


def test_what_a_recorder_left_that_is_back_already_hides_nothing(tmp_path: Path) -> None:
    with bench(tmp_path, config_text("a", "b", layout="mediamtx")) as pair:
        pair.now = T0 + 50 * SECOND
        segment(pair, "a", -60, 0)
        put(pair.root("a"), mediamtx_path("front", T0), b"\0" * 48, T0 + 5 * SECOND)  # a power cut, 45 s ago
        segment(pair, "a", 30, 40)
        segment(pair, "a", 40, None)
        segment(pair, "b", -60, 45)
        pair.scan()
        assert pair.states("a") == [("fillable", 0, 30)]


def test_a_ledger_that_nobody_brings_up_to_date_does_not_hide_it_for_ever(tmp_path: Path) -> None:
    with bench(tmp_path, config_text("a", "b", layout="mediamtx")) as pair:
        pair.now = T0 + 31 * MINUTE
        segment(pair, "a", -7200, -3600)
        segment(pair, "a", -3600, None)
        for start in range(-7200, 1800, 1800):
            segment(pair, "b", start, start + 1800)
        pair.scan()
        pair.now += 9 * MINUTE
        assert pair.states("a") == []
        pair.now += 2 * MINUTE
        assert pair.states("a") == [("fillable", -3600, 1800)]


@pytest.mark.parametrize(
    ("longest", "options", "settles"),
    [(10, "", 120), (600, "", 1200), (3600, "", 7200), (80_000, "", 7200), (10, "12h", 86_400)],
)
def test_the_newest_two_segments_settle_whatever_their_length(
    longest: int, options: str, settles: int, tmp_path: Path
) -> None:
    more = f'options = {{ recordSegmentDuration = "{options}" }}' if options else ""
    with bench(tmp_path, config_text("a", "b", layout="mediamtx", more=more, head=SETTLES)) as pair:
        segment(pair, "b", 0, longest)
        pair.scan()
        assert pair.survey().read.until["a"] == pair.now - settles * SECOND


def test_asking_what_is_open_reads_no_archive(tmp_path: Path) -> None:
    with bench(tmp_path, config_text("a")) as pair, pair.ledger.reading() as connection:
        query = "EXPLAIN QUERY PLAN SELECT id FROM segments WHERE storage_id = ? AND state = 1"
        plan = str(connection.exec_driver_sql(query, (1,)).all())
        assert "ix_segments_open" in plan
        indexes = connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'ix_segments_open'")).scalar_one()
        assert indexes.endswith("WHERE state = 1")
