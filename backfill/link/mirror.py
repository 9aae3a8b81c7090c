"""Following a peer: how its storages are read, what they cover, and which outages it saw, copied into this ledger.

Rule: only what changed is asked for, so that a quiet hour costs nothing but pulses. A copy is never more than the peer
said, and starts again when the peer's ledger did. Two services that share one ledger copy nothing.
"""

from collections.abc import Callable, Mapping

from backfill.link.client import LinkClient
from schema.errors import PeerIncompatible, PeerInvalid, PeerUntrusted, UnknownName
from schema.ledger import Ledger
from schema.ledger.allowance import Size
from schema.ledger.mirror import position
from schema.ledger.unchanged import Unchanged
from schema.limits import BUCKETS_AT_MOST, OUTAGE_AT_MOST
from schema.spans import SECOND, Span
from schema.values import Cause, Outage
from schema.wire import (
    BUCKETS_AT_ONCE,
    OUTAGES_AT_ONCE,
    PROTOCOL,
    Hello,
    OutageMessage,
    Pulse,
    StorageAbout,
    StorageState,
)

_PAGES_AT_ONCE = 2 * BUCKETS_AT_MOST // BUCKETS_AT_ONCE
"""Of coverage: all that is kept of a peer, in pages that were cut for their length."""
_NOTED_EVERY = 30 * SECOND


class _BegunAnew(Exception):
    """The ledger of a storage there began anew since the pulse: its changes are to be copied from the start."""


class Follower:
    """Keeps this ledger up with one peer. Every method blocks; one thread at a time.

    Args:
        own: the server whose service this is.
        now: microseconds UTC.
    """

    def __init__(self, client: LinkClient, ledger: Ledger, own: str, now: Callable[[], int]) -> None:
        self._client = client
        self._ledger = ledger
        self._own = own
        self._now = now
        self._storages: dict[str, int] = {}
        self._shared = False
        self._boot = ""
        self._heard: dict[str, StorageAbout] = {}
        self._seqs: dict[str, tuple[str, int]] = {}
        self._noted: dict[str, int] = {}
        self._noted_at = 0
        self._kept: Size | None = None
        """How much coverage the ledger keeps of the peer; None until it is counted."""
        self._seen: Unchanged[tuple[str, str]] = ledger.unchanged()
        """How far each storage is copied: whoever finds the copy damaged sets that back, in any process."""

    def follow(self, pulse: Pulse) -> bool:
        """Bring the copy up to what `pulse` says; returns whether anything changed. Raises the errors of a link."""
        changed = False
        if pulse.boot != self._boot or not {one.name for one in pulse.storages} <= self._storages.keys():
            changed = self._greet()
            self._boot = pulse.boot
        if self._shared:
            seqs = {one.name: (one.epoch, one.seq) for one in pulse.storages}
            changed, self._seqs = changed or seqs != self._seqs, seqs
            return changed
        writing = {one.camera: one.open_since for one in pulse.cameras if one.open_since is not None}
        for state in pulse.storages:
            if state.name in self._storages:
                try:
                    news = self._copy(state.name, state.epoch, state.seq)
                except (UnknownName, _BegunAnew):
                    self._boot = ""  # renamed, removed or reset between two answers: the next pulse begins with a hello
                    continue
                changed |= news
                self._note_current(state, writing, news=news)
        return changed

    def _note_current(self, state: StorageState, writing: dict[str, int], *, news: bool) -> None:
        """Note up to when the copy is true, at once if it changed, else now and then."""
        noted = self._noted.get(state.name, 0)
        if news or (state.scanned != noted and self._now() - self._noted_at > _NOTED_EVERY):
            with self._ledger.writing() as connection:
                self._ledger.mirror.current(connection, self._storages[state.name], state.scanned, writing)
            self._noted[state.name] = state.scanned
            self._noted_at = self._now()

    def outages(self) -> int:
        """Take in what the peer noticed: its own outages, and when it had no answer from us.

        What it says of anybody else, and of what we record, it cannot know better. What it does not tell any more is
        over, also when its ledger was lost with the end. Returns how many were left out because they are too long to be
        outages. Raises the errors of a link.
        """
        if self._shared:
            return 0
        peer, now = self._client.server, self._now()
        told = self._client.outages().outages
        taken = [_outage(one, now, self._storages) for one in told]
        found = [
            one
            for one in taken
            if one is not None and (one.server == peer or (one.server, one.cause) == (self._own, Cause.SERVER))
        ]
        fit = [one for one in found if one.span.length <= OUTAGE_AT_MOST]
        history = self._ledger.history
        with self._ledger.writing() as connection:
            self._ledger.allowance.cameras(connection, peer, {one.camera for one in fit if one.camera is not None})
            for one in fit:
                history.outage_told(connection, one, peer)
            if len(told) < OUTAGES_AT_ONCE or any(one.end is not None for one in told):  # every one that lasts is in it
                history.told_no_more(connection, peer, [one for one in fit if not one.over], now)
            history.forget_told(connection, peer)
        return len(found) - len(fit)

    def _greet(self) -> bool:
        """Learn who answers and how its storages are read; returns whether that is new."""
        hello = self._client.hello()
        check(hello, self._client.server)
        with self._ledger.writing() as connection:
            self._shared = hello.ledger == self._ledger.contacts.identity(connection)
            known = dict(self._ledger.mirror.about(connection, hello.server))
            told = [one.name for one in hello.storages]
            storages = self._ledger.allowance.storages(connection, hello.server, told)
            gone = False
            if not self._shared:
                for one in hello.storages:
                    self._ledger.mirror.note_about(connection, storages[one.name], one)
                gone = self._ledger.mirror.forget_others(connection, hello.server, list(storages.values()))
        self._storages, self._kept = storages, None
        # In a shared ledger the peer has written itself what it says; whoever built its site before that lacks it.
        before = self._heard if self._shared else {one.name: one for one in known.values()}
        self._heard = {one.name: one for one in hello.storages}
        return gone or any(before.get(one.name) != one for one in hello.storages)

    def _copy(self, storage: str, epoch: str, seq: int) -> bool:
        ident = self._storages[storage]
        seen, cursor = self._seen.get(ident, lambda connection: self._ledger.mirror.seen(connection, ident))
        if seen == epoch and cursor and int(cursor.partition(".")[0]) >= seq:
            return False
        if seen != epoch:
            cursor = ""
        for _ in range(_PAGES_AT_ONCE):
            page = self._client.coverage(storage, cursor)
            if page.epoch != epoch:
                raise _BegunAnew
            if page.more and position(page.cursor) <= position(cursor):
                raise PeerInvalid(self._client.server, f"the changes of {storage} go back, or stand still")
            with self._ledger.writing() as connection:
                kept = self._ledger.mirror.take(connection, self._client.server, ident, page, self._kept)
            self._kept = kept
            cursor = page.cursor
            if not page.more:
                return True
        raise PeerInvalid(self._client.server, f"the changes of {storage} have no end within {_PAGES_AT_ONCE:,} pages")


def check(hello: Hello, expected: str) -> None:
    """Check that it is the expected server, and that it can be spoken to. Raises PeerIncompatible, PeerUntrusted."""
    if PROTOCOL not in hello.protocols:
        raise PeerIncompatible(expected, f"release {hello.release} has versions {hello.protocols}, not {PROTOCOL}")
    if hello.server != expected:
        raise PeerUntrusted(expected, f"it calls itself {hello.server!r}; correct 'name' in [[peers]]")


def _outage(told: OutageMessage, now: int, storages: Mapping[str, int]) -> Outage | None:
    """Return an outage as told; None for a kind of a newer release, and for a storage that it does not have."""
    if told.storage is not None and told.storage not in storages:
        return None
    try:
        cause = Cause(told.cause)
    except ValueError:
        return None
    end = max(told.start, now) if told.end is None else told.end
    return Outage(
        server=told.server,
        camera=told.camera,
        span=Span(told.start, end),
        cause=cause,
        evidence=told.evidence,
        over=told.end is not None,
        storage_id=None if told.storage is None else storages[told.storage],
    )
