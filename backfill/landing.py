"""Giving staged segments their final names and the ledger its rows: the last steps of a fill, in strict order.

Rule, for a batch of segments that are whole, verified and durable in staging:
1. origin records, fsynced       a filled file can never be taken for the recorder's own
2. each gets its final name      never replacing; a taken name leads to the next free one
3. fsync of each folder          the names survive a power cut
4. one ledger transaction        the ledger never claims what storage lacks
A crash after any step leaves whole files and a ledger that the next scan completes. A batch shares the costs of 1, 3
and 4, which is what makes many small segments fast.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backfill.beneath import folder_beneath
from backfill.bring import Staged
from backfill.intake import measure_unit
from backfill.origins import Origin, OriginLog
from backfill.placing import other_names
from backfill.plan import refuse
from backfill.publish import publish
from backfill.storage import Storage, inode_of
from backfill.transfer import block_buffer, write_error
from schema.digests import hasher
from schema.errors import PathRefused
from schema.ledger import Ledger
from schema.ledger.segments import Landing, digest_of
from schema.values import Kind, Landed, Mark, Refusal, Refused, Segment, State


@dataclass(frozen=True, slots=True)
class _Published:
    staged: Staged
    path: str
    mtime_ns: int
    inode: int


class Lander:
    """Lands batches of staged segments. One at a time; runs in a thread."""

    def __init__(self, ledger: Ledger, now: Callable[[], int]) -> None:
        self._ledger = ledger
        self._now = now

    def land(self, batch: Sequence[Staged]) -> list[Landed | Refused]:
        """Land `batch`; returns for each segment what became of it.

        Raises CannotPublish, DiskFull, WriteFailed if a folder cannot be made durable, and the ledger's errors; what
        has its final name by then stays, and the next run or scan takes it in.
        """
        results: list[Landed | Refused] = []
        by_storage: dict[int, list[Staged]] = {}
        for staged in batch:
            by_storage.setdefault(staged.storage.id, []).append(staged)
        for group in by_storage.values():
            results += self._land_in(group[0].storage, group)
        return results

    def _land_in(self, storage: Storage, group: list[Staged]) -> list[Landed | Refused]:
        origins = OriginLog(storage.state_folder())
        refused: list[Landed | Refused] = []
        published: list[_Published] = []
        try:
            written = {staged.partial.path: _written(staged) for staged in group}
            origins.append([self._origin(staged, staged.task.path, written[staged.partial.path]) for staged in group])
            with contextlib.ExitStack() as opened:
                folders = _Folders(storage.root, opened)
                for staged in group:
                    outcome = self._publish(storage, staged, written[staged.partial.path], folders, origins)
                    if isinstance(outcome, Refused):
                        refused.append(outcome)
                    else:
                        published.append(outcome)
                folders.make_durable()
        except OSError as error:
            raise write_error(error, f"in {storage.title}") from None
        self._commit(published)
        for staged in group:
            staged.partial.drop_journals()
        return refused + [self._landed(one) for one in published]

    def _origin(self, staged: Staged, path: str, mtime_ns: int) -> Origin:
        source = staged.task.source
        return Origin(
            path=path,
            server=staged.task.peer,
            camera=source.camera,
            start=source.start,
            end=source.end,
            size=staged.manifest.size,
            mtime_ns=mtime_ns,
            digest=digest_of(staged.files).hex(),
            source_path=source.path,
            landed=self._now(),
        )

    def _publish(
        self, storage: Storage, staged: Staged, mtime_ns: int, folders: "_Folders", origins: OriginLog
    ) -> _Published | Refused:
        """Give one segment its final name, or the next free one."""
        path = staged.task.path
        names = other_names(storage, path)
        while True:
            folder, _, name = path.rpartition("/")
            try:
                fd = folders.open(folder)
            except PathRefused as error:
                staged.partial.drop()
                return refuse(staged.task, Refusal.PATH_REFUSED, str(error))
            except PermissionError as error:
                return refuse(staged.task, Refusal.NOT_PERMITTED, f"{folder}: {error.strerror}")
            try:
                publish(staged.partial.path, fd, name)
                info = os.stat(name, dir_fd=fd, follow_symlinks=False)
                return _Published(staged, path, mtime_ns, inode_of(info))
            except FileExistsError:
                info = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if _same_content(os.path.join(storage.root, path), info, staged):
                    staged.partial.drop()
                    if origins.find(path, staged.task.source.start, info.st_size, info.st_mtime_ns):
                        # A run before this one was killed after its step 2.
                        return _Published(staged, path, info.st_mtime_ns, inode_of(info))
                    return refuse(staged.task, Refusal.ALREADY_HERE, path)
            except PermissionError as error:
                return refuse(staged.task, Refusal.NOT_PERMITTED, f"{folder}: {error.strerror}")
            free = next(names, None)
            if free is None:
                staged.partial.drop()
                return refuse(staged.task, Refusal.CONFLICT, staged.task.path)
            path = free
            origins.append([self._origin(staged, path, mtime_ns)])

    def _commit(self, published: Sequence[_Published]) -> None:
        landings = [Landing(self._segment(one), one.staged.files, one.staged.task.source) for one in published]
        with self._ledger.writing() as connection:
            self._ledger.segments.land(connection, landings)

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
            mtime_ns=one.mtime_ns,
            inode=one.inode,
            state=State.SEALED,
            kind=one.staged.manifest.kind,
            digest=digest_of(one.staged.files),
            origin=one.staged.task.peer,
            marks=source.marks & Mark.UNCLOSED,
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


class _Folders:
    """The destination folders of one batch: each opened once and made durable once."""

    def __init__(self, root: str, opened: contextlib.ExitStack) -> None:
        self._root = root
        self._opened = opened
        self._fds: dict[str, int] = {}

    def open(self, folder: str) -> int:
        """Return a descriptor of `folder`, making it if it is not there."""
        if folder not in self._fds:
            self._fds[folder] = self._opened.enter_context(folder_beneath(self._root, folder, create=True))
        return self._fds[folder]

    def make_durable(self) -> None:
        """Put every name given in these folders on the disk. Raises OSError."""
        for fd in self._fds.values():
            os.fsync(fd)


def _written(staged: Staged) -> int:
    """Return the last write of a staged segment as this file system holds it: some keep fewer digits than we set."""
    path = staged.partial.path
    return os.lstat(path).st_mtime_ns if staged.manifest.kind is Kind.FILE else measure_unit(path)[1]


def _same_content(path: str, info: os.stat_result, staged: Staged) -> bool:
    """Tell whether what has the name already is bit for bit what we would put there."""
    if staged.manifest.kind is Kind.FOLDER or info.st_size != staged.manifest.size:
        return False
    state, view = hasher(), block_buffer()
    with open(path, "rb", buffering=0) as file:
        while got := file.readinto(view):
            state.update(view[:got])
    return state.digest() == staged.files[0].digest
