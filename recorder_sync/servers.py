"""The servers of a site as documents: state, recorder, clock, freshness and open gaps, for `status` and for `fleet`.

Rule: reads the ledger and what the service here said, if it said anything; `standing` decides what that means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backfill.report.documents import total_document
from backfill.report.timeline import Timeline
from backfill.settling import SETTLE_LEAST
from backfill.site import Site
from backfill.survey import Survey
from recorder_sync import standing
from recorder_sync.service.observe import REMEMBERED, patience
from recorder_sync.standing import Standing
from schema.documents import LiveDocument, ServerDocument
from schema.ledger import Ledger
from schema.ledger.contacts import Contact
from schema.moments import iso
from schema.spans import SECOND
from schema.values import GapState

OPEN = (GapState.FILLABLE, GapState.REFUSED, GapState.LOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of all servers of a site."""

    servers: list[ServerDocument]
    recording: Mapping[str, Mapping[str, bool]]
    """By server, then by camera."""


def servers_of(
    ledger: Ledger, site: Site, found: Survey, lines: Sequence[Timeline], live: LiveDocument | None = None
) -> Known:
    """Return every server of a site. `live`: what the service of this host says, if it answered."""
    now = found.question.now
    with ledger.reading() as connection:
        contacts = ledger.contacts.all(connection)
    scanned = {server: _scanned(ledger, site, server) for server in site.servers}
    recording = _recording(site, found, scanned, live)
    documents = []
    for server in site.servers:
        stands = _standing(site, server, contacts, live, now)
        offset = found.question.offsets.get(server)
        if stands.state not in (*standing.HERE, standing.STOPPED):
            recording.pop(server, None)  # what its recorder does now nobody here knows
        cameras = recording.get(server, {})
        totals = [total_document(line) for line in lines if line.server == server]
        read = scanned[server]
        documents.append(
            ServerDocument(
                server=server,
                here=server in site.local,
                state=stands.state,
                since=None if stands.since is None else iso(stands.since),
                last=None if stands.last is None else iso(stands.last),
                detail=stands.detail,
                offset=None if offset is None else offset.us / SECOND,
                offset_error=None if offset is None else offset.uncertainty / SECOND,
                basis=None if offset is None else offset.basis.value,
                recording=[camera for camera, recorded in cameras.items() if recorded],
                silent=[camera for camera, recorded in cameras.items() if not recorded],
                gaps=sum(gap.server == server and gap.state in OPEN for gap in found.gaps),
                fillable=sum(one.fillable for one in totals),
                lost=sum(one.lost for one in totals),
                refused=sum(one.refused for one in totals),
                filled=sum(one.filled for one in totals),
                scanned_seconds=(now - read) / SECOND if read else None,
            )
        )
    return Known(servers=documents, recording=recording)


def _standing(site: Site, server: str, contacts: list[Contact], live: LiveDocument | None, now: int) -> Standing:
    told = None
    if live is not None:
        told = standing.of_itself(server, live, now) if server in site.local else standing.from_service(server, live)
    stands = told or standing.from_ledger(server, contacts, now)
    if server in site.local and stands.state == "unknown":
        stands = Standing(server=server, state=standing.STOPPED, last=stands.last, detail=stands.detail)
    return stands


def _scanned(ledger: Ledger, site: Site, server: str) -> int:
    """Return when the storages of a server's recorder were last read, the oldest of them; 0 if one never was."""
    storages = [one for one in site.of(server) if one.origin is None]
    return min((ledger.storage_note(one.id)[2] for one in storages), default=0)


def _recording(
    site: Site, found: Survey, scanned: Mapping[str, int], live: LiveDocument | None
) -> dict[str, dict[str, bool]]:
    settings, now = site.settings, found.question.now
    segment = max((one.layout.traits.segment for one in (*site.storages, *site.remote)), default=0)
    told = standing.recording(
        found,
        scanned,
        patience=patience(segment, settings.service.silent),
        continuous=settings.gaps.policy == "always",
        alive=max(2 * settings.scan.rescan, SETTLE_LEAST),
    )
    if live is None:
        return told
    for server in site.servers:
        known = [
            camera
            for camera, by_server in found.coverage.items()
            if server in by_server and by_server[server].own and now - by_server[server].own[-1].end < REMEMBERED
        ]
        peer = standing.peer_of(live, server)
        if server in site.local:
            told[server] = standing.heard(standing.silent_here(live, server), known)
        elif peer is not None and peer.state in standing.HERE:
            told[server] = standing.heard(peer.silent, known)
    return told
