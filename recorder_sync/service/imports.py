"""Telling of an import that was cut off: its recorder may be stopped, and whoever ran it may not know.

Rule: looks and tells, each import once, and takes nothing back: that stops a recorder, and is an operator's to do.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from recorder_sync.alarms import kinds
from recorder_sync.identity.place import Place
from recorder_sync.importing.journal import cut_off
from recorder_sync.service.events import Events
from schema.errors import OperatorError

_log = structlog.get_logger()
_EVERY = 30.0
"""Seconds."""


class Imports:
    """Looks for imports that were cut off.

    Args:
        folder: of identities.
        now: microseconds UTC.
    """

    def __init__(self, folder: str, servers: Sequence[str], events: Events, now: Callable[[], int]) -> None:
        self._place = Place(folder)
        self._servers = servers
        self._events = events
        self._now = now
        self._problem = ""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(_EVERY)

    def look(self) -> None:
        """Look once; a problem that stays is logged once."""
        try:
            for server in self._servers:
                entry = cut_off(self._place, server)
                if entry is not None:
                    self._events.tell(kinds.import_cut_off(server=server, began=entry.began, at=self._now()))
        except OperatorError as error:
            if str(error) != self._problem:
                _log.error("import.not_looked", problem=str(error))
            self._problem = str(error)
        else:
            self._problem = ""
