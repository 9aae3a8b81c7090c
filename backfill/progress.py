"""What happens during a fill, as events: the engine emits, whoever wants listens.

Rule: an event is a frozen fact; the engine knows no listener. A listener is called from worker threads, must be quick
and must not raise.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from schema.values import FillResult, Landed, Plan, Refused, Task


@dataclass(frozen=True, slots=True)
class FillStarted:
    """A fill of `server` begins."""

    server: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class SegmentStarted:
    """A segment of so many bytes is about to be read."""

    task: Task
    size: int


@dataclass(frozen=True, slots=True)
class BytesMoved:
    """So many bytes of a segment arrived and were written; or, `resumed`, were here already and proved right."""

    task: Task
    count: int
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class SegmentLanded:
    """A segment is here for good."""

    landed: Landed


@dataclass(frozen=True, slots=True)
class SegmentRefused:
    """A segment was left out."""

    refused: Refused


@dataclass(frozen=True, slots=True)
class FillEnded:
    """The fill is over."""

    server: str
    result: FillResult


Event = FillStarted | SegmentStarted | BytesMoved | SegmentLanded | SegmentRefused | FillEnded
Listener = Callable[[Event], None]


class Meter:
    """A listener that passes everything on, and counts what was moved, also of segments that never landed."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        self.moved = 0

    def __call__(self, event: Event) -> None:
        """Count and pass on."""
        if isinstance(event, BytesMoved) and not event.resumed:
            with self._lock:
                self.moved += event.count
        self._listener(event)


def nobody(event: Event) -> None:
    """Listen to nothing."""
