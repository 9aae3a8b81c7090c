"""The ids of servers, storages and cameras: small tables, read once, grown as new names appear.

Rule: a name's id never changes, so the cache needs no invalidation; concurrent processes may add the same name. What
transactions must wait for each other for is said here, too: locks are taken in the order storage, then names.
"""

import uuid
from typing import Any

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

from schema.tables import cameras, servers, storages


def insert_for(connection: Connection, table: Table) -> Any:
    """Return the dialect's INSERT that knows ON CONFLICT; both spell it alike."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def new_epoch() -> str:
    """Return a name for what is known of a storage from now on."""
    return uuid.uuid4().hex


_NAMES_LOCK = 0x5253594F
"""Key of PostgreSQL's advisory lock on growing the tables of names."""


def lock_storage(connection: Connection, storage_id: int) -> None:
    """Wait until no other transaction changes what is known of a storage, and keep others from it until this one ends.

    To be taken before the first look at what is to be changed: whoever computes coverage then sees every segment that
    was committed, and whoever changes segments after that finds the buckets to mark. SQLite's writers wait at BEGIN.
    """
    if connection.dialect.name == "postgresql":
        # FOR NO KEY UPDATE: rows that merely refer to the storage need not wait.
        connection.execute(select(storages.c.id).where(storages.c.id == storage_id).with_for_update(key_share=True))


def _lock_names(connection: Connection) -> None:
    """Let one transaction at a time add names: two that add the same in another order would wait for each other."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_NAMES_LOCK)))


class Names:
    """Turns names into ids and back. Reads are cached; a missing name is added in the caller's transaction."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str], int] = {}
        self._names: dict[tuple[str, int], str] = {}

    def server_id(self, connection: Connection, name: str) -> int:
        """Return the id of server `name`, adding it if it is new. 0 stands for "recorded here"."""
        return self._id(connection, servers, name)

    def camera_id(self, connection: Connection, name: str) -> int:
        """Return the id of camera `name`, adding it if it is new."""
        return self._id(connection, cameras, name)

    def known_camera_id(self, connection: Connection, name: str) -> int:
        """Return the id of camera `name`, 0 if it is unknown: for transactions that only read."""
        if ("cameras", name) not in self._ids:
            self._load(connection, cameras)
        return self._ids.get(("cameras", name), 0)

    def origin_id(self, connection: Connection, origin: str | None) -> int:
        """Return what `segments.origin_id` holds for `origin`."""
        return 0 if origin is None else self.server_id(connection, origin)

    def server(self, connection: Connection, ident: int) -> str:
        """Return the name of server `ident`."""
        return self._name(connection, servers, ident)

    def camera(self, connection: Connection, ident: int) -> str:
        """Return the name of camera `ident`; `?` with the number where the row is lost to damage."""
        return self._name(connection, cameras, ident)

    def origin(self, connection: Connection, ident: int) -> str | None:
        """Return the server of an `origin_id`, None for 0."""
        return None if ident == 0 else self.server(connection, ident)

    def servers(self, connection: Connection) -> dict[str, int]:
        """Return the id of every server ever seen, by name; adds none."""
        self._load(connection, servers)
        return {name: ident for (table, name), ident in self._ids.items() if table == "servers"}

    def all_cameras(self, connection: Connection) -> list[str]:
        """Return every camera name ever seen, sorted."""
        self._load(connection, cameras)
        return sorted(name for table, name in self._ids if table == "cameras")

    def storage_id(self, connection: Connection, server: str, name: str) -> int:
        """Return the id of storage `name` of `server`, adding it if it is new."""
        key = ("storages", f"{server}/{name}")
        if key not in self._ids:
            server_id = self.server_id(connection, server)
            found = connection.execute(
                select(storages.c.id).where(storages.c.server_id == server_id, storages.c.name == name)
            ).scalar()
            if found is None:
                _lock_names(connection)
                connection.execute(
                    insert_for(connection, storages)
                    .values(server_id=server_id, name=name, epoch=new_epoch())
                    .on_conflict_do_nothing()
                )
                return self.storage_id(connection, server, name)
            self._ids[key] = found
        return self._ids[key]

    def storages(self, connection: Connection, server: str) -> dict[int, str]:
        """Return the name of every storage of a server ever seen, by id; adds none."""
        query = select(storages.c.id, storages.c.name).join(servers, servers.c.id == storages.c.server_id)
        return {row.id: row.name for row in connection.execute(query.where(servers.c.name == server))}

    def forget(self) -> None:
        """Drop the cache, after a transaction that added names was rolled back."""
        self._ids.clear()
        self._names.clear()

    def _id(self, connection: Connection, table: Table, name: str) -> int:
        key = (table.name, name)
        if key not in self._ids:
            self._load(connection, table)
        if key not in self._ids:
            _lock_names(connection)
            connection.execute(insert_for(connection, table).values(name=name).on_conflict_do_nothing())
            self._load(connection, table)
        return self._ids[key]

    def _name(self, connection: Connection, table: Table, ident: int) -> str:
        key = (table.name, ident)
        if key not in self._names:
            self._load(connection, table)
        return self._names.get(key, f"?{ident}")

    def _load(self, connection: Connection, table: Table) -> None:
        for ident, name in connection.execute(select(table.c.id, table.c.name)):
            self._ids[table.name, name] = ident
            self._names[table.name, ident] = name
