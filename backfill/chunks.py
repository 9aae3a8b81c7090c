"""Cutting a file into chunks: the unit of resume and of naming damage.

Rule: pure. Chunks have a fixed power-of-two size; only the last is shorter; an empty file has none.
"""

from typing import NamedTuple


class Chunk(NamedTuple):
    """One piece of a file, in bytes."""

    number: int
    offset: int
    length: int


def count(size: int, chunk_size: int) -> int:
    """Return how many chunks a file has."""
    return -(-size // chunk_size)


def chunk_at(number: int, size: int, chunk_size: int) -> Chunk:
    """Return chunk `number` of a file of `size` bytes."""
    offset = number * chunk_size
    return Chunk(number, offset, min(chunk_size, size - offset))


def damaged(found: tuple[bytes, ...], expected: tuple[bytes, ...]) -> list[int]:
    """Return the numbers of the chunks whose digests differ."""
    pairs = enumerate(zip(found, expected, strict=True))
    return [number for number, (one, other) in pairs if one != other]
