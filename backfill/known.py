"""What is known of each server: what it holds of each camera, how far it was read, when it was away, what was refused.

Rule: reads the ledger, and lets `outages` infer. What lies behind the last time a storage could be read is unknown, and
unknown is never missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from backfill import outages as outage_rules
from backfill.gaps import Coverage, Refusing
from backfill.layouts import Traits
from backfill.settling import open_since
from backfill.site import Site
from backfill.storage import Storage
from schema.ledger import Held, Ledger
from schema.moments import clock, human_duration
from schema.spans import Run, Span, certain, early, merge
from schema.values import Outage

By = dict[str, dict[str, Coverage]]
"""Coverage by camera, then by server."""


def coverage_of(ledger: Ledger, site: Site, now: int, window: Span | None) -> By:
    """Return what every server holds of every camera, ever or as far as holes that reach into `window` last."""
    coverage: By = {}
    if window is not None:
        with ledger.reading() as connection:
            wide = [
                ledger.coverage.reach(connection, storage.id, window)
                for server in site.servers
                for storage in site.of(server)
            ]
        window = Span(min(span.start for span in wide), max(span.end for span in wide))
    for server in site.servers:
        for storage in site.of(server):
            traits = storage.layout.traits
            for camera, held in ledger.held(storage.id, traits.joint, window).items():
                here = _as_covered(held, traits)
                by_server = coverage.setdefault(camera, {})
                by_server[server] = by_server[server].with_more(here) if server in by_server else here
    for server in site.servers:
        begun = {
            camera: [span.start for span in by_server[server].own[-1:]]
            for camera, by_server in coverage.items()
            if server in by_server
        }
        for storage in site.of(server):
            for camera, start in open_since(ledger, storage, now, site.settings.scan.rescan, begun).items():
                if camera in coverage:
                    known = coverage[camera].get(server, Coverage())
                    coverage[camera][server] = known.with_more(Coverage(open_since=start))
    return dict(sorted(coverage.items()))


def _as_covered(held: Held, traits: Traits) -> Coverage:
    """Return what one storage holds of a camera as gaps are found by."""
    return Coverage(
        own=certain(held.own, traits.late, from_start=held.from_start),
        claimed=_spans(held.own),
        early=merge(early(held.own, traits.late)),
        gone=_spans(held.gone),
        filled={origin: _spans(runs) for origin, runs in sorted(held.filled.items())},
        undone={origin: _spans(runs) for origin, runs in sorted(held.undone.items())},
    )


def _spans(runs: list[Run]) -> list[Span]:
    return [Span(run.start, run.end) for run in runs]


@dataclass(frozen=True, slots=True)
class Read:
    """Up to when the recorders' storages were read. A storage that could not be read since holds its server back."""

    until: Mapping[str, int]
    """By server, microseconds UTC, less the settling time; below 0 if a storage was never read, or none is known."""
    notes: tuple[str, ...] = ()


def read_until(ledger: Ledger, site: Site, now: int, *, settle: int, patience: int) -> Read:
    """Return up to when each server was read, with a note on each storage that lags by more than `patience`."""
    storages = [*site.storages, *(one for one in site.remote if one.origin is None)]
    scanned = {storage.id: ledger.storage_note(storage.id)[2] for storage in storages}
    newest = max(scanned.values(), default=0)

    def unknown(server: str) -> list[int]:
        # A server on another host that was not heard of yet may hold anything: nothing counts as lost because of it.
        return [] if any(one.server == server for one in storages) else [0]

    return Read(
        until={
            server: min(now, *(scanned[one.id] for one in storages if one.server == server), *unknown(server)) - settle
            for server in site.servers
        },
        notes=tuple(
            _lags(storage, scanned[storage.id], now)
            for storage in storages
            if 0 < scanned[storage.id] < newest - patience
        ),
    )


def _lags(storage: Storage, scanned: int, now: int) -> str:
    """Return what to know of a storage that was last read at `scanned`, long before others."""
    if storage.remote:
        return (
            f"what is known of {storage.title} is {human_duration(now - scanned)} old: nothing newer counts as missing"
        )
    return f"{storage.title} was not readable since {clock(scanned)}: nothing newer counts as missing"


def outages_of(ledger: Ledger, site: Site, coverage: By, read: Read, *, window: Span | None, now: int) -> list[Outage]:
    """Return the outages that were recorded, and those that the recordings betray, that overlap `window`."""
    with ledger.reading() as connection:
        # A ledger that many pairs share knows the outages of all of them.
        found = [one for one in ledger.history.outages(connection, window, now) if one.server in site.servers]
    rules = site.settings.gaps
    for server in site.servers:
        cameras = {
            camera: _until_now(by_server[server], now) for camera, by_server in coverage.items() if server in by_server
        }
        peers = {
            camera: merge(span for name, one in coverage[camera].items() if name != server for span in one.own)
            for camera, own in cameras.items()
            if own
        }
        edge = 2 * max((storage.layout.traits.segment for storage in site.of(server)), default=0)
        until = read.until[server]
        if rules.policy == "outages":
            inferred = outage_rules.disproved(server, cameras, peers, until=until, shortest=rules.threshold, edge=edge)
        else:
            last = {camera: min(spans[-1].end, until) for camera, spans in peers.items() if spans}
            inferred = outage_rules.infer(server, cameras, until=last, shortest=rules.threshold, edge=edge)
        found += [one for one in inferred if window is None or one.span.overlaps(window)]
    return found


def _until_now(here: Coverage, now: int) -> list[Span]:
    """Return what a recorder wrote of a camera, with what it is writing: that is no silence."""
    return here.own if here.open_since is None else merge([*here.own, Span(here.open_since, now)])


def refusing_of(ledger: Ledger, window: Span | None) -> dict[tuple[str, str], list[Refusing]]:
    """Return the standing refusals by server and camera."""
    with ledger.reading() as connection:
        refused = ledger.history.refusals(connection, window)
    found: dict[tuple[str, str], list[Refusing]] = {}
    for one in refused:
        found.setdefault((one.server, one.camera), []).append(Refusing(span=one.span, sentence=one.sentence))
    return found
