"""The ids of servers, storages and cameras: small tables, read once, grown as new names appear.

Rule: a name's id never changes once it is committed, so the cache of those needs no invalidation; concurrent processes
may add the same name. What transactions must wait for each other for is said here, too: locks are taken in the order
storage, then names.
"""

import threading
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

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


@dataclass(frozen=True, slots=True)
class _Known:
    """Ids by table and name, and names by table and id. Replaced as a whole, so that threads may read it freely."""

    ids: Mapping[tuple[str, str], int] = field(default_factory=dict)
    names: Mapping[tuple[str, int], str] = field(default_factory=dict)

    def with_more(self, other: "_Known") -> "_Known":
        return _Known({**self.ids, **other.ids}, {**self.names, **other.names})


class Names:
    """Turns names into ids and back. Reads are cached; a missing name is added in the caller's transaction.

    What is shared between threads is committed: what a transaction added is its own until `committed` is called.
    """

    def __init__(self) -> None:
        self._shared = _Known()
        self._own: WeakKeyDictionary[Connection, _Known] = WeakKeyDictionary()
        """By transaction that added names: what it has read since."""
        self._lock = threading.Lock()

    def server_id(self, connection: Connection, name: str) -> int:
        """Return the id of server `name`, adding it if it is new. 0 stands for "recorded here"."""
        return self._id(connection, servers, name)

    def camera_id(self, connection: Connection, name: str) -> int:
        """Return the id of camera `name`, adding it if it is new."""
        return self._id(connection, cameras, name)

    def known_camera_id(self, connection: Connection, name: str) -> int:
        """Return the id of camera `name`, 0 if it is unknown: for transactions that only read."""
        known = self._known(connection).ids.get(("cameras", name))
        return self._load(connection, cameras).ids.get(("cameras", name), 0) if known is None else known

    def add_cameras(self, connection: Connection, names: Collection[str]) -> int:
        """Add cameras with one statement; returns how many were new."""
        return self._add(connection, cameras, names)

    def add_servers(self, connection: Connection, names: Collection[str]) -> int:
        """Add servers with one statement; returns how many were new."""
        return self._add(connection, servers, names)

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
        known = self._load(connection, servers)
        return {name: ident for (table, name), ident in known.ids.items() if table == "servers"}

    def all_cameras(self, connection: Connection) -> list[str]:
        """Return every camera name ever seen, sorted."""
        return sorted(name for table, name in self._load(connection, cameras).ids if table == "cameras")

    def storage_id(self, connection: Connection, server: str, name: str) -> int:
        """Return the id of storage `name` of `server`, adding it if it is new."""
        key = ("storages", f"{server}/{name}")
        known = self._known(connection).ids.get(key)
        if known is not None:
            return known
        server_id = self.server_id(connection, server)
        query = select(storages.c.id).where(storages.c.server_id == server_id, storages.c.name == name)
        found = connection.execute(query).scalar()
        if found is None:
            self._grows(connection)
            values = {"server_id": server_id, "name": name, "epoch": new_epoch()}
            connection.execute(insert_for(connection, storages).values(values).on_conflict_do_nothing())
            found = connection.execute(query).scalar_one()
        return self._keep(connection, _Known({key: found})).ids[key]

    def storages(self, connection: Connection, server: str) -> dict[int, str]:
        """Return the name of every storage of a server ever seen, by id; adds none."""
        query = select(storages.c.id, storages.c.name).join(servers, servers.c.id == storages.c.server_id)
        return {row.id: row.name for row in connection.execute(query.where(servers.c.name == server))}

    def committed(self, connection: Connection) -> None:
        """Share what a transaction added, now that everybody can see it."""
        with self._lock:
            own = self._own.pop(connection, None)
            if own is not None:
                self._shared = self._shared.with_more(own)

    def rolled_back(self, connection: Connection) -> None:
        """Drop what a transaction added: its ids may soon be somebody else's."""
        with self._lock:
            self._own.pop(connection, None)

    def _id(self, connection: Connection, table: Table, name: str) -> int:
        key = (table.name, name)
        for known in (self._known, lambda connection: self._load(connection, table)):
            found = known(connection).ids.get(key)
            if found is not None:
                return found
        self._grows(connection)
        connection.execute(insert_for(connection, table).values(name=name).on_conflict_do_nothing())
        return self._load(connection, table).ids[key]

    def _add(self, connection: Connection, table: Table, names: Collection[str]) -> int:
        """Many names, each added by itself, would read the whole table as often."""
        for known in (self._known, lambda connection: self._load(connection, table)):
            ids = known(connection).ids
            new = sorted({name for name in names if (table.name, name) not in ids})
            if not new:
                return 0
        self._grows(connection)
        connection.execute(insert_for(connection, table).on_conflict_do_nothing(), [{"name": name} for name in new])
        self._load(connection, table)
        return len(new)

    def _name(self, connection: Connection, table: Table, ident: int) -> str:
        key = (table.name, ident)
        known = self._known(connection).names.get(key)
        return self._load(connection, table).names.get(key, f"?{ident}") if known is None else known

    def _known(self, connection: Connection) -> _Known:
        with self._lock:
            return self._own.get(connection, self._shared)

    def _load(self, connection: Connection, table: Table) -> _Known:
        rows = connection.execute(select(table.c.id, table.c.name)).all()
        read = _Known(
            {(table.name, name): ident for ident, name in rows}, {(table.name, ident): name for ident, name in rows}
        )
        return self._keep(connection, read)

    def _keep(self, connection: Connection, read: _Known) -> _Known:
        """Keep what a transaction read: for everybody, unless it may have written that itself."""
        with self._lock:
            own = self._own.get(connection)
            if own is None:
                self._shared = self._shared.with_more(read)
                return self._shared
            self._own[connection] = own = own.with_more(read)
            return own

    def _grows(self, connection: Connection) -> None:
        """Prepare for adding names: what is read from now on may be this transaction's own."""
        _lock_names(connection)
        with self._lock:
            self._own.setdefault(connection, self._shared)
