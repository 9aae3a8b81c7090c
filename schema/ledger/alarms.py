"""The outbox: what operators have to be told, and which channel has it already.

Rule: an alarm is written in the transaction that makes its event true, and once for each key; a delivery is recorded
once. Between the receiver's answer and that record lies a crash's worth of doubt, and then the same key is sent again
(docs/design/0014-alarms.md).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, ScalarSelect, Select, and_, delete, func, or_, select, update

from schema.ledger.names import Names, insert_for
from schema.service import LONGEST_TRY, AlarmChannel, wants
from schema.spans import DAY, MINUTE, SECOND
from schema.tables import alarms, deliveries, servers
from schema.values import Alarm, AlarmKind

FIRST_WAIT = 5 * SECOND
LONGEST_WAIT = 15 * MINUTE
EXPIRES = 7 * DAY
"""After so long an alarm is news to nobody."""
KEPT = 90 * DAY
"""How long what was told is remembered."""

STANDING = (AlarmKind.LOST, AlarmKind.DAMAGE)
"""These are found again by every look at the recordings, so their keys are remembered as long as the ledger."""

_FARTHEST = LONGEST_WAIT + LONGEST_TRY + MINUTE
"""No delivery is ever put off longer than this: one that seems to be was written while the clock was wrong."""


class Sending(StrEnum):
    """What became of one alarm on one channel."""

    PENDING = "pending"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    """It was tried for a week; nobody took it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One alarm on its way to one channel. `next` is when it is tried (again), in microseconds UTC."""

    alarm_id: int
    channel: str
    state: Sending
    attempts: int
    next: int
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An alarm as the ledger keeps it: who noticed, and how far it got."""

    alarm: Alarm
    observer: str
    deliveries: tuple[Delivery, ...]


def wait_after(attempts: int) -> int:
    """Return how long to wait after so many failed tries: 5 s, doubled each time, at most 15 minutes."""
    return min(LONGEST_WAIT, FIRST_WAIT << min(max(attempts - 1, 0), 20))


class Outbox:
    """The `alarms` and `deliveries` tables. Where many services share a ledger, each sends what it raised itself."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def raise_(self, connection: Connection, alarm: Alarm, observer: str, channels: Iterable[AlarmChannel]) -> bool:
        """Write an alarm with a delivery for every channel that wants its kind; tells whether it is new.

        In the caller's transaction: the alarm is true if and only if what it tells of is. One whose key is known is
        the same event noticed again, and nothing is written. Raises ValueError for a key that the ledger cannot hold.
        """
        if not alarm.key.isascii() or not alarm.key.isprintable() or len(alarm.key) > 256:
            raise ValueError(f"{alarm.key!r} is no alarm key: ASCII, at most 256 letters")
        statement = insert_for(connection, alarms).values(
            key=alarm.key,
            kind=alarm.kind.value,
            server_id=self._names.server_id(connection, alarm.server),
            observer_id=self._names.server_id(connection, observer),
            camera_id=None if alarm.camera is None else self._names.camera_id(connection, alarm.camera),
            at_us=alarm.at,
            text=_storable(alarm.text),
            body=msgspec.json.encode(alarm.facts).decode(),
        )
        new = connection.execute(
            statement.on_conflict_do_nothing(index_elements=["key"]).returning(alarms.c.id)
        ).scalar()
        if new is None:
            return False
        rows = [
            {"alarm_id": new, "channel": channel.name, "state": Sending.PENDING.value, "next_us": 0}
            for channel in channels
            if wants(channel, alarm.kind)
        ]
        if rows:
            connection.execute(deliveries.insert(), rows)
        return True

    def is_known(self, connection: Connection, key: str) -> bool:
        """Tell whether an event was raised, and is not forgotten."""
        return connection.execute(select(alarms.c.id).where(alarms.c.key == key)).first() is not None

    def due(
        self, connection: Connection, observer: str, channel: str, now: int, limit: int = 100
    ) -> list[tuple[Delivery, Alarm]]:
        """Return what `observer` has to send over `channel` now, in the order in which it happened."""
        query = (
            self._query(deliveries.c.channel, deliveries.c.state, *_progress)
            .join(deliveries, deliveries.c.alarm_id == alarms.c.id)
            .where(*_pending(observer, channel))
            .where(or_(deliveries.c.next_us <= now, deliveries.c.next_us > now + _FARTHEST))
            .order_by(alarms.c.id)
            .limit(limit)
        )
        return [(_delivery(row), self._alarm(connection, row)) for row in connection.execute(query)]

    def next_due(self, connection: Connection, observer: str, channel: str) -> int | None:
        """Return when the next delivery of `observer` over `channel` is to be tried; None if there is none."""
        query = (
            select(func.min(deliveries.c.next_us))
            .select_from(alarms.join(deliveries, deliveries.c.alarm_id == alarms.c.id))
            .where(*_pending(observer, channel))
        )
        found = connection.execute(query).scalar()
        return None if found is None else int(found)

    def taken(self, connection: Connection, delivery: Delivery, until: int) -> bool:
        """Count a try before it is made; False if somebody else has taken or sent it meanwhile.

        Whoever dies over it leaves it to be tried again at `until`, and a try that kills its process is not made in
        a tight loop.
        """
        done = connection.execute(
            update(deliveries)
            .where(_is(delivery), deliveries.c.next_us == delivery.next, deliveries.c.attempts == delivery.attempts)
            .values(next_us=until, attempts=deliveries.c.attempts + 1)
        )
        return done.rowcount == 1

    def delivered(self, connection: Connection, delivery: Delivery) -> None:
        """Record that the channel took it."""
        connection.execute(update(deliveries).where(_is(delivery)).values(state=Sending.DELIVERED.value, error=""))

    def failed(self, connection: Connection, delivery: Delivery, now: int, error: str) -> int:
        """Record why the try that was taken failed; returns when the next is due."""
        next_us = now + wait_after(delivery.attempts + 1)
        connection.execute(update(deliveries).where(_is(delivery)).values(next_us=next_us, error=_storable(error)))
        return next_us

    def postponed(self, connection: Connection, waiting: Collection[Delivery], until: int) -> None:
        """Let deliveries wait that were not tried, because their channel has just failed another."""
        for delivery in waiting:
            connection.execute(update(deliveries).where(_is(delivery)).values(next_us=until))

    def hurried(self, connection: Connection, observer: str, channel: str) -> None:
        """Make everything due that waits for a channel: it works again."""
        self._all_at(connection, observer, channel, 0)

    def held(self, connection: Connection, observer: str, channel: str, until: int) -> None:
        """Let everything wait that is to be sent over a channel, so that nothing overtakes what has just failed."""
        self._all_at(connection, observer, channel, until)

    def _all_at(self, connection: Connection, observer: str, channel: str, next_us: int) -> None:
        ours = select(alarms.c.id).where(alarms.c.observer_id == _id_of(observer))
        connection.execute(
            update(deliveries)
            .where(
                deliveries.c.state == Sending.PENDING.value,
                deliveries.c.channel == channel,
                deliveries.c.alarm_id.in_(ours),
            )
            .values(next_us=next_us)
        )

    def expire(self, connection: Connection, now: int) -> int:
        """Give up what could not be delivered for a week, on channels that are gone too; returns how many."""
        old = select(alarms.c.id).where(alarms.c.at_us < now - EXPIRES)
        done = connection.execute(
            update(deliveries)
            .where(deliveries.c.state == Sending.PENDING.value, deliveries.c.alarm_id.in_(old))
            .values(state=Sending.EXPIRED.value)
        )
        return done.rowcount

    def prune(self, connection: Connection, now: int) -> int:
        """Forget alarms of long ago, except those whose event is still to be seen; returns how many."""
        done = connection.execute(
            delete(alarms).where(alarms.c.at_us < now - KEPT, alarms.c.kind.not_in([kind.value for kind in STANDING]))
        )
        return done.rowcount

    def recent(self, connection: Connection, limit: int = 20, of: Collection[str] | None = None) -> list[Raised]:
        """Return the latest alarms, newest first; with `of`, those about one of these servers or noticed by one."""
        query = self._query(alarms.c.observer_id).order_by(alarms.c.at_us.desc(), alarms.c.id.desc()).limit(limit)
        if of is not None:
            ids = select(servers.c.id).where(servers.c.name.in_(of))
            query = query.where(or_(alarms.c.server_id.in_(ids), alarms.c.observer_id.in_(ids)))
        rows = connection.execute(query).all()
        found: dict[int, list[Delivery]] = {row.id: [] for row in rows}
        sent = select(deliveries).where(deliveries.c.alarm_id.in_(found)).order_by(deliveries.c.channel)
        for row in connection.execute(sent):
            found[row.alarm_id].append(_delivery(row))
        return [
            Raised(
                alarm=self._alarm(connection, row),
                observer=self._names.server(connection, row.observer_id),
                deliveries=tuple(found[row.id]),
            )
            for row in rows
        ]

    def _query(self, *more: ColumnElement[Any]) -> Select[Any]:
        return select(
            alarms.c.id,
            alarms.c.key,
            alarms.c.kind,
            alarms.c.server_id,
            alarms.c.camera_id,
            alarms.c.at_us,
            alarms.c.text,
            alarms.c.body,
            *more,
        )

    def _alarm(self, connection: Connection, row: Row[Any]) -> Alarm:
        """Return the alarm of a row; a row that is damaged is told as it is, as damage: silence would be worse."""
        try:
            kind, facts = AlarmKind(row.kind), msgspec.json.decode(row.body, type=dict[str, Any])
        except (ValueError, msgspec.MsgspecError) as error:
            kind, facts = AlarmKind.DAMAGE, {"unreadable": f"this alarm's row in the ledger: {error}"}
        return Alarm(
            key=row.key,
            kind=kind,
            server=self._names.server(connection, row.server_id),
            camera=None if row.camera_id is None else self._names.camera(connection, row.camera_id),
            at=row.at_us,
            text=row.text,
            facts=facts,
        )


_progress = (deliveries.c.alarm_id, deliveries.c.attempts, deliveries.c.next_us, deliveries.c.error)


def _id_of(server: str) -> ScalarSelect[int]:
    """Return the id of a server within a query: asking must not add a name that is not known."""
    return select(servers.c.id).where(servers.c.name == server).scalar_subquery()


def _pending(observer: str, channel: str) -> list[ColumnElement[bool]]:
    return [
        alarms.c.observer_id == _id_of(observer),
        deliveries.c.channel == channel,
        deliveries.c.state == Sending.PENDING.value,
    ]


def _is(delivery: Delivery) -> ColumnElement[bool]:
    return and_(
        deliveries.c.alarm_id == delivery.alarm_id,
        deliveries.c.channel == delivery.channel,
        deliveries.c.state == Sending.PENDING.value,
    )


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        alarm_id=row.alarm_id,
        channel=row.channel,
        state=Sending(row.state),
        attempts=row.attempts,
        next=row.next_us,
        error=row.error,
    )


def _storable(text: str) -> str:
    """Return `text` as both databases hold it: a receiver's complaint may be anything."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[:1024]
