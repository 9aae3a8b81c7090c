"""How a file leaves: each block is read once, hashed while it is in the processor's cache, and sent from where it is.

Rule: what is told of a chunk is the hash of the very bytes that were sent. The last block is sent only if the file
still is what was asked for. Reading and sending cost one copy more than `sendfile`, from the cache, and save the second
reading that the hash would need (measured: docs/design/0013-link.md).
"""

import os
from collections.abc import Iterator

from backfill.link.queries import FileAsked
from schema.digests import DIGEST_BYTES, hasher
from schema.errors import SourceChanged

BLOCK = 256 * 1024
"""Stays in the cache, is hashed without the interpreter's lock, and fills 16 records of TLS to the byte."""


def buffer() -> memoryview:
    """Return what `pieces` needs, to be used again and again: fresh memory costs more than reading into it."""
    return memoryview(bytearray(BLOCK + DIGEST_BYTES))


def pieces(fd: int, file: FileAsked, view: memoryview) -> Iterator[bytes | memoryview]:
    """Yield the answer: its head, then the file from its offset on, with the digest of each chunk behind it.

    The first block was read before the head is given out, so that what cannot be read at all can still be refused.
    A piece is good until the next. Raises SourceChanged, OSError.
    """
    at, state, head = file.offset, hasher(), _head(file)
    if at == file.size:
        _check_same(fd, file)
        yield head
    while at < file.size:
        length = block_length(at, file)
        _read(fd, view[:length], at, file)
        state.update(view[:length])
        at += length
        if at == file.size or (at - file.offset) % file.chunk == 0:
            view[length : length + DIGEST_BYTES] = state.digest()
            length, state = length + DIGEST_BYTES, hasher()
        if at == file.size:
            _check_same(fd, file)
        if head:
            yield head
            head = b""
        yield view[:length]


def block_length(at: int, file: FileAsked) -> int:
    """Return how long the block at `at` is: it ends no later than its chunk; chunks count from the offset."""
    return min(BLOCK, file.chunk - (at - file.offset) % file.chunk, file.size - at)


def _head(file: FileAsked) -> bytes:
    left = file.size - file.offset
    length = left + -(-left // file.chunk) * DIGEST_BYTES
    return f"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n".encode()


def _read(fd: int, view: memoryview, at: int, file: FileAsked) -> None:
    done = 0
    while done < len(view):
        got = os.preadv(fd, [view[done:]], at + done)
        if not got:
            raise SourceChanged(file.path, "this server")
        done += got


def _check_same(fd: int, file: FileAsked) -> None:
    info = os.fstat(fd)
    if (info.st_size, info.st_mtime_ns) != (file.size, file.mtime_ns):
        raise SourceChanged(file.path, "this server")
