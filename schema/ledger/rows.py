"""Between `Segment` and its row, with the checksum that notices a flipped bit anywhere on the way.

Rule: the checksum covers the *resolved* values - path and camera name, not their ids - so that damage in the tables of
names and folders is noticed in every row that depends on them.
"""

from typing import Any

from sqlalchemy import Row, Select, select

from schema.digests import row_checksum
from schema.tables import cameras, folders, segments, servers
from schema.values import Kind, Segment, State

_COLUMNS = (
    segments.c.id,
    segments.c.storage_id,
    folders.c.path,
    segments.c.name,
    cameras.c.name,
    segments.c.kind,
    segments.c.state,
    segments.c.start_us,
    segments.c.end_us,
    segments.c.size,
    segments.c.mtime_ns,
    segments.c.inode,
    segments.c.digest,
    servers.c.name,
    segments.c.origin_id,
    segments.c.marks,
    segments.c.reason,
    segments.c.checksum,
)

_STATES = {int(state): state for state in State}
_KINDS = {int(kind): kind for kind in Kind}


def rows_query() -> Select[Any]:
    """Return the query whose rows `from_row` reads; the caller adds its conditions."""
    return select(*_COLUMNS).select_from(
        segments.join(folders, segments.c.folder_id == folders.c.id)
        .join(cameras, segments.c.camera_id == cameras.c.id)
        .outerjoin(servers, segments.c.origin_id == servers.c.id)
    )


def checksum(segment: Segment) -> int:
    """Return the checksum of everything a row says, except its id."""
    return row_checksum(
        (
            segment.storage_id,
            segment.path,
            segment.camera,
            int(segment.kind),
            int(segment.state),
            segment.start,
            segment.end,
            segment.size,
            segment.mtime_ns,
            segment.inode,
            segment.digest,
            segment.origin,
            segment.marks,
            segment.reason,
        )
    )


def from_row(row: Row[*tuple[Any, ...]]) -> Segment | None:
    """Return the segment of a `rows_query` row, or None if the row is damaged."""
    (ident, storage, folder, name, camera, kind, state, start, end, size, mtime_ns, inode, digest, origin, origin_id,
     marks, reason, stored) = row  # fmt: skip
    if state not in _STATES or kind not in _KINDS or (origin_id != 0 and origin is None):
        return None
    segment = Segment(
        storage_id=storage,
        camera=camera,
        path=f"{folder}/{name}" if folder else name,
        start=start,
        end=end,
        size=size,
        mtime_ns=mtime_ns,
        inode=inode,
        state=_STATES[state],
        kind=_KINDS[kind],
        digest=digest,
        origin=origin,
        marks=marks,
        reason=reason,
        id=ident,
    )
    return segment if checksum(segment) == stored else None


def to_row(segment: Segment, *, folder_id: int, camera_id: int, origin_id: int) -> dict[str, Any]:
    """Return the column values of `segment`, without its id."""
    return {
        "storage_id": segment.storage_id,
        "folder_id": folder_id,
        "name": segment.path.rpartition("/")[2],
        "camera_id": camera_id,
        "kind": int(segment.kind),
        "state": int(segment.state),
        "start_us": segment.start,
        "end_us": segment.end,
        "size": segment.size,
        "mtime_ns": segment.mtime_ns,
        "inode": segment.inode,
        "digest": segment.digest,
        "origin_id": origin_id,
        "marks": segment.marks,
        "reason": segment.reason,
        "checksum": checksum(segment),
    }
