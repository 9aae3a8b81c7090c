"""How servers last saw each other and themselves, and what holds for the ledger as a whole or for one server.

Rule: written by the one service that observes; everybody may read. A service's contact with itself is its sign of life.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, update

from schema.ledger.names import Names, insert_for
from schema.tables import contacts, properties, servers
from schema.values import Reach

PAUSED = "paused:"
"""Begin of the property that says why nothing is filled on a server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """How `observer` sees `server`. Times in microseconds UTC; `offset` is its clock less ours."""

    observer: str
    server: str
    state: Reach
    since: int
    seen: int = 0
    offset: int | None = None
    offset_error: int | None = None
    detail: str = ""


class Contacts:
    """The `contacts` and `properties` tables."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def note(self, connection: Connection, contact: Contact) -> None:
        """Keep how a server is seen now."""
        values = {
            "observer_id": self._names.server_id(connection, contact.observer),
            "server_id": self._names.server_id(connection, contact.server),
            "state": contact.state.value,
            "since_us": contact.since,
            "seen_us": contact.seen,
            "offset_us": contact.offset,
            "offset_error_us": contact.offset_error,
            "detail": contact.detail[:1024],
        }
        connection.execute(
            insert_for(connection, contacts)
            .values(values)
            .on_conflict_do_update(index_elements=["observer_id", "server_id"], set_=values)
        )

    def all(self, connection: Connection) -> list[Contact]:
        """Return every contact, by observer and server."""
        found = [
            Contact(
                observer=self._names.server(connection, row.observer_id),
                server=self._names.server(connection, row.server_id),
                state=Reach(row.state),
                since=row.since_us,
                seen=row.seen_us,
                offset=row.offset_us,
                offset_error=row.offset_error_us,
                detail=row.detail,
            )
            for row in connection.execute(select(contacts))
        ]
        return sorted(found, key=lambda one: (one.observer, one.server))

    def identity(self, connection: Connection) -> str:
        """Return which ledger this is; wants a write transaction."""
        known = self.get(connection, "ledger")
        if known:
            return known
        statement = insert_for(connection, properties).values(name="ledger", value=str(uuid.uuid4()))
        connection.execute(statement.on_conflict_do_nothing())
        return self.get(connection, "ledger")

    def get(self, connection: Connection, name: str) -> str:
        """Return a property, empty if it is not set."""
        found = connection.execute(select(properties.c.value).where(properties.c.name == name)).scalar()
        return "" if found is None else str(found)

    def put(self, connection: Connection, name: str, value: str) -> None:
        """Set a property; an empty one is dropped."""
        if not value:
            connection.execute(delete(properties).where(properties.c.name == name))
            return
        statement = insert_for(connection, properties).values(name=name, value=value[:1024])
        connection.execute(
            statement.on_conflict_do_update(index_elements=["name"], set_={"value": statement.excluded.value})
        )

    def paused(self, connection: Connection, servers: Iterable[str]) -> str:
        """Return why nothing is filled on one of `servers`, in a sentence; empty if filling is not paused."""
        return next((said for said in (self.get(connection, PAUSED + server) for server in servers) if said), "")

    def pause(self, connection: Connection, servers: Iterable[str], said: str) -> None:
        """Keep why nothing is filled on `servers`; an empty sentence ends it."""
        for server in servers:
            self.put(connection, PAUSED + server, said)

    def note_pair(self, connection: Connection, server: str, pair: str) -> None:
        """Keep which servers record the same cameras."""
        ident = self._names.server_id(connection, server)
        connection.execute(update(servers).where(servers.c.id == ident).values(pair=pair))

    def pairs(self, connection: Connection) -> dict[str, list[str]]:
        """Return the servers of every pair, by name."""
        found: dict[str, list[str]] = {}
        rows = connection.execute(select(servers.c.pair, servers.c.name).where(servers.c.pair != ""))
        for pair, name in sorted((row.pair, row.name) for row in rows):
            found.setdefault(pair, []).append(name)
        return found
