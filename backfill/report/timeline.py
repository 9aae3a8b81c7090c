"""A camera's time line as a row of cells: what each stretch of time is, at one glance.

Rule: pure. The worst state in a cell is what it shows: a gap of seconds must not vanish in a day's bar.
"""

from dataclasses import dataclass
from enum import IntEnum

from backfill.gaps import Coverage
from schema.spans import SECOND, Span, clip, intersect, merge, subtract, total
from schema.values import Gap, GapState


class Cell(IntEnum):
    """What a stretch of time is; the higher wins in a cell that holds several."""

    NOTHING = 0
    OWN = 1
    HELD_TWICE = 2
    FILLED = 3
    REFUSED = 4
    FILLABLE = 5
    LOST = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """One camera on one server within a window: merged spans by state."""

    server: str
    camera: str
    window: Span
    own: list[Span]
    filled: list[Span]
    held_twice: list[Span]
    fillable: list[Span]
    lost: list[Span]
    refused: list[Span]

    def seconds(self, state: Cell) -> float:
        """Return how many seconds of the window are in `state`."""
        return total(self.spans(state)) / SECOND

    def spans(self, state: Cell) -> list[Span]:
        """Return the spans of `state`."""
        return {
            Cell.OWN: self.own,
            Cell.FILLED: self.filled,
            Cell.HELD_TWICE: self.held_twice,
            Cell.FILLABLE: self.fillable,
            Cell.LOST: self.lost,
            Cell.REFUSED: self.refused,
            Cell.NOTHING: [],
        }[state]


def timeline(server: str, camera: str, coverage: Coverage, gaps: list[Gap], window: Span) -> Timeline:
    """Return the time line of one camera on one server. `gaps` may be those of everyone."""
    filled = clip(merge(span for spans in coverage.filled.values() for span in spans), window)
    own = clip(coverage.own, window)

    def of(state: GapState) -> list[Span]:
        spans = (gap.span for gap in gaps if (gap.server, gap.camera, gap.state) == (server, camera, state))
        return clip(merge(spans), window)

    return Timeline(
        server=server,
        camera=camera,
        window=window,
        own=own,
        filled=subtract(filled, own),
        held_twice=intersect(filled, own),
        fillable=of(GapState.FILLABLE),
        lost=of(GapState.LOST),
        refused=of(GapState.REFUSED),
    )


def cells(line: Timeline, width: int) -> list[Cell]:
    """Return `width` cells that show the window from left to right."""
    row = [Cell.NOTHING] * width
    length = line.window.length
    if length <= 0 or width <= 0:
        return row
    for state in sorted(Cell):
        for span in line.spans(state):
            first = (span.start - line.window.start) * width // length
            last = (span.end - line.window.start - 1) * width // length
            for index in range(max(first, 0), min(last + 1, width)):
                row[index] = state
    return row
