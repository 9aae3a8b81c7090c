"""What passes between the service and its ledger about the service itself: that it lives, and whether it may fill.

Rule: a ledger that does not answer is a state with a reason, which health tells; what the service knew last holds
meanwhile. A sign of life is written every minute and whenever filling is paused or resumed: whoever shares the ledger,
or reads it later, can tell a service that lives from one that was killed.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import structlog

from backfill.gate import Gate
from recorder_sync.service.live import Live
from schema.errors import OperatorError
from schema.ledger import Ledger
from schema.ledger.contacts import Contact
from schema.ledger.unchanged import Unchanged
from schema.spans import MINUTE
from schema.values import Reach

_log = structlog.get_logger()
_EVERY = 1.0
_PATIENCE = 5.0
"""Seconds after which a ledger that says nothing counts as away: a database host without power refuses nothing."""
_NOTED_EVERY = MINUTE
_LAST_WORD = 2.0


class Presence:
    """One service in its ledger.

    Args:
        servers: those that this service records for.
        now: microseconds UTC.
    """

    def __init__(self, ledger: Ledger, servers: Sequence[str], live: Live, gate: Gate, now: Callable[[], int]) -> None:
        self.problem = ""
        """Why the ledger cannot be used, empty while it can."""
        self._ledger = ledger
        self._servers = servers
        self._live = live
        self._gate = gate
        self._now = now
        self._began = now()
        self._paused: Unchanged[str] = ledger.unchanged()
        self._told: str | None = None
        self._told_at = 0

    async def run(self, resumed: Callable[[], None]) -> None:
        """Look every second, until cancelled; `resumed` is called when a pause ended."""
        while True:
            paused = self._live.now().paused
            looking = asyncio.create_task(asyncio.to_thread(self._look))
            try:
                done, _ = await asyncio.wait({looking}, timeout=_PATIENCE)
                if not done:
                    self._away(f"ledger {self._ledger.address} does not answer")
                await looking
                if self.problem:
                    _log.info("ledger.back")
                self.problem = ""
                if paused and not self._live.now().paused:
                    resumed()
            except OperatorError as error:
                self._away(str(error))
            await asyncio.sleep(_EVERY)

    def _away(self, problem: str) -> None:
        if not self.problem:
            _log.error("ledger.away", problem=problem)
        self.problem = problem

    def _look(self) -> None:
        """Take in whether filling is paused, and give a sign of life if one is due."""
        paused = self._paused.get(None, lambda connection: self._ledger.contacts.paused(connection, self._servers))
        self._live.change(paused=paused)
        if paused:
            self._gate.pause()
        else:
            self._gate.resume()
        # A clock that was set back must not make the next sign of life one of tomorrow.
        if paused != self._told or not 0 <= self._now() - self._told_at < _NOTED_EVERY:
            self._note(Reach.STANDBY if paused else Reach.UP, self._began, paused)
            self._told, self._told_at = paused, self._now()

    def _note(self, state: Reach, since: int, detail: str) -> None:
        with self._ledger.writing() as connection:
            for server in self._servers:
                contact = Contact(
                    observer=server, server=server, state=state, since=since, seen=self._now(), detail=detail
                )
                self._ledger.contacts.note(connection, contact)

    async def end(self) -> None:
        """Say that the service was stopped on purpose, unless the ledger is away."""
        if self.problem:
            return
        with contextlib.suppress(OperatorError, TimeoutError):
            async with asyncio.timeout(_LAST_WORD):
                await asyncio.to_thread(self._note, Reach.UNKNOWN, self._now(), "its service was stopped")
