"""The journal beside a partial file: which chunks arrived, and what their digests were.

Rule: a journal is a claim, not proof. Every chunk it names is read again and compared before the transfer goes on; the
first that differs, and all behind it, are fetched anew. It need not be durable: a torn one only costs chunks.

Format: a header of magic, chunk size, and size and mtime of the source, then 16 bytes a chunk.
"""

import os
from struct import Struct
from typing import TYPE_CHECKING

from backfill.chunks import chunk_at, count
from backfill.gate import Gate
from schema.digests import DIGEST_BYTES, hasher
from schema.values import ManifestFile

if TYPE_CHECKING:
    from xxhash import xxh3_128

_HEADER = Struct(">4sQQq")
_MAGIC = b"RSJ1"
_BLOCK = 256 * 1024


class Journal:
    """The journal at `path` of a partial of `file`; a journal of anything else there is discarded. Raises OSError."""

    def __init__(self, path: str, file: ManifestFile, chunk_size: int) -> None:
        self._file = file
        self._chunk_size = chunk_size
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            self._claims = self._read()
        except BaseException:
            os.close(self._fd)
            raise
        self._next = 0

    def _header(self) -> bytes:
        return _HEADER.pack(_MAGIC, self._chunk_size, self._file.size, self._file.mtime_ns)

    def _read(self) -> list[bytes]:
        limit = _HEADER.size + count(self._file.size, self._chunk_size) * DIGEST_BYTES
        content = os.pread(self._fd, limit, 0)
        if content[: _HEADER.size] != self._header():
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, self._header(), 0)
            return []
        body = content[_HEADER.size :]
        whole = len(body) // DIGEST_BYTES
        return [body[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES] for at in range(whole)]

    def verified(self, fd: int, whole: "xxh3_128", gate: Gate) -> tuple[list[bytes], "xxh3_128"]:
        """Return the digests of the leading chunks of `fd` that are what the journal claims, and `whole` fed with them.

        The partial and the journal are cut behind the last of them. Raises Interrupted, with nothing cut, and OSError.
        """
        digests: list[bytes] = []
        view = memoryview(bytearray(_BLOCK if self._claims else 0))
        for index, claim in enumerate(self._claims):
            chunk = chunk_at(index, self._file.size, self._chunk_size)
            part, trial = hasher(), whole.copy()
            offset, end = chunk.offset, chunk.offset + chunk.length
            gate.check()
            while offset < end and (got := os.preadv(fd, [view[: end - offset]], offset)):
                part.update(view[:got])
                trial.update(view[:got])
                offset += got
            if offset < end or part.digest() != claim:
                break
            whole = trial
            digests.append(claim)
        self._next = len(digests)
        os.ftruncate(fd, min(self._next * self._chunk_size, self._file.size))
        os.ftruncate(self._fd, _HEADER.size + self._next * DIGEST_BYTES)
        return digests, whole

    def append(self, digest: bytes) -> None:
        """Claim the next chunk. Raises OSError."""
        os.pwrite(self._fd, digest, _HEADER.size + self._next * DIGEST_BYTES)
        self._next += 1

    def close(self) -> None:
        """Close the journal; it stays for the next run."""
        os.close(self._fd)
