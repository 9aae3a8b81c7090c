"""The composition root: configuration, ledger, site and engine, put together for one command.

Rule: everything that reads the clock or chooses an implementation does it here; commands call these few verbs.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from backfill.after import after_fill
from backfill.digesting import take_fresh
from backfill.fill import Enough, MakeRoom, fill
from backfill.gate import Gate
from backfill.keyframes.known import offsets
from backfill.oddities import sentences, unreadable
from backfill.peer import FolderPeer, Peer
from backfill.progress import Listener, nobody
from backfill.scan import scan
from backfill.scanned import Progress, ScanOptions, ScanReport
from backfill.settling import SETTLE_LEAST, settle
from backfill.silence import sentences as silences
from backfill.silence import silent
from backfill.site import Site, build_site
from backfill.storage import Storage, unmapped
from backfill.survey import Question, Survey, plan, survey
from recorder_sync.importing.journal import emptied_by, problems
from recorder_sync.linking import clients, links, trust_of
from schema.errors import OperatorError, StorageAway, StorageEmptied, UnknownName, UsageInvalid
from schema.ledger import Ledger
from schema.moments import clock, human_duration, parse_moment
from schema.settings import Settings, load
from schema.spans import Span
from schema.values import Cause, FillResult, Oddities, OddKind, Plan, Refused


def now() -> int:
    """Return the time in microseconds UTC: the one place that reads the wall clock for decisions."""
    return time.time_ns() // 1000


def _moment(option: str, text: str | None, moment: int) -> int | None:
    if text is None:
        return None
    try:
        return parse_moment(text, moment)
    except ValueError as error:
        raise UsageInvalid(option, error) from None


@dataclass(frozen=True, slots=True)
class Scanned:
    """How the scan of one storage ended: with a report, or with the error that prevented it."""

    storage: Storage
    report: ScanReport | None
    error: OperatorError | None = None
    digested: int = 0


@dataclass(frozen=True, slots=True)
class App:
    """Everything one command works with."""

    settings: Settings
    ledger: Ledger
    site: Site
    links: Mapping[str, Peer] = field(default_factory=dict)
    """The peers that are reached over the network, by server."""

    def question(
        self,
        *,
        since: str | None = None,
        until: str | None = None,
        cameras: Sequence[str] = (),
        servers: Sequence[str] = (),
    ) -> Question:
        """Return what an operator asks, checked. Raises UnknownName, UsageInvalid."""
        moment = now()
        for server in servers:
            self.site.check_server(server)
        if cameras:
            with self.ledger.reading() as connection:
                known = self.ledger.names.all_cameras(connection)
            for camera in cameras:
                if camera not in known:
                    raise UnknownName("camera", repr(camera), ", ".join(known) or "none; scan first")
        start, end = _moment("--since", since, moment), _moment("--until", until, moment)
        if start is not None and start > moment:
            raise UsageInvalid("--since", f"{since} is in the future")
        if start is not None and end is not None and start >= end:
            raise UsageInvalid("--since", f"{since} is not before {until}, the time of --until")
        return Question(
            now=moment,
            since=start,
            until=end,
            cameras=frozenset(cameras),
            servers=tuple(servers),
            offsets=offsets(self.ledger, self.site, moment),
        )

    def scan(self, options: ScanOptions | None = None, progress: Progress | None = None) -> list[Scanned]:
        """Scan every storage; one that is away does not keep the others from being scanned."""
        return [self.scan_one(storage, options, progress) for storage in self._scannable()]

    def _scannable(self) -> list[Storage]:
        """Return the recorders' storages, and the side stores that exist."""
        side = [storage for storage in self.site.side.values() if Path(storage.root).is_dir()]
        return [*self.site.storages, *side]

    def scan_one(
        self,
        storage: Storage,
        options: ScanOptions | None = None,
        progress: Progress | None = None,
        *,
        digesting: Gate | None = None,
    ) -> Scanned:
        """Scan one storage; an error of its own becomes a value, and an absent storage an outage.

        `digesting`: read what was sealed since the scan before, through this gate, if the configuration wants its
        digests taken then. Only who watches gives it: what was sealed a moment ago is still in the page cache.
        """
        try:
            others = self.site.near(storage)
            report = scan(self.ledger, storage, now=now, options=options, progress=progress, others=others)
        except StorageAway as error:
            with self.ledger.writing() as connection:
                self.ledger.history.outage_began(
                    connection, storage.server, Cause.STORAGE, now(), str(error), storage_id=storage.id
                )
            return Scanned(storage, None, error)
        except StorageEmptied as error:
            moved = None if storage.origin is None else emptied_by(self.settings.identity.folder, storage.server)
            return Scanned(storage, None, moved or error)
        except OperatorError as error:
            if error.exit_code in range(10, 20):
                return Scanned(storage, None, error)
            raise
        self._settle_refusals(storage.server)
        digested = 0
        if digesting is not None and self.settings.scan.digests == "sealed":
            digested = take_fresh(self.ledger, storage, report.fresh, self.settings.fill.chunk, digesting)
        return Scanned(storage, report, digested=digested)

    def _settle_refusals(self, server: str) -> None:
        """Drop what was refused because of a peer that is there again: all of its storages were scanned since."""
        oldest = min(self.ledger.storage_note(one.id)[2] for one in self.site.storages if one.server == server)
        with self.ledger.writing() as connection:
            self.ledger.history.looked_again(connection, server, oldest)

    def forget(self) -> None:
        """Forget every segment, so that the next scan reads the storages anew. Digests of filled files come back."""
        with self.ledger.writing() as connection:
            for storage in (*self.site.storages, *self.site.side.values()):
                self.ledger.segments.forget_storage(connection, storage.id)

    def survey(self, question: Question) -> Survey:
        """Return coverage, outages and gaps."""
        return survey(self.ledger, self.site, question)

    def plan(self, found: Survey, server: str) -> Plan:
        """Return what to fetch for `server`."""
        return plan(self.ledger, self.site, found, server, self.peers(server))

    def peers(self, server: str) -> dict[str, Peer]:
        """Return how to reach each of the servers that `server` can be filled from."""
        folders = (name for name in self.site.peers(server) if name in self.site.local)
        return {name: FolderPeer(name, self.site, self.ledger) for name in folders} | dict(self.links)

    def fill(
        self, planned: Plan, server: str, gate: Gate, listener: Listener = nobody, make_room: MakeRoom | None = None
    ) -> FillResult:
        """Run a plan to its end, with what must follow it. `make_room` is for repairs."""
        return asyncio.run(self.filling(planned, server, gate, listener, make_room))

    async def filling(
        self,
        planned: Plan,
        server: str,
        gate: Gate,
        listener: Listener = nobody,
        make_room: MakeRoom | None = None,
        *,
        enough: Enough = lambda: False,
        since: int | None = None,
    ) -> FillResult:
        """Do so on a running event loop, as a part of the fill that began at `since`, until it is `enough`."""
        result = await fill(
            planned,
            server,
            site=self.site,
            ledger=self.ledger,
            peers=self.peers(server),
            now=now,
            gate=gate,
            listener=listener,
            make_room=make_room,
            enough=enough,
            since=since,
        )
        notes = await asyncio.to_thread(after_fill, self.ledger, self.site, server, result.landed)
        return FillResult(
            landed=result.landed,
            refused=result.refused,
            sent=result.sent,
            seconds=result.seconds,
            stopped=result.stopped,
            notes=tuple(notes),
        )

    def refusals(self, window: Span | None) -> list[Refused]:
        """Return what the last fills could not bring over."""
        with self.ledger.reading() as connection:
            found = self.ledger.history.refusals(connection, window)
        return [one for one in found if one.server in self.site.servers]

    def with_fill(self, **changes: object) -> "App":
        """Return this app with some keys of `[fill]` changed for one command."""
        rules = msgspec.structs.replace(self.settings.fill, **changes)
        settings = msgspec.structs.replace(self.settings, fill=rules)
        return replace(self, settings=settings, site=replace(self.site, settings=settings))

    def notes(self, found: Survey) -> list[str]:
        """Return what an operator should know beside the gaps."""
        folded: dict[str, set[str]] = {}
        for camera in found.coverage:
            folded.setdefault(camera.casefold(), set()).add(camera)
        notes = [
            f"cameras {' and '.join(sorted(names))} differ only in case; if they are one, map them in [servers.cameras]"
            for names in folded.values()
            if len(names) > 1
        ]
        notes += [
            f"{server.name} has two cameras for {shared!r}: {own!r}, which is mapped to it, and one called so itself;"
            f" that one counts as {unmapped(shared, server.name)!r} until it is mapped, too, in [servers.cameras]"
            for server in self.settings.servers
            for own, shared in server.cameras.items()
            if unmapped(shared, server.name) in found.coverage
        ]
        unseen = [one.title for one in self.site.storages if self.ledger.storage_note(one.id)[2] == 0]
        with self.ledger.reading() as connection:
            damaged = self.ledger.history.damaged(connection)
        if damaged:
            notes.append(f"rows of the ledger's history that are damaged and left out: {damaged:,}")
        notes += [f"{title} was never scanned" for title in unseen]
        told = {one.server for one in self.site.remote}
        notes += [
            f"nothing is known of {peer.name} yet: no service here has reached it"
            for peer in self.settings.peers
            if peer.name not in told
        ]
        notes += self.site.problems
        notes += [f"{said}; {hint}" for said, hint in problems(self.settings.identity.folder, self.site.local)]
        return [*notes, *found.read.notes, *silences(self.silent(found)), *self.odd_notes()]

    def newest(self, found: Survey) -> dict[str, int]:
        """Return up to when each server recorded any of the cameras asked for, microseconds; whatever the window."""
        ends: dict[str, int] = {}
        for storage in self.site.storages:
            with self.ledger.reading() as connection:
                cameras = self.ledger.coverage.newest(connection, storage.id)
            asked = [end for camera, end in cameras.items() if camera in (found.question.cameras or cameras)]
            if asked:
                ends[storage.server] = max(*asked, ends.get(storage.server, 0))
        for by_server in found.coverage.values():  # of other hosts coverage is all that is known
            for server, one in by_server.items():
                if server not in self.site.local and one.own:
                    ends[server] = max(one.own[-1].end, ends.get(server, 0))
        return ends

    def silent(self, found: Survey) -> dict[str, int]:
        """Return the servers that should be recording and do not, with the age of their newest recording.

        Only who asks up to now asks for this.
        """
        question = found.question
        if question.until is not None or self.site.settings.gaps.policy != "always":
            return {}
        segment = max((storage.layout.traits.segment for storage in self._recorders()), default=0)
        patience = max(settle(self.ledger, self.site), 2 * segment, SETTLE_LEAST)
        ages = silent(question.servers or self.site.servers, self.newest(found), question.now, patience)
        # Of a server on another host this is known as far as its own service looked.
        looked = {one.server: self.ledger.storage_note(one.id)[2] for one in self.site.remote if one.origin is None}
        known = question.now - patience - self.site.settings.scan.rescan
        return {server: age for server, age in ages.items() if looked.get(server, question.now) >= known}

    def _recorders(self) -> list[Storage]:
        """Return the storages that recorders write into, here and on other hosts."""
        return [*self.site.storages, *(one for one in self.site.remote if one.origin is None)]

    def nothing(self, found: Survey) -> str:
        """Say why a survey holds no recordings."""
        if all(self.ledger.storage_note(one.id)[2] == 0 for one in self.site.storages):
            return "No recordings are known yet: no storage was ever scanned. Run 'recorder-sync scan'."
        newest = self.newest(found)
        if not newest:
            return "No recordings are known: the storages hold none that could be read."
        ages = [
            f"the newest of {server} is {human_duration(found.question.now - end)} old"
            for server, end in newest.items()
        ]
        window = found.window
        return f"Nothing was recorded from {clock(window.start)} to {clock(window.end)}; {', '.join(ages)}."

    def odd(self, storage: Storage) -> dict[OddKind, Oddities]:
        """Return what scans of a storage could not read or did not recognise."""
        with self.ledger.reading() as connection:
            return self.ledger.oddities.of(connection, storage.id)

    def odd_notes(self, servers: Sequence[str] = ()) -> list[str]:
        """Return what an operator must know before believing in a loss; of some servers, or of all."""
        return [
            sentence
            for storage in self.site.storages
            if not servers or storage.server in servers
            for sentence in sentences(storage.title, self.odd(storage))
        ]

    def unreadable(self) -> bool:
        """Tell whether a scan met a folder or file that it could not read."""
        return any(unreadable(self.odd(storage)) for storage in self.site.storages)


@contextmanager
def opened(config: Path, *, prepare: Callable[[str], None] = lambda _: None) -> Iterator[App]:
    """Give the app of a configuration file. `prepare` is called with the ledger's address before it is opened."""
    settings = load(config)
    prepare(settings.ledger)
    with Ledger.open(settings.ledger) as ledger:
        site = build_site(settings, ledger)
        reached = clients(settings, trust_of(settings))
        try:
            yield App(settings, ledger, site, links(settings, reached, site.storage))
        finally:
            for client in reached:
                client.close()
