"""Keeping in touch with one peer: asking every few seconds, copying what is new, noting when it goes and comes.

Rule: whatever goes wrong is a state of that peer with a reason, never the end of the service. What changed is in the
ledger before anybody is woken; what could not be written, or told, is owed until it is.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from backfill.link.client import LinkClient
from backfill.link.mirror import Follower
from recorder_sync.alarms import kinds
from recorder_sync.service import contact
from recorder_sync.service.contact import Seen
from recorder_sync.service.events import Events
from recorder_sync.service.exchanges import Exchange, Exchanges
from recorder_sync.service.live import Live, PeerState
from schema.errors import (
    OperatorError,
    PeerIncompatible,
    PeerInvalid,
    PeerRefused,
    PeerUnreachable,
    PeerUntrusted,
)
from schema.ledger import Connection, Ledger
from schema.ledger.contacts import Contact
from schema.settings import Settings
from schema.spans import MINUTE, SECOND
from schema.values import Cause, Reach
from schema.wire import Pulse

_log = structlog.get_logger()
_NOT_IT = (PeerIncompatible, PeerInvalid, PeerRefused, PeerUntrusted)
_LINK = (*_NOT_IT, PeerUnreachable)
_NOTED_EVERY = MINUTE
"""How often a contact that did not change is written: for whoever reads the ledger after a crash."""
_CLOCK_MOVED = SECOND // 10
"""A peer's clock that moved by more was set: plans made before that is known ask for the wrong time."""
_LEDGER_AGAIN = 5.0
_OUTAGES_EVERY = 60.0
_OUTAGES_SOON = 5.0
"""After a peer came: by then it has noted that we are back as well."""
_FRESH = 60.0
"""Seconds after it came in which whatever a peer tells is urgent: the end of an outage arrives in pieces."""


class PeerTask:
    """One peer, for as long as the service runs.

    Args:
        now: microseconds UTC.
        changed: called when the peer came, or has something new; `urgent` when it came, and for a while after.
        learned: called when how its storages are read is new.
    """

    def __init__(
        self,
        client: LinkClient,
        ledger: Ledger,
        settings: Settings,
        own: str,
        live: Live,
        events: Events,
        *,
        now: Callable[[], int],
        changed: Callable[[bool], None],
        learned: Callable[[], None],
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._rules = settings.service
        self._own = own
        self._live = live
        self._events = events
        self._now = now
        self._changed = changed
        self._learned = learned
        self._follower = Follower(client, ledger, own, now)
        self._seen = Seen(since=now(), heard=time.monotonic())
        self._exchanges = Exchanges()
        self._clock: Exchange | None = None
        self._noted_at = 0
        self._noted_clock: int | None = None
        self._owing: Seen | None = None
        """How the peer went, while the ledger could not be told."""
        self._untold = False
        """Whether something may be new that nobody was woken for yet."""
        self._outages_at = 0.0
        self._came_at = 0.0
        self._left_out = 0
        """Outages that it tells and that cannot be; said when their number changes."""

    async def run(self) -> None:
        """Ask until cancelled."""
        await self._take_up()
        while True:
            began, before = time.monotonic(), self._seen
            try:
                await self._ask()
            except OperatorError as error:  # the ledger's: it may be back at the next pulse
                _log.warning("peer.not_noted", peer=self._client.server, problem=str(error))
            except Exception as error:  # noqa: BLE001  a defect that one peer brings out must not stop the others
                _log.exception("peer.unexpected", peer=self._client.server)
                await self._unexpected(error, before)
            wait = contact.next_pulse(self._seen, self._rules.pulse / SECOND)
            await asyncio.sleep(max(0.05, wait - (time.monotonic() - began)))

    async def _take_up(self) -> None:
        """Take up what was known before the service was started; wait for the ledger if it is away."""
        while True:
            try:
                self._seen = await asyncio.to_thread(self._remembered)
            except OperatorError as error:
                _log.warning("peer.not_remembered", peer=self._client.server, problem=str(error))
                await asyncio.sleep(_LEDGER_AGAIN)
            else:
                return

    async def _unexpected(self, error: Exception, before: Seen) -> None:
        """Make what nobody foresaw the state of this peer."""
        self._seen = before
        try:
            await self._failed(PeerInvalid(self._client.server, f"{type(error).__name__}: {error}"[:500]))
        except Exception:  # noqa: BLE001  said twice in the log; the next pulse tries again
            _log.exception("peer.not_noted", peer=self._client.server)

    async def _ask(self) -> None:
        asked, began = self._now(), time.monotonic_ns()
        try:
            pulse = await asyncio.to_thread(self._client.pulse)
        except OperatorError as error:
            await self._failed(error)
            return
        took = (time.monotonic_ns() - began) // 1000
        self._clock = self._exchanges.add(asked, pulse.now, self._now(), took)
        before = self._seen
        came = not contact.is_here(before.state)
        self._seen = contact.answered(before, paused=pulse.paused, now=self._now(), clock=time.monotonic())
        try:
            copied, self._untold = self._untold, True  # what was copied before it breaks off is news as well
            self._untold = await asyncio.to_thread(self._follower.follow, pulse) or copied
            if came or time.monotonic() >= self._outages_at:
                left_out = await asyncio.to_thread(self._follower.outages)
                if left_out != self._left_out:
                    self._left_out = left_out
                    _log.warning("peer.outages_left_out", peer=self._client.server, too_long=left_out)
                self._outages_at = time.monotonic() + (_OUTAGES_SOON if came else _OUTAGES_EVERY)
            if came:
                await asyncio.to_thread(self._came, before)
            elif self._seen.state is not before.state or self._is_news():
                await asyncio.to_thread(self._note, self._seen)
        except OperatorError as error:
            if self._seen.state is not before.state or isinstance(error, _LINK):
                self._seen = before  # what is not noted has not happened yet: it happens at the next pulse
            if not isinstance(error, _LINK):
                raise
            await self._failed(error)
            return
        self._show(pulse)
        if came:
            self._came_at = time.monotonic()
            _log.info("peer.came", peer=self._client.server, away_since=before.since)
            self._untold = True
        if self._untold:
            await asyncio.to_thread(self._learned)
            self._changed(time.monotonic() - self._came_at < _FRESH)
            self._untold = False

    async def _failed(self, error: OperatorError) -> None:
        before = self._seen
        self._seen = contact.failed(
            before,
            refused=isinstance(error, _NOT_IT),
            detail=str(error),
            now=self._now(),
            clock=time.monotonic(),
            away=self._rules.away / SECOND,
        )
        if self._seen.state is not before.state:
            _log.warning("peer.gone", peer=self._client.server, state=self._seen.state.value, problem=str(error))
            self._owing = self._seen
        self._show(None)
        if self._owing is not None:
            await asyncio.to_thread(self._went, self._owing)
        elif self._seen.failures == 1 and contact.is_here(before.state):
            # An answer is noted once a minute; now it counts to the second when the last one came.
            await asyncio.to_thread(self._note, before)

    def _came(self, before: Seen) -> None:
        """Note the end of an outage, if one had begun; its beginning, too, if that could not be written."""
        with self._events.writing() as connection:
            if self._owing is not None:
                self._write_gone(connection, self._owing)
            self._ledger.contacts.note(connection, self._contact(self._seen))
            self._ledger.history.outage_ended(
                connection, self._client.server, Cause.SERVER, self._now(), observer=self._own
            )
            if before.state in (Reach.AWAY, Reach.REFUSED):
                back = kinds.server_back(
                    server=self._client.server, observer=self._own, since=before.since, at=self._now()
                )
                self._events.raise_(connection, back)
        self._owing = None
        self._was_noted()

    def _went(self, seen: Seen) -> None:
        """Note the beginning of an outage; that it goes on being away after a restart of ours is no other one."""
        with self._events.writing() as connection:
            self._ledger.contacts.note(connection, self._contact(self._seen))
            self._write_gone(connection, seen)
        self._owing = None
        self._was_noted()

    def _write_gone(self, connection: Connection, seen: Seen) -> None:
        self._ledger.history.outage_began(
            connection,
            self._client.server,
            Cause.SERVER,
            seen.since,
            f"{self._own} had no answer: {seen.detail}",
            observer=self._own,
        )
        failed = kinds.server_failed(
            server=self._client.server, observer=self._own, since=seen.since, at=self._now(), reason=seen.detail
        )
        self._events.raise_(connection, failed)

    def _remembered(self) -> Seen:
        """Return what was known before the service was started again: an outage is one, whoever restarts in it."""
        with self._ledger.reading() as connection:
            for one in self._ledger.contacts.all(connection):
                if (one.observer, one.server) == (self._own, self._client.server):
                    return Seen(
                        state=one.state if one.state in (Reach.AWAY, Reach.REFUSED) else Reach.UNKNOWN,
                        since=one.since,
                        last=one.seen,
                        heard=time.monotonic(),
                        detail=one.detail,
                    )
        return Seen(since=self._now(), heard=time.monotonic())

    def _is_news(self) -> bool:
        """Tell whether the ledger should hear how the peer is seen: of a clock that was set at once, else now and then.

        A clock of ours that was set back must not make that a year.
        """
        if not 0 <= self._now() - self._noted_at <= _NOTED_EVERY:
            return True
        known, now = self._noted_clock, None if self._clock is None else self._clock.us
        return known != now if known is None or now is None else abs(now - known) > _CLOCK_MOVED

    def _note(self, seen: Seen) -> None:
        with self._ledger.writing() as connection:
            self._ledger.contacts.note(connection, self._contact(seen))
        self._was_noted()

    def _was_noted(self) -> None:
        self._noted_at, self._noted_clock = self._now(), None if self._clock is None else self._clock.us

    def _contact(self, seen: Seen) -> Contact:
        return Contact(
            observer=self._own,
            server=self._client.server,
            state=seen.state,
            since=seen.since,
            seen=seen.last,
            offset=None if self._clock is None else self._clock.us,
            offset_error=None if self._clock is None else self._clock.error,
            detail=seen.detail,
        )

    def _show(self, pulse: Pulse | None) -> None:
        known = self._live.now().peers.get(self._client.server)
        cameras = tuple(pulse.cameras) if pulse is not None else known.cameras if known is not None else ()
        self._live.peer(
            self._client.server,
            PeerState(
                state=self._seen.state,
                since=self._seen.since,
                last=self._seen.last,
                detail=self._seen.detail,
                offset=None if self._clock is None else self._clock.us,
                offset_error=None if self._clock is None else self._clock.error,
                cameras=cameras,
            ),
        )
