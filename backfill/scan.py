"""Scanning a storage: the truth that the ledger follows.

Rule: a folder whose modification time has not changed since it was settled is not listed again, and in a changed one a
known file is not opened again. So a rescan costs what changed. Everything that is not a recording is counted with its
reason.
"""

import os
import stat
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from backfill.clockcheck import doubt
from backfill.intake import FolderLook, Intake
from backfill.oddities import sift
from backfill.origins import OriginLog
from backfill.storage import Storage
from backfill.vanished import DELETED, sort_out
from schema.digests import short_name
from schema.errors import StagingUnusable, StorageEmptied, StorageSwapped
from schema.ledger import Ledger
from schema.ledger.segments import Folder, FolderChange, Landing
from schema.moments import human_duration
from schema.values import Cause, Oddity, Segment, State

_BATCH = 4000
"""Segments a transaction: large enough for 50,000 a second, small enough that a stop loses little."""

_WORKERS = 2
"""Threads that list and probe. On cached files more only fight for the interpreter lock (4 are slower than 2)."""

_RACY_NS = 2 * 10**9
"""A folder changed this recently may change again within the same time stamp, so it is not settled yet."""

_LISTED = 10_000
"""Paths a report lists of one kind at most; the counts are exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """How to scan."""

    full: bool = False
    """Look at every file, not only at changed folders."""
    accept_loss: bool = False
    """Take a storage that lost everything for one whose recordings were deleted."""
    adopt: bool = False
    """Take a foreign disk for the new one; what only the old one had is forgotten, not deleted on purpose."""
    only: frozenset[str] | None = None
    """Look at these folders alone, because something was heard of them; None for all."""


@dataclass(slots=True)
class ScanReport:
    """What a scan found on one storage."""

    storage: str
    folders: int = 0
    listed: int = 0
    """Folders that had to be listed; the others had not changed."""
    added: int = 0
    changed: int = 0
    still_open: int = 0
    quarantined: list[tuple[str, str]] = field(default_factory=list)
    """New in this scan: path and reason."""
    uncertain: int = 0
    """New segments whose local time could not be resolved."""
    moved: int = 0
    deleted: int = 0
    """Vanished from the middle, kept as tombstones."""
    retired: int = 0
    """Vanished from the old end: retention."""
    repaired: int = 0
    """Damaged ledger rows replaced from the storage."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Entries that are no recordings, by reason."""
    foreign: list[tuple[str, str]] = field(default_factory=list)
    """The first of them: path and reason."""
    vanished: list[str] = field(default_factory=list)
    """The first paths that were deleted, or taken by retention."""
    rewritten: list[str] = field(default_factory=list)
    """Sealed segments that someone wrote to."""
    notes: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    """Paths sealed since the scan before, for whoever takes digests while they are in the page cache."""
    seconds: float = 0.0


Progress = Callable[[ScanReport], None]


def scan(
    ledger: Ledger,
    storage: Storage,
    *,
    now: Callable[[], int],
    options: ScanOptions | None = None,
    progress: Progress | None = None,
) -> ScanReport:
    """Bring the ledger up to what `storage` holds.

    Args:
        now: returns the time in microseconds UTC.
        progress: called after each committed batch with the report so far.

    Raises StorageAway, StorageSwapped, StorageEmptied, PermissionMissing and the ledger's errors. After an error the
    ledger holds a part of what is new, and everything it held before.
    """
    return _Scan(ledger, storage, now, options or ScanOptions(), progress or (lambda _: None)).run()


class _Scan:
    """One pass over one storage."""

    def __init__(
        self,
        ledger: Ledger,
        storage: Storage,
        now: Callable[[], int],
        options: ScanOptions,
        progress: Progress,
    ) -> None:
        self._ledger = ledger
        self._storage = storage
        self._now = now
        self._options = options
        self._progress = progress
        self._report = ScanReport(storage.title)
        self._batch: list[FolderChange] = []
        self._batched = 0
        self._odd: list[Oddity] = []
        self._gone_folders: list[str] = []
        self._kept_folders = 0
        self._lost: list[Segment] = []
        self._appeared: list[Segment] = []
        self._damaged: list[int] = []
        self._lost_folders: list[int] = []
        self._lateness: list[int] = []

    def run(self) -> ScanReport:
        began = time.monotonic()
        storage, report = self._storage, self._report
        storage.check_present()
        known_identity, known_rules, scanned = self._ledger.storage_note(storage.id)
        identity = self._check_identity(known_identity)
        rules = _fingerprint(storage)
        with self._ledger.reading() as connection:
            known = self._ledger.segments.folders(connection, storage.id)
        self._rejudge = bool(known) and rules != known_rules
        self._full = self._options.full or self._options.adopt or self._rejudge
        self._first = scanned == 0
        self._walk(known)
        self._settle_vanished()
        self._ledger.note_storage(storage.id, identity=identity, rules=rules, scanned_us=self._now())
        off = doubt(self._lateness)
        if off is not None:
            way = "later" if off > 0 else "earlier"
            report.notes.append(
                f"new files were written {human_duration(abs(off))} {way} than their names say: is zone"
                f" {storage.settings.zone!r} right, and the recorder's clock?"
            )
        report.folders = report.listed + self._kept_folders
        report.seconds = time.monotonic() - began
        self._progress(report)
        return report

    def _check_identity(self, known: str) -> str:
        try:
            identity = self._storage.check_identity(known)
        except StorageSwapped:
            if not self._options.adopt:
                raise
            identity = self._storage.identity() or self._storage.give_identity()
            self._report.notes.append(
                "this disk is now the one the ledger knows; the old one's recordings are forgotten"
            )
        if not identity:
            self._report.notes.append("the disk cannot be written, so a swapped one could not be noticed")
        return identity

    def _walk(self, known: dict[str, Folder]) -> None:
        """Visit every folder that may have changed; list and judge in threads, commit here."""
        children: dict[str, list[str]] = {}
        for path in known:
            if path:
                children.setdefault(path.rpartition("/")[0], []).append(path)
        intake = Intake(self._storage, now=self._now(), origins=self._origins())
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="scan") as pool:
            waiting: list[Future[FolderLook]] = []
            stack = [""] if self._options.only is None else sorted(self._options.only)
            while stack or waiting:
                while stack and len(waiting) < 2 * _WORKERS:
                    folder = stack.pop()
                    below = children.get(folder, [])
                    mtime_ns = self._changed_at(folder)
                    if mtime_ns is None:
                        self._lose(folder, known, children)
                    elif self._unchanged(known.get(folder), mtime_ns):
                        stack.extend(below)
                        self._kept_folders += 1
                    else:
                        files = self._known_files(known.get(folder))
                        job = (folder, mtime_ns, files)
                        waiting.append(pool.submit(intake.look, *job, stat_all=self._full, rejudge=self._rejudge))
                if waiting:
                    look = waiting.pop(0).result()
                    below = children.get(look.folder, [])
                    here = set(below) if look.failed else set(look.subfolders)
                    for path in below:
                        if path not in here:
                            self._lose(path, known, children)
                    if self._options.only is None:
                        stack.extend(here)
                    else:
                        stack.extend(here.difference(below))  # new ones; nothing was heard of the others
                    self._take(look)
        self._flush()

    def _unchanged(self, before: Folder | None, mtime_ns: int) -> bool:
        return bool(before and before.settled and before.mtime_ns == mtime_ns and not self._full)

    def _lose(self, folder: str, known: dict[str, Folder], children: dict[str, list[str]]) -> None:
        """Take everything known of a folder that is gone, and below it, for vanished."""
        pending = [folder]
        while pending:
            path = pending.pop()
            row = known.get(path)
            if row is not None:
                self._lost += self._known_files(row).values()
                self._lost_folders.append(row.id)
            self._gone_folders.append(path)
            pending += children.get(path, [])

    def _origins(self) -> OriginLog | None:
        try:
            return OriginLog(self._storage.state_folder())
        except StagingUnusable:
            return None

    def _changed_at(self, folder: str) -> int | None:
        """Return a folder's modification time; None if it is gone or became a link, and is not to be entered."""
        path = os.path.join(self._storage.root, folder)
        try:
            info = os.stat(path, follow_symlinks=not folder)
        except FileNotFoundError:
            return None
        except OSError:
            return 0  # it is there, and listing it will say what is wrong with it
        return info.st_mtime_ns if stat.S_ISDIR(info.st_mode) else None

    def _known_files(self, folder: Folder | None) -> dict[str, Segment]:
        if folder is None:
            return {}
        with self._ledger.reading() as connection:
            good, damaged = self._ledger.segments.in_folder(connection, folder.id)
        self._damaged += damaged
        return good

    def _take(self, look: FolderLook) -> None:
        """Add one folder's findings to the batch."""
        report = self._report
        report.listed += 1
        report.added += len(look.added)
        report.changed += len(look.changed)
        report.still_open += look.still_open
        report.skipped.update(reason for _, reason in look.skipped)
        report.foreign += look.skipped[: _LISTED - len(report.foreign)]
        report.rewritten += look.rewritten
        self._odd += sift(look.folder, look.skipped)
        for segment in (*look.added, *look.changed):
            if segment.state is State.QUARANTINED:
                report.quarantined.append((segment.path, segment.reason))
            elif segment.state is State.SEALED and segment.reason:
                report.uncertain += 1
            if segment.state is State.SEALED and len(self._lateness) < _LISTED:
                self._lateness.append(segment.mtime_ns // 1000 - segment.end)
            if segment.state is State.SEALED and not self._first and len(report.fresh) < _LISTED:
                report.fresh.append(segment.path)
        self._lost += look.vanished
        if not self._first:
            self._appeared += look.added
        # While something vanished from here is not dealt with, the next scan must list this folder again.
        settled = look.settled and not look.vanished and time.time_ns() - look.mtime_ns > _RACY_NS
        self._batch.append(FolderChange(look.folder, look.mtime_ns, settled, look.added, look.changed))
        self._batched += len(look.added) + len(look.changed) + 1
        if self._batched >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        with self._ledger.writing() as connection:
            if self._damaged:
                self._report.repaired += len(self._damaged)
                self._ledger.segments.remove(connection, self._storage.id, self._damaged)
            self._ledger.segments.apply(connection, self._storage.id, self._batch)
            listed = [change.path for change in self._batch] + self._gone_folders
            self._ledger.oddities.replace(connection, self._storage.id, listed, self._odd)
        self._damaged, self._batch, self._batched, self._odd, self._gone_folders = [], [], 0, [], []
        self._progress(self._report)

    def _settle_vanished(self) -> None:
        """Follow moves and deletions. Raises StorageEmptied before anything is buried if nothing is left."""
        moved, buried, forgotten = sort_out(self._lost, self._appeared)
        book, storage_id, report = self._ledger.segments, self._storage.id, self._report
        if buried and not (self._options.accept_loss or self._options.adopt):
            with self._ledger.reading() as connection:
                known = book.count(connection, storage_id).get(State.SEALED, (0, 0))[0]
            if known == len(buried):
                raise StorageEmptied(self._storage.title, f"{len(buried):,}")
        with self._ledger.writing() as connection:
            book.remove(connection, storage_id, [one.old.id for one in moved] + [old.id for old in forgotten])
            book.land(connection, [Landing(one.merged()) for one in moved])
            if self._options.adopt:
                book.remove(connection, storage_id, [segment.id for segment in buried])
                buried = []
            book.bury(connection, storage_id, buried, DELETED)
            book.remove(connection, storage_id, self._damaged)
            report.repaired += len(self._damaged)
            report.retired = book.forget_retired(connection, storage_id)
            book.drop_folders(connection, self._lost_folders)
            self._ledger.history.outage_ended(connection, self._storage.server, Cause.STORAGE, self._now())
        report.vanished = [segment.path for segment in buried[:_LISTED]]
        report.moved = len(moved)
        report.deleted = max(0, len(buried) - report.retired)


def _fingerprint(storage: Storage) -> str:
    """Return a short name of everything in the configuration that decides how a name or file is read."""
    settings = storage.settings
    rules = (
        settings.layout,
        settings.zone,
        sorted(settings.options.items()),
        sorted(storage.cameras.items()),
        settings.template,
        storage.layout.traits,
    )
    return short_name(repr(rules))
