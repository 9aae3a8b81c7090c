"""The other server, as far as a fill needs it: read-only, by segment.

Rule: a `Peer` never changes anything on its side, and what it returns is exactly what its recorder wrote or an error.
`FolderPeer` sees the peer's storages as folders; the network link is another implementation of the same Protocol.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from backfill.beneath import open_beneath
from backfill.intake import unit_files
from backfill.site import Site
from schema.errors import PathRefused, PermissionMissing, SourceChanged, SourceGone, SourceUnreadable
from schema.ledger import Ledger
from schema.values import FileDigest, Kind, Manifest, ManifestFile, Segment


class Reader(Protocol):
    """One open file of a segment."""

    def readinto(self, view: memoryview, offset: int) -> int:
        """Fill `view` from `offset`; returns how many bytes, 0 only at the end. Raises SourceUnreadable, SourceGone."""
        ...


class Peer(Protocol):
    """A server to fetch from. Every method may be called from several threads, and twice for the same."""

    @property
    def name(self) -> str:
        """The server's name."""
        ...

    def manifest(self, segment: Segment) -> Manifest:
        """Return what `segment` consists of now, with the digests known of it.

        Raises SourceGone, SourceChanged if it is not what was planned, SourceUnreadable, PermissionMissing.
        """
        ...

    def open(self, segment: Segment, file: ManifestFile) -> AbstractContextManager[Reader]:
        """Open one file of `segment`; on leaving without an error, that it did not change meanwhile is certain."""
        ...


class _FolderReader:
    def __init__(self, fd: int, path: str, peer: str) -> None:
        self._fd = fd
        self._path = path
        self._peer = peer

    def readinto(self, view: memoryview, offset: int) -> int:
        try:
            return os.preadv(self._fd, [view], offset)
        except OSError as error:
            raise SourceUnreadable(self._path, self._peer, error.strerror) from None


class FolderPeer:
    """A peer whose storages are folders here: the same host, NFS or SMB."""

    def __init__(self, name: str, site: Site, ledger: Ledger) -> None:
        self._name = name
        self._site = site
        self._ledger = ledger

    @property
    def name(self) -> str:
        """The server's name."""
        return self._name

    def manifest(self, segment: Segment) -> Manifest:
        """Return the files of `segment` with the digests the ledger has of them."""
        root = self._site.storage(segment.storage_id).root
        with self._ledger.reading() as connection:
            known = {
                file.name: FileDigest(file.size, file.digest, file.chunk_size, file.chunks)
                for file in self._ledger.segments.manifest(connection, segment)
            }
        with self._translated(segment.path):
            if segment.kind is Kind.FOLDER:
                return self._folder_manifest(segment, os.path.join(root, segment.path), known)
            fd = open_beneath(root, segment.path)
            try:
                info = os.fstat(fd)
            finally:
                os.close(fd)
        if info.st_size != segment.size or info.st_mtime_ns != segment.mtime_ns:
            raise SourceChanged(segment.path, self._name)
        file = ManifestFile("", info.st_size, info.st_mtime_ns, info.st_mode & 0o777, known.get(""))
        return Manifest(Kind.FILE, (file,), info.st_mtime_ns)

    def _folder_manifest(self, segment: Segment, folder: str, known: dict[str, FileDigest]) -> Manifest:
        files = tuple(
            ManifestFile(name, info.st_size, info.st_mtime_ns, info.st_mode & 0o777, known.get(name))
            for name, info in unit_files(folder)
        )
        if sum(file.size for file in files) != segment.size:
            raise SourceChanged(segment.path, self._name)
        return Manifest(Kind.FOLDER, files, segment.mtime_ns)

    @contextmanager
    def open(self, segment: Segment, file: ManifestFile) -> Iterator[Reader]:
        """Open one file of `segment` without following any link."""
        root = self._site.storage(segment.storage_id).root
        path = f"{segment.path}/{file.name}" if file.name else segment.path
        with self._translated(path):
            fd = open_beneath(root, path)
        try:
            before = os.fstat(fd)
            if before.st_size != file.size or before.st_mtime_ns != file.mtime_ns:
                raise SourceChanged(path, self._name)
            yield _FolderReader(fd, path, self._name)
            after = os.fstat(fd)
            if after.st_size != before.st_size or after.st_mtime_ns != before.st_mtime_ns:
                raise SourceChanged(path, self._name)
        finally:
            os.close(fd)

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        """Name what the system reports in the operator's terms."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise SourceGone(path, self._name) from None
        except PermissionError as error:
            raise PermissionMissing(f"reading {path} on {self._name}", error.strerror) from None
        except PathRefused:
            raise
        except OSError as error:
            if error.errno == errno.ESTALE:
                raise SourceGone(path, self._name) from None
            raise SourceUnreadable(path, self._name, error.strerror) from None
