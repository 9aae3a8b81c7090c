"""What the ledger knows of a site's cameras, in the words that the deciders use: coverage, outages, standing refusals.

Rule: reads the ledger and decides nothing.
"""

from collections.abc import Collection

from backfill import outages as outage_rules
from backfill.gaps import Coverage, Refusing
from backfill.layouts import Traits
from backfill.settling import open_since
from backfill.site import Site
from schema.ledger import Held, Ledger
from schema.spans import Run, Span, certain, early, merge
from schema.values import Outage


def coverage_of(
    ledger: Ledger, site: Site, now: int, cameras: Collection[str], window: Span | None
) -> dict[str, dict[str, Coverage]]:
    """Return what each server holds of each of `cameras`, all if there are none; by camera, then by server."""
    coverage: dict[str, dict[str, Coverage]] = {}
    for server in site.servers:
        for storage in site.of(server):
            traits = storage.layout.traits
            for camera, held in ledger.held(storage.id, traits.joint, window).items():
                if cameras and camera not in cameras:
                    continue
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


def outages_of(
    ledger: Ledger, site: Site, now: int, coverage: dict[str, dict[str, Coverage]], window: Span | None
) -> list[Outage]:
    """Return the outages that were seen, and for continuous recording those that the recordings betray."""
    with ledger.reading() as connection:
        found = ledger.history.outages(connection, window, now)
    if site.settings.gaps.policy == "outages":
        return found
    until = {
        camera: max((one.own[-1].end for one in by_server.values() if one.own), default=0)
        for camera, by_server in coverage.items()
    }
    for server in site.servers:
        cameras = {
            camera: _until_now(by_server[server], now) for camera, by_server in coverage.items() if server in by_server
        }
        edge = 2 * max((storage.layout.traits.segment for storage in site.of(server)), default=0)
        shortest = site.settings.gaps.threshold
        found += outage_rules.infer(server, cameras, until=until, shortest=shortest, edge=edge)
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
