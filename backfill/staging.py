"""Where a segment waits until it is whole: its partial, its journal, and the lock that keeps a second fill out.

Rule: on the same file system as the recorder's tree and outside of it. A partial's name follows from its source, so the
next run finds it; one that nobody asks for any more is swept after a day.
"""

import asyncio
import contextlib
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import aiofiles.os

from backfill.publish import same_mount
from backfill.storage import Storage
from backfill.units import unit_files
from schema.digests import short_name
from schema.errors import AlreadyRunning, StagingUnusable
from schema.values import Task

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_FOLDER = "staging"
_KEEP_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Partial:
    """The place of one segment on its way. `path` is a file, or a folder for a segment that is one."""

    path: str
    journal: str

    def drop_journal(self) -> None:
        """Forget how far the transfer was."""
        _remove(self.journal)

    def drop(self) -> None:
        """Give the copy up. What cannot be deleted, because the disk is failing, is worthless without its journal."""
        self.drop_journal()
        if os.path.isdir(self.path):
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            _remove(self.path)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


class Staging:
    """The staging folder of one storage. Raises StagingUnusable if it cannot be had."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.folder = os.path.join(storage.state_folder(), _FOLDER)
        try:
            if storage.origin is not None:
                os.makedirs(storage.root, exist_ok=True)  # a side store is ours; a recorder's root never is
            os.makedirs(self.folder, exist_ok=True)
            self.disk = os.stat(self.folder).st_dev
        except OSError as error:
            raise self._unusable(error) from None
        if not same_mount(self.folder, storage.root):
            raise StagingUnusable(
                storage.title, f"{self.folder} is on another file system or mount than {storage.root}"
            )

    def _unusable(self, error: OSError) -> StagingUnusable:
        return StagingUnusable(self._storage.title, f"{error.filename or self.folder}: {error.strerror}")

    def partial(self, task: Task) -> Partial:
        """Return the place for a task's segment, the same in every run."""
        path = os.path.join(self.folder, _name(task))
        return Partial(f"{path}.part", f"{path}.journal")

    def held(self, task: Task) -> int:
        """Return how many bytes of a task's segment are here already."""
        path = os.path.join(self.folder, f"{_name(task)}.part")
        try:
            info = os.lstat(path)
            if not stat.S_ISDIR(info.st_mode):
                return info.st_size
            return sum(part.st_size for _, part in unit_files(path))
        except OSError:
            return 0

    async def sweep(self, wanted: Iterable[Task]) -> int:
        """Delete partials that no task of the plan wants and that nobody touched for a day; returns their number.

        A finished copy already has the last write of its source: only the time of its last change tells its age.
        Raises StagingUnusable.
        """
        keep = {_name(task) for task in wanted}
        swept = 0
        try:
            for name in await aiofiles.os.listdir(self.folder):
                path = os.path.join(self.folder, name)
                info = await aiofiles.os.stat(path, follow_symlinks=False)
                if name.partition(".")[0] in keep or time.time() - info.st_ctime < _KEEP_SECONDS:
                    continue
                if stat.S_ISDIR(info.st_mode):
                    await asyncio.to_thread(shutil.rmtree, path)
                else:
                    await aiofiles.os.unlink(path)
                swept += name.endswith(".part")
        except OSError as error:
            raise self._unusable(error) from None
        return swept

    def free(self) -> int:
        """Return the free bytes that a process without privileges may use."""
        info = os.statvfs(self.folder)
        return info.f_bavail * info.f_frsize

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other fills out while this block runs; a killed one releases it.

        Raises AlreadyRunning, StagingUnusable.
        """
        if fcntl is None:
            raise StagingUnusable(self._storage.title, "this system has no locks that a killed process releases")
        path = os.path.join(os.path.dirname(self.folder), "fill.lock")
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise self._unusable(error) from None
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(fd, 32, 0).decode(errors="replace").strip()
                raise AlreadyRunning(self._storage.title, f" (process {holder})" if holder else "") from None
            except OSError as error:
                raise StagingUnusable(self._storage.title, f"{path} cannot be locked: {error.strerror}") from None
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(fd)


def waiting(storage: Storage) -> bool:
    """Tell whether anything is in the staging folder of a storage, which is not made for the question.

    Raises StagingUnusable, StorageAway.
    """
    try:
        with os.scandir(os.path.join(storage.state_folder(), _FOLDER)) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def _name(task: Task) -> str:
    """Return what the partial of a task's segment is called: two sources never share one."""
    source = task.source
    parts = (task.peer, str(source.storage_id), source.path, str(source.size), str(source.mtime_ns))
    return short_name("\0".join(parts))
