"""Bringing one file over: read, hash, write, start write-back - block by block, in a thread, in constant memory.

Rule: every chunk is verified against the digest its owner gave, if there is one, and every block is hashed while it is
in the processor's cache; the copy is never trusted because it is here. Resume re-verifies what is there chunk by chunk.
Errors of the source come named by the peer, so an OSError is always of the copy here.

The shape of this loop is measured (docs/design/0004-data-path.md): blocks of 256 KiB stay in the cache and release
the interpreter lock; starting write-back after each block hides most of the final fsync.
"""

import ctypes
import errno
import os
import threading
from collections.abc import Callable

from backfill.chunks import chunk_at, count
from backfill.gate import Gate
from backfill.journal import Journal
from backfill.peer import Reader
from schema.digests import hasher
from schema.errors import CopyDamaged, DiskFull, PermissionMissing, SourceChanged, SourceDamaged, WriteFailed
from schema.values import FileDigest, ManifestFile

BLOCK = 256 * 1024

_SYNC_FILE_RANGE_WRITE = 2
_buffers = threading.local()


def block_buffer() -> memoryview:
    """Return this thread's block buffer: made once, so that memory stays constant and warm."""
    buffer: memoryview | None = getattr(_buffers, "view", None)
    if buffer is None:
        buffer = _buffers.view = memoryview(bytearray(BLOCK))
    return buffer


def fetch(
    reader: Reader,
    fd: int,
    file: ManifestFile,
    *,
    title: str,
    peer: str,
    chunk_size: int,
    journal: Journal | None,
    gate: Gate,
    kept: Callable[[int], None],
    moved: Callable[[int], None],
) -> tuple[FileDigest, int]:
    """Bring `file` into the open file `fd`, continuing what `journal` vouches for; returns its digest and bytes read.

    Without a journal `fd` must be empty.

    Args:
        title: the source's path, for messages.
        kept: called once with the bytes that were here already and proved right.
        moved: called with the size of every block written.

    Raises SourceChanged if it is shorter than promised, SourceDamaged if it is not what its owner digested,
    Interrupted and the reader's errors; OSError if writing here fails. The file is not yet durable when this returns.
    """
    expected = _expected_chunks(file, chunk_size)
    single = file.size <= chunk_size
    chunks, whole = list[bytes](), hasher()
    if journal:
        chunks, whole = journal.verified(fd, whole, gate)
        kept(min(len(chunks) * chunk_size, file.size))
    sent = 0
    view = block_buffer()
    for index in range(len(chunks), count(file.size, chunk_size)):
        chunk = chunk_at(index, file.size, chunk_size)
        part = whole if single else hasher()
        offset, end = chunk.offset, chunk.offset + chunk.length
        while offset < end:
            wanted = min(BLOCK, end - offset)
            gate.take(wanted)
            got = reader.readinto(view[:wanted], offset)
            if got == 0:
                raise SourceChanged(title, peer)
            block = view[:got]
            part.update(block)
            if not single:
                whole.update(block)
            _write(fd, block, offset)
            _start_write_back(fd, offset, got)
            offset += got
            sent += got
            moved(got)
        digest = part.digest()
        if expected and digest != expected[index]:
            raise SourceDamaged(title, peer, f"chunk {index + 1} at byte {chunk.offset:,} differs from its digest")
        chunks.append(digest)
        if journal:
            journal.append(digest)
    found = FileDigest(file.size, whole.digest(), chunk_size, () if single else tuple(chunks))
    if file.digest and found.digest != file.digest.digest:
        raise SourceDamaged(title, peer, "its digest differs from the one taken when it was sealed")
    return found, sent


def _expected_chunks(file: ManifestFile, chunk_size: int) -> tuple[bytes, ...]:
    """Return the digests its owner has of the file's chunks, if they are of chunks like ours; else nothing.

    Its digest as a whole is compared in any case. It alone may be known: the chunk size was another then, or the
    segment moved since.
    """
    digest = file.digest
    if digest is None or digest.chunk_size != chunk_size or len(digest.chunks) != count(file.size, chunk_size):
        return ()
    return digest.chunks


def read_back(fd: int, expected: FileDigest, title: str, gate: Gate) -> None:
    """Read a durable file back from the disk, past the page cache where that can be asked.

    Raises CopyDamaged, Interrupted, OSError.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    state, offset, view = hasher(), 0, block_buffer()
    while got := os.preadv(fd, [view], offset):
        gate.check()
        state.update(view[:got])
        offset += got
    if offset != expected.size or state.digest() != expected.digest:
        raise CopyDamaged(title)


def _write(fd: int, block: memoryview, offset: int) -> None:
    done = os.pwrite(fd, block, offset)
    while done < len(block):
        done += os.pwrite(fd, block[done:], offset + done)


def write_error(error: OSError, where: str, what: str) -> DiskFull | WriteFailed | PermissionMissing:
    """Return what a failed write or fsync of `what` into `where` means to an operator."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(where, what)
    if isinstance(error, PermissionError):
        return PermissionMissing(f"writing to {where}", error.strerror)
    return WriteFailed(what, error.strerror)


def _load_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    try:
        function = ctypes.CDLL(None, use_errno=True).sync_file_range
    except (OSError, AttributeError, TypeError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return function


_sync_file_range = _load_sync_file_range()


def _start_write_back(fd: int, offset: int, length: int) -> None:
    """Let the disk begin while we read on. A hint: what it cannot do, the fsync at the end does."""
    if _sync_file_range is not None:
        _sync_file_range(fd, offset, length, _SYNC_FILE_RANGE_WRITE)
