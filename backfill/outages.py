"""Inferring from coverage alone when a recorder or a camera was away.

Rule: pure. Only for recorders that record continuously: a motion recorder is lawfully silent. What a service observed
(a storage away, a peer away) is recorded in the ledger and comes beside this.
"""

from collections.abc import Mapping

from schema.moments import human_duration
from schema.spans import Span, merge, subtract, uncovered
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
            )
            for span in holes
            # A short hole that touches the recorder's outage is only its ragged edge.
            if span.length > shortest and not (span.length <= edge and (span.end in begins or span.start in ends))
        ]
    return sorted(found, key=lambda outage: (outage.span, outage.camera or ""))
