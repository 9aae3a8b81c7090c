"""Inferring from coverage alone when a recorder or a camera was away.

Rule: pure. A recorder that records continuously is away when it is silent (`infer`); one that records on motion is
lawfully silent, until its peers' recordings disprove it (`disproved`). What was observed (a storage away) is recorded
in the ledger and comes beside this.
"""

from collections.abc import Mapping

from schema.moments import human_duration
from schema.spans import MINUTE, Span, clip, longer_than, merge, subtract, total, uncovered
from schema.values import Cause, Outage


def infer(
    server: str, cameras: Mapping[str, list[Span]], *, until: Mapping[str, int], shortest: int, edge: int
) -> list[Outage]:
    """Return the outages of `server` that its own recordings betray, by start.

    Args:
        cameras: own coverage by camera, merged.
        until: for each camera the end of what any server has: silence after that is nobody's outage yet.
        shortest: holes up to this many microseconds are none.
        edge: cameras of one recorder close their segments at different moments, so around its outage a camera's own
            hole may be longer by this much.

    A hole in which no camera recorded is the recorder's outage; a hole in one camera while others recorded is the
    camera's.
    """
    cameras = {camera: spans for camera, spans in cameras.items() if spans}
    if not cameras:
        return []
    anything = merge(span for spans in cameras.values() for span in spans)
    last = max([anything[-1].end, *(until.get(camera, 0) for camera in cameras)])
    silence = [span for span in uncovered(Span(anything[0].start, last), anything) if span.length > shortest]
    found = [
        Outage(
            server=server,
            camera=None,
            span=span,
            cause=Cause.RECORDER,
            evidence=f"no camera of {server} recorded for {human_duration(span.length)}",
            over=span.end < last,
            observed=False,
        )
        for span in silence
    ]
    begins, ends = {span.start for span in silence}, {span.end for span in silence}
    for camera, spans in cameras.items():
        end = max(spans[-1].end, until.get(camera, 0))
        holes = subtract(list(uncovered(Span(spans[0].start, end), spans)), silence)
        found += [
            Outage(
                server=server,
                camera=camera,
                span=span,
                cause=Cause.CAMERA,
                evidence=f"{camera} was silent on {server} for {human_duration(span.length)} while others recorded",
                over=span.end < end,
                observed=False,
            )
            for span in holes
            # A short hole that touches the recorder's outage is only its ragged edge.
            if span.length > shortest and not (span.length <= edge and (span.end in begins or span.start in ends))
        ]
    return sorted(found, key=lambda outage: (outage.span, outage.camera or ""))


SEVERAL = 2
"""So many recordings of peers disprove a silence: a single clip may be one sensor more eager than the other."""

ENOUGH = 5 * MINUTE
"""A single recording this long disproves it too."""


def disproved(
    server: str,
    cameras: Mapping[str, list[Span]],
    peers: Mapping[str, list[Span]],
    *,
    until: int,
    shortest: int,
    edge: int,
) -> list[Outage]:
    """Return the silences of `server` that its peers' recordings disprove, by start: its recorder was away.

    For recorders that record on motion. Silent means that no camera of the server recorded.

    Args:
        cameras: own coverage by camera, merged.
        peers: what the peers recorded of the same cameras, merged.
        until: up to when the server was read; of what comes after nothing is known.
        shortest: holes, and recordings, up to this many microseconds are none.
        edge: two recorders start and stop at different moments, so a peer's recording that borders on ours proves
            something only if it is longer than this.
    """
    anything = merge(span for spans in cameras.values() for span in spans)
    if not anything:
        return []
    last = max(anything[-1].end, *(min(spans[-1].end, until) for spans in peers.values() if spans), 0)
    found = []
    for silence in longer_than(uncovered(Span(anything[0].start, last), anything), shortest):
        proof = [
            span
            for camera, spans in peers.items()
            if cameras.get(camera)
            for span in longer_than(clip(spans, silence), shortest)
            if span.length > edge or (span.start > silence.start and span.end < silence.end)
        ]
        if len(proof) >= SEVERAL or total(proof) >= ENOUGH:
            length = human_duration(silence.length)
            found.append(
                Outage(
                    server=server,
                    camera=None,
                    span=silence,
                    cause=Cause.RECORDER,
                    evidence=f"no camera of {server} recorded for {length}, its peers made {len(proof)} recordings",
                    over=silence.end < last,
                    observed=False,
                )
            )
    return found
