"""Watching storages so that a new segment is known seconds after it is closed.

Rule: a watch is a hint, a scan is the truth. Events only name folders to look at; lost events - the kernel's queue
overflows and watchdog tells only its log - lead to a rescan, and one runs on a schedule whatever was heard.
"""

import asyncio
import contextlib
import logging
import os
import stat
import time
from collections.abc import Awaitable, Callable, Iterator

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import BaseObserver, ObservedWatch
from watchdog.observers.polling import PollingObserver

from backfill.events import observer as kernel_events
from backfill.seal import DEAD, REST
from backfill.storage import STATE_FOLDER, Storage
from schema.spans import SECOND

_QUIET_EVENTS = frozenset({"opened", "closed_no_write"})
_QUIET_INOTIFY = frozenset({"modified", "opened", "closed_no_write"})
"""Inotify tells when a writer closes; the thousands of writes before that tell nothing."""

_GATHER_SECONDS = 0.5
_POLL_SECONDS = 2.0

Look = Callable[[Storage, frozenset[str] | None], Awaitable[frozenset[str]]]
"""Scans the named folders of a storage (None: all); returns those in which something is still open."""


class _Folders(FileSystemEventHandler):
    """Collects the folders in which something happened."""

    def __init__(self, storage: Storage, quiet: frozenset[str], heard: Callable[[Storage, str], None]) -> None:
        self._storage = storage
        self._quiet = quiet
        self._heard = heard

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Report the folder of an event, and of where something was moved to."""
        if event.event_type in self._quiet:
            return
        for path in (event.src_path, event.dest_path):
            if path:
                full = os.fsdecode(path)
                inside = event.is_directory and event.event_type in ("created", "modified")
                folder = full if inside else os.path.dirname(full)
                relative = os.path.relpath(folder, self._storage.root)
                if not relative.startswith("..") and STATE_FOLDER not in relative.split(os.sep):
                    self._heard(self._storage, "" if relative == "." else relative)


class _Overflows(logging.Handler):
    """Hears watchdog say in its log that events were lost."""

    def __init__(self, lost: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._lost = lost

    def emit(self, record: logging.LogRecord) -> None:
        """Take any warning about an overflow for lost events."""
        if "overflow" in record.getMessage().lower():
            self._lost()


class Watch:
    """Watches storages and calls `look` when there is something to look at, until cancelled.

    Args:
        rescan: microseconds between full rescans.
        polling: watch by listing instead of by the kernel's events, for network shares.
        said: told what the watch itself has to say, such as that it must poll.
    """

    def __init__(
        self,
        storages: list[Storage],
        look: Look,
        *,
        rescan: int,
        polling: bool = False,
        said: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._storages = storages
        self._look = look
        self._rescan = rescan / SECOND
        self._polling = polling
        self._said = said
        self._heard: dict[int, set[str]] = {}
        self._watched: dict[int, tuple[ObservedWatch, tuple[int, int]]] = {}
        """By storage: its watch, and device and inode of the root that is watched."""
        self._later: dict[tuple[int, str], tuple[float, float]] = {}
        """Folders with something open, by storage and path: when to look again, and how long that is waited."""
        self._away: set[int] = set()
        self._unwatched: set[int] = set()
        """Storages that could not be watched when it was last tried."""
        self._left_alone: set[int] = set()
        """Storages whose recorder does not bear to be watched: they are rescanned."""
        self._everything = True
        self._first = True
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled. Errors of `look` pass through."""
        loop = asyncio.get_running_loop()

        def heard(storage: Storage, folder: str) -> None:
            loop.call_soon_threadsafe(self._note, storage, folder)

        def lost() -> None:
            loop.call_soon_threadsafe(self._lost)

        with _listening(lost):
            observer, quiet = self._start(heard)
            try:
                await self._serve(lambda: self._follow(observer, quiet, heard))
            finally:
                observer.stop()
                await asyncio.to_thread(observer.join)

    def _note(self, storage: Storage, folder: str) -> None:
        self._heard.setdefault(storage.id, set()).add(folder)
        self._wake.set()

    def _lost(self) -> None:
        self._said("events were lost; rescanning everything")
        self._everything = True
        self._wake.set()

    def _start(self, heard: Callable[[Storage, str], None]) -> tuple[BaseObserver, frozenset[str]]:
        """Return a running observer of every storage that is there, and what it tells that means nothing."""
        if not self._polling:
            observer = kernel_events()
            quiet = _QUIET_INOTIFY if _has_close_events(observer) else _QUIET_EVENTS
            try:
                for storage in self._storages:
                    self._follow_one(storage, observer, quiet, heard)
                observer.start()
            except OSError as error:
                self._watched.clear()
                self._said(f"the kernel's events cannot be had ({error.strerror}); listing the folders instead")
            else:
                return observer, quiet
        polling = PollingObserver(timeout=_POLL_SECONDS)
        polling.start()
        return polling, _QUIET_EVENTS

    def _follow(self, observer: BaseObserver, quiet: frozenset[str], heard: Callable[[Storage, str], None]) -> None:
        """Watch every storage that is there now. One that cannot be watched is rescanned, and tried again then."""
        for storage in self._storages:
            try:
                self._follow_one(storage, observer, quiet, heard)
            except OSError as error:
                if storage.id not in self._unwatched:
                    self._said(
                        f"{storage.title} cannot be watched ({error.strerror}); it is rescanned every"
                        f" {self._rescan:.0f} s, and tried again then"
                    )
                self._unwatched.add(storage.id)
            else:
                self._unwatched.discard(storage.id)
        self._first = False

    def _follow_one(
        self, storage: Storage, observer: BaseObserver, quiet: frozenset[str], heard: Callable[[Storage, str], None]
    ) -> None:
        """Watch a storage if it is there: a watch stays with the folder it was set on, not with its name.

        Raises OSError if the kernel has nothing left to watch it with.
        """
        there = _folder_id(storage.root)
        if not storage.layout.traits.watched:
            if storage.id not in self._left_alone:
                self._left_alone.add(storage.id)
                title = storage.layout.traits.title
                self._said(f"{storage.title} is not watched, for the sake of {title}; see scan.rescan")
            return
        watched = self._watched.get(storage.id)
        if watched and watched[1] != there:
            del self._watched[storage.id]
            observer.unschedule(watched[0])
        if there is None:
            if watched or (self._first and storage.id not in self._away):
                self._said(f"{storage.title} is away; it is looked for every {self._rescan:.0f} s")
            self._away.add(storage.id)
            return
        if storage.id not in self._watched:
            handler = _Folders(storage, quiet, heard)
            self._watched[storage.id] = (observer.schedule(handler, storage.root, recursive=True), there)
            if not self._first:
                self._said(f"{storage.title} is {'back' if storage.id in self._away else 'watched'}")
        self._away.discard(storage.id)

    async def _serve(self, follow: Callable[[], None]) -> None:
        rescan_at = 0.0
        while True:
            now = time.monotonic()
            if self._everything or now >= rescan_at:
                self._everything = False
                rescan_at = now + self._rescan
                await asyncio.to_thread(follow)  # before the scan, so that nothing is missed between the two
                for storage in self._storages:
                    await self._scan(storage, None)
            else:
                await self._scan_heard(now)
            waited = [rescan_at, *(at for at, _ in self._later.values())]
            timeout = max(0.05, min(waited) - time.monotonic())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), timeout)
                await asyncio.sleep(_GATHER_SECONDS)  # closely following events are served together
            self._wake.clear()

    async def _scan_heard(self, now: float) -> None:
        """Look where something was heard, and where something open can be sealed by now."""
        heard, self._heard = self._heard, {}
        for storage in self._storages:
            news = heard.get(storage.id, set())
            for folder in news:
                self._later.pop((storage.id, folder), None)
            due = {folder for (of, folder), (at, _) in self._later.items() if of == storage.id and at <= now}
            if folders := news | due:
                await self._scan(storage, frozenset(folders))

    async def _scan(self, storage: Storage, folders: frozenset[str] | None) -> None:
        """Scan; come back to each folder with something open when that can be sealed at the earliest.

        While nothing is heard of it - one file is always being written on a live recorder, and its end is an event -
        later each time, up to when a writer that said nothing counts as dead.
        """
        still_open = await self._look(storage, folders)
        now = time.monotonic()
        for key in [key for key in self._later if key[0] == storage.id]:
            if key[1] not in still_open and (folders is None or key[1] in folders):
                del self._later[key]
        for folder in still_open:
            at, waited = self._later.get((storage.id, folder), (0.0, 0.0))
            if at <= now:
                wait = min(2 * waited, DEAD / SECOND) or REST / SECOND + _GATHER_SECONDS
                self._later[storage.id, folder] = (now + wait, wait)


def _folder_id(path: str) -> tuple[int, int] | None:
    """Return device and inode of a folder, None if it is not there."""
    try:
        info = os.stat(path)
    except OSError:
        return None
    return (info.st_dev, info.st_ino) if stat.S_ISDIR(info.st_mode) else None


def _has_close_events(observer: BaseObserver) -> bool:
    return "inotify" in type(observer).__module__


@contextlib.contextmanager
def _listening(lost: Callable[[], None]) -> Iterator[None]:
    """Hear watchdog's log while the block runs."""
    logger = logging.getLogger("watchdog")
    handler = _Overflows(lost)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
