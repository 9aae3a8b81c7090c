"""`recorder-sync run`: one process that does it all, put together here.

Rule: starts in order - ledger, link, monitor, then the tasks - and says that it is ready when peers are answered. Stops
within seconds: what is under way is dropped at a chunk, what is landed stays. A defect in any task ends the service,
because a half-alive one would look well; systemd starts it again.
"""

import asyncio
import contextlib
import os
import signal
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import structlog

from backfill.fleet import note_rules
from backfill.gate import Gate
from backfill.link.answers import Answers, Observed
from backfill.site import about, build_site
from backfill.storage import Storage
from backfill.threads import Threads
from recorder_sync.alarms.channels import open_channels
from recorder_sync.alarms.dispatch import Dispatcher
from recorder_sync.app import App, now
from recorder_sync.host.notify import Notifier, watchdog_interval
from recorder_sync.host.priority import lower_process
from recorder_sync.host.probing import Guard
from recorder_sync.identity.here import Here
from recorder_sync.identity.learn import tell
from recorder_sync.linking import clients, links, trust_of
from recorder_sync.roles.primary import Primary
from recorder_sync.roles.standby import Standby
from recorder_sync.service.clocks import Clocks
from recorder_sync.service.events import Events
from recorder_sync.service.filler import Filler
from recorder_sync.service.identity import Identities
from recorder_sync.service.imports import Imports
from recorder_sync.service.linking import LinkThread
from recorder_sync.service.live import Live
from recorder_sync.service.monitor import Monitor
from recorder_sync.service.peers import PeerTask
from recorder_sync.service.presence import Presence
from recorder_sync.service.watching import Watching
from recorder_sync.version import __version__
from schema.ledger import Ledger
from schema.settings import Settings, load

_log = structlog.get_logger()
_PATIENCE = 5.0
"""Seconds that a stop waits for a fill to come to the end of its chunk."""
_GUARD_EVERY = 1.0
_THREADS = 64
"""Far more than tasks there are: one that is stuck in a thread must not keep others from theirs."""
_STUCK = 2.0
"""Seconds that a stop waits for threads whose tasks have ended: a disk or a resolver that hangs is left behind."""


class Service:
    """The companion service of one host, for one run."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._own = settings.servers[0].name
        self._boot = uuid.uuid4().hex
        self._live = Live()
        self._gate = Gate(settings.fill.bandwidth)
        self._stop = asyncio.Event()
        self._trust = trust_of(settings)
        self._clients = clients(settings, self._trust)
        self._app = App(settings, ledger, build_site(settings, ledger), links(settings, self._clients, self._storage))
        self._here = Here.of(settings, now, ledger)
        self._primary = Primary(settings.identity, self._clients, self._role)
        self._rebuilding = threading.Lock()
        self._presence = Presence(ledger, self._app.site.local, self._live, self._gate, now)
        self._ready = asyncio.Event()
        self.monitor_port = 0
        self.link_port = 0

    def stop(self) -> None:
        """Let `run` end. Safe from a signal handler of the loop."""
        self._gate.stop()
        self._stop.set()

    async def ready(self) -> None:
        """Return once peers are answered."""
        await self._ready.wait()

    async def run(self) -> None:
        """Serve until stopped. Raises what keeps it from starting, and what ends it."""
        asyncio.get_running_loop().set_default_executor(Threads(_THREADS, "service", _STUCK))
        notifier = Notifier.from_environment()
        self.introduce()
        if self._settings.fill.priority == "low":
            for problem in lower_process():
                _log.info("service.priority", problem=problem)
        dispatcher = Dispatcher(self._ledger, self._own, open_channels(self._settings.alarms, os.environ), now)
        events = Events(self._ledger, self._own, self._settings.alarms, dispatcher.notify)
        watchings: list[Watching] = []

        async def rescan() -> None:
            for watching in watchings:
                await watching.rescan()

        filler = Filler(self._current, self._settings, self._live, events, self._gate, rescan=rescan, now=now)
        loop = asyncio.get_running_loop()

        def changed(urgent: bool) -> None:
            loop.call_soon_threadsafe(filler.wake, urgent)

        monitor = Monitor(self._current, self._own, self._live, healthy=lambda: self._presence.problem, now=now)
        async with self._linked() as link, self._monitored(monitor):
            clocks = Clocks(self._current, self._own, self._live)
            tasks = [
                filler.run(),
                dispatcher.run(),
                clocks.run(),
                Identities(self._here).run(),
                Standby(self._here, events, self._role).run(),
                Imports(self._settings.identity.folder, self._app.site.local, events, now).run(),
                self._primary.run(),
                self._presence.run(lambda: changed(True)),
                self._tick(notifier),
                self._guarded(),
            ]
            if link is not None:
                tasks.append(link.keep_certificates())
            for server in self._settings.servers:
                watching = Watching(
                    self._current, self._settings, server.name, self._live, events, now=now, changed=changed
                )
                watchings.append(watching)
                tasks += [watching.watch(), watching.observe()]
            tasks += [
                PeerTask(
                    client,
                    self._ledger,
                    self._settings,
                    self._own,
                    self._live,
                    events,
                    now=now,
                    changed=changed,
                    learned=self._rebuild,
                ).run()
                for client in self._clients
            ]
            running = [asyncio.create_task(task) for task in tasks]
            notifier.ready(f"watching {', '.join(one.title for one in self._app.site.storages)}")
            self._ready.set()
            _log.info("service.ready", server=self._own, link=self.link_port, monitor=self.monitor_port)
            try:
                await self._until_stopped(running)
            finally:
                notifier.stopping()
                self._gate.stop()
                for client in self._clients:
                    client.close()
                self._here.close()
                await _ended(running)
                await self._presence.end()
                _log.info("service.stopped")

    async def _until_stopped(self, running: list[asyncio.Task[None]]) -> None:
        """Return when asked to stop. Raises what ended a task; one that returned has ended, too."""
        stopping = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait({stopping, *running}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in done - {stopping}:
            task.result()
            if not self._stop.is_set():
                raise AssertionError(f"{task.get_coro()} came to an end")

    def _role(self, said: str) -> None:
        self._live.change(role=said)

    def _current(self) -> App:
        return self._app

    def _storage(self, ident: int) -> Storage:
        return self._app.site.storage(ident)

    def _rebuild(self) -> None:
        """Take in what peers told of their storages. Called from threads."""
        with self._rebuilding:  # of two peers that tell at once, the later must not be overwritten
            site = build_site(self._settings, self._ledger)
            self._app = replace(self._app, site=site)
        for problem in site.problems:
            _log.warning("peer.not_understood", problem=problem)

    def introduce(self) -> None:
        """Write down who records here and how, for reports and for peers that share this ledger."""
        site = self._app.site
        with self._ledger.writing() as connection:
            for name in site.servers:
                self._ledger.contacts.note_pair(connection, name, self._settings.pair_name)
            note_rules(self._ledger, connection, self._settings)
            for name in site.local:
                for storage in site.of(name):
                    self._ledger.mirror.note_about(connection, storage.id, about(storage))

    @contextlib.asynccontextmanager
    async def _linked(self) -> AsyncIterator[LinkThread | None]:
        """Answer peers while this block runs, if there are any."""
        if not self._settings.peers:
            yield None
            return
        self._trust.prepare()
        answers = Answers(
            lambda: self._app.site,
            self._ledger,
            self._own,
            release=__version__,
            boot=self._boot,
            now=now,
            observed=self._observed,
        )
        rules = self._settings.identity
        link = LinkThread(answers, self._trust, self._settings.link, lambda: tell(rules, waits=self._primary.waits))
        await asyncio.to_thread(link.start)
        self.link_port = link.port
        try:
            yield link
        finally:
            await asyncio.to_thread(link.stop)

    @contextlib.asynccontextmanager
    async def _monitored(self, monitor: Monitor) -> AsyncIterator[None]:
        self.monitor_port = await monitor.start(self._settings.service.monitor)
        try:
            yield
        finally:
            await monitor.stop()

    def _observed(self) -> Observed:
        state = self._live.now()
        return Observed(
            cameras=state.cameras.get(self._own, ()),
            filling=state.fill is not None,
            paused=state.paused,
            absent=state.absent.get(self._own, frozenset()),
        )

    async def _tick(self, notifier: Notifier) -> None:
        """Tell systemd that we are alive, and what we do."""
        every = watchdog_interval() or 10.0
        while True:
            notifier.alive()
            fill = self._live.now().fill
            notifier.status(f"filling {fill.server}: {fill.landed} of {fill.segments}" if fill else "up to date")
            await asyncio.sleep(every)

    def _state_folders(self) -> list[str]:
        """Return the folders of ours that are there, on the disks that are filled."""
        folders = [storage.state_folder() for storage in self._app.site.storages]
        return [folder for folder in folders if Path(folder).is_dir()]

    async def _guarded(self) -> None:
        """Hold filling back while the recorder's own writes suffer, unless the limit says never."""
        limit = self._settings.fill.latency
        if not limit:
            await asyncio.Event().wait()  # a task that returned would end the service
        while True:
            await asyncio.sleep(_GUARD_EVERY)
            if self._live.now().fill is None:
                continue
            guard = Guard(
                self._gate,
                await asyncio.to_thread(self._state_folders),
                limit,
                tell=lambda text: _log.info("fill.guard", said=text),
            )
            try:
                while self._live.now().fill is not None:
                    await asyncio.to_thread(guard.tick)
                    await asyncio.sleep(_GUARD_EVERY)
            finally:
                await asyncio.to_thread(guard.release)


async def _ended(running: list[asyncio.Task[None]]) -> None:
    """Give tasks a moment to come to an end of their own, then cancel them."""
    for task in running:
        task.cancel()
    _, late = await asyncio.wait(running, timeout=_PATIENCE)
    for task in late:
        _log.warning("service.task_left", task=task.get_name())


def serve(config: Path, said: Callable[[Service], None] = lambda _: None) -> None:
    """Run the service of a configuration until SIGTERM or Ctrl-C. Raises what keeps it from starting."""
    settings = load(config)

    async def run() -> None:
        with Ledger.open(settings.ledger) as ledger:
            service = Service(settings, ledger)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                with contextlib.suppress(NotImplementedError):  # on Windows, where the service manager stops it
                    loop.add_signal_handler(number, service.stop)
            said(service)
            await service.run()

    asyncio.run(run())
