"""Windows for filling: over midnight, on the days the clock is changed, and what need not wait for one.

A window that is an hour off in March keeps bulk traffic on the line when the day's viewers come; one that never opens
loses what retention deletes meanwhile. The oracle asks a wall clock minute by minute.
"""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backfill.timing import Timing, is_open, may_fill, next_closing, next_opening, sort_out
from schema.spans import DAY, HOUR, MINUTE, SECOND, Span
from schema.values import Segment, Task

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC")


def at(text: str) -> int:
    """Return a UTC time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


def timing(*windows: str, zone: str = "Europe/Berlin", fresh: int = DAY) -> Timing:
    return Timing.of(windows, zone, fresh)


def wall(us: int, zone: str) -> str:
    return datetime.fromtimestamp(us / SECOND, ZoneInfo(zone)).strftime("%H:%M")


def shows(us: int, window: str, zone: str) -> bool:
    """Tell what a person with a wall clock and the configuration would say."""
    begin, end = window.split("-")
    now = wall(us, zone)
    return begin <= now < end if begin < end else now >= begin or now < end


def test_without_windows_it_is_always_open() -> None:
    now = at("2026-03-29T01:30")
    assert is_open(now, timing())
    assert next_opening(now, timing()) == now
    assert next_closing(now, timing()) is None


@pytest.mark.parametrize(
    ("moment", "open_then"),
    [
        ("2026-01-10T20:59", False),  # 21:59 in Berlin
        ("2026-01-10T21:00", True),
        ("2026-01-10T23:30", True),  # past midnight
        ("2026-01-11T04:59", True),
        ("2026-01-11T05:00", False),
    ],
)
def test_a_window_goes_over_midnight_and_its_end_is_outside(moment: str, open_then: bool) -> None:
    assert is_open(at(moment), timing("22:00-06:00")) is open_then


def test_in_summer_the_same_window_opens_an_hour_earlier_in_utc() -> None:
    assert next_opening(at("2026-07-01T12:00"), timing("22:00-06:00")) == at("2026-07-01T20:00")
    assert next_opening(at("2026-01-01T12:00"), timing("22:00-06:00")) == at("2026-01-01T21:00")


def test_the_night_the_clock_goes_forward_is_an_hour_shorter() -> None:
    night = timing("22:00-06:00")
    opens = next_opening(at("2026-03-28T12:00"), night)
    assert opens == at("2026-03-28T21:00")
    assert next_closing(opens, night) == opens + 7 * HOUR


def test_the_night_the_clock_goes_back_is_an_hour_longer() -> None:
    night = timing("22:00-06:00")
    opens = next_opening(at("2026-10-24T12:00"), night)
    assert opens == at("2026-10-24T20:00")
    assert next_closing(opens, night) == opens + 9 * HOUR


def test_a_window_that_begins_in_the_hour_that_is_left_out_opens_when_the_clock_jumps() -> None:
    assert next_opening(at("2026-03-29T00:00"), timing("02:30-04:00")) == at("2026-03-29T01:00")


def test_a_window_within_the_hour_that_is_left_out_opens_the_next_day() -> None:
    assert next_opening(at("2026-03-29T00:00"), timing("02:15-02:45")) == at("2026-03-30T00:15")


def test_a_window_within_the_hour_that_comes_twice_opens_twice() -> None:
    twice = timing("02:15-02:45")
    first = next_opening(at("2026-10-24T23:00"), twice)
    assert first == at("2026-10-25T00:15")
    closed = next_closing(first, twice)
    assert closed == at("2026-10-25T00:45")
    assert next_opening(closed, twice) == at("2026-10-25T01:15")


def test_a_window_whose_ends_are_one_is_the_whole_day() -> None:
    assert next_closing(at("2026-01-01T12:00"), timing("06:00-06:00")) is None


def test_a_window_up_to_24_00_ends_at_midnight() -> None:
    assert next_closing(at("2026-01-01T22:00"), timing("22:00-24:00")) == at("2026-01-01T23:00")


def test_windows_that_touch_are_one() -> None:
    assert next_closing(at("2026-01-01T21:30"), timing("22:00-24:00", "00:00-03:00")) == at("2026-01-02T02:00")


clock_times = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(0, 59))
spelt = st.tuples(clock_times, clock_times).filter(lambda ends: ends[0] != ends[1]).map("-".join)
around_changes = st.sampled_from(
    [
        at(day)
        for day in ("2026-03-28", "2026-10-24", "2026-03-07", "2026-10-31", "2026-04-04", "2011-12-29", "2026-06-01")
    ]
)


@given(around_changes, st.integers(0, 2 * 24 * 60), spelt, st.sampled_from(ZONES))
@example(at("2026-03-28"), 0, "02:15-02:45", "Europe/Berlin")
@example(at("2011-12-29"), 0, "12:00-12:01", "Pacific/Apia")
def test_openings_and_closings_are_where_a_wall_clock_says(day: int, minutes: int, window: str, zone: str) -> None:
    now = day + minutes * MINUTE
    asked = timing(window, zone=zone)
    for find, wanted in ((next_opening, True), (next_closing, False)):
        found = find(now, asked)
        assert found is not None
        assert shows(found, window, zone) is wanted
        assert all(shows(minute, window, zone) is not wanted for minute in range(now, found, MINUTE))


def task(end: int, length: int = 10 * SECOND) -> Task:
    span = Span(end - length, end)
    one = Segment(
        storage_id=1, camera="front", path=f"{end}.mp4", start=span.start, end=end, size=1, mtime_ns=0, inode=1
    )
    return Task(server="a", peer="b", source=one, storage_id=2, path=one.path, new=length)


NOON = at("2026-06-01T10:00")


def test_in_a_window_everything_is_filled_in_the_order_given() -> None:
    tasks = [task(NOON - 5 * DAY), task(NOON - HOUR)]
    assert sort_out(tasks, NOON, timing("11:00-13:00")) == (tasks, [])


def test_outside_the_fresh_goes_at_once_and_the_old_waits_with_a_reason() -> None:
    fresh, old = task(NOON - DAY + SECOND), task(NOON - DAY)
    ready, later = sort_out([old, fresh], NOON, timing("22:00-06:00"))
    assert ready == [fresh]
    assert [one.task for one in later] == [old]
    assert later[0].opens == at("2026-06-01T20:00")
    assert later[0].reason == "older than 1 d: waits for the window that opens at 2026-06-01 20:00:00Z"


def test_what_would_be_deleted_before_the_window_opens_does_not_wait_for_it() -> None:
    opens = at("2026-06-01T20:00")
    doomed = replace(task(NOON - 9 * DAY), deleted_at=opens + 10 * MINUTE)
    safe = replace(task(NOON - 8 * DAY), deleted_at=opens + 2 * HOUR)
    ready, later = sort_out([doomed, safe], NOON, timing("22:00-06:00"))
    assert ready == [doomed]
    assert [one.task for one in later] == [safe]


@pytest.mark.parametrize(("age", "allowed"), [(0, True), (HOUR - 1, True), (HOUR, False)])
def test_age_alone_decides_outside_the_windows(age: int, allowed: bool) -> None:
    assert may_fill(NOON, timing("22:00-06:00", fresh=HOUR), age=age) is allowed
    assert may_fill(NOON, timing("11:00-13:00", fresh=HOUR), age=age)
