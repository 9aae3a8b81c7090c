"""The latency guard: live recording first, without ever ending a fill.

The decision is tried on a model of a disk that gets slow when it is filled too fast; the probe on a real folder.
"""

import asyncio
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.gate import Gate
from recorder_sync.host.guard import FLOOR, LEAST_RATE, Pace, decide, rate_for
from recorder_sync.host.probing import PROBE_NAME, Guard, guarding, small_durable_write
from schema.spans import SECOND

LIMIT = 0.2
latencies = st.lists(st.floats(0, 5), max_size=6)
paces = st.builds(Pace, st.floats(FLOOR, 1), st.integers(0, 9))


def after(pace: Pace, *seconds: float) -> Pace:
    """Return the pace after probes that took so long, one by one."""
    for at in range(len(seconds)):
        pace = decide(pace, seconds[: at + 1], LIMIT)
    return pace


def test_a_slow_disk_halves_the_pace_each_time() -> None:
    assert [after(Pace(), *[0.3] * probes).factor for probes in (1, 2, 3)] == [0.5, 0.25, 0.125]


def test_one_slow_write_among_quick_ones_is_let_pass() -> None:
    assert after(Pace(), 0.01, 0.01, 0.3, 0.01).factor == 1.0


def test_one_write_that_is_slow_beyond_measure_is_not() -> None:
    assert after(Pace(), 0.01, 0.01, 0.9).factor == 0.5


def test_two_slow_writes_of_three_are_slow() -> None:
    assert after(Pace(), 0.01, 0.3, 0.01, 0.3).factor < 1


def test_the_pace_rises_only_after_some_quick_writes_and_then_by_little() -> None:
    rising = [after(Pace(0.5), *[0.01] * probes).factor for probes in range(6)]
    assert rising == pytest.approx([0.5, 0.5, 0.5, 0.55, 0.60, 0.65])


def test_between_quick_and_slow_the_pace_is_held_and_quick_ones_are_counted_anew() -> None:
    held = after(Pace(0.5), 0.01, 0.01, 0.15, 0.15, 0.15)
    assert held == Pace(0.5, 0)


@given(paces, latencies)
def test_filling_is_never_ended_and_never_faster_than_free(pace: Pace, seen: list[float]) -> None:
    assert FLOOR <= decide(pace, seen, LIMIT).factor <= 1


@given(paces, latencies)
def test_a_limit_of_nothing_is_no_guard(pace: Pace, seen: list[float]) -> None:
    assert not decide(pace, seen, 0).braked


@given(paces)
def test_without_a_probe_nothing_changes(pace: Pace) -> None:
    assert decide(pace, [], LIMIT) == pace


@pytest.mark.parametrize("recorder", [10, 40, 80])
def test_on_a_disk_that_slows_under_load_the_recorder_is_served_most_of_the_time(recorder: int) -> None:
    """A disk of 100 MB/s: writes are quick until recorder and fill together ask for more."""
    pace, seen, slow, moved = Pace(), [], 0, 0.0
    for _ in range(600):
        filling = 100 * pace.factor
        load = (recorder + filling) / 100
        seen.append(0.01 if load < 0.9 else 0.15 if load < 1 else 1.0)
        slow += seen[-1] > LIMIT
        moved += filling
        pace = decide(pace, seen, LIMIT)
    assert slow < 0.15 * 600
    assert moved / 600 > 0.4 * (100 - recorder), "and what the recorder leaves is used"


@pytest.mark.parametrize(
    ("factor", "ceiling", "unbraked", "rate"),
    [
        (1.0, None, 80_000_000, None),
        (1.0, 50_000_000, 80_000_000, 50_000_000),
        (0.5, None, 80_000_000, 40_000_000),
        (0.5, 50_000_000, 80_000_000, 25_000_000),
        (0.5, 500_000_000, 80_000_000, 40_000_000),
        (0.5, 50_000_000, 0, 25_000_000),
        (0.5, None, 0, None),
        (FLOOR, None, 1_000_000, LEAST_RATE),
        (FLOOR, 10_000, 1_000_000, 10_000),
    ],
)
def test_the_rate_is_a_part_of_how_fast_it_goes_and_never_above_the_operators_limit(
    factor: float, ceiling: int | None, unbraked: int, rate: int | None
) -> None:
    assert rate_for(Pace(factor), ceiling=ceiling, unbraked=unbraked) == rate


class Disk:
    """A disk whose writes take as long as they are told, with the clock that says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self.takes: float | OSError = 0.01
        self.writes: list[str] = []

    def clock(self) -> float:
        return self.now

    def write(self, folder: str) -> None:
        self.writes.append(folder)
        if isinstance(self.takes, OSError):
            raise self.takes
        self.now += self.takes


def settle() -> None:
    """Wait for the probes' threads."""
    for thread in threading.enumerate():
        if thread.name == "latency-probe":
            thread.join(2)


def seconds_of(guard: Guard, disk: Disk, gate: Gate, count: int, speed: int) -> None:
    """Let so many seconds pass in which so many bytes a second are moved."""
    for _ in range(count):
        guard.tick()
        settle()
        gate._taken += speed
        disk.now += 1


def test_the_gate_is_braked_while_writes_are_slow_and_freed_afterwards() -> None:
    disk, gate, told = Disk(), Gate(), []
    guard = Guard(gate, ["/state"], SECOND // 5, tell=told.append, write=disk.write, clock=disk.clock)
    seconds_of(guard, disk, gate, 5, 80_000_000)
    assert gate.rate is None
    disk.takes = 0.5
    seconds_of(guard, disk, gate, 3, 10_000_000)
    assert gate.rate is not None and gate.rate < 80_000_000 / 2
    disk.takes = 0.01
    seconds_of(guard, disk, gate, 40, 10_000_000)
    assert gate.rate is None
    assert told == [
        "filling is held back: a small write took 500 ms, more than 200 ms",
        "filling is free again: small writes take well below 200 ms",
    ]


def test_the_slowest_of_several_storages_counts() -> None:
    disk, gate = Disk(), Gate(1_000_000)

    def write(folder: str) -> None:
        disk.now += 0.5 if folder == "/b" else 0.0

    guard = Guard(gate, ["/a", "/b"], SECOND // 5, write=write, clock=disk.clock)
    seconds_of(guard, disk, gate, 3, 1_000_000)
    assert gate.rate is not None and gate.rate < 1_000_000


def test_a_disk_that_hangs_brakes_although_no_write_ever_ends() -> None:
    gate, disk, hanging = Gate(1_000_000), Disk(), threading.Event()
    guard = Guard(gate, ["/state"], SECOND // 5, write=lambda _: hanging.wait(5) and None, clock=disk.clock)
    try:
        for _ in range(4):
            guard.tick()
            disk.now += 1
        assert gate.rate is not None and gate.rate < 200_000
        assert sum(thread.name == "latency-probe" for thread in threading.enumerate()) == 1, "one write hangs, not four"
        began = time.monotonic()
        guard.release()
        assert time.monotonic() - began < 1
        assert gate.rate == 1_000_000
    finally:
        hanging.set()


def test_a_probe_that_fails_brakes_nothing_and_is_told_once() -> None:
    disk, gate, told = Disk(), Gate(1_000_000), []
    disk.takes = OSError(28, "No space left on device")
    guard = Guard(gate, ["/state"], SECOND // 5, tell=told.append, write=disk.write, clock=disk.clock)
    seconds_of(guard, disk, gate, 4, 0)
    assert gate.rate == 1_000_000
    assert told == ["the latency at /state cannot be measured: No space left on device"]


def test_the_probe_is_a_small_file_in_the_state_folder_that_is_gone_afterwards(tmp_path: Path) -> None:
    gate, seen = Gate(), []

    async def scenario() -> None:
        async with guarding(gate, [str(tmp_path)], SECOND // 5, interval=0.02) as guard:
            for _ in range(100):
                await asyncio.sleep(0.02)
                seen.append([(one.name, one.stat().st_size) for one in tmp_path.iterdir()])
                if guard.latency > 0:
                    break
            assert guard.latency > 0
            settle()

    asyncio.run(scenario())
    assert [(PROBE_NAME, 4096)] in seen
    assert list(tmp_path.iterdir()) == []


def test_writing_again_does_not_make_the_file_grow(tmp_path: Path) -> None:
    small_durable_write(str(tmp_path))
    small_durable_write(str(tmp_path))
    assert (tmp_path / PROBE_NAME).stat().st_size == 4096


def test_with_a_latency_of_nothing_nothing_is_written(tmp_path: Path) -> None:
    gate = Gate(1_000_000)

    async def scenario() -> None:
        async with guarding(gate, [str(tmp_path)], 0, interval=0.01) as guard:
            await asyncio.sleep(0.05)
            assert guard.latency == 0

    asyncio.run(scenario())
    assert list(tmp_path.iterdir()) == []
    assert gate.rate == 1_000_000


def test_when_the_fill_fails_the_gate_has_its_rate_back(tmp_path: Path) -> None:
    gate = Gate(1_000_000)

    async def scenario() -> None:
        async with guarding(gate, [str(tmp_path)], SECOND // 5, interval=0.01, write=lambda _: time.sleep(0.3)):
            await asyncio.sleep(0.3)
            gate.set_rate(5)
            raise RuntimeError("the fill failed")

    with pytest.raises(RuntimeError, match="the fill failed"):
        asyncio.run(scenario())
    assert gate.rate == 1_000_000
    settle()
