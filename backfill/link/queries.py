"""What a peer's question says, taken apart and checked, and how one that is not answered is refused.

Rule: pure. Nothing is a size, a count or a path before it went through here or through a message of `schema.wire`.
The lane's requests are ours alone, so what is read of HTTP is no more than our client writes: whoever says anything
else is no peer.
"""

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from schema.errors import OperatorError, SourceGone, SourceUnreadable, UsageInvalid
from schema.wire import Problem, plain, written

HEAD_LIMIT = 64 * 1024
"""Bytes of the longest request for a file: a path of 4,096 characters, written with percent signs, and some room."""
HEAD_END = b"\r\n\r\n"
_DATA = "/v1/data"
_CHUNK = range(64 * 1024, 1024**3 + 1)
_FIELDS = 16
_BODIES = (b"content-length", b"transfer-encoding", b"expect", b"upgrade")
"""Headers after which more would follow than the head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAsked:
    """Which file is asked for, what it must be, and from where on."""

    storage: str
    path: str
    name: str
    size: int
    mtime_ns: int
    offset: int
    chunk: int


def query_of(head: bytes) -> str:
    """Return the query of a whole request for data. Raises ValueError for anything else."""
    request, *headers = head.removesuffix(HEAD_END).split(b"\r\n")
    words = request.decode("ascii").split(" ")
    if len(words) != 3 or words[0] != "GET" or words[2] != "HTTP/1.1":
        raise ValueError("no request")
    for header in headers:
        name, colon, _ = header.partition(b":")
        if not colon or name.lower() in _BODIES:
            raise ValueError("no header of ours")
    path, _, query = words[1].partition("?")
    if path != _DATA:
        raise ValueError("nothing that is told here")
    return query


def file_asked(query: str) -> FileAsked:
    """Return what is asked for. Raises UsageInvalid."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_FIELDS)
        return _file(dict(pairs))
    except (ValueError, KeyError) as error:
        raise UsageInvalid(_DATA, error) from None


def _file(said: Mapping[str, str]) -> FileAsked:
    file = FileAsked(
        storage=said["storage"],
        path=said["path"],
        name=said.get("name", ""),
        size=number(said["size"]),
        mtime_ns=number(said["mtime"], signed=True),
        offset=number(said["offset"]),
        chunk=number(said["chunk"]),
    )
    if file.offset > file.size or file.chunk not in _CHUNK:
        raise ValueError(f"offset {file.offset} of {file.size} in chunks of {file.chunk}")
    return file


def number(text: str, *, signed: bool = False) -> int:
    """Return a number that a ledger can hold. Raises ValueError."""
    if not text.removeprefix("-" if signed else "").isascii() or len(text) > 20:
        raise ValueError(f"{text[:30]!r} is no number")
    found = int(text)
    if not (-(2**63) if signed else 0) <= found < 2**63:
        raise ValueError(f"{found} is out of range")
    return found


def refusal(error: OperatorError) -> bytes:
    """Return the message that says why something is not answered."""
    details = [str(detail) for detail in error.details]
    return written(Problem(error=type(error).__name__, detail=plain(details[-1] if details else str(error))))


def named(error: OSError, path: str) -> SourceGone | SourceUnreadable:
    """Return what it means that a recording cannot be opened or read here."""
    if isinstance(error, FileNotFoundError | NotADirectoryError) or error.errno == errno.ESTALE:
        return SourceGone(path, "this server")
    return SourceUnreadable(path, "this server", error.strerror)
