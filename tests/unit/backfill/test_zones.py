"""Names in local time: two hours a year they say nothing, or two things, and then a wrong guess hides a real hole.

What must hold: a time is either right or marked uncertain, in every zone, and a file's last write settles which of two
hours it was only where it really tells them apart.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.layouts import Stamp
from backfill.layouts.zones import candidates, resolve, to_local
from schema.moments import from_datetime, iso
from schema.spans import HOUR, MINUTE, SECOND

BERLIN = ZoneInfo("Europe/Berlin")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")


def digits(text: str) -> int:
    """Return the digits of a clock, read as if they were UTC."""
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=UTC))


def times(local: str, zone: str) -> list[str]:
    return [iso(us)[:16] for us in candidates(digits(local), ZoneInfo(zone))]


@pytest.mark.parametrize(
    ("local", "zone", "expected"),
    [
        ("2026-07-01 12:00", "Europe/Berlin", ["2026-07-01T10:00"]),
        ("2026-10-25 01:59:59", "Europe/Berlin", ["2026-10-24T23:59"]),
        ("2026-10-25 02:00", "Europe/Berlin", ["2026-10-25T00:00", "2026-10-25T01:00"]),
        ("2026-10-25 02:59:59", "Europe/Berlin", ["2026-10-25T00:59", "2026-10-25T01:59"]),
        ("2026-10-25 03:00", "Europe/Berlin", ["2026-10-25T02:00"]),
        ("2026-03-29 01:59:59", "Europe/Berlin", ["2026-03-29T00:59"]),
        ("2026-03-29 02:00", "Europe/Berlin", []),
        ("2026-03-29 02:59:59", "Europe/Berlin", []),
        ("2026-03-29 03:00", "Europe/Berlin", ["2026-03-29T01:00"]),
        ("2026-04-05 01:45", "Australia/Lord_Howe", ["2026-04-04T14:45", "2026-04-04T15:15"]),
        ("2026-10-04 02:15", "Australia/Lord_Howe", []),
        ("2026-11-01 00:30", "America/Havana", ["2026-11-01T04:30", "2026-11-01T05:30"]),
        ("2026-11-22 12:00", "Asia/Kathmandu", ["2026-11-22T06:15"]),
        ("2011-12-30 12:00", "Pacific/Apia", []),
        ("2011-12-31 00:00", "Pacific/Apia", ["2011-12-30T10:00"]),
        ("2026-02-15 02:30", "Africa/Casablanca", ["2026-02-15T01:30", "2026-02-15T02:30"]),
    ],
)
def test_local_digits_are_no_time_one_or_two(local: str, zone: str, expected: list[str]) -> None:
    assert times(local, zone) == expected


def test_a_name_in_utc_is_certain_whatever_the_zone_and_the_last_write() -> None:
    us = digits("2026-10-25 02:30")
    assert resolve(Stamp(us, local=False), BERLIN, us + 7 * HOUR) == (us, True)


@pytest.mark.parametrize("late", [-3 * SECOND, 0, 20 * SECOND, 20 * MINUTE])
@pytest.mark.parametrize("hour", ["00:30", "01:30"])
def test_the_last_write_settles_which_of_two_hours_it_was(hour: str, late: int) -> None:
    start = digits(f"2026-10-25 {hour}")
    assert resolve(Stamp(digits("2026-10-25 02:30"), local=True), BERLIN, start + late) == (start, True)


@pytest.mark.parametrize("written", [None, digits("2026-10-25 01:00"), digits("2026-10-26 09:00"), 0])
def test_where_nothing_settles_it_the_time_is_uncertain(written: int | None) -> None:
    start, certain = resolve(Stamp(digits("2026-10-25 02:30"), local=True), BERLIN, written)
    assert not certain
    assert start in (digits("2026-10-25 00:30"), digits("2026-10-25 01:30"))


def test_half_an_hour_back_leaves_less_room_for_a_late_write() -> None:
    stamp = Stamp(digits("2026-04-05 01:45"), local=True)
    first, second = candidates(stamp.us, LORD_HOWE)
    assert resolve(stamp, LORD_HOWE, first + 10 * MINUTE) == (first, True)
    assert resolve(stamp, LORD_HOWE, second - 10 * MINUTE) == (second, True)
    assert not resolve(stamp, LORD_HOWE, first + 15 * MINUTE)[1], "half way between the two"


@pytest.mark.parametrize(
    ("local", "zone", "read_as"),
    [
        ("2026-03-29 02:30", "Europe/Berlin", "2026-03-29T01:30"),
        ("2026-10-04 02:15", "Australia/Lord_Howe", "2026-10-03T15:45"),
        ("2011-12-30 12:00", "Pacific/Apia", "2011-12-30T22:00"),
    ],
)
def test_digits_that_no_clock_showed_are_read_with_the_offset_before_and_uncertain(
    local: str, zone: str, read_as: str
) -> None:
    start, certain = resolve(Stamp(digits(local), local=True), ZoneInfo(zone), digits(local))
    assert (iso(start)[:16], certain) == (read_as, False)


zones = st.sampled_from(sorted(available_timezones() - {"localtime"})).map(ZoneInfo)
recent = st.integers(digits("2023-01-01"), digits("2037-12-31"))


@given(us=recent, zone=zones)
def test_every_time_is_among_the_times_of_its_own_digits(us: int, zone: ZoneInfo) -> None:
    found = candidates(to_local(us, zone), zone)
    assert us in found
    assert found == sorted(found) and len(found) <= 2


@given(local=recent, zone=zones)
def test_the_times_of_some_digits_are_exactly_those_that_show_them(local: int, zone: ZoneInfo) -> None:
    offsets = {to_local(at, zone) - at for at in range(local - 36 * HOUR, local + 36 * HOUR, 30 * MINUTE)}
    assert candidates(local, zone) == sorted(local - each for each in offsets if to_local(local - each, zone) == local)


changes = st.sampled_from(
    [
        (ZoneInfo(zone), digits(change))
        for zone, change in [
            ("Europe/Berlin", "2026-10-25 01:00"),
            ("Europe/Berlin", "2026-03-29 01:00"),
            ("America/New_York", "2026-11-01 06:00"),
            ("Australia/Lord_Howe", "2026-04-04 15:00"),
            ("Australia/Lord_Howe", "2026-10-03 15:30"),
            ("America/Havana", "2026-11-01 05:00"),
            ("Pacific/Apia", "2011-12-30 10:00"),
        ]
    ]
)


@given(change=changes, near=st.integers(-3 * HOUR, 3 * HOUR), late=st.integers(-5 * MINUTE, 12 * MINUTE))
def test_around_a_change_a_file_written_in_place_is_always_put_where_it_was(
    change: tuple[ZoneInfo, int], near: int, late: int
) -> None:
    zone, at = change
    start = at + near
    assert resolve(Stamp(to_local(start, zone), local=True), zone, start + late) == (start, True)
