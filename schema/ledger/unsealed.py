"""What the last scan saw being written: a camera's newest recording, which is no coverage yet and no gap either.

Rule: the question costs what is open, never what the archive holds: an index holds these rows alone.
"""

from sqlalchemy import Connection, bindparam, literal_column, select

from schema.ledger.rows import from_row, rows_query
from schema.tables import segments, storages
from schema.values import Segment, State

# The state stands in the statement as it stands in the index, or SQLite could not tell that the index holds the answer.
_OPEN = rows_query().where(
    segments.c.storage_id == bindparam("storage"), segments.c.state == literal_column(str(int(State.OPEN)))
)
_LONGEST = select(storages.c.longest_us).where(storages.c.id == bindparam("storage"))


def being_written(connection: Connection, storage_id: int) -> list[Segment]:
    """Return the open segments of a storage. Damaged rows are left out."""
    rows = connection.execute(_OPEN, {"storage": storage_id})
    return [segment for row in rows if (segment := from_row(row)) is not None]


def longest(connection: Connection, storage_id: int) -> int:
    """Return the length of the longest segment ever seen on a storage, microseconds; 0 if there was none."""
    return int(connection.execute(_LONGEST, {"storage": storage_id}).scalar() or 0)
