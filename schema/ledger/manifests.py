"""Digests of the files and chunks of a segment, kept beside its row where the row's own digest does not say it all.

Rule: a manifest speaks for one content. It goes when the row loses its digest, and is never used where it does not add
up to the digest that the row has now.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, delete, select

from schema.digests import hasher, row_checksum
from schema.ledger.names import insert_for
from schema.tables import manifests, segments
from schema.values import FileDigest, Kind, Segment

_T = TypeVar("_T", int, str)

_IDS_AT_ONCE = 500


class FileManifest(msgspec.Struct, frozen=True, array_like=True):
    """Digest of one file of a segment, as the ledger keeps it beside the segment's row."""

    name: str
    size: int
    digest: bytes
    chunk_size: int
    chunks: tuple[bytes, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[FileManifest, ...]).decode


def put(connection: Connection, taken: Mapping[int, Sequence[FileManifest]]) -> None:
    """Keep what was taken of segments, by their id, in the place of what was kept before."""
    drop(connection, list(taken))
    rows = []
    for ident, files in taken.items():
        if len(files) > 1 or any(file.chunks or file.name for file in files):
            body = _encode(tuple(files))
            rows.append({"segment_id": ident, "body": body, "checksum": row_checksum((ident, body))})
    if rows:
        connection.execute(insert_for(connection, manifests), rows)


def get(connection: Connection, segment: Segment) -> tuple[FileManifest, ...]:
    """Return the digests of `segment`'s files and chunks; empty if none were taken or they are damaged."""
    if segment.digest is None:
        return ()
    row = connection.execute(
        select(manifests.c.body, manifests.c.checksum).where(manifests.c.segment_id == segment.id)
    ).one_or_none()
    if row is not None and row[1] == row_checksum((segment.id, row[0])):
        files = _decode(row[0])
        if digest_of(files) == segment.digest:
            return files
    if segment.kind is Kind.FILE:
        return (FileManifest("", segment.size, segment.digest, 0, ()),)
    return ()


def drop(connection: Connection, ids: Sequence[int]) -> None:
    """Forget what was taken of these segments."""
    for part in parts(ids):
        connection.execute(delete(manifests).where(manifests.c.segment_id.in_(part)))


def drop_storage(connection: Connection, storage_id: int) -> None:
    """Forget what was taken of every segment of a storage."""
    mine = select(segments.c.id).where(segments.c.storage_id == storage_id)
    connection.execute(delete(manifests).where(manifests.c.segment_id.in_(mine)))


def digest_of(files: Sequence[FileManifest]) -> bytes:
    """Return the digest of a segment: its file's, or for a folder one over the sorted names, sizes and digests."""
    if len(files) == 1 and not files[0].name:
        return files[0].digest
    state = hasher()
    for file in sorted(files, key=lambda file: file.name):
        state.update(f"{file.digest.hex()}  {file.size}  {file.name}\n".encode())
    return state.digest()


def manifest_of(name: str, digest: FileDigest) -> FileManifest:
    """Return the ledger's form of one file's digest."""
    return FileManifest(name, digest.size, digest.digest, int(digest.chunk_size), digest.chunks)


def parts(ids: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Cut a list of ids or names so that no statement has more parameters than a database takes."""
    for at in range(0, len(ids), _IDS_AT_ONCE):
        yield ids[at : at + _IDS_AT_ONCE]
