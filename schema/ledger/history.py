"""What happened: outages (`OutageBook`), fills and refusals. The part of the ledger that no storage could tell again.

Rule: append and close, never rewrite; a refusal stands until the same source is landed or refused anew. Every row
carries a checksum over what it says in words; a damaged one is left out and counted, because nothing can tell it again.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, select, update

from schema.digests import row_checksum
from schema.ledger.names import insert_for
from schema.ledger.outages import OutageBook
from schema.spans import Span
from schema.tables import fills, outages, refusals, servers
from schema.values import FillResult, Refusal, Refused, Task

SETTLED_BY_SCAN = (Refusal.SOURCE_AWAY, Refusal.SOURCE_SWAPPED, Refusal.SOURCE_GONE, Refusal.SOURCE_CHANGED)
"""Refusals whose cause a scan of the peer finds gone, or finds to be a loss."""


@dataclass(frozen=True, slots=True)
class FillRecord:
    """One fill as history keeps it. `ended` is None while it runs, or for ever if it was killed."""

    server: str
    started: int
    ended: int | None
    landed: int
    size: int
    stopped: str


class History(OutageBook):
    """The `outages`, `fills` and `refusals` tables."""

    def fill_began(self, connection: Connection, server: str, at: int) -> int:
        """Record that a fill into `server` started; returns its id."""
        statement = fills.insert().values(
            server_id=self._names.server_id(connection, server),
            started_us=at,
            checksum=row_checksum((server, at, None, 0, 0, "")),
        )
        return int(connection.execute(statement.returning(fills.c.id)).scalar_one())

    def fill_goes_on(self, connection: Connection, server: str, since: int) -> int | None:
        """Record that the fill into `server` that started at `since` is under way again; returns its id, if it did."""
        query = select(fills).where(fills.c.server_id.in_(self._ids([server])), fills.c.started_us == since)
        for row in connection.execute(query).all():
            said = self._fill_says(connection, row)
            if row.checksum == row_checksum(said):
                checksum = row_checksum((*said[:2], None, *said[3:]))
                connection.execute(update(fills).where(fills.c.id == row.id).values(ended_us=None, checksum=checksum))
                return int(row.id)
        return None

    def fill_ended(self, connection: Connection, fill_id: int, at: int, result: FillResult) -> None:
        """Record how a fill ended, or a part of it: what each brought is added up."""
        row = connection.execute(select(fills).where(fills.c.id == fill_id)).one()
        ended = (at, row.landed + len(result.landed), row.bytes + result.sent, result.stopped[:1024])
        checksum = row_checksum((*self._fill_says(connection, row)[:2], *ended))
        connection.execute(
            update(fills)
            .where(fills.c.id == fill_id)
            .values(ended_us=at, landed=ended[1], bytes=ended[2], stopped=ended[3], checksum=checksum)
        )

    def _fill_says(self, connection: Connection, row: Row[Any]) -> tuple[Any, ...]:
        server = self._names.server(connection, row.server_id)
        return server, row.started_us, row.ended_us, row.landed, row.bytes, row.stopped

    def last_fills(self, connection: Connection, of: Collection[str], limit: int = 5) -> list[FillRecord]:
        """Return the latest fills of some servers, newest first."""
        query = select(fills).where(fills.c.server_id.in_(self._ids(of))).order_by(fills.c.id.desc()).limit(limit)
        rows = connection.execute(query)
        return [
            FillRecord(*said) for row in rows if row.checksum == row_checksum(said := self._fill_says(connection, row))
        ]

    def refuse(self, connection: Connection, refused: Iterable[Refused], at: int) -> None:
        """Keep what a fill could not bring over, one row for each source."""
        for one in refused:
            values = {
                "server_id": self._names.server_id(connection, one.server),
                "peer_id": self._names.server_id(connection, one.peer or one.server),
                "camera_id": self._names.camera_id(connection, one.camera),
                "path": one.path,
                "start_us": one.span.start,
                "end_us": one.span.end,
                "why": one.why.name,
                "detail": one.detail[:1024],
                "size": one.size,
                "at_us": at,
                "checksum": row_checksum(
                    (
                        one.server,
                        one.camera,
                        one.peer or one.server,
                        one.path,
                        *one.span,
                        one.why.name,
                        one.detail[:1024],
                        at,
                        one.size,
                    )
                ),
            }
            connection.execute(
                insert_for(connection, refusals)
                .values(values)
                .on_conflict_do_update(index_elements=["server_id", "peer_id", "path"], set_=values)
            )

    def clear_refusals(self, connection: Connection, server: str, tasks: Iterable[Task]) -> None:
        """Drop the refusals of sources that were tried again; what failed again is stated anew."""
        rows = [
            {"of_peer": self._names.server_id(connection, task.peer), "of_path": task.source.path} for task in tasks
        ]
        if rows and self.refusal_count(connection):
            connection.execute(
                delete(refusals).where(
                    refusals.c.server_id == self._names.server_id(connection, server),
                    refusals.c.peer_id == bindparam("of_peer"),
                    refusals.c.path == bindparam("of_path"),
                ),
                rows,
            )

    def refusals(self, connection: Connection, window: Span | None = None) -> list[Refused]:
        """Return the standing refusals that overlap `window`, by camera and start."""
        query = select(refusals).order_by(refusals.c.camera_id, refusals.c.start_us)
        if window is not None:
            query = query.where(refusals.c.start_us < window.end, refusals.c.end_us > window.start)
        return [
            Refused(
                server=self._names.server(connection, row.server_id),
                camera=self._names.camera(connection, row.camera_id),
                span=Span(row.start_us, row.end_us),
                peer=self._names.server(connection, row.peer_id),
                path=row.path,
                why=Refusal[row.why],
                detail=row.detail,
                size=row.size,
            )
            for row in connection.execute(query)
            if row.checksum == row_checksum(self._refusal_says(connection, row))
        ]

    def _refusal_says(self, connection: Connection, row: Row[Any]) -> tuple[Any, ...]:
        return (
            self._names.server(connection, row.server_id),
            self._names.camera(connection, row.camera_id),
            self._names.server(connection, row.peer_id),
            row.path,
            row.start_us,
            row.end_us,
            row.why,
            row.detail,
            row.at_us,
            row.size,
        )

    def damaged(self, connection: Connection) -> int:
        """Return how many rows of the history are damaged, and left out of everything else here."""
        books = ((outages, self._outage_says), (fills, self._fill_says), (refusals, self._refusal_says))
        return sum(
            row.checksum != row_checksum(says(connection, row))
            for table, says in books
            for row in connection.execute(select(table))
        )

    def looked_again(self, connection: Connection, peer: str, at: int) -> None:
        """Drop the refusals of sources that could not be read when they were tried, once all of `peer` was scanned.

        The scan at `at` knows better: what is there is offered again, what is gone is lost.
        """
        connection.execute(
            delete(refusals).where(
                refusals.c.peer_id == self._names.server_id(connection, peer),
                refusals.c.why.in_([why.name for why in SETTLED_BY_SCAN]),
                refusals.c.at_us < at,
            )
        )

    def refusal_count(self, connection: Connection, of: Collection[str] | None = None) -> int:
        """Return how many refusals stand: of these servers, or of all in the ledger."""
        query = select(func.count()).select_from(refusals)
        if of is not None:
            query = query.where(refusals.c.server_id.in_(self._ids(of)))
        return int(connection.execute(query).scalar_one())

    def _ids(self, names: Collection[str]) -> Select[tuple[int]]:
        """Return the ids of servers within a query: asking must not add a name that is not known."""
        return select(servers.c.id).where(servers.c.name.in_(names))
