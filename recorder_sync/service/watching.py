"""Looking at this server itself: its storages' events and scans, its recorder's silence, its disks.

Rule: what is seen becomes an outage and an alarm in one transaction, once, however often the service is started
meanwhile; what could not be written is tried again. A scan that fails is a state, not the end.
"""

import asyncio
import os
from collections.abc import Callable

import structlog

from backfill.gate import Gate
from backfill.scanned import ScanOptions
from backfill.settling import open_since
from backfill.storage import Storage
from backfill.watch import Watch
from recorder_sync.alarms import kinds
from recorder_sync.app import App, Scanned
from recorder_sync.host.memory import give_back
from recorder_sync.service.events import Events
from recorder_sync.service.live import Live
from recorder_sync.service.observe import REMEMBERED, Silence, patience, silence
from schema.errors import DescriptorsExhausted, OperatorError
from schema.ledger.alarms import EXPIRES
from schema.settings import Settings
from schema.spans import DAY, MINUTE, Span
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
        """Storages that are away, by name, and since when."""
        self._silence = Silence()
        self._low: dict[str, int] = {}
        """Storages that are low on space, by name, and the day (UTC) on which that was last told."""
        self._scanning = asyncio.Lock()
        self._taking_up = asyncio.Lock()
        self._taken_up = False
        self._ends: dict[int, tuple[tuple[str, int], dict[str, int]]] = {}
        """By storage: where its cameras' newest recordings end, and the state of its coverage that this was read at."""

    async def watch(self) -> None:
        """Follow the storages until cancelled."""
        try:
            await Watch(self._storages(), self._look, rescan=self._settings.scan.rescan, said=_log.info).run()
        finally:
            self._digests.stop()

    def _storages(self) -> list[Storage]:
        return [storage for storage in self._app().site.storages if storage.server == self._own]

    async def _look(self, storage: Storage, folders: frozenset[str] | None) -> frozenset[str]:
        """Scan what was heard of, and tell what is new; returns the folders in which something is still open."""
        await self._take_up()
        options = ScanOptions(only=folders)
        try:
            async with self._scanning:
                scanned = await asyncio.to_thread(self._scan, storage, options)
            if folders is None:
                await asyncio.to_thread(give_back)
        except OperatorError as error:  # the ledger's: the next scan sees what this one missed
            _log.warning("scan.failed", storage=storage.title, problem=str(error))
            return folders or frozenset()
        if isinstance(scanned.error, DescriptorsExhausted):  # it says nothing of the storage
            _log.warning("scan.failed", storage=storage.title, problem=str(scanned.error))
            return folders or frozenset()
        back = self._away.get(storage.name)
        try:
            if scanned.report is None:
                await asyncio.to_thread(self._storage_away, storage, scanned.error)
                return frozenset()
            if back is not None:
                await asyncio.to_thread(self._storage_back, storage, back)
        except OperatorError as error:  # not told is not noticed: the next scan tells it
            _log.warning("watch.not_noted", storage=storage.title, problem=str(error))
            return folders or frozenset()
        report = scanned.report
        if report.added or report.changed or report.deleted or report.moved or back is not None:
            self._changed(back is not None)
        return frozenset(report.open_in)

    def _scan(self, storage: Storage, options: ScanOptions) -> Scanned:
        # Looked at after each batch: a stop does not wait for the end of a first scan, which goes on where it was.
        return self._app().scan_one(storage, options, lambda _: self._digests.check(), digesting=self._digests)

    async def rescan(self) -> None:
        """Bring the ledger up to this moment, before anybody decides what is missing."""
        for storage in self._storages():
            await self._look(storage, None)

    def _storage_away(self, storage: Storage, error: OperatorError | None) -> None:
        """Tell once that a storage cannot be read."""
        if storage.name in self._away:
            return
        _log.warning("storage.away", storage=storage.title, problem=str(error))
        app, now = self._app(), self._now()
        with app.ledger.reading() as connection:
            since = app.ledger.history.storages_away(connection, self._own).get(storage.id, now)
        alarm = kinds.storage_away(server=self._own, storage=storage.name, since=since, at=now, reason=str(error))
        self._events.tell(alarm)
        self._away[storage.name] = since
        self._live.away(self._own, self._away)

    def _storage_back(self, storage: Storage, since: int) -> None:
        """Tell once that a storage can be read again."""
        alarm = kinds.storage_back(server=self._own, storage=storage.name, since=since, at=self._now())
        self._events.tell(alarm)
        del self._away[storage.name]
        self._live.away(self._own, self._away)

    async def observe(self) -> None:
        """See every few seconds whether the recorder records and the disks have room, until cancelled."""
        await self._take_up()
        while True:
            try:
                await asyncio.to_thread(self._observe)
            except OperatorError as error:
                _log.warning("observe.failed", problem=str(error))
            await asyncio.sleep(_LOOK_EVERY)

    async def _take_up(self) -> None:
        """Take up what was known when the service ended, before anything is looked at; wait for the ledger."""
        async with self._taking_up:
            while not self._taken_up:
                try:
                    await asyncio.to_thread(self._remember)
                    self._taken_up = True
                except OperatorError as error:
                    _log.warning("observe.failed", problem=str(error))
                    await asyncio.sleep(_LOOK_EVERY)

    def _remember(self) -> None:
        """Take up what was known when the service ended: an outage is one, whoever restarts in it."""
        app, now = self._app(), self._now()
        with app.ledger.reading() as connection:
            known = app.ledger.history.outages(connection, None, now)
            away = app.ledger.history.storages_away(connection, self._own)
        mine = [one for one in known if one.server == self._own]
        lasting = [one for one in mine if not one.over]
        recorder = next((one.span.start for one in lasting if one.cause is Cause.RECORDER), None)
        cameras = {one.camera: one.span.start for one in lasting if one.cause is Cause.CAMERA and one.camera}
        names = {one.id: one.name for one in self._storages()}
        for one in mine:
            if one.cause is Cause.STORAGE and one.over and one.storage_id in names and one.span.end > now - EXPIRES:
                self._tell_returned(app, names[one.storage_id], one.span)
        self._silence = Silence(recorder, cameras)
        self._away = {name: away[ident] for ident, name in names.items() if ident in away}
        self._live.away(self._own, self._away)

    def _tell_returned(self, app: App, name: str, outage: Span) -> None:
        """Tell that a storage is back that was told to be away, if a scan by hand noted it while no service ran."""
        since = outage.start
        away = kinds.storage_away(server=self._own, storage=name, since=since, at=since, reason="")
        back = kinds.storage_back(server=self._own, storage=name, since=since, at=outage.end)
        with app.ledger.reading() as connection:
            told = app.ledger.outbox.is_known(connection, away.key)
        if told:
            self._events.tell(back)  # whose key is known already if it was

    def _observe(self) -> None:
        """Compare each camera's newest recording here with now and with the peers."""
        app, now = self._app(), self._now()
        newest, segment = self._newest(app)
        elsewhere = self._live.newest_elsewhere(self._own)
        found = silence(
            newest,
            elsewhere,
            now=now,
            patience=patience(segment, self._settings.service.silent),
            continuous=self._settings.gaps.policy == "always",
        )
        before = self._silence
        quiet = set(newest) if found.recorder is not None else set(found.cameras)
        known = sorted((camera, end) for camera, end in newest.items() if now - end < REMEMBERED)
        writing = self._writing(app, now)
        states = (
            CameraState(camera=camera, newest=end, recording=camera not in quiet, open_since=writing.get(camera))
            for camera, end in known
        )
        self._live.recorded(self._own, tuple(states))
        if (before.recorder is None) != (found.recorder is None) or before.cameras.keys() != found.cameras.keys():
            self._tell(app, before, found, elsewhere)
        self._silence = found  # once it is written
        self._look_at_disks()

    def _writing(self, app: App, now: int) -> dict[str, int]:
        """Return where the files begin that are being written, by camera."""
        writing: dict[str, int] = {}
        for storage in self._storages():
            for camera, start in open_since(app.ledger, storage, now, self._settings.scan.rescan, {}).items():
                writing[camera] = min(start, writing.get(camera, start))
        return writing

    def _newest(self, app: App) -> tuple[dict[str, int], int]:
        """Return the end of each camera's newest own recording, and how long a recording usually is."""
        newest: dict[str, int] = {}
        segment = 0
        for storage in self._storages():
            traits = storage.layout.traits
            segment = max(segment, traits.segment)
            for camera, end in self._ends_in(app, storage).items():
                newest[camera] = max(newest.get(camera, 0), end)
        return newest, segment

    def _ends_in(self, app: App, storage: Storage) -> dict[str, int]:
        """Return the end of each camera's newest own recording on a storage, read again only when something is new."""
        with app.ledger.reading() as connection:
            state = app.ledger.mirror.state(connection, storage.id, storage.name)
        at = state.epoch, state.seq
        known = self._ends.get(storage.id)
        if known is None or known[0] != at:
            window = Span(self._now() - REMEMBERED, self._now() + MINUTE)
            held = app.ledger.held(storage.id, storage.layout.traits.joint, window)
            known = at, {camera: one.own[-1].end for camera, one in held.items() if one.own}
            self._ends[storage.id] = known
        return known[1]

    def _tell(self, app: App, before: Silence, found: Silence, elsewhere: dict[str, int]) -> None:
        """Write what began and what ended."""
        now, history = self._now(), app.ledger.history
        recording = sorted(name for name, one in self._live.now().peers.items() if one.cameras)
        with self._events.writing() as connection:
            if before.recorder is None and found.recorder is not None:
                said = f"no camera of {self._own} brought a new recording"
                history.outage_began(connection, self._own, Cause.RECORDER, found.recorder, said)
                alarm = kinds.recorder_silent(server=self._own, since=found.recorder, at=now)
                self._events.raise_(connection, alarm)
            if before.recorder is not None and found.recorder is None:
                history.outage_ended(connection, self._own, Cause.RECORDER, now)
                alarm = kinds.recorder_back(server=self._own, since=before.recorder, at=now)
                self._events.raise_(connection, alarm)
            for camera in sorted(found.cameras.keys() - before.cameras.keys()):
                since = found.cameras[camera]
                others = recording if elsewhere.get(camera, 0) > since else []
                said = f"{camera} brought no new recording on {self._own}"
                history.outage_began(connection, self._own, Cause.CAMERA, since, said, camera=camera)
                alarm = kinds.camera_silent(server=self._own, camera=camera, since=since, at=now, elsewhere=others)
                self._events.raise_(connection, alarm)
            for camera in sorted(before.cameras.keys() - found.cameras.keys()):
                history.outage_ended(connection, self._own, Cause.CAMERA, now, camera=camera)
                if found.recorder is None:
                    alarm = kinds.camera_back(server=self._own, camera=camera, since=before.cameras[camera], at=now)
                    self._events.raise_(connection, alarm)
        if found.recorder is None and before.recorder is not None:
            self._changed(True)

    def _look_at_disks(self) -> None:
        limit = self._settings.service.reserve
        for storage in self._storages():
            try:
                info = os.statvfs(storage.root)
            except OSError:
                continue  # that it is away is told by the scan
            free, now = info.f_bavail * info.f_frsize, self._now()
            if free < limit and self._low.get(storage.name) != now // DAY:
                alarm = kinds.disk_low(server=self._own, storage=storage.name, at=now, free=free, reserve=int(limit))
                self._events.tell(alarm)
                self._low[storage.name] = now // DAY
            elif free > limit * _DISK_EASES:
                self._low.pop(storage.name, None)
