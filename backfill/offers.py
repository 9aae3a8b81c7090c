"""What peers offer around the gaps of a server: asked once for all cameras, and put on this server's clock.

Rule: reads only. What a peer was given itself is never an offer, nor what has no certain time, nor what is in one of
its side stores.
"""

from collections.abc import Mapping, Sequence

from backfill import clocks
from backfill.clocks import Offset
from backfill.peer import Peer
from backfill.plan import Source, offer, windows
from backfill.site import Site
from backfill.storage import Storage
from schema.limits import SEGMENTS_HELD
from schema.spans import MINUTE, Span, clip
from schema.values import Mark, Segment

NEARBY = 10 * MINUTE
"""Gaps this close share one look for sources."""


def offers(
    peers: Mapping[str, Peer],
    site: Site,
    server: str,
    wanted: Mapping[str, Sequence[Span]],
    offsets: Mapping[str, Offset],
) -> dict[str, list[Source]]:
    """Return by camera what the peers' own recorders wrote that overlaps the spans `wanted` of it.

    Raises the errors of a link.
    """
    found: dict[str, list[Source]] = {camera: [] for camera in wanted}
    for name in site.peers(server):
        peer = peers.get(name)
        if peer is None or not wanted:
            continue
        shift = clocks.between(offsets, server, name)
        held = 0
        for storage in site.of(name):
            if storage.origin is not None:
                continue
            if held >= SEGMENTS_HELD:
                break  # what its other storages have is asked for when this is here
            reaches = {camera: _reaches(storage, spans, shift) for camera, spans in wanted.items()}
            # Whether a file is the first after a start, and so named late, only its neighbours tell: ask for them too.
            # One that lies even farther away is not missed: a file that nothing joins is trusted less, and at worst
            # fetched needlessly.
            beyond = storage.layout.traits.segment + storage.layout.traits.joint
            asked = {
                camera: [Span(one.start - beyond, one.end + beyond) for one in spans]
                for camera, spans in reaches.items()
            }
            for camera, told in peer.segments(storage, asked).items():
                held += len(told)
                found[camera] += _offered(name, storage, told, reaches[camera], shift)
    return found


def _reaches(storage: Storage, spans: Sequence[Span], shift: int) -> list[Span]:
    """Return where a peer's segments may lie by its own clock and names that overlap `spans` of ours."""
    late = storage.layout.traits.late
    return [Span(one.start - shift - late, one.end - shift + late) for one in windows(spans, NEARBY)]


def _offered(peer: str, storage: Storage, told: Sequence[Segment], reaches: Sequence[Span], shift: int) -> list[Source]:
    """Return what of `told` overlaps `reaches`, with what it is worth, its times moved by `shift`."""
    traits = storage.layout.traits
    own = [one for one in told if one.origin is None and not one.marks & Mark.UNCERTAIN]
    offered = offer(
        peer, own, late=traits.late, joint=traits.joint, blur=traits.blur, retention=storage.settings.retention
    )
    return [source.on_our_clock(shift) for source in offered if clip(list(reaches), source.segment.span)]
