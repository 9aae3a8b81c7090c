"""A pool that keeps no process from ending: one that is stuck is left behind, and everything else is as usual."""

import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError

import pytest

from backfill.threads import Threads


def test_what_is_given_to_it_is_done_and_what_is_raised_is_raised() -> None:
    with Threads(3, "some") as pool:
        assert list(pool.map(lambda number: number * number, range(50))) == [one * one for one in range(50)]
        failing = pool.submit(int, "x")
        with pytest.raises(ValueError, match="invalid literal"):
            failing.result(5)
        assert pool.submit(int, "11", base=2).result(5) == 3


def test_it_has_as_many_threads_as_it_may_and_uses_those_that_are_idle() -> None:
    pool, gate = Threads(2, "some"), threading.Event()
    names: set[str] = set()

    def note() -> None:
        names.add(threading.current_thread().name)
        gate.wait(5)

    waiting = [pool.submit(note) for _ in range(4)]
    time.sleep(0.1)
    assert len(names) == 2
    gate.set()
    for one in waiting:
        one.result(5)
    assert names == {"some_0", "some_1"}
    pool.shutdown()
    single = Threads(9, "one")
    for _ in range(5):
        single.submit(time.sleep, 0).result(5)
        time.sleep(0.02)
    assert len(single._ours) == 1
    single.shutdown()


def test_after_it_was_shut_down_it_takes_nothing_and_what_waits_is_done_or_cancelled() -> None:
    for cancelled in (False, True):
        pool, gate = Threads(1, "some"), threading.Event()
        pool.submit(gate.wait, 5)
        waiting = pool.submit(int, "7")
        time.sleep(0.05)
        pool.shutdown(wait=False, cancel_futures=cancelled)
        with pytest.raises(RuntimeError):
            pool.submit(int, "8")
        gate.set()
        pool.shutdown()
        if cancelled:
            with pytest.raises(CancelledError):
                waiting.result(5)
        else:
            assert waiting.result(5) == 7


def test_its_patience_ends() -> None:
    pool, gate = Threads(2, "some", patience=0.2), threading.Event()
    pool.submit(gate.wait, 20)
    began = time.monotonic()
    pool.shutdown()
    assert 0.1 < time.monotonic() - began < 5
    gate.set()


STUCK = """
import asyncio, sys, time
from backfill.threads import Threads
async def run():
    asyncio.get_running_loop().set_default_executor(Threads(4, "x", 0.2))
    other = Threads(4, "y")
    asyncio.get_running_loop().run_in_executor(other, time.sleep, 60)
    await asyncio.wait([asyncio.create_task(asyncio.to_thread(time.sleep, 60))], timeout=0.2)
asyncio.run(run())
print("done")
"""


def test_a_process_ends_although_threads_are_stuck() -> None:
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
