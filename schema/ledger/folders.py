"""Folders in the ledger: what a scan remembers of each, so that an unchanged one need not be listed again.

Rule: a folder is settled only when a scan has seen all of it at rest; whatever else adds one adds it unsettled.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from schema.ledger.manifests import parts
from schema.ledger.names import insert_for
from schema.tables import folders, segments
from schema.values import Segment


class Folder(NamedTuple):
    """What the ledger remembers of a folder, so that an unchanged one need not be listed."""

    id: int
    mtime_ns: int
    settled: bool


@dataclass(slots=True)
class FolderChange:
    """What a scan found in one folder. `changed` segments carry their ids; `removed` are ids."""

    path: str
    mtime_ns: int
    settled: bool
    added: list[Segment] = field(default_factory=list)
    changed: list[Segment] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)


class FolderBook:
    """The `folders` table. Every method wants the caller's transaction."""

    def known(self, connection: Connection, storage_id: int, at: Collection[str] | None = None) -> dict[str, Folder]:
        """Return the known folders of a storage by path: all, or those `at` and what lies below them.

        A few are looked up in the index of paths. PostgreSQL, whose index follows the language's order, reads the
        paths of that storage.
        """
        found = select(folders.c.path, folders.c.id, folders.c.mtime_ns, folders.c.settled).where(
            folders.c.storage_id == storage_id
        )
        if at is None or "" in at:
            wanted = [found]
        else:
            path = folders.c.path if connection.dialect.name == "sqlite" else folders.c.path.collate("C")
            here = [found.where(folders.c.path.in_(part)) for part in parts(sorted(at))]
            wanted = here + [found.where(path > f"{one}/", path < f"{one}0") for one in at]  # "0" follows "/"
        return {
            path: Folder(ident, mtime_ns, settled)
            for query in wanted
            for path, ident, mtime_ns, settled in connection.execute(query)
        }

    def put(self, connection: Connection, storage_id: int, changes: Sequence[FolderChange]) -> dict[str, int]:
        """Keep what a scan saw of folders; returns their ids by path."""
        statement = insert_for(connection, folders)
        statement = statement.on_conflict_do_update(
            index_elements=["storage_id", "path"],
            set_={"mtime_ns": statement.excluded.mtime_ns, "settled": statement.excluded.settled},
        ).returning(folders.c.path, folders.c.id)
        rows = [
            {"storage_id": storage_id, "path": change.path, "mtime_ns": change.mtime_ns, "settled": change.settled}
            for change in changes
        ]
        return {row.path: row.id for row in connection.execute(statement, rows)} if rows else {}

    def id_of(self, connection: Connection, storage_id: int, path: str) -> int:
        """Return the id of a folder that a landed file lies in; a new one is unsettled, so the next scan lists it."""
        found = connection.execute(
            select(folders.c.id).where(folders.c.storage_id == storage_id, folders.c.path == path)
        ).scalar()
        if found is not None:
            return int(found)
        change = FolderChange(path, mtime_ns=0, settled=False)
        return self.put(connection, storage_id, [change])[path]

    def drop(self, connection: Connection, ids: Sequence[int]) -> None:
        """Forget folders that vanished, once nothing refers to them any more; tombstones keep theirs."""
        for part in parts(ids):
            kept = select(segments.c.folder_id).where(segments.c.folder_id.in_(part)).distinct()
            connection.execute(delete(folders).where(folders.c.id.in_(part), folders.c.id.not_in(kept)))
