"""Scanning a storage: the truth that the ledger follows.

Rule: a folder whose modification time has not changed since it was settled is not listed again, and in a changed one a
known file is not opened again. So a rescan costs what changed. Everything that is not a recording is counted with its
reason.
"""

import contextlib
import os
import stat
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from backfill.clockcheck import doubt
from backfill.filled import Filled, moved_record
from backfill.intake import FolderLook, Intake
from backfill.oddities import sift
from backfill.origins import OriginLog
from backfill.scanned import LISTED, Progress, ScanOptions, ScanReport
from backfill.storage import Storage
from backfill.threads import Threads
from backfill.vanished import DELETED, Moved, sort_out
from schema.digests import short_name
from schema.errors import StagingUnusable, StorageAway, StorageEmptied, StorageSwapped
from schema.ledger import Ledger
from schema.ledger.folders import Folder, FolderChange
from schema.ledger.segments import Landing
from schema.moments import human_duration
from schema.values import Cause, Oddity, Segment, State

_BATCH = 4000
"""Segments a transaction: large enough for 50,000 a second, small enough that a stop loses little."""

_WORKERS = 1
"""Threads that list and probe, beside the one that commits. On cached files more only fight for the interpreter lock:
40,000 files took 2.2 s with one, 3.1 s with two (medians of three)."""

_RACY_NS = 2 * 10**9
"""A folder changed this recently may change again within the same time stamp, so it is not settled yet."""


def scan(
    ledger: Ledger,
    storage: Storage,
    *,
    now: Callable[[], int],
    options: ScanOptions | None = None,
    progress: Progress | None = None,
    others: Sequence[Storage] = (),
) -> ScanReport:
    """Bring the ledger up to what `storage` holds.

    Args:
        now: returns the time in microseconds UTC.
        others: storages here from which files may have been moved into this one, such as by archiving.
        progress: called after each committed batch with the report so far.

    Raises StorageAway, StorageSwapped, StorageEmptied, PermissionMissing and the ledger's errors. After an error the
    ledger holds a part of what is new, and everything it held before.
    """
    return _Scan(ledger, storage, now, options or ScanOptions(), progress or (lambda _: None), others).run()


class _Scan:
    """One pass over one storage."""

    def __init__(
        self,
        ledger: Ledger,
        storage: Storage,
        now: Callable[[], int],
        options: ScanOptions,
        progress: Progress,
        others: Sequence[Storage],
    ) -> None:
        self._others = others
        self._ledger = ledger
        self._storage = storage
        self._now = now
        self._options = options
        self._progress = progress
        self._report = ScanReport(storage.title)
        self._batch: list[FolderChange] = []
        self._batched = 0
        self._origins: OriginLog | None = None
        self._odd: list[Oddity] = []
        self._gone_folders: list[str] = []
        self._kept_folders = 0
        self._lost: list[Segment] = []
        self._appeared: list[Segment] = []
        self._damaged: dict[str, list[int]] = {}
        """Ids of damaged rows by folder, until what replaces them is taken in."""
        self._lost_folders: list[int] = []
        self._lateness: list[int] = []

    def run(self) -> ScanReport:
        began = time.monotonic()
        storage, report = self._storage, self._report
        storage.check_present()
        self._origins = _origin_log(storage)
        known_identity, known_rules, scanned = self._ledger.storage_note(storage.id)
        identity = self._check_identity(known_identity)
        rules = _fingerprint(storage)
        with self._ledger.reading() as connection:
            known = self._ledger.folders.known(connection, storage.id, self._options.only)
        self._rejudge = bool(known) and rules != known_rules
        self._full = self._options.full or self._options.adopt or self._rejudge
        self._first = scanned == 0
        self._walk(known)
        self._settle_vanished()
        if self._options.only is None:
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
            identity = self._storage.adopt()
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
        intake = Intake(self._storage, now=self._now(), filled=self._filled())
        with Threads(_WORKERS, "scan") as pool:
            waiting: list[tuple[Future[FolderLook], bool]] = []
            stack = [""] if self._options.only is None else sorted(self._options.only)
            while stack or waiting:
                while stack and len(waiting) < 2 * _WORKERS:
                    folder = stack.pop()
                    below = children.get(folder, [])
                    looked_ns = time.time_ns()
                    mtime_ns = self._changed_at(folder)
                    if mtime_ns is None:
                        self._lose(folder, known, children)
                    elif self._unchanged(known.get(folder), mtime_ns):
                        stack.extend(below)
                        self._kept_folders += 1
                    else:
                        files = self._known_files(folder, known.get(folder))
                        job = (folder, mtime_ns, files)
                        pending = pool.submit(intake.look, *job, stat_all=self._full, rejudge=self._rejudge)
                        waiting.append((pending, looked_ns - mtime_ns <= _RACY_NS))
                if waiting:
                    pending, racy = waiting.pop(0)
                    look = pending.result()
                    below = children.get(look.folder, [])
                    here = set(below) if look.failed else set(look.subfolders)
                    for path in below:
                        if path not in here:
                            self._lose(path, known, children)
                    if self._options.only is None:
                        stack.extend(here)
                    else:
                        stack.extend(here.difference(below))  # new ones; nothing was heard of the others
                    self._take(look, racy)
        self._flush()

    def _unchanged(self, before: Folder | None, mtime_ns: int) -> bool:
        """Tell whether a folder need not be listed. One that something was heard of does: a file written in place."""
        if before is None or self._full or self._options.only is not None:
            return False
        return before.settled and before.mtime_ns == mtime_ns

    def _lose(self, folder: str, known: dict[str, Folder], children: dict[str, list[str]]) -> None:
        """Take everything known of a folder that is gone, and below it, for vanished."""
        pending = [folder]
        while pending:
            path = pending.pop()
            row = known.get(path)
            if row is not None:
                self._lost += self._known_files(path, row).values()
                self._lost_folders.append(row.id)
            self._gone_folders.append(path)
            pending += children.get(path, [])

    def _filled(self) -> Filled:
        others = []
        for one in self._others:
            with contextlib.suppress(StorageAway):  # what was moved from a disk that is gone is told by nobody
                others.append(_origin_log(one))
        return Filled(self._storage, self._origins, [log for log in others if log is not None])

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

    def _known_files(self, path: str, folder: Folder | None) -> dict[str, Segment]:
        if folder is None:
            return {}
        with self._ledger.reading() as connection:
            good, damaged = self._ledger.segments.in_folder(connection, folder.id)
        if damaged:
            self._damaged[path] = damaged
        return good

    def _take(self, look: FolderLook, racy: bool) -> None:
        """Add one folder's findings to the batch. `racy`: it had just changed when its time was looked at."""
        report = self._report
        report.listed += 1
        report.added += len(look.added)
        report.changed += len(look.changed)
        report.still_open += look.still_open
        if look.still_open:
            report.open_in.add(look.folder)
        report.skipped.update(reason for _, reason in look.skipped)
        report.foreign += look.skipped[: LISTED - len(report.foreign)]
        report.rewritten += look.rewritten
        self._odd += sift(look.folder, look.skipped)
        for segment in (*look.added, *look.changed):
            if segment.state is State.QUARANTINED:
                report.quarantined.append((segment.path, segment.reason))
            elif segment.state is State.SEALED and segment.reason:
                report.uncertain += 1
            # In a zone too far in the east the newest names are of the future, and their files quarantined.
            told = segment.state is State.SEALED or segment.start > self._now()
            if told and segment.end > segment.start and len(self._lateness) < LISTED:
                self._lateness.append(segment.mtime_ns // 1000 - segment.end)
            if segment.state is State.SEALED and not self._first and len(report.fresh) < LISTED:
                report.fresh.append(segment.path)
        self._lost += look.vanished
        if not self._first:
            self._appeared += look.added
            self._lost += [before for before, _ in look.replaced]  # perhaps moved; never buried: its path is taken
            self._appeared += [segment for _, segment in look.replaced]
        # While something vanished from here is not dealt with, the next scan must list this folder again.
        settled = look.settled and not look.vanished and not racy
        # In one transaction with what replaces them; of a folder that cannot be listed nothing replaces them.
        damaged = self._damaged.pop(look.folder, [])
        removed = [] if look.failed else damaged
        report.repaired += len(removed)
        self._batch.append(FolderChange(look.folder, look.mtime_ns, settled, look.added, look.changed, removed))
        self._batched += len(look.added) + len(look.changed) + 1
        if self._batched >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        with self._ledger.writing() as connection:
            self._ledger.segments.apply(connection, self._storage.id, self._batch)
            listed = [change.path for change in self._batch] + self._gone_folders
            self._ledger.oddities.replace(connection, self._storage.id, listed, self._odd)
        self._batch, self._batched, self._odd, self._gone_folders = [], 0, [], []
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
        self._note_moves(moved)
        with self._ledger.writing() as connection:
            landings = [Landing(one.merged(), book.manifest(connection, one.old)) for one in moved]
            vacated = [one.old.id for one in moved if one.vacated]
            book.remove(connection, storage_id, vacated + [old.id for old in forgotten])
            book.land(connection, landings)
            if self._options.adopt:
                book.remove(connection, storage_id, [segment.id for segment in buried])
                buried = []
            book.bury(connection, storage_id, buried, DELETED)
            damaged = [ident for ids in self._damaged.values() for ident in ids]
            book.remove(connection, storage_id, damaged)
            report.repaired += len(damaged)
            if buried:  # else retention took nothing, and looking for its tombstones reads every row of the storage
                report.retired = book.forget_retired(connection, storage_id)
            self._ledger.folders.drop(connection, self._lost_folders)
            self._ledger.history.outage_ended(
                connection, self._storage.server, Cause.STORAGE, self._now(), storage_id=storage_id
            )
        report.vanished = [segment.path for segment in buried[:LISTED]]
        report.moved = len(moved)
        report.deleted = max(0, len(buried) - report.retired)

    def _note_moves(self, moved: list[Moved]) -> None:
        """Note under the new path where a filled file came from, before the ledger calls it by that."""
        filled = [one for one in moved if one.old.origin is not None]
        if not filled or self._origins is None:
            return
        now = self._now()
        try:
            self._origins.append([moved_record(self._origins, one.old, one.merged(), now) for one in filled])
        except OSError as error:
            self._report.notes.append(
                f"{len(filled):,} filled files were moved, such as {filled[0].old.path}; where they came from is known"
                f" to the ledger alone: {error.strerror}"
            )


def _origin_log(storage: Storage) -> OriginLog | None:
    """Return the origin records of a storage; None if there can be none. Raises StorageAway."""
    try:
        return OriginLog(storage.state_folder())
    except StagingUnusable:
        return None


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
