"""Where a segment waits until it is whole: its partial, its journals, and the lock that keeps a second fill out.

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

from backfill.storage import Storage
from schema.digests import short_name
from schema.errors import AlreadyRunning, StagingUnusable
from schema.values import Manifest, Task

try:
    import fcntl
except ImportError:  # Windows: the exclusive creation below is all the lock there is
    fcntl = None  # type: ignore[assignment]

_KEEP_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Partial:
    """The place of one segment on its way. `path` is a file, or a folder for a segment that is one."""

    path: str
    journals: str
    files: int

    def journal(self, index: int) -> str:
        """Return the path of the journal of the segment's file number `index`."""
        return f"{self.journals}.{index}"

    def drop_journals(self) -> None:
        """Forget how far the transfer was."""
        for index in range(self.files):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.journal(index))

    def drop(self) -> None:
        """Give the copy up."""
        if os.path.isdir(self.path):
            shutil.rmtree(self.path)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        self.drop_journals()


class Staging:
    """The staging folder of one storage. Raises StagingUnusable if it cannot be had."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.folder = os.path.join(storage.state_folder(), "staging")
        try:
            if storage.origin is not None:
                os.makedirs(storage.root, exist_ok=True)  # a side store is ours; a recorder's root never is
            os.makedirs(self.folder, exist_ok=True)
            same = os.stat(self.folder).st_dev == os.stat(storage.root).st_dev
        except OSError as error:
            raise StagingUnusable(storage.title, f"{self.folder}: {error.strerror}") from None
        if not same:
            raise StagingUnusable(storage.title, f"{self.folder} is on another file system than {storage.root}")

    def partial(self, task: Task, manifest: Manifest) -> Partial:
        """Return the place for a task's segment, the same in every run."""
        name = self._name(task, manifest.size, manifest.mtime_ns)
        path = os.path.join(self.folder, name)
        return Partial(f"{path}.part", f"{path}.journal", len(manifest.files))

    @staticmethod
    def _name(task: Task, size: int, mtime_ns: int) -> str:
        return short_name("\0".join((task.peer, task.source.path, str(size), str(mtime_ns))))

    async def sweep(self, wanted: Iterable[Task]) -> int:
        """Delete partials that no task of the plan wants and that nobody wrote to for a day; returns their number."""
        keep = {self._name(task, task.source.size, task.source.mtime_ns) for task in wanted}
        swept = 0
        for name in await aiofiles.os.listdir(self.folder):
            path = os.path.join(self.folder, name)
            info = await aiofiles.os.stat(path)
            if name.partition(".")[0] in keep or time.time() - info.st_mtime < _KEEP_SECONDS:
                continue
            if stat.S_ISDIR(info.st_mode):
                await asyncio.to_thread(shutil.rmtree, path)
            else:
                await aiofiles.os.unlink(path)
            swept += name.endswith(".part")
        return swept

    def free(self) -> int:
        """Return the free bytes that a process without privileges may use."""
        info = os.statvfs(self.folder)
        return info.f_bavail * info.f_frsize

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other fills out while this block runs; a killed one releases it. Raises AlreadyRunning."""
        path = os.path.join(os.path.dirname(self.folder), "fill.lock")
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if fcntl is not None:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    holder = os.pread(fd, 32, 0).decode(errors="replace").strip()
                    raise AlreadyRunning(self._storage.title, f" (process {holder})" if holder else "") from None
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(fd)
