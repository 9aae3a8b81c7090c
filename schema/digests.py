"""What a digest is: XXH3-128 as `xxhsum -H128` prints it, of files and of chunks, and XXH3-64 for our own records.

Rule: xxhash says "not damaged", never "not forged"; authenticity is the transport's concern. The one place that
names the hash functions.
"""

from typing import Any

import msgspec
import xxhash

DIGEST_BYTES = 16
"""Length of a file or chunk digest."""

_encode = msgspec.msgpack.Encoder().encode


Hasher = xxhash.xxh3_128


def hasher() -> Hasher:
    """Return a fresh streaming XXH3-128; feed blocks of 256 KiB or more so that the interpreter lock is released."""
    return xxhash.xxh3_128()


def row_checksum(values: tuple[Any, ...]) -> int:
    """Return a signed 64-bit checksum over a ledger row, to notice damage that a database does not.

    Measured: SQLite's own integrity check missed 24 of 60 single flipped bits.
    """
    checksum: int = xxhash.xxh3_64_intdigest(_encode(values))
    return checksum - (1 << 64) if checksum >= 1 << 63 else checksum


def text_checksum(text: str) -> str:
    """Return 16 hex digits over a line of a side file."""
    return str(xxhash.xxh3_64_hexdigest(text.encode()))


def short_name(text: str) -> str:
    """Return a stable 32-digit name for anything that needs one, such as a partial file."""
    return str(xxhash.xxh3_128_hexdigest(text.encode()))
