"""The clock offset from exchanges: the quickest says most, and what contradicts the newest says nothing."""

from hypothesis import given
from hypothesis import strategies as st

from recorder_sync.service.exchanges import Exchanges


@given(st.integers(-(10**12), 10**12), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1))
def test_the_truth_is_never_farther_than_the_stated_error(offset: int, trips: list[tuple[int, int]]) -> None:
    exchanges, now = Exchanges(), 10**15
    for there, back in trips:
        told = now + there + offset
        best = exchanges.add(now, told, now + there + back, there + back)
        assert best is not None
        assert abs(best.us - offset) <= best.error
        now += there + back + 2_000_000
    assert best.error <= min((there + back) // 2 + 1 for there, back in trips[-30:])


def test_a_clock_that_was_set_is_seen_with_the_next_answer() -> None:
    exchanges = Exchanges()
    exchanges.add(0, 5, 10, 10)
    found = exchanges.add(10**6, 10**6 + 3_600_000_000, 10**6 + 4000, 4000)
    assert found is not None
    assert found.us == 3_600_000_000 - 2000


def test_an_exchange_in_which_our_clock_was_set_says_nothing() -> None:
    assert Exchanges().add(10**6, 10**6, 0, 10) is None
    assert Exchanges().add(0, 5, 3_600_000_000, 10) is None, "set forward, or suspended meanwhile"
    exchanges = Exchanges()
    known = exchanges.add(0, 5, 10, 10)
    assert known is not None
    assert exchanges.add(10**6, 10**6, 10**6 + 60_000_000, 10) == known


def test_a_clock_that_is_slewed_makes_the_error_larger() -> None:
    found = Exchanges().add(0, 500, 1200, 1000)
    assert found is not None
    assert found.error >= 500 + 200
