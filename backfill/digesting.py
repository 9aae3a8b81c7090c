"""Taking the digest of a segment that is already here: when it is sealed, or to see whether it is still what it was.

Rule: a digest counts only if the file is the one that the ledger's row speaks of, and did not change while it was read.
Reading is paced; it shares the disk with live recording.
"""

import os
from collections.abc import Iterable

from backfill.beneath import folder_beneath, open_beneath
from backfill.chunks import chunk_at, count
from backfill.gate import Gate
from backfill.storage import Storage
from backfill.transfer import BLOCK, block_buffer
from backfill.unchanged import look_in, look_of
from backfill.units import unit_files
from schema.digests import hasher
from schema.errors import PathRefused, SourceChanged, SourceGone, SourceUnreadable
from schema.ledger import Ledger
from schema.ledger.manifests import FileManifest, manifest_of
from schema.values import FileDigest, Kind, Segment, State

_TOGETHER = 200
"""Digests written to the ledger in one transaction."""


def take(
    storage: Storage, segment: Segment, chunk_size: int, gate: Gate, *, from_disk: bool = False
) -> tuple[FileManifest, ...]:
    """Return the digests of every file of `segment` as it is now.

    `from_disk`: past the page cache where the system allows it, to see what the disk really holds.
    Raises SourceGone, SourceUnreadable, Interrupted; SourceChanged if what is there is not what the ledger's row speaks
    of, before or after it was read.
    """
    try:
        if segment.kind is Kind.FILE:
            return (_file(storage, segment, chunk_size, gate, from_disk),)
        return _folder(storage, segment, chunk_size, gate, from_disk)
    except (FileNotFoundError, NotADirectoryError):
        raise SourceGone(segment.path, storage.server) from None
    except PathRefused:  # a link, or a pipe, where a recording was
        raise SourceChanged(segment.path, storage.server) from None
    except OSError as error:
        raise SourceUnreadable(segment.path, storage.server, error.strerror) from None


def _file(storage: Storage, segment: Segment, chunk_size: int, gate: Gate, from_disk: bool) -> FileManifest:
    fd = open_beneath(storage.root, segment.path)
    try:
        if not look_of(os.fstat(fd)).is_of(segment):
            raise SourceChanged(segment.path, storage.server)
        digest = _digest(fd, segment.path, storage, chunk_size, gate, from_disk)
        if not look_of(os.fstat(fd)).is_of(segment):
            raise SourceChanged(segment.path, storage.server)
    finally:
        os.close(fd)
    return manifest_of("", digest)


def _folder(
    storage: Storage, segment: Segment, chunk_size: int, gate: Gate, from_disk: bool
) -> tuple[FileManifest, ...]:
    files: list[FileManifest] = []
    with folder_beneath(storage.root, segment.path.rpartition("/")[0]) as parent:
        if not look_in(parent, storage.root, segment).is_of(segment):
            raise SourceChanged(segment.path, storage.server)
        for name, _ in unit_files(os.path.join(storage.root, segment.path)):
            path = f"{segment.path}/{name}"
            fd = open_beneath(storage.root, path)
            try:
                files.append(manifest_of(name, _digest(fd, path, storage, chunk_size, gate, from_disk)))
            finally:
                os.close(fd)
        if not look_in(parent, storage.root, segment).is_of(segment):
            raise SourceChanged(segment.path, storage.server)
    return tuple(files)


def _digest(fd: int, path: str, storage: Storage, chunk_size: int, gate: Gate, from_disk: bool) -> FileDigest:
    if from_disk and hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    size = os.fstat(fd).st_size
    whole, chunks, view = hasher(), list[bytes](), block_buffer()
    single = size <= chunk_size
    for number in range(count(size, chunk_size)):
        chunk = chunk_at(number, size, chunk_size)
        part = whole if single else hasher()
        offset, end = chunk.offset, chunk.offset + chunk.length
        while offset < end:
            wanted = min(BLOCK, end - offset)
            gate.take(wanted)
            got = os.preadv(fd, [view[:wanted]], offset)
            if got == 0:
                raise SourceChanged(path, storage.server)
            part.update(view[:got])
            if not single:
                whole.update(view[:got])
            offset += got
        chunks.append(part.digest())
    return FileDigest(size, whole.digest(), chunk_size, () if single else tuple(chunks))


def take_fresh(ledger: Ledger, storage: Storage, paths: Iterable[str], chunk_size: int, gate: Gate) -> int:
    """Take and keep the digests of segments just sealed, while they are in the page cache; returns how many.

    One that vanished or changed is left to the next scan, one that cannot be read to `verify`.
    """
    taken: list[tuple[Segment, tuple[FileManifest, ...]]] = []
    total = 0
    for path in paths:
        with ledger.reading() as connection:
            segment = ledger.segments.by_path(connection, storage.id, path)
        if segment is None or segment.state is not State.SEALED or segment.digest is not None:
            continue
        try:
            taken.append((segment, take(storage, segment, chunk_size, gate)))
        except (SourceGone, SourceChanged, SourceUnreadable):
            continue
        if len(taken) >= _TOGETHER:
            total += keep(ledger, taken)
    return total + keep(ledger, taken)


def keep(ledger: Ledger, taken: list[tuple[Segment, tuple[FileManifest, ...]]]) -> int:
    """Write digests to the ledger and empty the list; returns how many."""
    number = len(taken)
    if taken:
        with ledger.writing() as connection:
            ledger.segments.set_digests(connection, taken)
        taken.clear()
    return number
