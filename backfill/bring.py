"""Bringing one segment into staging: every file of it whole, verified and durable, or not at all.

Rule: what could be continued is kept, what cannot be trusted is dropped. After a failed write or fsync the copy is
given up and fetched again next time: the kernel may have thrown its pages away. Runs in a thread.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

from backfill.beneath import check_relative, like_parent
from backfill.gate import Gate
from backfill.journal import Journal
from backfill.peer import Peer
from backfill.progress import BytesMoved, Listener, SegmentStarted
from backfill.staging import Partial, Staging
from backfill.storage import Storage, sync_folder
from backfill.transfer import fetch, make_durable, read_back
from schema.errors import (
    CopyDamaged,
    DiskFull,
    PathRefused,
    PermissionMissing,
    SourceChanged,
    SourceDamaged,
    SourceGone,
    WriteFailed,
)
from schema.ledger.segments import FileManifest, manifest_of
from schema.settings import Fill
from schema.values import FileDigest, Kind, Manifest, ManifestFile, Task

_GIVE_UP = (WriteFailed, CopyDamaged, DiskFull, SourceDamaged, SourceChanged, SourceGone)
"""After these the copy here is worthless, or its space is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A segment that is whole, verified and durable, and still has no final name."""

    task: Task
    storage: Storage
    partial: Partial
    manifest: Manifest
    files: tuple[FileManifest, ...]
    sent: int


def bring(
    task: Task, peer: Peer, storage: Storage, staging: Staging, *, rules: Fill, gate: Gate, listener: Listener
) -> Staged:
    """Bring the segment of `task` into `staging`.

    Raises the source's errors, DiskFull, WriteFailed, CopyDamaged, PermissionMissing, PathRefused, Interrupted.
    """
    manifest = peer.manifest(task.source)
    if manifest.kind is not task.source.kind or manifest.size != task.source.size:
        raise SourceChanged(task.source.path, peer.name)
    partial = staging.partial(task, manifest)
    listener(SegmentStarted(task, manifest.size))
    copy = _Copy(task, peer, storage, partial, rules, gate, listener)
    try:
        files = copy.single(manifest) if manifest.kind is Kind.FILE else copy.folder(manifest)
    except _GIVE_UP:
        partial.drop()
        raise
    except PermissionError as error:
        raise PermissionMissing(f"writing to {staging.folder}", error.strerror) from None
    return Staged(task=task, storage=storage, partial=partial, manifest=manifest, files=files, sent=copy.sent)


class _Copy:
    """One segment on its way."""

    def __init__(
        self, task: Task, peer: Peer, storage: Storage, partial: Partial, rules: Fill, gate: Gate, listener: Listener
    ) -> None:
        self._task = task
        self._peer = peer
        self._partial = partial
        self._rules = rules
        self._gate = gate
        self._listener = listener
        self._neighbour = _nearest_folder(storage.root, task.path)
        self.sent = 0

    def single(self, manifest: Manifest) -> tuple[FileManifest, ...]:
        """Bring a segment that is one file; one of a single chunk needs no journal, it starts again."""
        journal = manifest.size > self._rules.chunk
        return (self.file(manifest.files[0], self._partial.path, 0, journal=journal),)

    def folder(self, manifest: Manifest) -> tuple[FileManifest, ...]:
        """Bring every file of a segment that is a folder."""
        os.makedirs(self._partial.path, exist_ok=True)
        files = []
        folders = {self._partial.path}
        for index, file in enumerate(manifest.files):
            check_relative(file.name)
            target = os.path.join(self._partial.path, file.name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            folders.add(os.path.dirname(target))
            files.append(self.file(file, target, index, journal=True))
        for folder in sorted(folders, reverse=True):
            fd = os.open(folder, os.O_RDONLY)
            try:
                like_parent(fd, self._neighbour)
            finally:
                os.close(fd)
            sync_folder(folder)
        return tuple(files)

    def file(self, file: ManifestFile, target: str, index: int, *, journal: bool) -> FileManifest:
        """Bring one file to `target`, continuing what is there."""
        title = f"{self._task.source.path}/{file.name}" if file.name else self._task.source.path
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            fd = os.open(target, flags, 0o600)
        except OSError as error:
            if isinstance(error, PermissionError):
                raise
            raise WriteFailed(title, error.strerror) from None
        notes: Journal | None = None
        try:
            if journal:
                notes = Journal(self._partial.journal(index), file, self._rules.chunk)
            else:
                os.ftruncate(fd, 0)
            digest, sent = self._fetch(file, fd, title, notes)
            self.sent += sent
            _dress(fd, file, self._neighbour)
            make_durable(fd, title)
            if self._rules.readback:
                read_back(fd, digest, title)
        finally:
            if notes:
                notes.close()
            os.close(fd)
        return manifest_of(file.name, digest)

    def _fetch(self, file: ManifestFile, fd: int, title: str, notes: Journal | None) -> tuple[FileDigest, int]:
        with self._peer.open(self._task.source, file) as reader:
            return fetch(
                reader,
                fd,
                file,
                title=title,
                peer=self._peer.name,
                chunk_size=self._rules.chunk,
                journal=notes,
                gate=self._gate,
                kept=self._telling(resumed=True),
                moved=self._telling(resumed=False),
            )

    def _telling(self, *, resumed: bool) -> Callable[[int], None]:
        return lambda count: self._listener(BytesMoved(self._task, count, resumed))


def _dress(fd: int, file: ManifestFile, neighbour: os.stat_result) -> None:
    """Give a copy its source's mode and times and its neighbours' owner: for some recorders the mtime is the end."""
    like_parent(fd, neighbour)
    if hasattr(os, "fchmod"):
        os.fchmod(fd, file.mode)
    os.utime(fd, ns=(file.mtime_ns, file.mtime_ns))


def _nearest_folder(root: str, path: str) -> os.stat_result:
    """Return the stat of the deepest folder that exists on the way to `path`."""
    try:
        check_relative(path)
    except PathRefused:
        return os.stat(root)
    folder = os.path.dirname(path)
    while folder:
        try:
            return os.lstat(os.path.join(root, folder))
        except FileNotFoundError:
            folder = os.path.dirname(folder)
    return os.stat(root)
