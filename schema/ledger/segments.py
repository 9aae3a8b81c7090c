"""Segments in the ledger, to be changed: taking in what a scan found and what a fill landed, and forgetting.

Rule: every change of a segment marks its bucket of coverage stale in the same transaction, and what was digested of
other content is dropped with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, select, update

from schema.ledger import manifests
from schema.ledger.coverage import bucket_of, mark_stale
from schema.ledger.folders import FolderBook, FolderChange
from schema.ledger.lookup import SegmentLookup
from schema.ledger.manifests import FileManifest, digest_of, parts
from schema.ledger.names import Names, insert_for, lock_storage, new_epoch
from schema.ledger.rows import checksum, to_row
from schema.tables import coverage, folders, oddities, segments, storages
from schema.values import Mark, Segment, State


@dataclass(frozen=True, slots=True)
class Landing:
    """A filled segment to record, with its files' digests and the row of its source, if this ledger has one."""

    segment: Segment
    files: tuple[FileManifest, ...] = ()
    source: Segment | None = None


# Asked for every landed segment: building the expression each time would cost more than the answer.
_ID_OF = select(segments.c.id).where(segments.c.folder_id == bindparam("folder"), segments.c.name == bindparam("of"))


class SegmentBook(SegmentLookup):
    """The `segments` and `manifests` tables, to be read and changed. Every method wants the caller's transaction."""

    def __init__(self, names: Names, folder_book: FolderBook) -> None:
        super().__init__(names)
        self._folders = folder_book

    def apply(self, connection: Connection, storage_id: int, changes: Sequence[FolderChange]) -> None:
        """Take in what a scan found: folders, new and changed segments, removed rows; all or nothing."""
        lock_storage(connection, storage_id)
        folder_ids = self._folders.put(connection, storage_id, changes)
        rows: list[dict[str, Any]] = []
        touched: set[tuple[int, int]] = set()
        longest = 0
        for change in changes:
            for segment in change.added:
                row = self._row(connection, segment, folder_ids[change.path])
                rows.append(row)
                touched.add((row["camera_id"], bucket_of(segment.start)))
                longest = max(longest, segment.end - segment.start)
            if change.changed:
                self._touch(connection, [segment.id for segment in change.changed], touched)
            for segment in change.changed:
                row = self._row(connection, segment, folder_ids[change.path])
                connection.execute(update(segments).where(segments.c.id == segment.id).values(row))
                touched.add((row["camera_id"], bucket_of(segment.start)))
                longest = max(longest, segment.end - segment.start)
            # What was digested of another content must not speak of this one.
            manifests.drop(connection, [segment.id for segment in change.changed if segment.digest is None])
            if change.removed:
                self.remove(connection, storage_id, change.removed)
        _insert_new(connection, rows)
        mark_stale(connection, storage_id, touched)
        self._raise_longest(connection, storage_id, longest)

    def land(self, connection: Connection, landings: Sequence[Landing]) -> None:
        """Record filled segments, replacing whatever rows their paths had: the files are there, whole and durable.

        All of one storage. Also keeps the digests for the source rows, unless the sources changed meanwhile.
        """
        if not landings:
            return
        storage_id = landings[0].segment.storage_id
        lock_storage(connection, storage_id)
        folder_ids = {
            folder: self._folders.id_of(connection, storage_id, folder)
            for folder in {landing.segment.path.rpartition("/")[0] for landing in landings}
        }
        rows = [
            self._row(connection, landing.segment, folder_ids[landing.segment.path.rpartition("/")[0]])
            for landing in landings
        ]
        statement = insert_for(connection, segments)
        fresh = {column: statement.excluded[column] for column in rows[0] if column not in ("folder_id", "name")}
        connection.execute(statement.on_conflict_do_update(index_elements=["folder_id", "name"], set_=fresh), rows)
        manifests.put(
            connection,
            {
                connection.execute(_ID_OF, {"folder": row["folder_id"], "of": row["name"]}).scalar_one(): landing.files
                for landing, row in zip(landings, rows, strict=True)
            },
        )
        self.set_digests(
            connection,
            [(landing.source, landing.files) for landing in landings if landing.source and not landing.source.digest],
        )
        mark_stale(connection, storage_id, {(row["camera_id"], bucket_of(row["start_us"])) for row in rows})
        self._raise_longest(
            connection, storage_id, max(landing.segment.end - landing.segment.start for landing in landings)
        )

    def set_digests(self, connection: Connection, taken: Sequence[tuple[Segment, Sequence[FileManifest]]]) -> None:
        """Keep the digests taken of segments; a row that changed since it was read is left alone."""
        if not taken:
            return
        new = [(msgspec.structs.replace(segment, digest=digest_of(files)), segment) for segment, files in taken]
        connection.execute(
            update(segments)
            .where(segments.c.id == bindparam("of_id"), segments.c.checksum == bindparam("of_checksum"))
            .values(digest=bindparam("new_digest"), checksum=bindparam("new_checksum")),
            [
                {
                    "of_id": old.id,
                    "of_checksum": checksum(old),
                    "new_digest": one.digest,
                    "new_checksum": checksum(one),
                }
                for one, old in new
            ],
        )
        wanted = {one.id: checksum(one) for one, _ in new}
        kept = {
            ident
            for part in parts(list(wanted))
            for ident, held in connection.execute(
                select(segments.c.id, segments.c.checksum).where(segments.c.id.in_(part))
            )
            if held == wanted[ident]
        }
        manifests.put(connection, {segment.id: files for segment, files in taken if segment.id in kept})

    def remove(self, connection: Connection, storage_id: int, ids: Sequence[int]) -> None:
        """Forget rows: what they stood for moved, or was never more than a stub."""
        lock_storage(connection, storage_id)
        touched: set[tuple[int, int]] = set()
        self._touch(connection, ids, touched)
        manifests.drop(connection, ids)
        for part in parts(ids):
            connection.execute(delete(segments).where(segments.c.id.in_(part)))
        mark_stale(connection, storage_id, touched)

    def bury(self, connection: Connection, storage_id: int, gone: Sequence[Segment], reason: str) -> None:
        """Turn segments whose files vanished into tombstones: deleted on purpose is not a gap."""
        lock_storage(connection, storage_id)
        touched: set[tuple[int, int]] = set()
        for segment in gone:
            tomb = msgspec.structs.replace(segment, state=State.GONE, reason=reason)
            connection.execute(
                update(segments)
                .where(segments.c.id == segment.id)
                .values(state=int(State.GONE), reason=reason, checksum=checksum(tomb))
            )
            touched.add((self._names.camera_id(connection, segment.camera), bucket_of(segment.start)))
        mark_stale(connection, storage_id, touched)

    def suspect(self, connection: Connection, segment: Segment) -> None:
        """Let the next scan look at a segment that turned out not to be what its row says, and list its folder."""
        doubted = msgspec.structs.replace(segment, marks=segment.marks | Mark.SUSPECT)
        connection.execute(
            update(segments)
            .where(segments.c.id == segment.id, segments.c.checksum == checksum(segment))
            .values(marks=doubted.marks, checksum=checksum(doubted))
        )
        folder = select(segments.c.folder_id).where(segments.c.id == segment.id).scalar_subquery()
        connection.execute(update(folders).where(folders.c.id == folder).values(settled=False))

    def forget_retired(self, connection: Connection, storage_id: int) -> int:
        """Delete the tombstones that lie before all a server still has of a camera of its own. Returns how many.

        Retention took them. What lies before a server's first own recording of a camera is never a gap, so nothing is
        lost by forgetting them. Another of its storages may keep recordings longer: until that one's are gone too,
        the tombstones here say why there are holes.
        """
        lock_storage(connection, storage_id)
        retired = 0
        beside = select(storages.c.id).where(
            storages.c.server_id == select(storages.c.server_id).where(storages.c.id == storage_id).scalar_subquery()
        )
        tombs = connection.execute(
            select(segments.c.camera_id)
            .where(segments.c.storage_id == storage_id, segments.c.state == int(State.GONE))
            .distinct()
        ).scalars()
        for camera_id in list(tombs):
            first = connection.execute(
                select(func.min(segments.c.start_us)).where(
                    segments.c.storage_id.in_(beside),
                    segments.c.camera_id == camera_id,
                    segments.c.state == int(State.SEALED),
                    segments.c.origin_id == 0,
                )
            ).scalar()
            condition = [
                segments.c.storage_id == storage_id,
                segments.c.camera_id == camera_id,
                segments.c.state == int(State.GONE),
            ]
            if first is not None:
                condition.append(segments.c.end_us <= first)
            ids = connection.execute(select(segments.c.id).where(*condition)).scalars().all()
            self.remove(connection, storage_id, ids)
            retired += len(ids)
        return retired

    def forget_storage(self, connection: Connection, storage_id: int) -> None:
        """Forget everything known of a storage, before it is read anew."""
        lock_storage(connection, storage_id)
        manifests.drop_storage(connection, storage_id)
        for table in (coverage, segments, folders, oddities):
            connection.execute(delete(table).where(table.c.storage_id == storage_id))
        connection.execute(
            update(storages)
            .where(storages.c.id == storage_id)
            .values(rules="", scanned_us=0, longest_us=0, epoch=new_epoch(), cursor="")
        )

    def _row(self, connection: Connection, segment: Segment, folder_id: int) -> dict[str, Any]:
        return to_row(
            segment,
            folder_id=folder_id,
            camera_id=self._names.camera_id(connection, segment.camera),
            origin_id=self._names.origin_id(connection, segment.origin),
        )

    def _touch(self, connection: Connection, ids: Sequence[int], touched: set[tuple[int, int]]) -> None:
        for part in parts(ids):
            rows = connection.execute(select(segments.c.camera_id, segments.c.start_us).where(segments.c.id.in_(part)))
            touched.update((camera_id, bucket_of(start)) for camera_id, start in rows)

    def _raise_longest(self, connection: Connection, storage_id: int, longest: int) -> None:
        connection.execute(
            update(storages)
            .where(storages.c.id == storage_id, storages.c.longest_us < longest)
            .values(longest_us=longest)
        )


def _insert_new(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows that are not there yet, handing them to the driver as they are.

    A fill may have committed the same path a moment ago; its row, with digest and origin, stays. SQLAlchemy's own way
    with many rows looks at every value of each and takes longer than the database.
    """
    if rows:
        statement = insert_for(connection, segments).on_conflict_do_nothing()
        compiled = statement.compile(dialect=connection.dialect, column_keys=list(rows[0]))
        connection.exec_driver_sql(str(compiled), list(rows))
