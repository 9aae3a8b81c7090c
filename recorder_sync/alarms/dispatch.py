"""Sending what is in the outbox: a task for each channel, so that a slow one delays no other.

Rule: a try is counted in the ledger before it is made and its outcome recorded after, each durable by itself. Nothing
that a channel or the ledger does ends a task; only being cancelled does.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from recorder_sync.alarms.channels import Channel, ChannelFailed
from schema.ledger import Ledger
from schema.ledger.alarms import Delivery
from schema.spans import SECOND
from schema.values import Alarm

log = logging.getLogger(__name__)

T = TypeVar("T")

_LOOK = 30.0
"""Seconds after which the outbox is looked at although nobody said that something is in it: another process may have
raised an alarm."""
_LEASE = 5 * SECOND
"""So much longer than its timeout a try may take before it counts as lost with its process."""
_HOUSEKEEPING = 3600.0
_LEDGER_PAUSES = (1.0, 5.0, 15.0, 60.0)
"""Seconds between tries while the ledger cannot be reached."""


class Dispatcher:
    """Delivers the alarms that one observer raised, until it is cancelled."""

    def __init__(self, ledger: Ledger, observer: str, channels: Sequence[Channel], now: Callable[[], int]) -> None:
        self._ledger = ledger
        self._outbox = ledger.outbox
        self._observer = observer
        self._channels = channels
        self._now = now
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = {channel.name: asyncio.Event() for channel in channels}

    def notify(self) -> None:
        """Say that an alarm was raised. From any thread, after its transaction is committed."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for event in self._woken.values():
            event.set()

    async def run(self) -> None:
        """Deliver until cancelled. What was under way then is tried again by the next run, with the same key."""
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._housekeeping())
            for channel in self._channels:
                tasks.create_task(self._serve(channel))

    async def _serve(self, channel: Channel) -> None:
        """Deliver everything for one channel, in the order in which it happened as far as the channel lets it."""
        woken, down = self._woken[channel.name], False
        while True:
            woken.clear()
            down = await self._round(channel, down=down)
            due = await self._read(self._outbox.next_due, self._observer, channel.name)
            pause = _LOOK if due is None else min(_LOOK, max(0.0, (due - self._now()) / SECOND))
            try:
                async with asyncio.timeout(pause):
                    await woken.wait()
            except TimeoutError:
                pass

    async def _round(self, channel: Channel, *, down: bool) -> bool:
        """Try what is due; tells whether the channel is down: then the rest waits with the one that failed."""
        waiting = await self._read(self._outbox.due, self._observer, channel.name, self._now())
        if waiting and channel.ordered:
            # What is new is due at once, and what failed before it is not: then both are.
            await self._write(self._outbox.hurried, self._observer, channel.name)
            waiting = await self._read(self._outbox.due, self._observer, channel.name, self._now())
        for at, (delivery, alarm) in enumerate(waiting):
            until = self._now() + round(channel.timeout * SECOND) + _LEASE
            if not await self._write(self._outbox.taken, delivery, until):
                continue  # another process of this observer has it
            answer = await self._try(channel, alarm)
            if isinstance(answer, str):
                await self._write(self._outbox.delivered, delivery)
                log.info("alarms.delivered", extra={**_about(channel, delivery, alarm), "answer": answer})
            else:
                log.warning("alarms.failed", extra={**_about(channel, delivery, alarm), "reason": answer.reason})
                again = await self._write(self._outbox.failed, delivery, self._now(), answer.reason)
                if channel.ordered:
                    await self._write(self._outbox.held, self._observer, channel.name, again)
                    return True
                if not answer.answered:
                    await self._write(self._outbox.postponed, [rest for rest, _ in waiting[at + 1 :]], again)
                    return True
            if down:
                down = False
                await self._write(self._outbox.hurried, self._observer, channel.name)
        return down

    async def _try(self, channel: Channel, alarm: Alarm) -> str | ChannelFailed:
        """Send once; returns what was answered, or why it failed."""
        try:
            # The channel keeps its timeout itself; this is for one that does not.
            async with asyncio.timeout(channel.timeout + 1):
                return await channel.send(alarm)
        except ChannelFailed as failure:
            return failure
        except TimeoutError:
            return ChannelFailed(f"not done within {channel.timeout:g} s")
        except Exception as error:  # noqa: BLE001  a defect of one channel; what it says may quote a secret
            return ChannelFailed(f"a defect in this channel: {type(error).__name__}")

    async def _housekeeping(self) -> None:
        while True:
            expired = await self._write(self._outbox.expire, self._now())
            if expired:
                log.error("alarms.expired", extra={"deliveries": expired})
            await self._write(self._outbox.prune, self._now())
            await asyncio.sleep(_HOUSEKEEPING)

    async def _read(self, step: Callable[..., T], *arguments: object) -> T:
        """Do a step of the outbox that only reads."""
        return await self._insist(self._ledger.reading, step, arguments)

    async def _write(self, step: Callable[..., T], *arguments: object) -> T:
        """Do a step of the outbox; it is durable when this returns."""
        return await self._insist(self._ledger.writing, step, arguments)

    async def _insist(
        self,
        transaction: Callable[[], AbstractContextManager[object]],
        step: Callable[..., T],
        arguments: Sequence[object],
    ) -> T:
        """Do one step as often as it takes: what a channel answered must not be forgotten while the ledger is away."""

        def once() -> T:
            with transaction() as connection:
                return step(connection, *arguments)

        for tries in itertools.count():
            try:
                return await asyncio.to_thread(once)
            except Exception as error:  # noqa: BLE001  a driver's too: a dispatcher that died would be missed by nobody
                pause = _LEDGER_PAUSES[min(tries, len(_LEDGER_PAUSES) - 1)]
                log.warning("alarms.ledger_away", extra={"error": str(error), "again_in_seconds": pause})
            await asyncio.sleep(pause)
        raise AssertionError("it counts for ever")


def _about(channel: Channel, delivery: Delivery, alarm: Alarm) -> dict[str, object]:
    return {"channel": channel.name, "key": alarm.key, "attempt": delivery.attempts + 1}
