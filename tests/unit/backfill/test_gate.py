"""The gate holds the line's limit for all threads together, and lets a stop through quickly.

Live recording shares the line, so the limit must hold for the sum and over short spans, not only on average. Time here
is made up: it moves only when someone sleeps.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.gate import Gate
from schema.errors import Interrupted

BLOCK = 256 * 1024


class Clock:
    """A clock that sleeping moves. For one thread."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.longest = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.longest = max(self.longest, seconds)
        self.now += seconds


class MeetingPlace(int):
    """A rate that lets other threads run while one computes with it, so that they meet where they should not."""

    def __rtruediv__(self, other: float) -> float:
        time.sleep(0)
        return other / int(self)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_without_a_limit_nobody_waits(clock: Clock) -> None:
    gate = Gate(clock=clock, sleep=clock.sleep)
    for _ in range(1000):
        gate.take(BLOCK)
    assert clock.now == 1000.0


@given(
    rate=st.integers(10_000, 10**9),
    blocks=st.lists(st.integers(1, BLOCK), min_size=1, max_size=60),
    pauses=st.lists(st.floats(0, 3), max_size=60),
)
def test_no_span_carries_more_than_the_rate_allows(rate: int, blocks: list[int], pauses: list[float]) -> None:
    """Between any two moments: the rate, a twentieth of a second of credit, and the block that is passing."""
    clock = Clock()
    gate = Gate(rate, clock=clock, sleep=clock.sleep)
    passed: list[tuple[float, int]] = []
    for index, block in enumerate(blocks):
        clock.now += pauses[index] if index < len(pauses) else 0.0
        gate.take(block)
        passed.append((clock.now, block))
    for first in range(len(passed)):
        total = 0
        for moment, block in passed[first:]:
            allowed = rate * (moment - passed[first][0] + 0.0501) + block
            total += block
            assert total <= allowed + 1


def test_the_rate_is_reached_not_only_kept(clock: Clock) -> None:
    gate = Gate(1_000_000, clock=clock, sleep=clock.sleep)
    for _ in range(400):
        gate.take(BLOCK)
    assert 400 * BLOCK / (clock.now - 1000.0) == pytest.approx(1_000_000, rel=0.01)


def test_a_pause_earns_no_burst(clock: Clock) -> None:
    gate = Gate(1_000_000, clock=clock, sleep=clock.sleep)
    gate.take(BLOCK)
    clock.now += 3600
    began = clock.now
    for _ in range(8):
        gate.take(BLOCK)
    assert clock.now - began >= 7 * BLOCK / 1_000_000 - 0.06


def test_the_limit_holds_for_the_sum_of_all_threads() -> None:
    """Each thread has its own time here; what the gate hands out is the slot in which each block may pass."""
    rate, threads, each = MeetingPlace(10_000_000), 8, 50
    moments: list[float] = []
    mine = threading.local()

    def now() -> float:
        return getattr(mine, "now", 0.0)

    def sleep(seconds: float) -> None:
        mine.now = now() + seconds

    gate = Gate(rate, clock=now, sleep=sleep)
    together = threading.Barrier(threads)

    def work(_: int) -> None:
        mine.now = 0.0
        together.wait()
        for _ in range(each):
            gate.take(BLOCK)
            moments.append(now())  # appending is atomic

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    assert len(moments) == threads * each
    assert max(moments) == pytest.approx((threads * each - 1) * BLOCK / rate)
    for index, moment in enumerate(sorted(moments)):
        assert (index + 1) * BLOCK <= rate * (moment + 0.0501) + BLOCK + 1


def test_a_stop_is_heard_by_who_waits(clock: Clock) -> None:
    def stop_while_sleeping(seconds: float) -> None:
        clock.sleep(seconds)
        gate.stop()

    gate = Gate(1000, clock=clock, sleep=stop_while_sleeping)
    gate.take(BLOCK)
    assert not gate.stopped
    began = clock.now
    with pytest.raises(Interrupted):
        gate.take(BLOCK)
    assert clock.now - began <= 0.11
    assert gate.stopped


def test_a_stopped_gate_lets_nothing_pass_not_even_without_a_limit() -> None:
    gate = Gate()
    gate.check()
    gate.stop()
    for call in (gate.check, lambda: gate.take(1)):
        with pytest.raises(Interrupted):
            call()


def test_a_wait_is_cut_into_slices_so_that_a_stop_is_heard(clock: Clock) -> None:
    gate = Gate(1000, clock=clock, sleep=clock.sleep)
    gate.take(10_000)
    gate.take(1)
    assert clock.longest <= 0.1
    assert clock.now - 1000.0 >= 9.9


def test_a_higher_rate_shortens_the_wait_of_who_waits_already(clock: Clock) -> None:
    def raise_rate(seconds: float) -> None:
        clock.sleep(seconds)
        gate.set_rate(1_000_000)

    gate = Gate(1000, clock=clock, sleep=raise_rate)
    gate.take(100_000)
    gate.take(1)
    assert clock.now - 1000.0 == pytest.approx(0.1 + (100_000 - 100) / 1_000_000)


def test_a_lower_rate_lengthens_the_wait_of_who_waits_already(clock: Clock) -> None:
    def lower_rate(seconds: float) -> None:
        clock.sleep(seconds)
        gate.set_rate(1000)

    gate = Gate(100_000, clock=clock, sleep=lower_rate)
    gate.take(100_000)
    gate.take(1)
    assert clock.now - 1000.0 == pytest.approx(0.1 + 90_000 / 1000)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([10_000, 50_000, 1_000_000]), st.integers(1, BLOCK)), min_size=1, max_size=40
    )
)
def test_setting_the_rate_again_and_again_forgives_nothing(steps: list[tuple[int, int]]) -> None:
    """A guard sets it every second: were the debt of the last block forgiven, the limit would be none."""
    clock = Clock()
    gate = Gate(10_000, clock=clock, sleep=clock.sleep)
    least = 0.0
    for rate, block in steps:
        gate.set_rate(rate)
        least += block / 1_000_000
        gate.take(block)
    gate.take(1)
    assert clock.now - 1000.0 >= least - 0.06


def test_setting_the_same_rate_again_changes_nothing(clock: Clock) -> None:
    gate = Gate(1_000_000, clock=clock, sleep=clock.sleep)
    for _ in range(100):
        gate.set_rate(1_000_000)
        gate.take(BLOCK)
    assert 100 * BLOCK / (clock.now - 1000.0) == pytest.approx(1_000_000, rel=0.02)


def test_without_a_limit_again_nobody_waits_any_more(clock: Clock) -> None:
    gate = Gate(1000, clock=clock, sleep=clock.sleep)
    gate.take(BLOCK)
    gate.set_rate(None)
    gate.take(BLOCK)
    assert clock.now == 1000.0
    assert gate.rate is None


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_of_nothing_is_refused_because_it_would_be_a_pause(rate: int) -> None:
    with pytest.raises(ValueError, match="pause"):
        Gate(1000).set_rate(rate)


def test_the_gate_counts_what_it_let_pass(clock: Clock) -> None:
    gate = Gate(clock=clock, sleep=clock.sleep)
    gate.take(3)
    gate.set_rate(10)
    gate.take(4)
    assert gate.taken == 7


@pytest.mark.parametrize("work", [lambda gate: gate.take(1), lambda gate: gate.check()], ids=["take", "check"])
@pytest.mark.parametrize("rate", [None, 1000], ids=["no limit", "limited"])
def test_a_paused_gate_holds_what_comes_until_it_resumes(rate: int | None, work) -> None:  # type: ignore[no-untyped-def]
    gate = Gate(rate)
    gate.pause()
    gate.pause()
    assert gate.paused
    with ThreadPoolExecutor(1) as pool:
        passing = pool.submit(work, gate)
        with pytest.raises(TimeoutError):
            passing.result(0.25)
        gate.resume()
        passing.result(1)
    assert not gate.paused


def test_a_pause_holds_who_waits_for_the_line_already(clock: Clock) -> None:
    sleeps = 0

    def pause_for_a_while(seconds: float) -> None:
        nonlocal sleeps
        clock.sleep(seconds)
        sleeps += 1
        if sleeps == 3:
            gate.pause()
        if sleeps == 103:
            gate.resume()

    gate = Gate(1000, clock=clock, sleep=pause_for_a_while)
    gate.take(1000)
    gate.take(1)
    # One second of waiting, three tenths of it before the pause of a hundred slices and the rest after it.
    assert clock.now - 1000.0 == pytest.approx(1.0 + 100 * 0.1)


def test_a_pause_earns_no_credit_and_forgives_no_debt(clock: Clock) -> None:
    gate = Gate(1000, clock=clock, sleep=clock.sleep)
    gate.take(2000)
    gate.pause()
    clock.now += 3600
    gate.resume()
    began = clock.now
    gate.take(1)
    assert clock.now - began == pytest.approx(2.0)


def test_a_rate_set_during_a_pause_holds_after_it(clock: Clock) -> None:
    gate = Gate(1000, clock=clock, sleep=clock.sleep)
    gate.take(2000)
    gate.pause()
    clock.now += 3600
    gate.set_rate(2000)
    gate.resume()
    began = clock.now
    gate.take(1)
    assert clock.now - began == pytest.approx(1.0)


def test_resuming_what_is_not_paused_changes_nothing(clock: Clock) -> None:
    gate = Gate(1000, clock=clock, sleep=clock.sleep)
    gate.take(1000)
    gate.resume()
    gate.take(1)
    assert clock.now - 1000.0 == pytest.approx(1.0)


def test_a_stop_is_heard_by_who_waits_in_a_pause() -> None:
    gate = Gate()
    gate.pause()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gate.take, 1)
        with pytest.raises(TimeoutError):
            waiting.result(0.15)
        gate.stop()
        with pytest.raises(Interrupted):
            waiting.result(1)


def test_a_stop_is_heard_within_a_tenth_of_a_second_of_a_pause(clock: Clock) -> None:
    def stop_while_sleeping(seconds: float) -> None:
        clock.sleep(seconds)
        gate.stop()

    gate = Gate(clock=clock, sleep=stop_while_sleeping)
    gate.pause()
    with pytest.raises(Interrupted):
        gate.check()
    assert clock.now - 1000.0 <= 0.11
