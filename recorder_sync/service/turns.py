"""When to look for gaps: at once when an outage ended, soon when something is new, and now and then in any case.

Rule: by a clock that only goes forward, so that setting the time of day neither stops looking nor makes a tight loop
of it. Nothing that was said while a look was under way is lost: it is the reason for the next.
"""

import asyncio
import time

_CALM = 30.0
"""Seconds between two looks when only new recordings came: an outage's end is looked at in a moment."""
_TOGETHER = 0.2
_RESTS = 2.0
"""After an urgent look rests so many times as long as it took, so that a large storage is not read without a pause."""


class Turns:
    """When each look has its turn. Used on one loop.

    Args:
        reconcile: seconds after which to look although nothing happened.
    """

    def __init__(self, reconcile: float) -> None:
        self._reconcile = reconcile
        self._wake = asyncio.Event()
        self._urgent = True
        self._looked = -_CALM
        self._due = self._rested = 0.0

    def wake(self, urgent: bool) -> None:
        """Look soon: at once if `urgent`, else when it is calm."""
        self._urgent = self._urgent or urgent
        self._wake.set()

    def within(self, seconds: float) -> None:
        """Look after so many seconds at the latest."""
        self._due = min(self._due, time.monotonic() + seconds)

    def rest_after(self, took: float) -> None:
        """Let even an urgent look wait a while after one that took so many seconds."""
        self._rested = time.monotonic() + min(_CALM, _RESTS * took)

    async def next(self) -> None:
        """Return when there is a reason to look, and it is time; what is said from then on is for the look after."""
        await self._until_due()
        self._urgent = False
        self._wake.clear()
        self._looked = time.monotonic()
        self._due = self._looked + self._reconcile

    async def _until_due(self) -> None:
        while True:
            now = time.monotonic()
            due = self._due
            if self._urgent:
                due = self._rested
            elif self._wake.is_set():
                due = min(due, self._looked + _CALM)
            if now >= due:
                await asyncio.sleep(_TOGETHER)  # what comes together is looked at together
                return
            if self._wake.is_set():
                await asyncio.sleep(min(due - now, 0.2))
                continue
            try:
                async with asyncio.timeout(due - now):
                    await self._wake.wait()
            except TimeoutError:
                pass
