"""What a service answers its peers: reads of the ledger and of storages, turned into messages.

Rule: a peer gets what this server's own recorder wrote and has sealed, and nothing else: no other file below the root,
no copy that came from somebody else. Whatever a peer asks is checked here. Runs in threads.
"""

import os
import stat
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from backfill.beneath import open_beneath
from backfill.peer import FolderPeer
from backfill.site import Site, about
from backfill.storage import Storage
from schema.errors import SourceChanged, SourceGone, UnknownName, UsageInvalid
from schema.ledger import Ledger
from schema.ledger.offered import BEFORE_ALL, offered, place_of
from schema.ledger.unchanged import Unchanged
from schema.spans import DAY, Span
from schema.values import Kind, ManifestFile, Segment, State
from schema.wire import (
    CHUNKS_AT_ONCE,
    OUTAGES_AT_ONCE,
    PAGE_BYTES,
    PROTOCOL,
    SEGMENTS_AT_ONCE,
    WINDOWS_AT_ONCE,
    CameraState,
    CoveragePage,
    FileMessage,
    Hello,
    ManifestMessage,
    OutageMessage,
    Outages,
    Pulse,
    SegmentMessage,
    SegmentsAsked,
    SegmentsPage,
    StorageState,
    plain,
    written,
)

_OUTAGES_TOLD = 30 * DAY
_SEGMENTS_KEPT = 4096
"""Segments that were just told to a peer and are likely to be asked for next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What the service knows of itself beside the ledger."""

    cameras: tuple[CameraState, ...] = ()
    filling: bool = False
    paused: str = ""
    absent: frozenset[str] = frozenset()
    """Names of storages whose folder is away."""


class Answers:
    """Everything one server tells.

    Args:
        site: returns the site as it is now.
        boot: names this run of the service.
        now: microseconds UTC.
    """

    def __init__(
        self,
        site: Callable[[], Site],
        ledger: Ledger,
        server: str,
        *,
        release: str,
        boot: str,
        now: Callable[[], int],
        observed: Callable[[], Observed] = Observed,
    ) -> None:
        self._site = site
        self._ledger = ledger
        self._server = server
        self._release = release
        self._boot = boot
        self._now = now
        self._observed = observed
        self._told: OrderedDict[tuple[int, str], Segment] = OrderedDict()
        self._states: Unchanged[list[StorageState]] = ledger.unchanged()

    def hello(self) -> Hello:
        """Say who this is and how its storages are read."""
        with self._ledger.writing() as connection:
            identity = self._ledger.contacts.identity(connection)
        return Hello(
            protocols=[PROTOCOL],
            release=self._release,
            server=self._server,
            ledger=identity,
            storages=[about(storage) for storage in self._storages()],
        )

    def pulse(self) -> Pulse:
        """Say what time it is here and whether anything is new; asked every few seconds, for ever."""
        observed = self._observed()
        here = tuple((one.id, one.name) for one in self._storages())
        states = self._states.get(here, lambda connection: self._ledger.mirror.states(connection, here))
        return Pulse(
            now=self._now(),
            boot=self._boot,
            storages=states,
            absent=sorted(observed.absent),
            cameras=list(observed.cameras),
            filling=observed.filling,
            paused=plain(observed.paused),
        )

    def coverage(self, storage: str, cursor: str) -> CoveragePage:
        """Return the next changes of a storage's coverage. Raises UnknownName, ValueError for what is no cursor."""
        one = self._storage(storage)
        with self._ledger.writing() as connection:
            return self._ledger.mirror.changes(connection, one.id, one.layout.traits.joint, cursor)

    def outages(self) -> Outages:
        """Return the outages that this service itself noticed in the last days, the newest if there are too many.

        What it was told by peers it tells nobody: they would hear their own words, and take them for news. Those that
        last are the newest, so that what is not told any more is over.
        """
        now = self._now()
        with self._ledger.reading() as connection:
            found = self._ledger.history.outages(
                connection, Span(now - _OUTAGES_TOLD, now + 1), now, observer=self._server
            )
            names = self._ledger.names.storages(connection, self._server)
        told = [
            OutageMessage(
                server=one.server,
                storage=names.get(one.storage_id) if one.storage_id is not None else None,
                camera=one.camera,
                cause=one.cause.value,
                start=one.span.start,
                end=one.span.end if one.over else None,
                evidence=plain(one.evidence),
            )
            for one in sorted(found, key=lambda one: (one.span.end, one.span.start))[-OUTAGES_AT_ONCE:]
        ]
        return Outages(outages=told)

    def segments(self, asked: SegmentsAsked) -> SegmentsPage:
        """Return the next sealed segments that are asked for, by camera, start, folder and name.

        Raises UnknownName, UsageInvalid.
        """
        number = sum(map(len, asked.wanted.values()))
        if number > WINDOWS_AT_ONCE:
            raise UsageInvalid("segments", f"a question of {number:,} windows, of more than {WINDOWS_AT_ONCE:,}")
        one = self._storage(asked.storage)
        told: list[SegmentMessage] = []
        size = 0
        for segment in self._offered(one, asked):
            message = _told(segment, one.root)
            size += len(written(message))
            if len(told) == SEGMENTS_AT_ONCE or (told and size > PAGE_BYTES):
                return SegmentsPage(segments=told, more=True)
            told.append(message)
            self._remember(segment)
        return SegmentsPage(segments=told, more=False)

    def _offered(self, storage: Storage, asked: SegmentsAsked) -> list[Segment]:
        """Return what a page may hold, and one more if there is more."""
        found: list[Segment] = []
        first = asked.after[0] if asked.after is not None else ""
        with self._ledger.reading() as connection:
            known = self._ledger.names.all_cameras(connection)
            for camera in sorted(one for one in asked.wanted.keys() & set(known) if one >= first):
                place = place_of(*asked.after[1:]) if asked.after is not None and camera == first else BEFORE_ALL
                spans = [Span(*window) for window in asked.wanted[camera]]
                limit = SEGMENTS_AT_ONCE + 1 - len(found)
                found += offered(connection, self._ledger.names, storage.id, camera, spans, after=place, limit=limit)
                if len(found) > SEGMENTS_AT_ONCE:
                    break
        return found

    def manifest(self, storage: str, path: str, size: int, mtime_ns: int) -> ManifestMessage:
        """Return what a segment consists of now.

        Raises UnknownName, SourceGone, SourceChanged, SourceUnreadable, PathRefused.
        """
        segment = self._segment(self._storage(storage), path)
        if (segment.size, segment.mtime_ns) != (size, mtime_ns):
            raise SourceChanged(path, self._server)
        found = FolderPeer(self._server, self._site(), self._ledger).manifest(segment)
        chunks = sum(len(file.digest.chunks) for file in found.files if file.digest is not None)
        files = [_file(file, chunks=chunks <= CHUNKS_AT_ONCE) for file in found.files]
        return ManifestMessage(folder=found.kind is Kind.FOLDER, mtime_ns=found.mtime_ns, files=files)

    def open(self, storage: str, path: str, name: str, size: int, mtime_ns: int) -> int:
        """Return a descriptor of one file of a segment, which must have this size and time.

        Raises UnknownName, SourceGone, SourceChanged, PathRefused, OSError.
        """
        one = self._storage(storage)
        segment = self._segment(one, path)
        if segment.kind is Kind.FILE and name:
            raise SourceGone(f"{path}/{name}", self._server)
        fd = open_beneath(one.root, f"{path}/{name}" if name else path)
        info = os.fstat(fd)
        if (info.st_size, info.st_mtime_ns) != (size, mtime_ns):
            os.close(fd)
            raise SourceChanged(path, self._server)
        return fd

    def _storages(self) -> list[Storage]:
        return [one for one in self._site().of(self._server) if not one.remote]

    def _storage(self, name: str) -> Storage:
        """Return the recorder's storage of that name. Raises UnknownName."""
        for one in self._storages():
            if one.name == name:
                return one
        raise UnknownName("storage", repr(name), ", ".join(one.name for one in self._storages()))

    def _segment(self, storage: Storage, path: str) -> Segment:
        """Return a segment that may be told. Raises SourceGone."""
        known = self._told.get((storage.id, path))
        if known is not None:
            return known
        with self._ledger.reading() as connection:
            found = self._ledger.segments.by_path(connection, storage.id, path)
        if found is None or found.state is not State.SEALED or found.origin is not None:
            raise SourceGone(path, self._server)
        return self._remember(found)

    def _remember(self, segment: Segment) -> Segment:
        """Keep what was told: whoever was told of it asks for it twice more, and the ledger takes its time.

        That it changed meanwhile is noticed: its size and time are compared when it is opened.
        """
        self._told[segment.storage_id, segment.path] = segment
        while len(self._told) > _SEGMENTS_KEPT:
            self._told.popitem(last=False)
        return segment


def _told(segment: Segment, root: str) -> SegmentMessage:
    return SegmentMessage(
        camera=segment.camera,
        path=segment.path,
        start=segment.start,
        end=segment.end,
        size=segment.size,
        mtime_ns=segment.mtime_ns,
        folder=segment.kind is Kind.FOLDER,
        marks=segment.marks,
        digest=None if segment.digest is None else segment.digest.hex(),
        mode=_mode(segment, root),
    )


def _mode(segment: Segment, root: str) -> int | None:
    """Return the mode of a segment that is one file and is what the ledger says, None for any other."""
    if segment.kind is not Kind.FILE:
        return None
    try:
        info = os.lstat(os.path.join(root, segment.path))
    except OSError:
        return None
    same = (info.st_size, info.st_mtime_ns) == (segment.size, segment.mtime_ns) and stat.S_ISREG(info.st_mode)
    return info.st_mode & 0o777 if same else None


def _file(file: ManifestFile, *, chunks: bool) -> FileMessage:
    known = file.digest
    return FileMessage(
        name=file.name,
        size=file.size,
        mtime_ns=file.mtime_ns,
        mode=file.mode,
        digest=None if known is None else known.digest.hex(),
        chunk_size=known.chunk_size if known is not None and chunks else 0,
        chunks=[chunk.hex() for chunk in known.chunks] if known is not None and chunks else [],
    )
