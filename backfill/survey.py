"""From the ledger to coverage, outages, gaps and a plan: reads, then lets the deciders decide.

Rule: nothing is decided here; this gathers what `outages`, `gaps` and `plan` want to know.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from backfill import clocks
from backfill import gaps as gap_rules
from backfill import plan as plan_rules
from backfill.clocks import Offset
from backfill.gaps import Coverage, Rules
from backfill.known import Read, coverage_of, outages_of, read_until, refusing_of
from backfill.offers import NEARBY, offers
from backfill.peer import Peer
from backfill.placing import only_reads, place
from backfill.settling import settle
from backfill.site import Site
from backfill.storage import Storage
from schema.ledger import Ledger
from schema.spans import Span, clip, merge
from schema.values import Gap, Outage, Plan, Refusal, Refused, Segment, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to look at. Times in microseconds UTC.

    `since` also moves the horizon: before a camera's first recording here nothing counts as a gap unless the operator
    names a time, because nobody can tell a lost recording from one that was never made.
    """

    now: int
    since: int | None = None
    until: int | None = None
    cameras: Collection[str] = ()
    servers: Collection[str] = ()
    offsets: Mapping[str, Offset] = field(default_factory=dict)
    """How far servers' clocks are ahead of one that they have in common; those without one are on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The state of a site at one moment."""

    question: Question
    servers: tuple[str, ...]
    coverage: dict[str, dict[str, Coverage]] = field(default_factory=dict)
    """By camera, then by server."""
    outages: list[Outage] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    read: Read = field(default_factory=lambda: Read({}))

    @property
    def window(self) -> Span:
        """From the first to the last moment that anything is known of, within what was asked."""
        ends = [span for by_server in self.coverage.values() for one in by_server.values() for span in one.held]
        ends += [gap.span for gap in self.gaps]
        question = self.question
        start = min((span.start for span in ends), default=question.since or question.now)
        end = max((span.end for span in ends), default=question.until or question.now)
        if question.since is not None and question.until is None:
            end = max(end, question.now)  # who asks from a time on means up to now
        if question.since is not None:
            start = max(start, question.since)
        if question.until is not None:
            end = min(end, question.until)
        return Span(start, max(start, end))


def survey(ledger: Ledger, site: Site, question: Question) -> Survey:
    """Return coverage, outages and gaps of the site."""
    window = None
    if question.since is not None or question.until is not None:
        window = Span(question.since or 0, question.until if question.until is not None else question.now)
    settled = settle(ledger, site)
    read = read_until(ledger, site, question.now, settle=settled, patience=settled + site.settings.scan.rescan)
    everything = coverage_of(ledger, site, question.now, window)
    # Whether a recorder was away only all of its cameras can tell.
    outages = outages_of(ledger, site, everything, read, window=window, now=question.now)
    asked = question.cameras or everything.keys()
    coverage = {camera: by_server for camera, by_server in everything.items() if camera in asked}
    outages = [one for one in outages if one.camera is None or one.camera in asked]
    refusing = refusing_of(ledger, window)
    found: list[Gap] = []
    for camera, by_server in coverage.items():
        for server in question.servers or site.servers:
            here, peers = _sides(site, by_server, server, question.offsets)
            found += gap_rules.find(
                server,
                camera,
                here,
                peers,
                _rules(site, server, here, question, read),
                outages=_concerning(outages, server, camera),
                refusing=refusing.get((server, camera), ()),
            )
    if window is not None:
        # What was read beyond it only served to see holes whole.
        concerned = {gap.camera for gap in found}
        coverage = {
            camera: by_server
            for camera, by_server in coverage.items()
            if camera in concerned or any(clip(one.held, window) for one in by_server.values())
        }
    return Survey(question=question, servers=site.servers, coverage=coverage, outages=outages, gaps=found, read=read)


def _sides(
    site: Site, by_server: Mapping[str, Coverage], server: str, offsets: Mapping[str, Offset]
) -> tuple[Coverage, dict[str, Coverage]]:
    """Return what `server` holds of a camera, and what each of its peers holds, all on the clock of `server`."""
    by_server = clocks.seen_from(server, by_server, offsets) if offsets else by_server
    peers = {name: by_server[name] for name in site.peers(server) if name in by_server}
    return by_server.get(server, Coverage()), peers


def _concerning(outages: Iterable[Outage], server: str, camera: str) -> list[Outage]:
    return [one for one in outages if one.server == server and one.camera in (None, camera)]


def _rules(site: Site, server: str, here: Coverage, question: Question, read: Read) -> Rules:
    gaps = site.settings.gaps
    start = question.since
    if start is None:
        # What was fetched may be older than anything its retention left; it says nothing of what should be here.
        start = here.own[0].start if here.own else question.now
    kept = _retentions(site, server)
    if kept and None not in kept:
        start = max(start, question.now - max(one for one in kept if one is not None))
    end = read.until[server]
    if here.open_since is not None:
        end = min(end, here.open_since)
    if question.until is not None:
        end = min(end, question.until)
    return Rules(
        window=Span(start, end),
        threshold=gaps.threshold,
        continuous=gaps.policy == "always",
        outages_only=gaps.policy == "outages",
        # What one of several storages has deleted by now, or what a peer may hold unread, nobody can call lost.
        losable=Span(
            question.now - min((one for one in kept if one is not None), default=question.now),
            min(read.until.values()),
        ),
    )


def _retentions(site: Site, server: str) -> list[int | None]:
    """Return the retentions of a server's storages, None where it is unknown."""
    return [storage.settings.retention for storage in (*site.storages, *site.remote) if storage.server == server]


def plan(ledger: Ledger, site: Site, found: Survey, server: str, peers: Mapping[str, Peer]) -> Plan:
    """Return what to fetch to fill the gaps of `server`, in order, and what is refused before it starts.

    `peers` are asked what they have around the gaps; one that does not answer has nothing to offer now. A gap of which
    nobody offers anything stays fillable.
    """
    now, offsets = found.question.now, found.question.offsets
    doubt = clocks.doubt(offsets, site.servers)
    mine: dict[str, list[Gap]] = {}
    for gap in found.gaps:
        if gap.server == server:
            mine.setdefault(gap.camera, []).append(gap)
    tasks: list[Task] = []
    refused: list[Refused] = []
    served: list[Gap] = []
    useless = _useless(ledger, server)
    devices = _devices(ledger, site, server)
    wanted: dict[str, list[Span]] = {}
    open_spans: dict[str, list[Span]] = {}
    before, after = _blur(site.peers(server), site) + doubt, _blur([server], site) + doubt
    for camera, by_server in found.coverage.items():
        here, others = _sides(site, by_server, server, offsets)
        rules = _rules(site, server, here, found.question, found.read)
        spans = gap_rules.fillable(mine.get(camera, ()))
        served += [gap for gap in mine.get(camera, ()) if clip(spans, gap.span)]
        hoped = gap_rules.hoped(here, others, rules, _concerning(found.outages, server, camera))
        if spans or hoped:
            open_spans[camera] = spans
            wanted[camera] = plan_rules.widen(merge([*spans, *hoped]), before, after)
    for camera, offered in offers(peers, site, server, wanted, offsets).items():
        chosen = plan_rules.choose(wanted[camera], offered, open_spans[camera])
        here = found.coverage[camera].get(server, Coverage())
        doubtful = [source.segment.span for source, gain in chosen if not gain]
        brought = _brought(ledger, site, camera, server, doubtful) if _fetched_before(here, doubtful) else ()
        for source, new in chosen:
            if _traits_of(source.peer, source.segment) in brought:
                continue  # it is here and counted as such, or it was deleted here
            task = _task(site, server, source, new, devices)
            if isinstance(task, Task) and task.reads:
                task = useless.get((task.peer, task.source.path), task)
            if isinstance(task, Task):
                tasks.append(task)
            else:
                refused.append(task)
    ordered = plan_rules.order(tasks, now, site.settings.fill.order)
    return Plan(tasks=tuple(ordered), refused=tuple(refused), gaps=tuple(served))


_Traits = tuple[str | None, int, int, int]


def _traits_of(peer: str | None, segment: Segment) -> _Traits:
    """Return what a segment of `peer` and the copy of it have in common, whatever the copy is called."""
    return peer, segment.start, segment.end, segment.size


def _fetched_before(here: Coverage, spans: Iterable[Span]) -> bool:
    """Tell whether an earlier fill brought anything that overlaps `spans`: mostly none did, and none need be sought."""
    fetched = merge(span for kept in (here.filled, here.undone) for spans in kept.values() for span in spans)
    return any(clip(fetched, span) for span in spans)


def _brought(ledger: Ledger, site: Site, camera: str, server: str, spans: list[Span]) -> set[_Traits]:
    """Return what earlier fills brought to `server` around `spans`.

    A plan reaches beyond its gaps by what names may be wrong. Where an earlier fill was refused one segment, what it
    reaches there are that one's neighbours, which are here: without this they would be fetched again by every fill.
    What was brought and then deleted here counts too: deleting is not asking for another copy.
    """
    with ledger.reading() as connection:
        return {
            _traits_of(one.origin, one)
            for storage in site.of(server)
            for window in plan_rules.windows(spans, NEARBY)
            for one in (
                *ledger.segments.window(connection, storage.id, camera, window),
                *ledger.segments.buried(connection, storage.id, camera, window),
            )
            if one.origin is not None
        }


def _useless(ledger: Ledger, server: str) -> dict[tuple[str | None, str], Refused]:
    """Return what was fetched for `server` and turned out to be no use there: it need not be fetched to know it."""
    with ledger.reading() as connection:
        return {
            (one.peer, one.path): one
            for one in ledger.history.refusals(connection)
            if one.server == server and one.why is Refusal.UNREADABLE_HERE
        }


def _blur(servers: list[str], site: Site) -> int:
    """Return how far names of these servers may be from the truth, microseconds."""
    return max((storage.layout.traits.blur for name in servers for storage in site.of(name)), default=0)


def _devices(ledger: Ledger, site: Site, server: str) -> frozenset[str]:
    """Return the cameras that a recorder has devices for, where it takes in what bears their names; else nothing."""
    named = [one for one in site.storages if one.server == server and one.layout.traits.own_names]
    with ledger.reading() as connection:
        recorded = [camera for one in named for camera in ledger.coverage.newest(connection, one.id)]
    configured = [camera for one in named for camera in one.cameras.values()]
    return frozenset([*recorded, *configured]) if recorded else frozenset()


def _task(
    site: Site, server: str, source: plan_rules.Source, new: int, devices: Collection[str] = ()
) -> Task | Refused:
    segment = source.segment
    source_storage = site.storage(segment.storage_id)
    where: tuple[Storage, str] | tuple[Refusal, str] = place(site, server, source_storage, segment)
    if source_storage.layout.traits.own_names and devices and segment.camera not in devices:
        where = Refusal.STRANGE_DEVICE, ""
    if isinstance(where[0], Refusal):
        return Refused(
            server=server,
            camera=segment.camera,
            span=segment.span,
            peer=source.peer,
            path=segment.path,
            why=where[0],
            detail=where[1],
            size=segment.size,
        )
    storage, path = where
    return Task(
        server=server,
        peer=source.peer,
        source=segment,
        storage_id=storage.id,
        path=path,
        new=new,
        deleted_at=source.deleted_at,
        reads=only_reads(storage, site.storage(segment.storage_id)),
    )
