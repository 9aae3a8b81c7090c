"""Giving staged segments their final names and the ledger its rows: the last steps of a fill, in strict order.

Rule, for a batch of segments that are whole, verified and durable in staging:
1. origin records, fsynced       a filled file can never be taken for the recorder's own, nor the other way round
2. each gets its final name      never replacing; a taken name leads to the next free one
3. fsync of each folder          the names survive a power cut
4. one ledger transaction        the ledger never claims what storage lacks
A crash after any step leaves whole files and a ledger that the next scan completes. A batch shares the costs of 1, 3
and 4, which is what makes many small segments fast. What goes wrong with one segment is a refusal of that one.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import msgspec

from backfill.beneath import CaseClash, folder_beneath, open_beneath
from backfill.bring import Staged, last_write
from backfill.containers import flavour
from backfill.origins import Origin, OriginLog
from backfill.placing import other_names
from backfill.plan import refuse
from backfill.publish import publish
from backfill.storage import Storage, inode_of
from backfill.transfer import block_buffer, write_error
from backfill.units import unit_files
from schema.digests import hasher
from schema.errors import CannotPublish, DiskFull, PathRefused, PermissionMissing
from schema.ledger import Ledger
from schema.ledger.manifests import FileManifest, digest_of
from schema.ledger.segments import Landing
from schema.values import LASTING, Kind, Landed, Refusal, Refused, Segment, State, Task

_BAD_NAME = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
"""What file systems say to a name they cannot hold."""


@dataclass(frozen=True, slots=True)
class _Published:
    staged: Staged
    path: str
    inode: int

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]


class Lander:
    """Lands batches of staged segments. One at a time; runs in a thread."""

    def __init__(self, ledger: Ledger, now: Callable[[], int]) -> None:
        self._ledger = ledger
        self._now = now

    def land(self, storage: Storage, batch: Sequence[Staged]) -> list[Landed | Refused]:
        """Land `batch`, all of `storage`; returns for each segment what became of it.

        Raises StorageAway, StagingUnusable before anything is done, and the ledger's errors; what has its final name by
        then stays, and the next run or scan takes it in.
        """
        origins = OriginLog(storage.state_folder())
        refused: list[Landed | Refused] = []
        published: list[_Published] = []
        twins: list[Staged] = []
        named: list[tuple[Staged, str, Iterator[str]]] = []
        for staged in batch:
            names = _free_names(staged)
            path = next(names, None)
            unreadable = _unreadable(staged)
            if unreadable is not None:
                refused.append(unreadable)
            elif path is None:
                refused.append(_conflict(staged))
            else:
                named.append((staged, path, names))
        try:
            origins.append([self._origin(staged, path) for staged, path, _ in named])
        except OSError as error:
            return [*refused, *(_failed(staged, error) for staged, _, _ in named)]
        with contextlib.ExitStack() as opened:
            folders = _Folders(storage.root, opened)
            for staged, path, names in named:
                try:
                    outcome = self._publish(staged, path, names, folders, origins)
                except CannotPublish as error:
                    outcome = refuse(staged.task, Refusal.CANNOT_PUBLISH, str(error))  # the copy is good: it waits
                except OSError as error:
                    outcome = _failed(staged, error)
                if isinstance(outcome, Refused):
                    refused.append(outcome)
                    twins += [staged] if outcome.why is Refusal.ALREADY_HERE else []
                else:
                    published.append(outcome)
            lost = folders.make_durable()
        refused += [
            refuse(one.staged.task, Refusal.WRITE_FAILED, f"{one.path} is not durable: {lost[one.folder]}")
            for one in published
            if one.folder in lost
        ]
        durable = [one for one in published if one.folder not in lost]
        self._commit(durable, twins)
        for one in published:
            one.staged.partial.drop_journal()
        return refused + [self._landed(one) for one in durable]

    @staticmethod
    def already_here(task: Task, storage: Storage) -> Refused | None:
        """Return the refusal of a file that the recorder here wrote bit for bit itself, if its digest is known.

        Asked before a byte is moved. One with the source's last write too may be ours, published by a run that was
        killed, and is taken in when it is landed.
        """
        source = task.source
        if source.digest is None or source.kind is not Kind.FILE:
            return None
        try:
            fd = open_beneath(storage.root, task.path)
            ours = os.fstat(fd).st_mtime_ns == source.mtime_ns
            same = _holds(fd, FileManifest("", source.size, source.digest, 0, ()))
        except (OSError, PathRefused):
            return None
        return refuse(task, Refusal.ALREADY_HERE, task.path) if same and not ours else None

    def _origin(self, staged: Staged, path: str) -> Origin:
        source = staged.task.source
        return Origin(
            path=path,
            server=staged.task.peer,
            camera=source.camera,
            start=source.start,
            end=source.end,
            size=staged.manifest.size,
            mtime_ns=staged.mtime_ns,
            digest=digest_of(staged.files).hex(),
            source_path=source.path,
            landed=self._now(),
        )

    def _publish(
        self, staged: Staged, path: str, names: Iterator[str], folders: "_Folders", origins: OriginLog
    ) -> _Published | Refused:
        """Give one segment its final name, or the next of `names` that is still free. Raises CannotPublish, OSError."""
        while True:
            folder, _, name = path.rpartition("/")
            try:
                fd = folders.open(folder)
            except PathRefused as error:
                staged.partial.drop()
                why = Refusal.CASE_CLASH if isinstance(error, CaseClash) else Refusal.PATH_REFUSED
                return refuse(staged.task, why, str(error))
            try:
                publish(staged.partial.path, fd, name)
            except FileExistsError:
                if _same_content(staged, path):
                    found = self._found(staged, path, fd, name)
                    if isinstance(found, Refused):  # what was noted of this name a moment ago is not of this file
                        origins.append([msgspec.structs.replace(self._origin(staged, path), server="")])
                    return found
            else:
                return _Published(staged, path, inode_of(os.stat(name, dir_fd=fd, follow_symlinks=False)))
            free = next(names, None)  # the recorder wrote there a moment ago
            if free is None:
                return _conflict(staged)
            path = free
            origins.append([self._origin(staged, path)])

    @staticmethod
    def _found(staged: Staged, path: str, fd: int, name: str) -> _Published | Refused:
        """Return what it means that the very same segment is at `path` already. Raises OSError."""
        staged.partial.drop()
        if last_write(os.path.join(staged.storage.root, path), staged.manifest.kind) == staged.mtime_ns:
            # A run before this one was killed after its step 2.
            return _Published(staged, path, inode_of(os.stat(name, dir_fd=fd, follow_symlinks=False)))
        return refuse(staged.task, Refusal.ALREADY_HERE, path)

    def _commit(self, published: Sequence[_Published], twins: Sequence[Staged]) -> None:
        """Record what landed, and the digests of what was here already, so that it is not fetched to see that again."""
        landings = [Landing(self._segment(one), one.staged.files, _row_here(one.staged.task)) for one in published]
        digests = [(one.task.source, one.files) for one in twins if _row_here(one.task) and not one.task.source.digest]
        with self._ledger.writing() as connection:
            self._ledger.segments.land(connection, landings)
            self._ledger.segments.set_digests(connection, digests)

    @staticmethod
    def _segment(one: _Published) -> Segment:
        source = one.staged.task.source
        return Segment(
            storage_id=one.staged.storage.id,
            camera=source.camera,
            path=one.path,
            start=source.start,
            end=source.end,
            size=one.staged.manifest.size,
            mtime_ns=one.staged.mtime_ns,
            inode=one.inode,
            state=State.SEALED,
            kind=one.staged.manifest.kind,
            digest=digest_of(one.staged.files),
            origin=one.staged.task.peer,
            marks=source.marks & LASTING,
        )

    @staticmethod
    def _landed(one: _Published) -> Landed:
        return Landed(
            task=one.staged.task,
            path=one.path,
            storage_id=one.staged.storage.id,
            digest=digest_of(one.staged.files),
            size=one.staged.manifest.size,
            sent=one.staged.sent,
            renamed=one.path != one.staged.task.path,
        )


def _row_here(task: Task) -> Segment | None:
    """Return the source's row, if this ledger has it: what only a peer's service can read has none."""
    return task.source if task.source.id else None


class _Folders:
    """The destination folders of one batch: each opened once and made durable once."""

    def __init__(self, root: str, opened: contextlib.ExitStack) -> None:
        self._root = root
        self._opened = opened
        self._fds: dict[str, int] = {}

    def open(self, folder: str) -> int:
        """Return a descriptor of `folder`, making it if it is not there. Raises PathRefused, OSError."""
        if folder not in self._fds:
            self._fds[folder] = self._opened.enter_context(folder_beneath(self._root, folder, create=True))
        return self._fds[folder]

    def make_durable(self) -> dict[str, str]:
        """Put every name given in these folders on the disk; returns the folders that failed, with the reason."""
        failed: dict[str, str] = {}
        for folder, fd in self._fds.items():
            try:
                os.fsync(fd)
            except OSError as error:
                failed[folder] = str(error.strerror)
        return failed


def _failed(staged: Staged, error: OSError) -> Refused:
    """Return the refusal of a segment that could not be given its name."""
    if error.errno in _BAD_NAME:
        staged.partial.drop()
        return refuse(staged.task, Refusal.PATH_REFUSED, f"{staged.task.path}: {error.strerror}")
    named = write_error(error, staged.storage.root, staged.task.path)
    if isinstance(named, PermissionMissing):
        return refuse(staged.task, Refusal.NOT_PERMITTED, str(named))  # the copy is good: it waits
    staged.partial.drop()
    return refuse(staged.task, Refusal.NO_SPACE if isinstance(named, DiskFull) else Refusal.WRITE_FAILED, str(named))


def _free_names(staged: Staged) -> Iterator[str]:
    """Yield the names that a segment may get: free ones, or where it is already.

    Asked before its origin is noted: a note for the name of a file that the recorder wrote could be taken to speak of
    that, if it happens to have the same size and time.
    """
    task = staged.task
    for path in chain([task.path], other_names(staged.storage, task.path)):
        if not os.path.lexists(os.path.join(staged.storage.root, path)) or _same_content(staged, path):
            yield path


def _unreadable(staged: Staged) -> Refused | None:
    """Return the refusal of a segment that the recorder here could not read: in its tree it would do harm."""
    reads = staged.task.reads
    if not reads or staged.manifest.kind is not Kind.FILE:
        return None
    try:
        found = flavour(staged.partial.path)
    except OSError as error:
        return _failed(staged, error)
    if found in reads:
        return None
    staged.partial.drop()
    return refuse(staged.task, Refusal.UNREADABLE_HERE, f'it is {found}, not {" or ".join(reads)}; see fill = "side"')


def _conflict(staged: Staged) -> Refused:
    """Return the refusal of a segment for which no name is free."""
    staged.partial.drop()
    return refuse(staged.task, Refusal.CONFLICT, staged.task.path)


def _same_content(staged: Staged, path: str) -> bool:
    """Tell whether what is at `path` already is bit for bit what we would put there."""
    root, kind = staged.storage.root, staged.manifest.kind
    try:
        if kind is Kind.FOLDER:
            found = {name: info.st_size for name, info in unit_files(os.path.join(root, path))}
            if found != {file.name: file.size for file in staged.files}:
                return False
        return all(
            _holds(open_beneath(root, f"{path}/{file.name}" if file.name else path), file) for file in staged.files
        )
    except (OSError, PathRefused):
        return False  # whatever it is, it stays, and ours goes beside it


def _holds(fd: int, file: FileManifest) -> bool:
    """Tell whether an open file has this size and digest; closes it. Raises OSError."""
    try:
        if os.fstat(fd).st_size != file.size:
            return False
        state, offset, view = hasher(), 0, block_buffer()
        while got := os.preadv(fd, [view], offset):
            state.update(view[:got])
            offset += got
        return state.digest() == file.digest
    finally:
        os.close(fd)
