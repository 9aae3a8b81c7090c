"""What is asked of a peer about segments, and what of its answers is taken.

Rule: pure. No question is longer than a service reads. An answer is held to what was asked: what goes back, what nobody
asked for and what cannot be are no honest peer's, and end it before they fill the memory.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from schema.errors import PeerInvalid
from schema.ledger.offered import Place, place_of
from schema.limits import LETTERS_OF_ONE, SEGMENTS_HELD
from schema.spans import SECOND, Span, merge
from schema.wire import CAMERAS_AT_ONCE, WINDOWS_AT_ONCE, SegmentMessage

Windows = dict[str, list[tuple[int, int]]]

_SPARE = 1000
"""Segments of a camera beyond one for each second of its windows."""


def questions(wanted: Mapping[str, Sequence[Span]]) -> Iterator[Windows]:
    """Yield what is `wanted` in parts that are not too long for one question."""
    part: Windows = {}
    number = 0
    for camera, spans in wanted.items():
        for span in spans:
            if number == WINDOWS_AT_ONCE or (camera not in part and len(part) == CAMERAS_AT_ONCE):
                yield part
                part, number = {}, 0
            part.setdefault(camera, []).append((span.start, span.end))
            number += 1
    if part:
        yield part


class Taking:
    """Holds one peer's answers to one question: pages of segments by camera and place, each once."""

    def __init__(self, server: str, asked: Mapping[str, Sequence[tuple[int, int]]]) -> None:
        self._server = server
        self._windows = {camera: merge(Span(*window) for window in windows) for camera, windows in asked.items()}
        self._starts = {camera: [span.start for span in spans] for camera, spans in self._windows.items()}
        self._room = {
            camera: sum(span.length // SECOND for span in spans) + _SPARE for camera, spans in self._windows.items()
        }
        self._last: tuple[str, Place] | None = None

    def take(self, told: SegmentMessage) -> None:
        """Raise PeerInvalid for a segment that cannot be the next one."""
        place = told.camera, place_of(told.start, told.path)
        if self._last is not None and place <= self._last:
            raise PeerInvalid(self._server, f"its list of segments goes back, or stands still, at {told.path}")
        self._last = place
        if not self._overlaps(told):
            raise PeerInvalid(self._server, f"nobody asked for {told.path} of camera {told.camera}")
        self._room[told.camera] -= 1
        if self._room[told.camera] < 0:
            raise PeerInvalid(
                self._server, f"it tells of more segments of camera {told.camera} than one for each second asked for"
            )

    def _overlaps(self, told: SegmentMessage) -> bool:
        windows = self._windows.get(told.camera)
        if not windows:
            return False
        before = bisect_left(self._starts[told.camera], told.end) - 1
        return before >= 0 and windows[before].end > told.start


class Room:
    """How much more is held of what one peer tells for one plan."""

    def __init__(self) -> None:
        self._left = SEGMENTS_HELD

    def holds(self, told: SegmentMessage) -> bool:
        """Tell whether one more is held, which then takes its room."""
        self._left -= 1 + len(told.path) // LETTERS_OF_ONE
        return self._left >= 0
