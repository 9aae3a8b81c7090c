"""Keeping the primary's recorder id while it can be reached: when it is needed, it no longer can.

Rule: reads and keeps, never changes a recorder. A primary that does not answer is no news: outages are told elsewhere.
"""

import asyncio

import structlog

from recorder_sync.identity.here import Here
from schema.errors import OperatorError
from schema.spans import SECOND

_log = structlog.get_logger()


class Identities:
    """Reads the primary's id now and then, if this host may take it."""

    def __init__(self, here: Here) -> None:
        self._here = here
        self._problem = ""

    async def run(self) -> None:
        """Read until cancelled."""
        if self._here.rules.primary is None:
            await asyncio.Event().wait()
        while True:
            await asyncio.to_thread(self._read)
            await asyncio.sleep(self._here.rules.refresh / SECOND)

    def _read(self) -> None:
        """Read it once; the same problem is told once."""
        server = self._here.primary
        try:
            found, changed = self._here.learn()
        except OperatorError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                _log.info("identity.not_read", server=server, problem=self._problem)
            return
        except Exception:  # noqa: BLE001  what a parser makes of somebody's file must not end the service
            _log.exception("identity.not_read")
            return
        self._problem = ""
        if changed:
            _log.info("identity.kept", server=server, id=found.id, source=found.source)
