"""Coverage as it goes from one ledger to another: what changed here since a cursor, and a copy of what a peer has.

Rule: a cursor is `seq.camera.bucket` of the last bucket seen, within one epoch; another epoch starts from nothing. A
mirrored storage has buckets and no segments, so that nothing of it can be computed anew: a damaged bucket makes the
copy start again.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, or_, select, tuple_, update

from schema.digests import row_checksum
from schema.errors import PeerInvalid
from schema.ledger.allowance import Allowance, Size
from schema.ledger.coverage import Body, CoverageBook, bucket_of, encode_body
from schema.ledger.names import Names, insert_for, lock_storage
from schema.tables import coverage, servers, storages
from schema.wire import (
    BUCKETS_AT_ONCE,
    PAGE_BYTES,
    Bucket,
    CoveragePage,
    StorageAbout,
    StorageState,
    kept_about,
    written,
)


class MirrorBook:
    """What one ledger tells another of coverage, and what it was told."""

    def __init__(self, names: Names, book: CoverageBook, allowance: Allowance) -> None:
        self._names = names
        self._book = book
        self._allowance = allowance

    def state(self, connection: Connection, storage_id: int, name: str) -> StorageState:
        """Return how far the changes of a storage are."""
        epoch, seq, scanned = connection.execute(
            select(storages.c.epoch, storages.c.seq, storages.c.scanned_us).where(storages.c.id == storage_id)
        ).one()
        return StorageState(name=name, epoch=epoch, seq=seq, scanned=scanned)

    def states(self, connection: Connection, here: Sequence[tuple[int, str]]) -> list[StorageState]:
        """Return that of several, each by its id and name."""
        return [self.state(connection, storage_id, name) for storage_id, name in here]

    def changes(
        self, connection: Connection, storage_id: int, joint: int, cursor: str, limit: int = BUCKETS_AT_ONCE
    ) -> CoveragePage:
        """Return the next buckets that changed after `cursor`, empty for all.

        Stale buckets are computed first, so this wants a write transaction. Raises ValueError for what is no cursor.
        """
        after = position(cursor)
        epoch, longest = connection.execute(
            select(storages.c.epoch, storages.c.longest_us).where(storages.c.id == storage_id)
        ).one()
        place = tuple_(coverage.c.seq, coverage.c.camera_id, coverage.c.bucket)
        rows = connection.execute(
            select(coverage.c.seq, coverage.c.camera_id, coverage.c.bucket)
            .where(coverage.c.storage_id == storage_id, coverage.c.seq >= after[0], place > tuple_(*after))
            .order_by(coverage.c.seq, coverage.c.camera_id, coverage.c.bucket)
            .limit(limit + 1)
        ).all()
        found = [(int(seq), int(camera_id), int(bucket)) for seq, camera_id, bucket in rows[:limit]]
        bodies = self._book.bodies(connection, storage_id, joint, [(camera, bucket) for _, camera, bucket in found])
        told: list[Bucket] = []
        size, end = 0, found[-1] if found else after
        last = end
        for seq, camera_id, bucket in found:
            if (camera_id, bucket) not in bodies:
                continue  # what is copied from a peer itself, and damaged
            one = self._told(connection, camera_id, bucket, bodies[camera_id, bucket])
            size += len(written(one))
            if told and size > PAGE_BYTES:
                break
            told.append(one)
            last = seq, camera_id, bucket
        else:
            last = end
        return CoveragePage(
            epoch=epoch,
            cursor=".".join(map(str, last)) if found else cursor,
            more=len(rows) > limit or last != end,
            longest=longest,
            buckets=told,
        )

    def _told(self, connection: Connection, camera_id: int, bucket: int, body: Body) -> Bucket:
        return Bucket(
            camera=self._names.camera(connection, camera_id),
            bucket=bucket,
            joint=body.joint,
            own=body.own,
            filled={self._origin(connection, origin): runs for origin, runs in body.filled.items()},
            gone=body.gone,
            undone={self._origin(connection, origin): runs for origin, runs in body.undone.items()},
        )

    def _origin(self, connection: Connection, ident: int) -> str:
        """Return a server's name as a message holds it, also where its row is lost to damage."""
        name = self._names.server(connection, ident)
        return f"unknown-{ident}" if name.startswith("?") else name

    def seen(self, connection: Connection, storage_id: int) -> tuple[str, str]:
        """Return the epoch and the cursor up to which a mirrored storage is copied; empty if nothing is."""
        epoch, cursor = connection.execute(
            select(storages.c.epoch, storages.c.cursor).where(storages.c.id == storage_id, storages.c.mirror)
        ).one_or_none() or ("", "")
        return epoch, cursor

    def take(
        self, connection: Connection, peer: str, storage_id: int, page: CoveragePage, kept: Size | None = None
    ) -> Size:
        """Take in a page of a peer. What was copied of another epoch is dropped.

        `kept` is how much is kept of that peer, None if that is to be counted; returns how much it is now. Raises
        PeerInvalid for what cannot be, and for more than is kept of one peer.
        """
        lock_storage(connection, storage_id)
        if self.seen(connection, storage_id)[0] != page.epoch:
            connection.execute(delete(coverage).where(coverage.c.storage_id == storage_id))
            kept = None
        self._allowance.cameras(connection, peer, {one.camera for one in page.buckets})
        self._allowance.servers(connection, peer, {name for one in page.buckets for name in (*one.filled, *one.undone)})
        connection.execute(
            update(storages)
            .where(storages.c.id == storage_id)
            .values(mirror=True, epoch=page.epoch, cursor=page.cursor, longest_us=page.longest)
        )
        if kept is None:
            kept = self._allowance.coverage(connection, peer)
        rows = [self._row(connection, peer, storage_id, one) for one in page.buckets]
        if rows:
            sizes = {(row["camera_id"], row["bucket"]): len(row["body"]) for row in rows}
            kept = self._allowance.more_coverage(connection, peer, storage_id, kept, sizes)
            statement = insert_for(connection, coverage)
            new = {key: statement.excluded[key] for key in ("stale", "body", "checksum")}
            connection.execute(
                statement.on_conflict_do_update(index_elements=["storage_id", "camera_id", "bucket"], set_=new), rows
            )
        return kept

    def _row(self, connection: Connection, peer: str, storage_id: int, told: Bucket) -> dict[str, Any]:
        camera_id = self._names.camera_id(connection, told.camera)
        filled = {self._names.server_id(connection, origin): runs for origin, runs in told.filled.items()}
        undone = {self._names.server_id(connection, origin): runs for origin, runs in told.undone.items()}
        for held in (told.own, told.gone, *filled.values(), *undone.values()):
            if any(bucket_of(start) != told.bucket or end <= start for start, end, _ in held):
                raise PeerInvalid(
                    peer, f"it tells of recordings of camera {told.camera} at a time that they are not of"
                )
        body = encode_body(Body(told.joint, told.own, filled, told.gone, undone))
        return {
            "storage_id": storage_id,
            "camera_id": camera_id,
            "bucket": told.bucket,
            "stale": False,
            "body": body,
            "checksum": row_checksum((storage_id, camera_id, told.bucket, body)),
        }

    def current(self, connection: Connection, storage_id: int, scanned: int, writing: Mapping[str, int]) -> None:
        """Note that the copy is all there is up to `scanned`, and where files begin that are being written there."""
        open_since = msgspec.json.encode(dict(writing)).decode()
        connection.execute(
            update(storages).where(storages.c.id == storage_id).values(scanned_us=scanned, open_since=open_since)
        )

    def open_since(self, connection: Connection, storage_id: int) -> dict[str, int]:
        """Return where the files begin that a peer was writing when it was last heard, by camera."""
        text = connection.execute(select(storages.c.open_since).where(storages.c.id == storage_id)).scalar()
        try:
            return msgspec.json.decode(text or "{}", type=dict[str, int])
        except msgspec.DecodeError:
            return {}

    def note_about(self, connection: Connection, storage_id: int, about: StorageAbout) -> None:
        """Keep how the names of a storage are read."""
        text = written(about).decode()
        connection.execute(update(storages).where(storages.c.id == storage_id).values(about=text))

    def forget_others(self, connection: Connection, server: str, told: Collection[int]) -> bool:
        """Forget what was copied of a server's storages that are not among the `told`; tells whether there were any.

        It renamed or removed them: what a copy says of them, nobody keeps up.
        """
        gone = connection.execute(
            select(storages.c.id).where(
                storages.c.server_id == self._names.server_id(connection, server),
                storages.c.id.not_in(told),
                or_(storages.c.mirror, storages.c.about != ""),
            )
        ).scalars()
        idents = list(gone)
        for ident in idents:
            lock_storage(connection, ident)
            connection.execute(delete(coverage).where(coverage.c.storage_id == ident))
            nothing = {"mirror": False, "about": "", "epoch": "", "cursor": "", "open_since": "", "longest_us": 0}
            connection.execute(update(storages).where(storages.c.id == ident).values(nothing))
        return bool(idents)

    def about(self, connection: Connection, server: str) -> Sequence[tuple[int, StorageAbout]]:
        """Return the known storages of a server with how their names are read, by id; damaged notes are left out."""
        rows = connection.execute(
            select(storages.c.id, storages.c.about)
            .where(storages.c.server_id == servers.c.id, servers.c.name == server, storages.c.about != "")
            .order_by(storages.c.id)
        )
        found = []
        for ident, text in rows:
            try:
                found.append((ident, kept_about(text)))
            except msgspec.DecodeError:
                continue  # told anew with the next hello
        return found


def position(cursor: str) -> tuple[int, int, int]:
    """Return a cursor's three numbers; before everything for an empty one. Raises ValueError."""
    if not cursor:
        return -1, 0, 0
    seq, camera_id, bucket = cursor.split(".")
    place = int(seq), int(camera_id), int(bucket)
    if any(abs(number) >= 2**63 for number in place):
        raise ValueError(f"{cursor!r} is out of range")
    return place
