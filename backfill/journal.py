"""The journal beside a partial file: which chunks arrived, and what their digests were.

Rule: a journal is a claim, not proof. Every chunk it names is read again and compared before the transfer goes on; the
first that differs, and all behind it, are fetched anew. It need not be durable: a torn one only costs chunks.

Format, for each file of the segment in turn: a header of magic, chunk size, and size and mtime of the source, then room
for 16 bytes a chunk. One journal for all of them: a table of XProtect has a dozen files of a few bytes, and making and
deleting a second one beside each costs more than bringing it.
"""

import contextlib
import os
from collections.abc import Iterator
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


@contextlib.contextmanager
def journal_file(path: str) -> Iterator[int]:
    """Give a descriptor of the journal at `path`, made if it is not there. It stays. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


class Journal:
    """What the journal `fd` holds, from `at` on, of a partial of `file`.

    A journal of anything else there is discarded with all behind it: files are brought in turn. Raises OSError.
    """

    def __init__(self, fd: int, file: ManifestFile, chunk_size: int, at: int = 0) -> None:
        self._file = file
        self._chunk_size = chunk_size
        self._fd = fd
        self._at = at
        self._chunks = count(file.size, chunk_size)
        self.end = at + _HEADER.size + self._chunks * DIGEST_BYTES
        """Where that of the next file begins."""
        self._claims = self._read()
        self._next = 0

    def _header(self) -> bytes:
        return _HEADER.pack(_MAGIC, self._chunk_size, self._file.size, self._file.mtime_ns)

    def _read(self) -> list[bytes]:
        content = os.pread(self._fd, self.end - self._at, self._at)
        if content[: _HEADER.size] != self._header():
            os.ftruncate(self._fd, self._at)
            os.pwrite(self._fd, self._header(), self._at)
            return []
        body = content[_HEADER.size :]
        whole = len(body) // DIGEST_BYTES
        return [body[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES] for at in range(whole)]

    def verified(self, fd: int, whole: "xxh3_128", gate: Gate) -> tuple[list[bytes], "xxh3_128"]:
        """Return the digests of the leading chunks of `fd` that are what the journal claims, and `whole` fed with them.

        Partial and journal are cut behind the last of them. Raises Interrupted, with nothing cut, and OSError.
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
        if self._next < self._chunks:
            os.ftruncate(self._fd, self._place())
        return digests, whole

    def append(self, digest: bytes) -> None:
        """Claim the next chunk. Raises OSError."""
        os.pwrite(self._fd, digest, self._place())
        self._next += 1

    def _place(self) -> int:
        """Return where the next claim goes."""
        return self._at + _HEADER.size + self._next * DIGEST_BYTES
