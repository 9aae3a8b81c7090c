"""When a server, one of its storages or one of its cameras was away, and who noticed.

Rule: append and close, never rewrite: an outage that is over stays over, and a row is its observer's alone. What a peer
tells is kept beside what was noticed here and changes nothing of it; it lasts for as long as the peer says so, and only
so much is kept of it.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, or_, select, update

from schema.digests import row_checksum
from schema.ledger.manifests import parts
from schema.ledger.names import Names
from schema.limits import OUTAGES_KEPT
from schema.spans import Span
from schema.tables import outages
from schema.values import Cause, Outage

_HERE = 0
"""The observer of rows from releases that knew no peers."""


class OutageBook:
    """The `outages` table. An `observer` that is not given is the server itself."""

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
        observer: str | None = None,
    ) -> int:
        """Open an outage, unless its observer has one of the same server, storage, camera and cause open already.

        Returns when the one that is open now began.
        """
        is_open = self._still_open(connection, server, cause, storage_id, camera, observer)
        for row in connection.execute(select(outages).where(*is_open)):
            return int(row.start_us)
        outage = Outage(
            server=server,
            camera=camera,
            span=Span(at, at),
            cause=cause,
            evidence=evidence,
            over=False,
            storage_id=storage_id,
        )
        self._append(connection, outage, observer or server)
        return at

    def outage_ended(
        self,
        connection: Connection,
        server: str,
        cause: Cause,
        at: int,
        *,
        storage_id: int | None = None,
        camera: str | None = None,
        observer: str | None = None,
    ) -> None:
        """Close the observer's open outage of `server`, or of its storage or camera, with this cause, if any."""
        is_open = self._still_open(connection, server, cause, storage_id, camera, observer)
        for row in connection.execute(select(outages).where(*is_open)).all():
            self._close(connection, row, at)

    def outage_told(self, connection: Connection, outage: Outage, observer: str) -> None:
        """Take in an outage that a peer noticed, or that one of them is over."""
        known = connection.execute(
            select(outages).where(
                *self._same(connection, outage.server, outage.cause, outage.storage_id, outage.camera),
                outages.c.observer_id == self._names.server_id(connection, observer),
                outages.c.start_us == outage.span.start,
            )
        ).first()
        if known is None:
            self._append(connection, outage, observer)
        elif known.end_us is None and outage.over:
            self._close(connection, known, outage.span.end)

    def told_no_more(self, connection: Connection, observer: str, told: Collection[Outage], at: int) -> None:
        """Close what a peer once told and does not tell any more as lasting: its end, or its ledger, was lost.

        `told`: every outage that lasts by its words now.
        """
        lasting = {(one.server, one.storage_id, one.camera, one.cause.value, one.span.start) for one in told}
        rows = select(outages).where(
            outages.c.observer_id == self._names.server_id(connection, observer), outages.c.end_us.is_(None)
        )
        for row in connection.execute(rows).all():
            server, storage_id, camera, cause, start, *_ = self._outage_says(connection, row)
            if (server, storage_id, camera, cause, start) not in lasting:
                self._close(connection, row, max(start, at))

    def forget_told(self, connection: Connection, observer: str) -> int:
        """Drop what a peer told beyond `OUTAGES_KEPT`; what lasts and the newest are kept. Returns how many."""
        beyond = (
            select(outages.c.id)
            .where(outages.c.observer_id == self._names.server_id(connection, observer))
            .order_by(outages.c.end_us.is_(None).desc(), outages.c.start_us.desc(), outages.c.id.desc())
            .offset(OUTAGES_KEPT)
        )
        idents = connection.execute(beyond).scalars().all()
        for part in parts(idents):
            connection.execute(delete(outages).where(outages.c.id.in_(part)))
        return len(idents)

    def outages(
        self, connection: Connection, window: Span | None, now: int, *, observer: str | None = None
    ) -> list[Outage]:
        """Return the recorded outages that overlap `window`, by start; an open one ends at `now`.

        With `observer` only those that this server noticed.
        """
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
                storage_id=row.storage_id,
            )
            for row in connection.execute(query)
            if observer is None
            or row.observer_id == _HERE
            or self._names.server(connection, row.observer_id) == observer
            if row.checksum == row_checksum(self._outage_says(connection, row))
        ]

    def _same(
        self, connection: Connection, server: str, cause: Cause, storage_id: int | None, camera: str | None
    ) -> list[ColumnElement[bool]]:
        camera_id = None if camera is None else self._names.camera_id(connection, camera)
        return [
            outages.c.server_id == self._names.server_id(connection, server),
            outages.c.storage_id.is_not_distinct_from(storage_id),
            outages.c.camera_id.is_not_distinct_from(camera_id),
            outages.c.cause == cause.value,
        ]

    def _still_open(
        self,
        connection: Connection,
        server: str,
        cause: Cause,
        storage_id: int | None,
        camera: str | None,
        observer: str | None,
    ) -> list[ColumnElement[bool]]:
        return [
            *self._same(connection, server, cause, storage_id, camera),
            outages.c.observer_id.in_([_HERE, self._names.server_id(connection, observer or server)]),
            outages.c.end_us.is_(None),
        ]

    def _append(self, connection: Connection, outage: Outage, observer: str) -> None:
        start, end, evidence = outage.span.start, outage.span.end if outage.over else None, outage.evidence[:1024]
        said = (outage.server, outage.storage_id, outage.camera, outage.cause.value, start, end, evidence, observer)
        camera_id = None if outage.camera is None else self._names.camera_id(connection, outage.camera)
        connection.execute(
            outages.insert().values(
                server_id=self._names.server_id(connection, outage.server),
                storage_id=outage.storage_id,
                camera_id=camera_id,
                cause=outage.cause.value,
                start_us=start,
                end_us=end,
                evidence=evidence,
                observer_id=self._names.server_id(connection, observer),
                checksum=row_checksum(said),
            )
        )

    def _close(self, connection: Connection, row: Row[Any], at: int) -> None:
        """Note the end of an open outage, unless its row is damaged."""
        said = self._outage_says(connection, row)
        if row.checksum == row_checksum(said):
            closed = row_checksum((*said[:5], at, *said[6:]))
            connection.execute(update(outages).where(outages.c.id == row.id).values(end_us=at, checksum=closed))

    def _outage_says(self, connection: Connection, row: Row[Any]) -> tuple[Any, ...]:
        camera = None if row.camera_id is None else self._names.camera(connection, row.camera_id)
        server = self._names.server(connection, row.server_id)
        said = (server, row.storage_id, camera, row.cause, row.start_us, row.end_us, row.evidence)
        return said if row.observer_id == _HERE else (*said, self._names.server(connection, row.observer_id))

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
