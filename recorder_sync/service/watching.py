"""Looking at this server itself: its storages' events and scans, its recorder's silence, its disks.

Rule: what is seen becomes an outage and an alarm in one transaction, once; a scan that fails is a state, not the end.
"""

import asyncio
import os
from collections.abc import Callable

import structlog

from backfill.gate import Gate
from backfill.storage import Storage
from backfill.survey import settle
from backfill.watch import Watch
from recorder_sync.alarms import kinds
from recorder_sync.app import App
from recorder_sync.service.events import Events
from recorder_sync.service.live import Live
from recorder_sync.service.observe import REMEMBERED, Silence, patience, silence
from schema.errors import OperatorError, StorageAway
from schema.settings import Settings
from schema.spans import MINUTE, Span
from schema.values import Cause
from schema.wire import CameraState

_log = structlog.get_logger()
_LOOK_EVERY = 5.0
_DISK_EASES = 1.1
"""Free space must be above the limit by this factor before it can be low again."""


class Watching:
    """Everything this host sees of its own server.

    Args:
        app: returns what to work with as it is now.
        changed: called when storages hold something new, or are back; `urgent` when an outage ended.
    """

    def __init__(
        self,
        app: Callable[[], App],
        settings: Settings,
        own: str,
        live: Live,
        events: Events,
        *,
        now: Callable[[], int],
        changed: Callable[[bool], None],
    ) -> None:
        self._app = app
        self._settings = settings
        self._own = own
        self._live = live
        self._events = events
        self._now = now
        self._changed = changed
        self._digests = Gate(settings.scan.rate)
        self._away: dict[str, int] = {}
        """Storages that are away, by title, and since when."""
        self._silence = Silence()
        self._low: set[str] = set()

    async def watch(self) -> None:
        """Follow the storages until cancelled."""
        app = self._app()
        self._remember()
        try:
            await Watch(
                list(app.site.storages), self._look, rescan=app.settings.scan.rescan, said=lambda text: _log.info(text)
            ).run()
        finally:
            self._digests.stop()

    async def observe(self) -> None:
        """See every few seconds whether the recorder records and the disks have room, until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self._observe)
            except OperatorError as error:
                _log.warning("observe.failed", problem=str(error))
            await asyncio.sleep(_LOOK_EVERY)
