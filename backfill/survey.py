"""From the ledger to coverage, outages, gaps and a plan: reads, then lets the deciders decide.

Rule: nothing is decided here; this gathers what `outages`, `gaps` and `plan` want to know.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from backfill import clocks
from backfill import gaps as gap_rules
from backfill import outages as outage_rules
from backfill import plan as plan_rules
from backfill.clocks import Offset
from backfill.gaps import Coverage, Refusing, Rules
from backfill.layouts import Traits
from backfill.peer import Peer
from backfill.placing import place
from backfill.site import Site
from backfill.storage import Storage
from schema.ledger import Held, Ledger
from schema.spans import MINUTE, SECOND, Run, Span, certain, early, intersect, merge
from schema.values import Gap, Mark, Outage, Plan, Refusal, Refused, Segment, Task

SETTLE_LEAST = 120 * SECOND
_NEARBY = 10 * MINUTE
"""Gaps this close share one query for sources."""


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

    @property
    def window(self) -> Span:
        """From the first to the last moment that anything is known of, within what was asked."""
        ends = [span for by_server in self.coverage.values() for one in by_server.values() for span in one.held]
        ends += [gap.span for gap in self.gaps]
        question = self.question
        start = min((span.start for span in ends), default=question.since or question.now)
        end = max((span.end for span in ends), default=question.until or question.now)
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
    coverage = _coverage(ledger, site, question, window)
    outages = _outages(ledger, site, question, coverage, window)
    refusing = _refusing(ledger, window)
    found: list[Gap] = []
    for camera, by_server in coverage.items():
        for server in question.servers or site.servers:
            here, peers = _sides(site, by_server, server, question.offsets)
            found += gap_rules.find(
                server,
                camera,
                here,
                peers,
                _rules(site, server, here, question),
                outages=_concerning(outages, server, camera),
                refusing=refusing.get((server, camera), ()),
            )
    return Survey(question=question, servers=site.servers, coverage=coverage, outages=outages, gaps=found)


def _sides(
    site: Site, by_server: Mapping[str, Coverage], server: str, offsets: Mapping[str, Offset]
) -> tuple[Coverage, dict[str, Coverage]]:
    """Return what `server` holds of a camera, and what each of its peers holds, all on the clock of `server`."""
    by_server = clocks.seen_from(server, by_server, offsets) if offsets else by_server
    peers = {name: by_server[name] for name in site.peers(server) if name in by_server}
    return by_server.get(server, Coverage()), peers


def _concerning(outages: Iterable[Outage], server: str, camera: str) -> list[Outage]:
    return [one for one in outages if one.server == server and one.camera in (None, camera)]


def settle(site: Site) -> int:
    """Return how long the newest recordings are left alone, microseconds."""
    configured = site.settings.gaps.settle
    if configured is not None:
        return int(configured)
    longest = max((storage.layout.traits.segment for storage in (*site.storages, *site.remote)), default=0)
    return max(2 * longest, SETTLE_LEAST)


def _coverage(ledger: Ledger, site: Site, question: Question, window: Span | None) -> dict[str, dict[str, Coverage]]:
    coverage: dict[str, dict[str, Coverage]] = {}
    for server in site.servers:
        for storage in site.of(server):
            traits = storage.layout.traits
            for camera, held in ledger.held(storage.id, traits.joint, window).items():
                if question.cameras and camera not in question.cameras:
                    continue
                here = _as_covered(held, traits)
                by_server = coverage.setdefault(camera, {})
                by_server[server] = by_server[server].with_more(here) if server in by_server else here
    return dict(sorted(coverage.items()))


def _as_covered(held: Held, traits: Traits) -> Coverage:
    """Return what one storage holds of a camera as gaps are found by."""
    return Coverage(
        own=certain(held.own, traits.late, from_start=held.from_start),
        claimed=_spans(held.own),
        early=merge(early(held.own, traits.late)),
        gone=_spans(held.gone),
        filled={origin: _spans(runs) for origin, runs in sorted(held.filled.items())},
    )


def _spans(runs: list[Run]) -> list[Span]:
    return [Span(run.start, run.end) for run in runs]


def _outages(
    ledger: Ledger,
    site: Site,
    question: Question,
    coverage: dict[str, dict[str, Coverage]],
    window: Span | None,
) -> list[Outage]:
    with ledger.reading() as connection:
        found = ledger.history.outages(connection, window, question.now)
    if site.settings.gaps.policy == "outages":
        return found
    until = {
        camera: max((one.own[-1].end for one in by_server.values() if one.own), default=0)
        for camera, by_server in coverage.items()
    }
    for server in site.servers:
        cameras = {camera: by_server[server].own for camera, by_server in coverage.items() if server in by_server}
        edge = 2 * max((storage.layout.traits.segment for storage in site.of(server)), default=0)
        shortest = site.settings.gaps.threshold
        found += outage_rules.infer(server, cameras, until=until, shortest=shortest, edge=edge)
    return found


def _refusing(ledger: Ledger, window: Span | None) -> dict[tuple[str, str], list[Refusing]]:
    with ledger.reading() as connection:
        refused = ledger.history.refusals(connection, window)
    found: dict[tuple[str, str], list[Refusing]] = {}
    for one in refused:
        found.setdefault((one.server, one.camera), []).append(Refusing(span=one.span, sentence=one.sentence))
    return found


def _rules(site: Site, server: str, here: Coverage, question: Question) -> Rules:
    gaps = site.settings.gaps
    known = [*here.held, *here.gone]
    start = question.since
    if start is None:
        start = min((span.start for span in known), default=question.now)
    retention = _retention(site, server)
    if retention is not None:
        start = max(start, question.now - retention)
    end = question.now - settle(site)
    if question.until is not None:
        end = min(end, question.until)
    return Rules(
        window=Span(start, end),
        threshold=gaps.threshold,
        continuous=gaps.policy == "always",
        outages_only=gaps.policy == "outages",
    )


def _retention(site: Site, server: str) -> int | None:
    """Return the longest retention of a server's storages, None if any is unknown."""
    kept = [one.settings.retention for one in (*site.storages, *site.remote) if one.server == server]
    return None if None in kept or not kept else max(one for one in kept if one is not None)


def plan(ledger: Ledger, site: Site, found: Survey, server: str, peers: Mapping[str, Peer]) -> Plan:
    """Return what to fetch to fill the gaps of `server`, in order, and what is refused before it starts.

    `peers` are asked what they have around the gaps; one that does not answer has nothing to offer now. A gap of which
    nobody offers anything stays fillable.
    """
    now, offsets = found.question.now, found.question.offsets
    doubt = clocks.doubt(offsets, site.servers)
    mine = [gap for gap in found.gaps if gap.server == server]
    tasks: list[tuple[Task, int | None]] = []
    refused: list[Refused] = []
    served: list[Gap] = []
    for camera, by_server in found.coverage.items():
        here, others = _sides(site, by_server, server, offsets)
        rules = _rules(site, server, here, found.question)
        spans = gap_rules.fillable(gap for gap in mine if gap.camera == camera)
        served += [gap for gap in mine if gap.camera == camera and intersect([gap.span], spans)]
        hoped = gap_rules.hoped(here, others, rules, _concerning(found.outages, server, camera))
        if not spans and not hoped:
            continue
        before, after = _blur(site.peers(server), site) + doubt, _blur([server], site) + doubt
        wanted = plan_rules.widen(merge([*spans, *hoped]), before, after)
        chosen = plan_rules.choose(wanted, _sources(peers, site, camera, server, wanted, offsets), spans)
        brought = _brought(ledger, site, camera, server, [source.segment.span for source, gain in chosen if not gain])
        for source, new in chosen:
            if _traits_of(source.peer, source.segment) in brought:
                continue  # it is here, and counted as such
            task = _task(site, server, source, new)
            if isinstance(task, Task):
                tasks.append((task, source.deleted_at))
            else:
                refused.append(task)
    ordered = plan_rules.order(tasks, now, site.settings.fill.order)
    return Plan(tasks=tuple(ordered), refused=tuple(refused), gaps=tuple(served))


def _sources(
    peers: Mapping[str, Peer],
    site: Site,
    camera: str,
    server: str,
    spans: list[Span],
    offsets: Mapping[str, Offset],
) -> list[plan_rules.Source]:
    """Return what the peers' own recorders wrote of `camera` that overlaps `spans`."""
    sources: list[plan_rules.Source] = []
    for name in site.peers(server):
        if name not in peers:
            continue
        shift = clocks.between(offsets, server, name)
        for storage in site.of(name):
            if storage.origin is None:  # in a side store everything came from somewhere else
                for window in plan_rules.windows(spans, _NEARBY):
                    sources += _offered(peers[name], storage, camera, window, shift)
    return sources


def _offered(peer: Peer, storage: Storage, camera: str, window: Span, shift: int) -> list[plan_rules.Source]:
    """Return what the recorder of one storage of `peer` wrote in `window` of our clock, its times moved by `shift`."""
    traits = storage.layout.traits
    reach = Span(window.start - shift - traits.late, window.end - shift + traits.late)
    # Whether a file is the first after a start, and so named late, only its neighbours tell: ask for them too. One that
    # lies even farther away is not missed: a file that nothing joins is trusted less, and at worst fetched needlessly.
    beyond = traits.segment + traits.joint
    found = peer.segments(storage, camera, Span(reach.start - beyond, reach.end + beyond))
    # Filled itself, or of uncertain time: never offered (docs/design, invariant 4).
    own = [one for one in found if one.origin is None and not one.marks & Mark.UNCERTAIN]
    offered = plan_rules.offer(
        peer.name, own, late=traits.late, joint=traits.joint, blur=traits.blur, retention=storage.settings.retention
    )
    return [source.on_our_clock(shift) for source in offered if source.segment.span.overlaps(reach)]


_Traits = tuple[str | None, int, int, int]


def _traits_of(peer: str | None, segment: Segment) -> _Traits:
    """Return what a segment of `peer` and the copy of it have in common, whatever the copy is called."""
    return peer, segment.start, segment.end, segment.size


def _brought(ledger: Ledger, site: Site, camera: str, server: str, spans: list[Span]) -> set[_Traits]:
    """Return what earlier fills brought to `server` around `spans`.

    A plan reaches beyond its gaps by what names may be wrong. Where an earlier fill was refused one segment, what it
    reaches there are that one's neighbours, which are here: without this they would be fetched again by every fill.
    """
    with ledger.reading() as connection:
        return {
            _traits_of(one.origin, one)
            for storage in site.of(server)
            for window in plan_rules.windows(spans, _NEARBY)
            for one in ledger.segments.window(connection, storage.id, camera, window)
            if one.origin is not None
        }


def _blur(servers: list[str], site: Site) -> int:
    """Return how far names of these servers may be from the truth, microseconds."""
    return max((storage.layout.traits.blur for name in servers for storage in site.of(name)), default=0)


def _task(site: Site, server: str, source: plan_rules.Source, new: int) -> Task | Refused:
    segment = source.segment
    where = place(site, server, site.storage(segment.storage_id), segment)
    if isinstance(where[0], Refusal):
        return Refused(
            server=server,
            camera=segment.camera,
            span=segment.span,
            peer=source.peer,
            path=segment.path,
            why=where[0],
            detail=where[1],
        )
    storage, path = where
    return Task(server=server, peer=source.peer, source=segment, storage_id=storage.id, path=path, new=new)
