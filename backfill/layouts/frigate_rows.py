"""Telling Frigate of filled segments: a row in `recordings` for each, with the values of the peer's own row.

Rule: only ever adds rows, never changes or deletes one; adding again adds nothing. Off by default, and first as a dry
run, because it writes to another program's database.

Source (read in Frigate's code): table `recordings`, `path` unique and absolute as seen in the container, id
`<start>-<6 random>`; `motion = objects = dBFS = -1` stands for "not analysed"; rows with motion 0 and dBFS 0 expire
first, so the true values matter, and they are in the peer's row.
"""

import secrets
import sqlite3
import string
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

from schema.errors import RecorderDatabase
from schema.settings import FrigateRules
from schema.spans import SECOND

_ID_LETTERS = string.ascii_lowercase + string.digits
_BUSY_SECONDS = 30
_NOT_ANALYSED = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A filled segment that Frigate should know. Paths relative to the roots; times in microseconds UTC."""

    camera: str
    path: str
    start: int
    end: int
    size: int
    source_path: str
    peer: FrigateRules | None
    """How the peer's own database is reached, if it is."""


def missing_rows(own: FrigateRules, filled: Sequence[Filled]) -> list[dict[str, object]]:
    """Return the rows that Frigate's database lacks for `filled`. Raises RecorderDatabase."""
    with closing(_connect(own, write=False)) as connection:
        columns = _columns(connection, own)
        lacking = [one for one in filled if not _has(connection, _path(own, one.path))]
    return [_row(own, one, columns) for one in lacking]


def write_rows(own: FrigateRules, rows: Iterable[dict[str, object]]) -> int:
    """Insert `rows` in one transaction; returns how many were new. Raises RecorderDatabase."""
    added = 0
    try:
        with closing(_connect(own, write=True)) as connection, connection:
            for row in rows:
                names = ", ".join(f'"{name}"' for name in row)
                marks = ", ".join("?" for _ in row)
                # Column names come from the table itself; values are bound.
                statement = f"INSERT OR IGNORE INTO recordings ({names}) VALUES ({marks})"  # noqa: S608
                added += connection.execute(statement, tuple(row.values())).rowcount
    except sqlite3.Error as error:
        raise RecorderDatabase(own.database, error) from None
    return added


def _connect(rules: FrigateRules, *, write: bool) -> sqlite3.Connection:
    try:
        mode = "rw" if write else "ro"
        return sqlite3.connect(f"file:{rules.database}?mode={mode}", uri=True, timeout=_BUSY_SECONDS)
    except sqlite3.Error as error:
        raise RecorderDatabase(rules.database, error) from None


def _columns(connection: sqlite3.Connection, rules: FrigateRules) -> list[str]:
    try:
        names = [str(row[1]) for row in connection.execute("PRAGMA table_info(recordings)")]
    except sqlite3.Error as error:
        raise RecorderDatabase(rules.database, error) from None
    if "path" not in names or "start_time" not in names:
        raise RecorderDatabase(rules.database, "it has no table 'recordings' like Frigate's")
    return names


def _path(rules: FrigateRules, path: str) -> str:
    return f"{rules.container_root.rstrip('/')}/{path}"


def _has(connection: sqlite3.Connection, path: str) -> bool:
    return connection.execute("SELECT 1 FROM recordings WHERE path = ?", (path,)).fetchone() is not None


def _row(own: FrigateRules, one: Filled, columns: list[str]) -> dict[str, object]:
    """Return the row for one segment: the peer's, with this server's path and camera and an id of its own."""
    values = _peer_row(one) or {
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


def _peer_row(one: Filled) -> dict[str, object] | None:
    if one.peer is None:
        return None
    with closing(_connect(one.peer, write=False)) as connection:
        columns = _columns(connection, one.peer)
        row = connection.execute(
            "SELECT * FROM recordings WHERE path = ?", (_path(one.peer, one.source_path),)
        ).fetchone()
    return None if row is None else dict(zip(columns, row, strict=True))
