"""Comparing clocks by pictures, now and then: what both recorders filmed tells how far they are apart to the frame.

Rule: never in the way. A few cameras, a bounded read, once an hour; without PyAV only what the link says is known.
"""

import asyncio
import importlib.util
from collections.abc import Callable

import structlog

from backfill.keyframes.check import Side
from backfill.keyframes.known import remember
from backfill.keyframes.match import Matched
from backfill.keyframes.measure import measure, shared_cameras, together
from backfill.peer import FolderPeer
from recorder_sync.app import App
from recorder_sync.service import contact
from recorder_sync.service.live import Live
from schema.errors import OperatorError

_log = structlog.get_logger()
_EVERY = 3600.0
_FIRST = 60.0
_AGAIN = 300.0
"""Seconds until the next try while no camera tells anything."""
_CAMERAS = 3


class Clocks:
    """Measures each peer's clock against this server's."""

    def __init__(self, app: Callable[[], App], own: str, live: Live) -> None:
        self._app = app
        self._own = own
        self._live = live

    async def run(self) -> None:
        """Measure until cancelled."""
        if importlib.util.find_spec("av") is None:
            _log.info("clocks.by_link_only", reason="the media extra (PyAV) is not installed")
            await asyncio.Event().wait()
        await asyncio.sleep(_FIRST)
        while True:
            told = False
            try:
                told = await asyncio.to_thread(self._measure)
            except OperatorError as error:
                _log.info("clocks.not_measured", problem=str(error))
            except Exception:  # noqa: BLE001  what a decoder makes of a picture must not end the service
                _log.exception("clocks.not_measured")
            await asyncio.sleep(_EVERY if told else _AGAIN)

    def _measure(self) -> bool:
        """Measure and remember; returns whether any peer's clock could be told."""
        app = self._app()
        states = self._live.now().peers
        here = [name for name in app.site.peers(self._own) if name not in states or contact.is_here(states[name].state)]
        if not here:
            return False
        found = app.survey(app.question())
        peers = app.peers(self._own) | {self._own: FolderPeer(self._own, app.site, app.ledger)}
        sides = {
            name: Side(peer=peer, storages=[one for one in app.site.of(name) if one.origin is None])
            for name, peer in peers.items()
        }
        told = False
        for name in here:
            cameras = shared_cameras(found, self._own, name)[:_CAMERAS]
            findings = [measure(found, sides, camera, self._own, name) for camera in cameras]
            if any(isinstance(one.result, Matched) for one in findings):
                offset = together(findings)
                remember(app.ledger, self._own, name, offset, found.question.now)
                _log.info("clocks.measured", peer=name, offset_us=None if offset is None else offset.us)
                told = True
        return told
