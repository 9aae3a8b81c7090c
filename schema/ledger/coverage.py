"""Merged coverage by camera and bucket of time, kept so that finding gaps costs buckets and not segments.

Rule: derived and disposable. A change of segments marks its bucket stale in the same transaction; a stale or damaged
bucket is computed anew from the segments when it is read. A test holds it against direct computation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, select, tuple_, update

from schema.digests import row_checksum
from schema.ledger.names import Names, insert_for, lock_storage
from schema.ledger.rows import from_row, rows_query
from schema.spans import HOUR, Run, Span, runs
from schema.tables import coverage, folders, segments, storages
from schema.values import Mark, State

BUCKET = 4 * HOUR
"""Long enough that an archive of months has few, short enough that the current one is cheap to compute."""


_PAIRS_AT_ONCE = 200
"""So that no statement has more parameters than a database takes."""


def bucket_of(start: int) -> int:
    """Return the bucket that holds every segment starting at `start`."""
    return start // BUCKET


@dataclass(slots=True)
class Held:
    """What one storage holds of one camera, as runs: own recordings, filled ones by origin, and tombstones."""

    own: list[Run] = field(default_factory=list)
    filled: dict[str, list[Run]] = field(default_factory=dict)
    gone: list[Run] = field(default_factory=list)
    """What the recorder wrote and is not there any more."""
    undone: dict[str, list[Run]] = field(default_factory=dict)
    """What was filled and is not there any more, by origin."""
    from_start: bool = True
    """Nothing is known of this camera here before the first of these runs."""


class Body(msgspec.Struct, array_like=True):
    """A bucket as stored. Keys of `filled` and `undone` are server ids."""

    joint: int
    own: list[tuple[int, int, int]]
    filled: dict[int, list[tuple[int, int, int]]]
    gone: list[tuple[int, int, int]]
    undone: dict[int, list[tuple[int, int, int]]]


encode_body = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Body).decode


def mark_stale(connection: Connection, storage_id: int, touched: Iterable[tuple[int, int]]) -> None:
    """Mark `(camera_id, bucket)` pairs of a storage as changed and to be computed anew.

    The storage's number of changes rises in the same transaction, which holds its row until it ends: whoever has seen
    a number has seen every change up to it.
    """
    pairs = sorted(touched)
    if not pairs:
        return
    raised = update(storages).where(storages.c.id == storage_id).values(seq=storages.c.seq + 1)
    seq = connection.execute(raised.returning(storages.c.seq)).scalar_one()
    rows = [
        {
            "storage_id": storage_id,
            "camera_id": camera_id,
            "bucket": bucket,
            "stale": True,
            "body": b"",
            "checksum": 0,
            "seq": seq,
        }
        for camera_id, bucket in pairs
    ]
    statement = insert_for(connection, coverage)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["storage_id", "camera_id", "bucket"], set_={"stale": True, "seq": seq}
        ),
        rows,
    )


_NEWEST = (
    select(segments.c.end_us, segments.c.mtime_ns, segments.c.state)
    .where(
        segments.c.storage_id == bindparam("storage"),
        segments.c.camera_id == bindparam("camera"),
        segments.c.origin_id == 0,
        segments.c.state.in_((int(State.SEALED), int(State.OPEN))),
    )
    .order_by(segments.c.start_us.desc())
    .limit(1)
)


class CoverageBook:
    """The `coverage` table."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def newest(self, connection: Connection, storage_id: int) -> dict[str, int]:
        """Return for each camera up to when its recorder here is known to have recorded, microseconds.

        That is where its last segment ends, or when it was last written to if it is still open.
        """
        cameras = connection.execute(
            select(coverage.c.camera_id).where(coverage.c.storage_id == storage_id).distinct()
        ).scalars()
        found: dict[str, int] = {}
        for camera_id in list(cameras):
            row = connection.execute(_NEWEST, {"storage": storage_id, "camera": camera_id}).first()
            if row is not None:
                written = row.mtime_ns // 1000 if row.state == State.OPEN else 0
                found[self._names.camera(connection, camera_id)] = max(row.end_us, written)
        return found

    def stale(self, connection: Connection, storage_id: int) -> bool:
        """Tell whether some bucket of the storage must be computed anew."""
        found = connection.execute(
            select(coverage.c.bucket).where(coverage.c.storage_id == storage_id, coverage.c.stale).limit(1)
        )
        return found.first() is not None

    def reach(self, connection: Connection, storage_id: int, window: Span) -> Span:
        """Return `window` made so wide that every hole that reaches into it is seen whole, camera by camera."""
        bucket = coverage.c.bucket
        first, last = bucket_of(window.start), bucket_of(window.end)
        mine = coverage.c.storage_id == storage_id
        before = select(func.max(bucket)).where(mine, bucket < first).group_by(coverage.c.camera_id)
        after = select(func.min(bucket)).where(mine, bucket > last).group_by(coverage.c.camera_id)
        return Span(
            min([first, *connection.execute(before).scalars()]) * BUCKET,
            (max([last, *connection.execute(after).scalars()]) + 1) * BUCKET,
        )

    def kept(
        self, connection: Connection, storage_id: int, joint: int, window: Span | None = None
    ) -> dict[str, Held] | None:
        """Return what `read` would, if that can be told without computing anything; else None."""
        if self.stale(connection, storage_id):
            return None
        bodies, anew = self._buckets(connection, storage_id, joint, window)
        return None if anew else self._held(connection, storage_id, bodies, joint, window)

    def read(self, connection: Connection, storage_id: int, joint: int, window: Span | None = None) -> dict[str, Held]:
        """Return what the storage holds of each camera, within `window` or ever.

        `joint` is the layout's tolerance in microseconds. Runs that reach into the window are returned whole. Stale,
        damaged or otherwise joined buckets are computed and kept, so this wants a write transaction.
        """
        lock_storage(connection, storage_id)
        bodies, anew = self._buckets(connection, storage_id, joint, window)
        self._complete(connection, storage_id, joint, bodies, anew)
        return self._held(connection, storage_id, bodies, joint, window)

    def bodies(
        self, connection: Connection, storage_id: int, joint: int, wanted: Sequence[tuple[int, int]]
    ) -> dict[tuple[int, int], Body]:
        """Return the buckets of `(camera_id, bucket)` pairs; wants a write transaction."""
        lock_storage(connection, storage_id)
        found: dict[tuple[int, int], Body] = {}
        for at in range(0, len(wanted), _PAIRS_AT_ONCE):
            part = tuple_(coverage.c.camera_id, coverage.c.bucket).in_(wanted[at : at + _PAIRS_AT_ONCE])
            bodies, anew = self._usable(connection, storage_id, joint, and_(coverage.c.storage_id == storage_id, part))
            self._complete(connection, storage_id, joint, bodies, anew)
            found.update(bodies)
        return {pair: found[pair] for pair in wanted if pair in found}

    def _complete(
        self,
        connection: Connection,
        storage_id: int,
        joint: int,
        bodies: dict[tuple[int, int], Body],
        anew: list[tuple[int, int]],
    ) -> None:
        """Add to `bodies` what must be computed anew; what was copied from a peer is asked for again instead."""
        if anew and self._is_mirror(connection, storage_id):
            connection.execute(update(storages).where(storages.c.id == storage_id).values(epoch="", cursor=""))
            return
        for camera_id, bucket in anew:
            bodies[camera_id, bucket] = self._compute(connection, storage_id, camera_id, bucket, joint)

    @staticmethod
    def _is_mirror(connection: Connection, storage_id: int) -> bool:
        return bool(connection.execute(select(storages.c.mirror).where(storages.c.id == storage_id)).scalar())

    def _buckets(
        self, connection: Connection, storage_id: int, joint: int, window: Span | None
    ) -> tuple[dict[tuple[int, int], Body], list[tuple[int, int]]]:
        """Return the buckets that can be used as they are, and which must be computed anew."""
        condition = coverage.c.storage_id == storage_id
        if window is not None:
            longest = connection.execute(select(storages.c.longest_us).where(storages.c.id == storage_id)).scalar()
            condition = and_(
                condition,
                coverage.c.bucket >= bucket_of(window.start - (longest or 0)),
                coverage.c.bucket <= bucket_of(window.end),
            )
        return self._usable(connection, storage_id, joint, condition)

    def _usable(
        self, connection: Connection, storage_id: int, joint: int, condition: ColumnElement[bool]
    ) -> tuple[dict[tuple[int, int], Body], list[tuple[int, int]]]:
        mirror = self._is_mirror(connection, storage_id)
        bodies: dict[tuple[int, int], Body] = {}
        anew: list[tuple[int, int]] = []
        query = select(
            coverage.c.camera_id, coverage.c.bucket, coverage.c.stale, coverage.c.body, coverage.c.checksum
        ).where(condition)
        for camera_id, bucket, stale, body, stored in connection.execute(query):
            decoded = None if stale else self._read_body(storage_id, camera_id, bucket, body, stored)
            if decoded is None or (decoded.joint != joint and not mirror):
                anew.append((camera_id, bucket))
            else:
                bodies[camera_id, bucket] = decoded
        return bodies, anew

    def _held(
        self,
        connection: Connection,
        storage_id: int,
        bodies: dict[tuple[int, int], Body],
        joint: int,
        window: Span | None,
    ) -> dict[str, Held]:
        held = self._joined(connection, bodies, joint)
        if window is not None:
            first = min((bucket for _, bucket in bodies), default=0)
            earlier = select(coverage.c.camera_id).where(coverage.c.storage_id == storage_id, coverage.c.bucket < first)
            for camera_id in connection.execute(earlier.distinct()).scalars():
                known = held.get(self._names.camera(connection, camera_id))
                if known is not None:
                    known.from_start = False
        return held

    def _read_body(self, storage_id: int, camera_id: int, bucket: int, body: bytes, stored: int) -> Body | None:
        if stored != row_checksum((storage_id, camera_id, bucket, body)):
            return None
        return _decode(body)

    def _joined(self, connection: Connection, bodies: dict[tuple[int, int], Body], joint: int) -> dict[str, Held]:
        loose: dict[int, Body] = {}
        for (camera_id, _), body in bodies.items():
            into = loose.setdefault(camera_id, Body(joint, [], {}, [], {}))
            into.own += body.own
            into.gone += body.gone
            for origin_id, filled in body.filled.items():
                into.filled.setdefault(origin_id, []).extend(filled)
            for origin_id, undone in body.undone.items():
                into.undone.setdefault(origin_id, []).extend(undone)
        held = {}
        for camera_id, body in loose.items():
            one = Held(own=runs(body.own, joint), gone=runs(body.gone, joint))
            for origin_id, filled in sorted(body.filled.items()):
                one.filled[self._names.server(connection, origin_id)] = runs(filled, joint)
            for origin_id, undone in sorted(body.undone.items()):
                one.undone[self._names.server(connection, origin_id)] = runs(undone, joint)
            held[self._names.camera(connection, camera_id)] = one
        return dict(sorted(held.items()))

    def _compute(self, connection: Connection, storage_id: int, camera_id: int, bucket: int, joint: int) -> Body:
        """Compute a bucket from its segments and keep it."""
        own: list[tuple[int, int, int]] = []
        filled: dict[int, list[tuple[int, int, int]]] = {}
        gone: list[tuple[int, int, int]] = []
        undone: dict[int, list[tuple[int, int, int]]] = {}
        query = rows_query().where(
            segments.c.storage_id == storage_id,
            segments.c.camera_id == camera_id,
            segments.c.start_us >= bucket * BUCKET,
            segments.c.start_us < (bucket + 1) * BUCKET,
            segments.c.state.in_((int(State.SEALED), int(State.GONE))),
        )
        damaged: list[int] = []
        for row in connection.execute(query):
            segment = from_row(row)
            if segment is None:
                damaged.append(row[0])
                continue
            if segment.marks & Mark.UNCERTAIN:
                continue  # its time is unknown: the scan reports it, nothing may rest on it
            is_gone = segment.state is State.GONE
            run = (segment.start, segment.end, segment.start)
            if segment.origin is None:
                (gone if is_gone else own).append(run)
            else:
                origin_id = self._names.server_id(connection, segment.origin)
                (undone if is_gone else filled).setdefault(origin_id, []).append(run)
        body = Body(
            joint,
            list(runs(own, joint)),
            {origin_id: list(runs(rows, joint)) for origin_id, rows in filled.items()},
            list(runs(gone, joint)),
            {origin_id: list(runs(rows, joint)) for origin_id, rows in undone.items()},
        )
        self._keep(connection, storage_id, camera_id, bucket, body)
        if damaged:
            # The storage is the truth: list those folders again, and the rows are replaced.
            hurt = select(segments.c.folder_id).where(segments.c.id.in_(damaged))
            connection.execute(update(folders).where(folders.c.id.in_(hurt)).values(settled=False))
        return body

    def _keep(self, connection: Connection, storage_id: int, camera_id: int, bucket: int, body: Body) -> None:
        encoded: Any = encode_body(body)
        key = (
            coverage.c.storage_id == storage_id,
            coverage.c.camera_id == camera_id,
            coverage.c.bucket == bucket,
        )
        connection.execute(
            update(coverage)
            .where(*key)
            .values(stale=False, body=encoded, checksum=row_checksum((storage_id, camera_id, bucket, encoded)))
        )
