"""Looking segments up in the ledger: what a plan, a scan, a peer and a report need to know.

Rule: nothing is written here. A damaged row is never used: it is left out, or reported by id or as None where somebody
can replace it from storage, which is the truth.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, func, select

from schema.ledger import manifests
from schema.ledger.manifests import FileManifest
from schema.ledger.names import Names
from schema.ledger.rows import from_row, rows_query
from schema.spans import Span
from schema.tables import folders, segments, storages
from schema.values import Mark, Segment, State

# Asked once a folder or a camera: building the expression each time would cost more than the answer.
_IN_FOLDER = rows_query().where(segments.c.folder_id == bindparam("folder"))
_OVERLAPPING = {
    state: rows_query()
    .where(
        segments.c.storage_id == bindparam("storage"),
        segments.c.camera_id == bindparam("camera"),
        segments.c.start_us >= bindparam("first"),
        segments.c.start_us < bindparam("end"),
        segments.c.end_us > bindparam("start"),
        segments.c.state == int(state),
    )
    .order_by(segments.c.start_us)
    for state in (State.SEALED, State.GONE)
}
_LONGEST = select(storages.c.longest_us).where(storages.c.id == bindparam("storage"))


class SegmentLookup:
    """The `segments` and `manifests` tables, to be read. Every method wants the caller's transaction."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def in_folder(self, connection: Connection, folder_id: int) -> tuple[dict[str, Segment], list[int]]:
        """Return the segments of one folder by name, and the ids of its damaged rows."""
        good: dict[str, Segment] = {}
        damaged: list[int] = []
        for row in connection.execute(_IN_FOLDER, {"folder": folder_id}):
            segment = from_row(row)
            if segment is None:
                damaged.append(row[0])
            else:
                good[row[3]] = segment
        return good, damaged

    def window(self, connection: Connection, storage_id: int, camera: str, span: Span) -> list[Segment]:
        """Return the sealed segments that overlap `span`, by start. Damaged rows are left out."""
        return self._overlapping(connection, storage_id, camera, span, State.SEALED)

    def buried(self, connection: Connection, storage_id: int, camera: str, span: Span) -> list[Segment]:
        """Return the tombstones that overlap `span`, by start. Damaged rows are left out."""
        return self._overlapping(connection, storage_id, camera, span, State.GONE)

    def _overlapping(
        self, connection: Connection, storage_id: int, camera: str, span: Span, state: State
    ) -> list[Segment]:
        longest = connection.execute(_LONGEST, {"storage": storage_id}).scalar() or 0
        asked = {
            "storage": storage_id,
            "camera": self._names.known_camera_id(connection, camera),
            "first": span.start - longest,
            "start": span.start,
            "end": span.end,
        }
        rows = connection.execute(_OVERLAPPING[state], asked)
        return [segment for row in rows if (segment := from_row(row)) is not None]

    def around(
        self, connection: Connection, storage_id: int, wanted: Mapping[str, Sequence[Span]]
    ) -> dict[str, list[Segment]]:
        """Return by camera the sealed segments that overlap the spans `wanted` of it, each once, by start and path."""
        found: dict[str, list[Segment]] = {}
        for camera, spans in wanted.items():
            several = {
                segment.id: segment for span in spans for segment in self.window(connection, storage_id, camera, span)
            }
            found[camera] = sorted(several.values(), key=lambda segment: (segment.start, segment.path))
        return found

    def by_path(self, connection: Connection, storage_id: int, path: str) -> Segment | None:
        """Return the segment at `path`, or None if there is none or its row is damaged."""
        folder, _, name = path.rpartition("/")
        row = connection.execute(
            rows_query().where(folders.c.storage_id == storage_id, folders.c.path == folder, segments.c.name == name)
        ).one_or_none()
        return None if row is None else from_row(row)

    def after(
        self, connection: Connection, storage_id: int, state: State, last: int, batch: int = 2000
    ) -> list[tuple[int, Segment | None]]:
        """Return the next rows of a state after id `last`, by id; a damaged row comes as None."""
        rows = connection.execute(
            rows_query()
            .where(segments.c.storage_id == storage_id, segments.c.id > last, segments.c.state == int(state))
            .order_by(segments.c.id)
            .limit(batch)
        )
        return [(row[0], from_row(row)) for row in rows]

    def filled(self, connection: Connection, storage_id: int) -> list[Segment]:
        """Return every sealed segment of a storage that was fetched from a peer. Damaged rows are left out."""
        rows = connection.execute(
            rows_query().where(
                segments.c.storage_id == storage_id,
                segments.c.origin_id != 0,
                segments.c.state == int(State.SEALED),
            )
        )
        return [segment for row in rows if (segment := from_row(row)) is not None]

    def count(self, connection: Connection, storage_id: int) -> dict[State, tuple[int, int]]:
        """Return how many segments of each state there are, and their bytes."""
        rows = connection.execute(
            select(segments.c.state, func.count(), func.coalesce(func.sum(segments.c.size), 0))
            .where(segments.c.storage_id == storage_id)
            .group_by(segments.c.state)
        )
        return {State(state): (number, int(size)) for state, number, size in rows}

    def sizes(self, connection: Connection, storage_id: int) -> dict[str, int]:
        """Return the bytes of sealed segments by the folder that they lie in."""
        rows = connection.execute(
            select(folders.c.path, func.sum(segments.c.size))
            .select_from(segments.join(folders, segments.c.folder_id == folders.c.id))
            .where(segments.c.storage_id == storage_id, segments.c.state == int(State.SEALED))
            .group_by(folders.c.path)
        )
        return {path: int(size) for path, size in rows}

    def marked(self, connection: Connection, storage_id: int, mark: Mark) -> int:
        """Return how many sealed segments bear a mark."""
        rows = select(func.count()).where(
            segments.c.storage_id == storage_id,
            segments.c.state == int(State.SEALED),
            segments.c.marks.bitwise_and(int(mark)) != 0,
        )
        return connection.execute(rows).scalar_one()

    def manifest(self, connection: Connection, segment: Segment) -> tuple[FileManifest, ...]:
        """Return the digests of `segment`'s files and chunks; empty if none were taken or they are damaged."""
        return manifests.get(connection, segment)
