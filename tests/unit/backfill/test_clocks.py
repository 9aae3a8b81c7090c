"""Which clock offset is believed, when it moves anything, and when filling waits."""

import pytest

from backfill.clocks import Basis, Offset, agreed, believed, between, doubt, seen_from
from backfill.gaps import Coverage
from schema.spans import SECOND, Span


def by_frames(us: int, uncertainty: int) -> Offset:
    return Offset(us=us, uncertainty=uncertainty, basis=Basis.FRAMES)


def by_link(us: int, uncertainty: int) -> Offset:
    return Offset(us=us, uncertainty=uncertainty, basis=Basis.LINK)


def test_the_link_makes_finer_what_key_frames_allow() -> None:
    found = believed(by_frames(500, 1000), by_link(1200, 10))
    assert found == Offset(us=1200, uncertainty=10, basis=Basis.BOTH)


def test_key_frames_win_where_the_link_contradicts_them_and_it_is_said() -> None:
    found = believed(by_frames(3_600_000, 1000), by_link(0, 10))
    assert found is not None
    assert (found.us, found.basis) == (3_600_000, Basis.FRAMES)
    assert "zone" in found.note


def test_one_measure_alone_counts_and_none_is_none() -> None:
    assert believed(by_frames(5, 1), None) == by_frames(5, 1)
    assert believed(None, by_link(5, 1)) == by_link(5, 1)
    assert believed(None, None) is None


def test_cameras_together_allow_what_each_allows() -> None:
    # From -100 to 100, from 50 to 250 and from 60 to 120: all three allow 60 to 100.
    assert agreed([by_frames(0, 100), by_frames(150, 100), by_frames(90, 30)]) == by_frames(80, 20)
    assert agreed([]) is None


def test_cameras_that_exclude_each_other_say_nothing_together() -> None:
    assert agreed([by_frames(0, 100), by_frames(1000, 100), by_frames(500, 1000)]) is None


@pytest.mark.parametrize(
    ("us", "uncertainty", "applied", "reach"), [(900, 1000, 0, 0), (-900, 1000, 0, 0), (1500, 1000, 1500, 1000)]
)
def test_clocks_that_may_agree_move_nothing(us: int, uncertainty: int, applied: int, reach: int) -> None:
    assert (by_frames(us, uncertainty).applied, by_frames(us, uncertainty).doubt) == (applied, reach)


def test_filling_waits_only_for_what_is_certainly_above_the_limit() -> None:
    limit = 2 * SECOND
    assert by_link(-2_100_000, 50_000).above(limit)
    assert not by_frames(2_100_000, 1_100_000).above(limit)
    assert not by_link(2_000_000, 0).above(limit)


def test_two_servers_are_compared_over_the_clock_they_have_in_common() -> None:
    offsets = {"b": by_link(300, 1), "c": by_link(-200, 2)}
    assert [between(offsets, *pair) for pair in (("a", "b"), ("b", "a"), ("c", "b"))] == [-300, 300, -500]
    assert doubt(offsets, ["a", "b", "c"]) == 3


def test_filled_recordings_are_on_the_clock_of_who_recorded_them() -> None:
    held = Coverage(own=[Span(0, 10)], filled={"b": [Span(310, 320)]}, gone=[Span(20, 30)])
    peer = Coverage(own=[Span(300, 340)], filled={"a": [Span(0, 5)]})
    seen = seen_from("a", {"a": held, "b": peer}, {"b": by_link(300, 1)})
    assert seen["a"] == Coverage(own=[Span(0, 10)], filled={"b": [Span(10, 20)]}, gone=[Span(20, 30)])
    assert seen["b"] == Coverage(own=[Span(0, 40)], filled={"a": [Span(0, 5)]})
