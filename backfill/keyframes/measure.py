"""Which windows of a survey to look at for the clock offset, and what all cameras of two servers say together.

Rule: looks until one window tells the offset; every camera ends with a finding, also one of which nothing can be told.
"""

from collections.abc import Iterable, Mapping

from backfill import clocks
from backfill.clocks import Basis, Offset
from backfill.keyframes.check import Finding, Side, check, windows
from backfill.keyframes.match import Doubt, Matched, Unmatched
from backfill.survey import Survey
from schema.errors import OperatorError
from schema.spans import Span, clip, intersect
from schema.values import GapState

_LINK_ERRORS = range(20, 30)
"""Exit codes of what goes wrong between two servers, not here."""


def shared_cameras(found: Survey, ours: str, theirs: str) -> list[str]:
    """Return the cameras that both servers hold recordings of their own of."""
    return [
        camera
        for camera, by_server in found.coverage.items()
        if all(server in by_server and by_server[server].own for server in (ours, theirs))
    ]


def measure(found: Survey, sides: Mapping[str, Side], camera: str, ours: str, theirs: str) -> Finding:
    """Return what the pictures of a camera say: of the newest seconds that both hold, else around the newest gap.

    An error of the link is a finding without a result. Raises ExtraMissing without PyAV.
    """
    offsets = found.question.offsets
    by_server = clocks.seen_from(ours, found.coverage[camera], offsets)
    common = clip(intersect(by_server[ours].own, by_server[theirs].own), found.window)
    gaps = [
        gap.span
        for gap in found.gaps
        if (gap.camera, gap.server, gap.state) == (camera, ours, GapState.FILLABLE) and gap.peer == theirs
    ]
    places = windows(common) + (windows(common, gaps[-1]) if gaps else [])
    last = _nothing(camera, ours, theirs, found.window, Doubt.NO_OVERLAP, "by their names they hold no time in common")
    for window in places:
        try:
            last = check(camera, sides[ours], sides[theirs], window, about=clocks.between(offsets, theirs, ours))
        except OperatorError as error:
            if error.exit_code not in _LINK_ERRORS:
                raise
            return _nothing(camera, ours, theirs, window, Doubt.UNREAD, str(error))
        if isinstance(last.result, Matched):
            break
    return last


def _nothing(camera: str, ours: str, theirs: str, window: Span, why: Doubt, detail: str) -> Finding:
    return Finding(camera=camera, ours=ours, theirs=theirs, window=window, result=Unmatched(why=why, detail=detail))


def together(findings: Iterable[Finding]) -> Offset | None:
    """Return the offset that every camera which tells one allows; None if none does or two exclude each other."""
    return clocks.agreed(
        Offset(us=one.result.offset, uncertainty=one.result.uncertainty, basis=Basis.FRAMES)
        for one in findings
        if isinstance(one.result, Matched)
    )
