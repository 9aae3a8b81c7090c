"""What a server's own recorder wrote, in pages for a peer.

Rule: a page costs what it holds, not what there is: it is read with a limit, from a place in the order that needs no
row to be there any more. Only what may be offered is read: sealed, of this recorder, at a certain time.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, select, tuple_

from schema.ledger.names import Names
from schema.ledger.rows import from_row, rows_query
from schema.spans import Span, merge
from schema.tables import folders, segments, storages
from schema.values import Mark, Segment, State

Place = tuple[int, str, str]
"""Start, folder and name of a segment: where it stands among those of its camera."""

BEFORE_ALL: Place = (-(2**63), "", "")


def place_of(start: int, path: str) -> Place:
    """Return where a segment stands among those of its camera, in the order in which Python compares text too."""
    folder, _, name = path.rpartition("/")
    return start, folder, name


_LONGEST = select(storages.c.longest_us).where(storages.c.id == bindparam("storage"))


@cache
def _query(dialect: str) -> Select[Any]:
    """Return the query of a page, which would take longer to build than to answer."""
    folder: ColumnElement[str] = folders.c.path
    name: ColumnElement[str] = segments.c.name
    if dialect != "sqlite":  # which compares bytes by itself
        folder, name = folder.collate("C"), name.collate("C")
    return (
        rows_query()
        .where(
            segments.c.storage_id == bindparam("storage"),
            segments.c.camera_id == bindparam("camera"),
            segments.c.start_us >= bindparam("first"),
            segments.c.start_us < bindparam("end"),
            segments.c.end_us > bindparam("start"),
            segments.c.state == int(State.SEALED),
            segments.c.origin_id == 0,
            segments.c.marks.bitwise_and(int(Mark.UNCERTAIN)) == 0,
            tuple_(segments.c.start_us, folder, name)
            > tuple_(bindparam("at"), bindparam("at_folder"), bindparam("at_name")),
        )
        .order_by(segments.c.start_us, folder, name)
        .limit(bindparam("most"))
    )


def offered(
    connection: Connection,
    names: Names,
    storage_id: int,
    camera: str,
    spans: Sequence[Span],
    *,
    after: Place = BEFORE_ALL,
    limit: int,
) -> list[Segment]:
    """Return the next segments of a camera that overlap `spans`, at most `limit`, each once.

    Damaged rows are left out. Fewer than `limit` mean that nothing follows.
    """
    longest = connection.execute(_LONGEST, {"storage": storage_id}).scalar() or 0
    fixed = {"storage": storage_id, "camera": names.known_camera_id(connection, camera)}
    query = _query(connection.dialect.name)
    found: list[Segment] = []
    # Merged windows are disjoint and in order: what overlaps a later one, and starts before the place that was reached,
    # overlaps an earlier one as well and was told with it.
    for span in merge(spans):
        while span.end > after[0] and len(found) < limit:
            asked = fixed | {
                "first": max(span.start - longest, after[0]),
                "start": span.start,
                "end": span.end,
                "at": after[0],
                "at_folder": after[1],
                "at_name": after[2],
                "most": limit - len(found),
            }
            rows = connection.execute(query, asked).all()
            if not rows:
                break
            found += [segment for row in rows if (segment := from_row(row)) is not None]
            after = rows[-1][7], rows[-1][2], rows[-1][3]
    return found
