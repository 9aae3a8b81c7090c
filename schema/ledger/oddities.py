"""What scans could not read or did not recognise: it is no coverage, but whoever reads of a loss must know of it.

Rule: one row for a folder and kind, replaced whenever that folder is listed and dropped when it is gone.
"""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, bindparam, delete, select

from schema.ledger.names import insert_for
from schema.tables import oddities
from schema.values import Oddities, Oddity, OddKind


class OddityBook:
    """The `oddities` table. Every method wants the caller's transaction."""

    def replace(
        self, connection: Connection, storage_id: int, listed: Collection[str], found: Iterable[Oddity]
    ) -> None:
        """Keep what was found in the folders just listed, in place of what was known of them."""
        if not listed:
            return
        known = oddities.c.storage_id == storage_id
        if connection.execute(select(oddities.c.path).where(known).limit(1)).first():
            connection.execute(
                delete(oddities).where(known, oddities.c.path == bindparam("of_path")),
                [{"of_path": path} for path in listed],
            )
        rows = [
            {
                "storage_id": storage_id,
                "path": one.folder,
                "kind": int(one.kind),
                "number": one.number,
                "example": one.example[:4096],
                "reason": one.reason[:1024],
            }
            for one in found
        ]
        if rows:
            connection.execute(insert_for(connection, oddities).on_conflict_do_nothing(), rows)

    def of(self, connection: Connection, storage_id: int) -> dict[OddKind, Oddities]:
        """Return how much of each kind a storage holds, with the first by path as the example."""
        found: dict[OddKind, Oddities] = {}
        rows = connection.execute(
            select(oddities.c.kind, oddities.c.number, oddities.c.example, oddities.c.reason)
            .where(oddities.c.storage_id == storage_id)
            .order_by(oddities.c.kind, oddities.c.path)
        )
        for number_of_kind, number, example, reason in rows:
            kind = OddKind(number_of_kind)
            before = found.get(kind, Oddities(0, example, reason))
            found[kind] = Oddities(before.number + number, before.example, before.reason)
        return found
