"""The clock offset from exchanges: the quickest says most, and what contradicts the newest says nothing."""

from hypothesis import given
from hypothesis import strategies as st

from recorder_sync.service.offset import Offsets


@given(st.integers(-(10**12), 10**12), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1))
def test_the_truth_is_never_farther_than_the_stated_error(offset: int, trips: list[tuple[int, int]]) -> None:
    offsets, now = Offsets(), 10**15
    for there, back in trips:
        told = now + there + offset
        best = offsets.add(now, told, now + there + back)
        assert abs(best.us - offset) <= best.error
        now += there + back + 2_000_000
    assert best.error <= min((there + back) // 2 + 1 for there, back in trips[-30:])


def test_a_clock_that_was_set_is_seen_with_the_next_answer() -> None:
    offsets = Offsets()
    offsets.add(0, 5, 10)
    assert offsets.add(10**6, 10**6 + 3_600_000_000, 10**6 + 4000).us == 3_600_000_000 - 2000


def test_a_clock_of_ours_that_went_back_meanwhile_makes_no_negative_error() -> None:
    assert Offsets().add(10**6, 10**6, 0).error > 0
