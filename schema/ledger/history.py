"""What happened: outages, fills and refusals. The part of the ledger that no storage could tell again.

Rule: append and close, never rewrite; a refusal stands until the same source is landed or refused anew. Every row
carries a checksum over what it says in words; a damaged one is left out and counted, because nothing can tell it again.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, or_, select, update

from schema.digests import row_checksum
from schema.ledger.names import Names, insert_for
from schema.spans import Span
from schema.tables import fills, outages, refusals, servers
from schema.values import Cause, FillResult, Outage, Refusal, Refused, Task

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


class History:
    """The `outages`, `fills` and `refusals` tables."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def outage_began(
        self,
        connection: Connection,
        server: str,
        cause: Cause,
        at: int,
        evidence: str,
        *,
        storage_id: int | None = None,
        camera: str | None = None,
    ) -> None:
        """Open an outage, unless one of the same server, storage, camera and cause is open already."""
        server_id = self._names.server_id(connection, server)
        camera_id = None if camera is None else self._names.camera_id(connection, camera)
        is_open = select(outages.c.id).where(
            outages.c.server_id == server_id,
            outages.c.storage_id.is_not_distinct_from(storage_id),
            outages.c.camera_id.is_not_distinct_from(camera_id),
            outages.c.cause == cause.value,
            outages.c.end_us.is_(None),
        )
        if connection.execute(is_open).first() is None:
            said = (server, storage_id, camera, cause.value, at, None, evidence[:1024])
            connection.execute(
                outages.insert().values(
                    server_id=server_id,
                    storage_id=storage_id,
                    camera_id=camera_id,
                    cause=cause.value,
                    start_us=at,
                    evidence=evidence[:1024],
                    checksum=row_checksum(said),
                )
            )

    def outage_ended(
        self,
        connection: Connection,
        server: str,
        cause: Cause,
        at: int,
        *,
        storage_id: int | None = None,
        camera: str | None = None,
    ) -> None:
        """Close the open outage of `server`, or of one of its storages or cameras, with this cause, if there is one."""
        camera_id = None if camera is None else self._names.camera_id(connection, camera)
        still_open = select(outages).where(
            outages.c.server_id == self._names.server_id(connection, server),
            outages.c.storage_id.is_not_distinct_from(storage_id),
            outages.c.camera_id.is_not_distinct_from(camera_id),
            outages.c.cause == cause.value,
            outages.c.end_us.is_(None),
        )
        for row in connection.execute(still_open).all():
            said = self._outage_says(connection, row)
            if row.checksum == row_checksum(said):
                closed = row_checksum((*said[:5], at, said[6]))
                connection.execute(update(outages).where(outages.c.id == row.id).values(end_us=at, checksum=closed))

    def _outage_says(self, connection: Connection, row: Row[Any]) -> tuple[Any, ...]:
        camera = None if row.camera_id is None else self._names.camera(connection, row.camera_id)
        server = self._names.server(connection, row.server_id)
        return server, row.storage_id, camera, row.cause, row.start_us, row.end_us, row.evidence

    def outage_told(self, connection: Connection, outage: Outage) -> None:
        """Take in an outage that a peer recorded, or how one of them ended.

        What is over here is never opened again: what a peer tells may be what it once heard from us.
        """
        server_id = self._names.server_id(connection, outage.server)
        camera_id = None if outage.camera is None else self._names.camera_id(connection, outage.camera)
        known = connection.execute(
            select(outages.c.id).where(
                outages.c.server_id == server_id,
                outages.c.camera_id.is_not_distinct_from(camera_id),
                outages.c.cause == outage.cause.value,
                outages.c.start_us == outage.span.start,
            )
        ).scalar()
        end, evidence = outage.span.end if outage.over else None, outage.evidence[:1024]
        said = (outage.server, None, outage.camera, outage.cause.value, outage.span.start, end, evidence)
        values = {
            "server_id": server_id,
            "camera_id": camera_id,
            "storage_id": None,
            "cause": outage.cause.value,
            "start_us": outage.span.start,
            "end_us": end,
            "evidence": evidence,
            "checksum": row_checksum(said),
        }
        if known is None:
            connection.execute(outages.insert().values(values))
        elif end is None:
            return
        else:
            connection.execute(update(outages).where(outages.c.id == known).values(values))

    def outages(self, connection: Connection, window: Span | None, now: int) -> list[Outage]:
        """Return the recorded outages that overlap `window`, by start; an open one ends at `now`."""
        query = select(outages).order_by(outages.c.start_us, outages.c.id)
        if window is not None:
            query = query.where(
                outages.c.start_us < window.end, or_(outages.c.end_us.is_(None), outages.c.end_us > window.start)
            )
        return [
            Outage(
                server=self._names.server(connection, row.server_id),
                camera=None if row.camera_id is None else self._names.camera(connection, row.camera_id),
                span=Span(row.start_us, max(row.start_us, now) if row.end_us is None else row.end_us),
                cause=Cause(row.cause),
                evidence=row.evidence,
                over=row.end_us is not None,
            )
            for row in connection.execute(query)
            if row.checksum == row_checksum(self._outage_says(connection, row))
        ]

    def storages_away(self, connection: Connection, server: str) -> dict[int, int]:
        """Return the storages of `server` that are away, by id, and since when."""
        query = select(outages).where(
            outages.c.cause == Cause.STORAGE.value, outages.c.storage_id.is_not(None), outages.c.end_us.is_(None)
        )
        return {
            row.storage_id: row.start_us
            for row in connection.execute(query)
            if self._names.server(connection, row.server_id) == server
            and row.checksum == row_checksum(self._outage_says(connection, row))
        }

    def fill_began(self, connection: Connection, server: str, at: int) -> int:
        """Record that a fill into `server` started; returns its id."""
        statement = fills.insert().values(
            server_id=self._names.server_id(connection, server),
            started_us=at,
            checksum=row_checksum((server, at, None, 0, 0, "")),
        )
        return int(connection.execute(statement.returning(fills.c.id)).scalar_one())

    def fill_ended(self, connection: Connection, fill_id: int, at: int, result: FillResult) -> None:
        """Record how a fill ended."""
        row = connection.execute(select(fills).where(fills.c.id == fill_id)).one()
        ended = (at, len(result.landed), result.sent, result.stopped[:1024])
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
