"""When to look: nothing that was said is lost, calm where nothing hurries, and always once in a while."""

import asyncio
import time

import pytest

from recorder_sync.service import turns
from recorder_sync.service.turns import Turns

FAR = 3600.0
SOON = 0.05


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_TOGETHER", 0.0)


async def looks(one: Turns, patience: float = 1.0) -> bool:
    """Tell whether a look comes within `patience` seconds."""
    try:
        async with asyncio.timeout(patience):
            await one.next()
    except TimeoutError:
        return False
    return True


def test_it_looks_at_once_and_then_only_when_there_is_a_reason() -> None:
    async def run() -> None:
        one = Turns(FAR)
        assert await looks(one)
        assert not await looks(one, SOON)
        one.wake(urgent=True)
        assert await looks(one)

    asyncio.run(run())


def test_what_is_said_while_it_looks_is_the_reason_for_the_next() -> None:
    async def run() -> None:
        one = Turns(FAR)
        await one.next()
        one.wake(urgent=True)  # while the look is under way
        one.rest_after(0.0)
        assert await looks(one)
        assert not await looks(one, SOON)

    asyncio.run(run())


def test_what_does_not_hurry_waits_until_it_is_calm(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        one = Turns(FAR)
        await one.next()
        one.wake(urgent=False)
        assert not await looks(one, SOON)
        monkeypatch.setattr(turns, "_CALM", 0.1)
        assert await looks(one)

    asyncio.run(run())


def test_after_a_look_that_took_long_even_what_hurries_rests() -> None:
    async def run() -> float:
        one = Turns(FAR)
        await one.next()
        one.rest_after(0.2)
        one.wake(urgent=True)
        began = time.monotonic()
        assert await looks(one, 5)
        return time.monotonic() - began

    assert asyncio.run(run()) >= 0.4


def test_it_looks_when_it_was_told_to_and_when_nothing_was_said_for_long() -> None:
    async def run() -> None:
        one = Turns(FAR)
        await one.next()
        one.within(0.1)
        one.within(FAR)
        assert await looks(one)
        assert await looks(Turns(0.1))

    asyncio.run(run())
