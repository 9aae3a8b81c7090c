"""Telling Frigate of filled segments: a row in `recordings` for each, with the values of the peer's own row.

Rule: only ever adds rows, never changes or deletes one; adding again adds nothing. Off by default, and first as a dry
run that leaves not even a lock file, because it is another program's database.

Source (read in Frigate's code): table `recordings`, `path` unique and absolute as seen in the container, id
`<start>-<6 random>`; `motion = objects = dBFS = -1` stands for "not analysed"; rows with motion 0 and dBFS 0 expire
first, so the true values matter, and they are in the peer's row.
"""

import os
import secrets
import sqlite3
import string
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from urllib.parse import quote

from schema.errors import RecorderDatabase
from schema.settings import FrigateRules
from schema.spans import SECOND

_ID_LETTERS = string.ascii_lowercase + string.digits
_BUSY_SECONDS = 30
_NOT_ANALYSED = -1
_WAL_MODE = b"\2\2"
"""Bytes 18 and 19 of a database file. Source: sqlite.org/fileformat2.html."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A filled segment that Frigate should know. Paths relative to the roots; times in microseconds UTC."""

    camera: str
    path: str
    start: int
    end: int
    size: int
    source_path: str
    """Relative to the root of the server it came from."""


def missing_rows(own: FrigateRules, filled: Sequence[Filled], peers: Sequence[FrigateRules]) -> list[dict[str, object]]:
    """Return the rows that Frigate's database lacks for `filled`, which all came from one server.

    `peers` say how that server's own databases are reached, one a storage: whichever knows a segment tells of it. Where
    none does, nothing is known of the pictures. Raises RecorderDatabase.
    """
    with _opened(own, write=False) as connection:
        columns = _columns(connection, own)
        lacking = [one for one in filled if not _has(connection, _path(own, one.path))]
    if not lacking:
        return []
    known: dict[str, dict[str, object]] = {}
    for peer in peers:
        with _opened(peer, write=False) as theirs:
            for one in lacking:
                if one.source_path not in known and (row := _peer_row(theirs, peer, one)) is not None:
                    known[one.source_path] = row
    return [_row(own, one, known.get(one.source_path), columns) for one in lacking]


def write_rows(own: FrigateRules, rows: Iterable[dict[str, object]]) -> int:
    """Insert `rows` in one transaction; returns how many were new. Raises RecorderDatabase."""
    added = 0
    with _opened(own, write=True) as connection, connection:
        for row in rows:
            names = ", ".join(f'"{name}"' for name in row)
            marks = ", ".join("?" for _ in row)
            # Column names come from the table itself; values are bound. A row that is there already is left as it is;
            # one that the table does not take for any other reason is an error, which OR IGNORE would hide.
            statement = f"INSERT INTO recordings ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608
            added += connection.execute(statement, tuple(row.values())).rowcount
    return added


@contextmanager
def _opened(rules: FrigateRules, *, write: bool) -> Iterator[sqlite3.Connection]:
    """Give a connection to Frigate's database; what goes wrong while it is used is a RecorderDatabase."""
    mode = "rw" if write else "ro&immutable=1" if _at_rest(rules.database) else "ro"
    try:
        address = f"file:{quote(rules.database)}?mode={mode}"
        with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise RecorderDatabase(rules.database, error) from None


def _at_rest(database: str) -> bool:
    """Tell whether a database is in WAL mode and nobody has it open.

    Even a reader would then make lock files, owned by whoever we are, and could keep Frigate from its own database.
    """
    try:
        with open(database, "rb") as file:
            return file.read(20)[18:] == _WAL_MODE and not os.path.exists(f"{database}-wal")
    except OSError:
        return False


def _columns(connection: sqlite3.Connection, rules: FrigateRules) -> list[str]:
    names = [str(row[1]) for row in connection.execute("PRAGMA table_info(recordings)")]
    if "path" not in names or "start_time" not in names:
        raise RecorderDatabase(rules.database, "it has no table 'recordings' like Frigate's")
    return names


def _path(rules: FrigateRules, path: str) -> str:
    return f"{rules.container_root.rstrip('/')}/{path}"


def _has(connection: sqlite3.Connection, path: str) -> bool:
    return connection.execute("SELECT 1 FROM recordings WHERE path = ?", (path,)).fetchone() is not None


def _row(own: FrigateRules, one: Filled, peer_row: dict[str, object] | None, columns: list[str]) -> dict[str, object]:
    """Return the row for one segment: the peer's, with this server's path and camera and an id of its own."""
    values = peer_row or {
        "start_time": one.start / SECOND,
        "end_time": one.end / SECOND,
        "duration": (one.end - one.start) / SECOND,
        "motion": _NOT_ANALYSED,
        "objects": _NOT_ANALYSED,
        "dBFS": _NOT_ANALYSED,
        "segment_size": round(one.size / 2**20, 2),
        "regions": 0,
    }
    suffix = "".join(secrets.choice(_ID_LETTERS) for _ in range(6))
    ours = {"id": f"{one.start / SECOND}-{suffix}", "camera": one.camera, "path": _path(own, one.path)}
    return {name: value for name, value in {**values, **ours}.items() if name in columns}


def _peer_row(connection: sqlite3.Connection, peer: FrigateRules, one: Filled) -> dict[str, object] | None:
    cursor = connection.execute("SELECT * FROM recordings WHERE path = ?", (_path(peer, one.source_path),))
    row = cursor.fetchone()
    return None if row is None else dict(zip((column[0] for column in cursor.description), row, strict=True))
