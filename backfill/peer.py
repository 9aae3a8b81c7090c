"""The other server, as far as a fill needs it: read-only, by segment.

Rule: a `Peer` never changes anything on its side, and what it returns is exactly what its recorder wrote or an error.
`FolderPeer` sees the peer's storages as folders; the network link is another implementation of the same Protocol.
"""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from backfill.beneath import folder_beneath, open_beneath
from backfill.site import Site
from backfill.storage import Storage
from backfill.units import measure_unit, unit_files
from schema.errors import SourceChanged, SourceGone, SourceUnreadable
from schema.ledger import Ledger
from schema.spans import Span
from schema.values import FileDigest, Kind, Manifest, ManifestFile, Segment


class Reader(Protocol):
    """One open file of a segment."""

    def readinto(self, view: memoryview, offset: int) -> int:
        """Fill `view` from `offset`; returns how many bytes, 0 only at the end. Raises SourceUnreadable, SourceGone."""
        ...


class Peer(Protocol):
    """A server to fetch from. Every method may be called from several threads, and twice for the same.

    No OSError comes out of a peer: what goes wrong on its side has a name, so that it is never taken for ours.
    """

    @property
    def name(self) -> str:
        """The server's name."""
        ...

    def segments(self, storage: Storage, wanted: Mapping[str, Sequence[Span]]) -> dict[str, list[Segment]]:
        """Return by camera the sealed segments on one of its storages that overlap the spans `wanted` of it, by start.

        Raises PeerUnreachable and the other errors of a link.
        """
        ...

    def manifest(self, segment: Segment) -> Manifest:
        """Return what `segment` consists of now, with the digests known of it.

        Raises SourceGone, SourceChanged if it is not what was planned, SourceUnreadable, PathRefused.
        """
        ...

    def open(self, segment: Segment, file: ManifestFile) -> AbstractContextManager[Reader]:
        """Open one file of `segment`; on leaving without an error, that it did not change meanwhile is certain.

        Raises SourceGone, SourceChanged, SourceUnreadable, PathRefused.
        """
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
            raise _named(error, self._path, self._peer) from None


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

    def segments(self, storage: Storage, wanted: Mapping[str, Sequence[Span]]) -> dict[str, list[Segment]]:
        """Return what the ledger has of the cameras around the spans."""
        with self._ledger.reading() as connection:
            return self._ledger.segments.around(connection, storage.id, wanted)

    def manifest(self, segment: Segment) -> Manifest:
        """Return the files of `segment` with the digests the ledger has of them."""
        root = self._site.storage(segment.storage_id).root
        known = self._digests(segment)
        try:
            if segment.kind is Kind.FOLDER:
                return self._folder_manifest(segment, root, known)
            fd = open_beneath(root, segment.path)
            try:
                info = os.fstat(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise _named(error, segment.path, self._name) from None
        if info.st_size != segment.size or info.st_mtime_ns != segment.mtime_ns:
            raise self._changed(segment)
        return Manifest(Kind.FILE, (_file("", info, known),), info.st_mtime_ns)

    def _digests(self, segment: Segment) -> dict[str, FileDigest]:
        """Return the digests known of the segment's files, by name."""
        if segment.digest is None:
            return {}  # not worth asking the ledger, half a millisecond for each of many
        with self._ledger.reading() as connection:
            files = self._ledger.segments.manifest(connection, segment)
        return {file.name: FileDigest(file.size, file.digest, file.chunk_size, file.chunks) for file in files}

    def _changed(self, segment: Segment) -> SourceChanged:
        """Return that `segment` is not what the ledger says, which the next scan must look at to heal it.

        It was written to in place, so nothing about its folder would tell.
        """
        with self._ledger.writing() as connection:
            self._ledger.segments.suspect(connection, segment)
        return SourceChanged(segment.path, self._name)

    def _folder_manifest(self, segment: Segment, root: str, known: dict[str, FileDigest]) -> Manifest:
        with folder_beneath(root, segment.path):
            folder = os.path.join(root, segment.path)
            if measure_unit(folder) != (segment.size, segment.mtime_ns):
                raise self._changed(segment)
            files = tuple(_file(name, info, known) for name, info in unit_files(folder))
        return Manifest(Kind.FOLDER, files, segment.mtime_ns)

    @contextmanager
    def open(self, segment: Segment, file: ManifestFile) -> Iterator[Reader]:
        """Open one file of `segment` without following any link."""
        root = self._site.storage(segment.storage_id).root
        path = f"{segment.path}/{file.name}" if file.name else segment.path
        try:
            fd = open_beneath(root, path)
        except OSError as error:
            raise _named(error, path, self._name) from None
        try:
            self._check_unchanged(fd, file, path)
            yield _FolderReader(fd, path, self._name)
            self._check_unchanged(fd, file, path)
        finally:
            os.close(fd)

    def _check_unchanged(self, fd: int, file: ManifestFile, path: str) -> None:
        try:
            info = os.fstat(fd)
        except OSError as error:
            raise _named(error, path, self._name) from None
        if info.st_size != file.size or info.st_mtime_ns != file.mtime_ns:
            raise SourceChanged(path, self._name)


def _file(name: str, info: os.stat_result, known: dict[str, FileDigest]) -> ManifestFile:
    return ManifestFile(name, info.st_size, info.st_mtime_ns, info.st_mode & 0o777, known.get(name))


def _named(error: OSError, path: str, peer: str) -> SourceGone | SourceUnreadable:
    """Return what the system reports of `path` in the operator's terms."""
    if isinstance(error, FileNotFoundError | NotADirectoryError) or error.errno == errno.ESTALE:
        return SourceGone(path, peer)
    return SourceUnreadable(path, peer, error.strerror)
