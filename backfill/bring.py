"""Bringing one segment into staging: every file of it whole, verified and durable, or not at all.

Rule: what could be continued is kept, what cannot be trusted is dropped. After a failed write or fsync the copy is
given up and fetched again next time: the kernel may have thrown its pages away. What a peer says of a segment is
checked before anything is made of it. Runs in a thread.
"""

import contextlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from backfill.beneath import check_relative, like_parent
from backfill.gate import Gate
from backfill.journal import Journal, journal_file
from backfill.peer import Peer
from backfill.progress import BytesMoved, Listener, SegmentStarted
from backfill.publish import same_mount
from backfill.staging import Partial, Staging
from backfill.storage import Storage, sync_folder
from backfill.transfer import fetch, read_back, write_error
from backfill.units import measure_unit, unit_files
from schema.errors import (
    CopyDamaged,
    PathRefused,
    PermissionMissing,
    SourceChanged,
    SourceDamaged,
    SourceGone,
    SourceUnreadable,
    StagingUnusable,
)
from schema.ledger.manifests import FileManifest, manifest_of
from schema.settings import Fill
from schema.values import FileDigest, Kind, Manifest, ManifestFile, Segment, Task

_GIVE_UP = (CopyDamaged, SourceDamaged, SourceChanged, SourceGone)
"""After these, and after any failure to write, the copy here is worthless, or its space is needed."""

_UNSYNCED_FILES, _UNSYNCED_BYTES = 32, 64 * 2**20
"""What of one segment may wait to be made durable together. The first fsync puts all on the disk that a file system has
noted by then, so that the others find little left to do; but bytes must not pile up in front of the recorder's own."""

_FILES_AT_MOST = 65_536
"""Files of one segment: far more than any recorder makes, and little enough to keep in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A segment that is whole, verified and durable, and still has no final name."""

    task: Task
    storage: Storage
    partial: Partial
    manifest: Manifest
    files: tuple[FileManifest, ...]
    mtime_ns: int
    """Its last write as this file system holds it: some keep fewer digits than we set."""
    sent: int


def bring(
    task: Task, peer: Peer, storage: Storage, staging: Staging, *, rules: Fill, gate: Gate, listener: Listener
) -> Staged:
    """Bring the segment of `task` into `staging`.

    Raises the source's errors, DiskFull, WriteFailed, CopyDamaged, PermissionMissing, PathRefused, Interrupted, and
    StagingUnusable if it could not be moved from there to its place.
    """
    try:
        neighbour, place = _neighbour(storage.root, task.path)
    except OSError as error:
        raise write_error(error, storage.root, task.path) from None
    if not same_mount(staging.folder, place):
        raise StagingUnusable(storage.title, f"{staging.folder} is on another file system or mount than {place}")
    manifest = peer.manifest(task.source)
    check_manifest(manifest, task.source, peer.name)
    partial = staging.partial(task)
    listener(SegmentStarted(task, manifest.size))
    copy = _Copy(task, peer, neighbour, partial, rules, gate, listener)
    try:
        with contextlib.closing(copy):
            files = copy.single(manifest) if manifest.kind is Kind.FILE else copy.folder(manifest)
        mtime_ns = last_write(partial.path, manifest.kind)
    except _GIVE_UP:
        partial.drop()
        raise
    except OSError as error:
        partial.drop()
        raise write_error(error, staging.folder, task.source.path) from None
    return Staged(
        task=task,
        storage=storage,
        partial=partial,
        manifest=manifest,
        files=files,
        mtime_ns=mtime_ns,
        sent=copy.sent,
    )


def last_write(path: str, kind: Kind) -> int:
    """Return the last write of a segment, which need not be staged, as a scan would see it. Raises OSError."""
    return os.lstat(path).st_mtime_ns if kind is Kind.FILE else measure_unit(path)[1]


def check_manifest(manifest: Manifest, source: Segment, peer: str) -> None:
    """Check what a peer says a segment consists of. Raises SourceChanged, SourceUnreadable, PathRefused."""
    if len(manifest.files) > _FILES_AT_MOST:
        raise SourceUnreadable(source.path, peer, f"it is said to have {len(manifest.files):,} files")
    if manifest.kind is not source.kind or manifest.size != source.size or manifest.mtime_ns != source.mtime_ns:
        raise SourceChanged(source.path, peer)
    if any(file.size < 0 or not -(2**63) <= file.mtime_ns < 2**63 for file in manifest.files):
        raise SourceUnreadable(source.path, peer, "its sizes or times are impossible")
    names = [file.name for file in manifest.files]
    if manifest.kind is Kind.FILE:
        if names != [""]:
            raise SourceUnreadable(source.path, peer, "it is one file, and is said to have others in it")
        return
    folders: set[str] = set()
    for name in names:
        parts = check_relative(name)
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    if len(set(names)) < len(names) or not folders.isdisjoint(names):
        raise SourceUnreadable(source.path, peer, "it is said to have two files of one name")


def _shape(manifest: Manifest) -> list[tuple[str, int, int]]:
    """Return what must stay the same while a folder is copied; digests may become known meanwhile."""
    return [(file.name, file.size, file.mtime_ns) for file in manifest.files]


class _Copy:
    """One segment on its way. `neighbour` is what its owner and group are taken from."""

    def __init__(
        self,
        task: Task,
        peer: Peer,
        neighbour: os.stat_result,
        partial: Partial,
        rules: Fill,
        gate: Gate,
        listener: Listener,
    ) -> None:
        self._task = task
        self._peer = peer
        self._neighbour = neighbour
        self._partial = partial
        self._rules = rules
        self._gate = gate
        self._listener = listener
        self._unsynced: list[tuple[int, FileDigest, str]] = []
        """Files that are written: each open, with what it must be and its name for messages."""
        self.sent = 0

    def single(self, manifest: Manifest) -> tuple[FileManifest, ...]:
        """Bring a segment that is one file.

        One of a single chunk is whole, or starts again: it needs no journal if its owner told the digest to prove it.
        """
        (file,), path = manifest.files, self._partial.path
        if manifest.size > self._rules.chunk or file.digest is None:
            with journal_file(self._partial.journal) as fd:
                found = self._file(file, path, Journal(fd, file, self._rules.chunk))
        else:
            found = self._file(file, path, None)
        self._sync()
        return (found,)

    def folder(self, manifest: Manifest) -> tuple[FileManifest, ...]:
        """Bring every file of a segment that is a folder, and nothing else."""
        top, names = self._partial.path, {file.name: file.size for file in manifest.files}
        if os.path.isdir(top) and not names.keys() >= {name for name, _ in unit_files(top)}:
            self._partial.drop()  # left by an attempt at what the folder held before
        os.makedirs(top, exist_ok=True)
        files = []
        folders = {top}
        with journal_file(self._partial.journal) as fd:
            at = 0
            for file in manifest.files:
                target = os.path.join(top, file.name)
                parts = file.name.split("/")
                if (folder := os.path.dirname(target)) not in folders:
                    os.makedirs(folder, exist_ok=True)
                    folders.update(os.path.join(top, *parts[:depth]) for depth in range(1, len(parts)))
                journal = Journal(fd, file, self._rules.chunk, at)
                files.append(self._file(file, target, journal))
                at = journal.end
        if {name: info.st_size for name, info in unit_files(top)} != names:
            raise CopyDamaged(self._task.source.path)  # two names that are one here
        if _shape(self._peer.manifest(self._task.source)) != _shape(manifest):
            raise SourceChanged(self._task.source.path, self._peer.name)
        for folder in folders:
            fd = os.open(folder, os.O_RDONLY)
            try:
                like_parent(fd, self._neighbour)
            finally:
                os.close(fd)
        os.utime(top, ns=(manifest.mtime_ns, manifest.mtime_ns))
        self._sync()
        for folder in sorted(folders, reverse=True):
            sync_folder(folder)
        return tuple(files)

    def _file(self, file: ManifestFile, target: str, journal: Journal | None) -> FileManifest:
        """Bring one file to `target`, continuing what is there; it is durable after `_sync`.

        Raises OSError if writing here fails.
        """
        title = f"{self._task.source.path}/{file.name}" if file.name else self._task.source.path
        fd = _open_partial(target)
        try:
            if journal is None and (whole := self._whole(file, fd)):
                digest, sent = whole, 0
            else:
                if journal is None:
                    os.ftruncate(fd, 0)
                digest, sent = self._fetch(file, fd, title, journal)
            self.sent += sent
            _dress(fd, file, self._neighbour)
        except BaseException:
            os.close(fd)
            raise
        self._unsynced.append((fd, digest, title))
        waiting = sum(one.size for _, one, _ in self._unsynced)
        if len(self._unsynced) >= _UNSYNCED_FILES or waiting >= _UNSYNCED_BYTES:
            self._sync()
        return manifest_of(file.name, digest)

    def _sync(self) -> None:
        """Make durable what is written so far, each file by its own descriptor. Raises CopyDamaged, OSError."""
        for fd, digest, title in self._unsynced:
            os.fsync(fd)
            if self._rules.readback:
                read_back(fd, digest, title, self._gate)
        self.close()

    def close(self) -> None:
        """Close every file, durable or not."""
        for fd, _, _ in self._unsynced:
            os.close(fd)
        self._unsynced.clear()

    def _whole(self, file: ManifestFile, fd: int) -> FileDigest | None:
        """Return the digest of what is here if it is all of `file`, as its owner's digest proves; else None.

        A run that was killed before it landed what it had brought leaves such copies, many at once when they are small.
        """
        if file.digest is None or not file.size or os.fstat(fd).st_size != file.size:
            return None
        try:
            read_back(fd, file.digest, self._task.source.path, self._gate)
        except CopyDamaged:
            return None
        self._telling(resumed=True)(file.size)
        return FileDigest(file.size, file.digest.digest, self._rules.chunk, ())

    def _fetch(self, file: ManifestFile, fd: int, title: str, journal: Journal | None) -> tuple[FileDigest, int]:
        with self._peer.open(self._task.source, file) as reader:
            return fetch(
                reader,
                fd,
                file,
                title=title,
                peer=self._peer.name,
                chunk_size=self._rules.chunk,
                journal=journal,
                gate=self._gate,
                kept=self._telling(resumed=True),
                moved=self._telling(resumed=False),
            )

    def _telling(self, *, resumed: bool) -> Callable[[int], None]:
        return lambda count: self._listener(BytesMoved(self._task, count, resumed))


def _open_partial(path: str) -> int:
    """Return a descriptor of the partial at `path`, made if it is not there. Raises OSError."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    fd = os.open(path, flags, 0o600)
    if os.fstat(fd).st_nlink == 1:
        return fd
    # Published by a link, by a run that was killed before it dropped this name: writing here would change that file.
    os.close(fd)
    os.unlink(path)
    return os.open(path, flags | os.O_EXCL, 0o600)


def _dress(fd: int, file: ManifestFile, neighbour: os.stat_result) -> None:
    """Give a copy its source's mode and times and its neighbours' owner: for some recorders the mtime is the end."""
    like_parent(fd, neighbour)
    if hasattr(os, "fchmod"):
        with contextlib.suppress(PermissionError):  # a file system that keeps no modes
            os.fchmod(fd, file.mode & 0o777)
    os.utime(fd, ns=(file.mtime_ns, file.mtime_ns))


def _neighbour(root: str, path: str) -> tuple[os.stat_result, str]:
    """Return stat and path of the deepest folder that exists on the way to `path` below `root`.

    Asked before a byte is moved whether we may write there; whether it is safe to is the lander's concern. Raises
    PathRefused, PermissionMissing, OSError if the root is gone.
    """
    check_relative(path)
    folder = os.path.dirname(path)
    info: os.stat_result | None = None
    while folder and info is None:
        try:
            info = os.lstat(os.path.join(root, folder))
        except (FileNotFoundError, NotADirectoryError):
            folder = os.path.dirname(folder)
    info = info or os.stat(root)
    if not stat.S_ISDIR(info.st_mode):
        raise PathRefused(path, f"{folder!r} is a symbolic link or not a folder")
    place = os.path.join(root, folder)
    if not os.access(place, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PermissionMissing(f"writing to {place}", "its mode or its file system forbids it")
    return info, place
