"""What the service is doing at this moment, for whoever asks: the monitor, the status, the peers.

Rule: everything in here is gone when the service ends; what must last is in the ledger. Written from many threads, read
as one frozen value.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from backfill.progress import BytesMoved, Event, FillStarted, SegmentLanded, SegmentRefused
from schema.spans import SECOND
from schema.values import Reach
from schema.wire import CameraState


@dataclass(frozen=True, slots=True, kw_only=True)
class FillState:
    """A fill under way. Sizes in bytes, times in seconds; `moved` counts what was here already and proved right."""

    server: str
    segments: int
    size: int
    landed: int = 0
    refused: int = 0
    moved: int = 0
    resumed: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Bytes a second from the peer, on average since it began."""
        return (self.moved - self.resumed) / self.seconds if self.seconds > 0 else 0.0

    @property
    def left(self) -> float | None:
        """Seconds until it is done, if it goes on like that."""
        return (self.size - self.moved) / self.rate if self.rate > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerState:
    """How a peer is seen now. Times in microseconds UTC."""

    state: Reach
    since: int
    last: int
    detail: str = ""
    offset: int | None = None
    offset_error: int | None = None
    cameras: tuple[CameraState, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """Everything at one moment."""

    fill: FillState | None = None
    peers: Mapping[str, PeerState] = field(default_factory=dict)
    cameras: Mapping[str, tuple[CameraState, ...]] = field(default_factory=dict)
    """What is recorded here, by server."""
    absent: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Names of the storages that are away, by server."""
    paused: str = ""
    waiting: str = ""
    """Why nothing is filled although something could be."""
    role: str = ""
    """Why the recorder here answers with the id that it has, or is not started yet; empty without failover."""
    filled_bytes: int = 0
    filled_seconds: float = 0.0
    """Since the service started, as the next."""
    refused: Mapping[str, int] = field(default_factory=dict)


class Live:
    """The present state, changed by one part of the service and read by the others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = Now()
        self._began = 0.0
        self._refused: Counter[str] = Counter()

    def now(self) -> Now:
        """Return the present state."""
        with self._lock:
            fill = self._now.fill
            if fill is None:
                return self._now
            return replace(self._now, fill=replace(fill, seconds=time.monotonic() - self._began))

    def change(self, **new: object) -> None:
        """Replace parts of the state."""
        with self._lock:
            self._now = replace(self._now, **new)  # type: ignore[arg-type]  # keywords of `Now`

    def peer(self, server: str, state: PeerState) -> None:
        """Note how a peer is seen."""
        with self._lock:
            self._now = replace(self._now, peers={**self._now.peers, server: state})

    def recorded(self, server: str, cameras: tuple[CameraState, ...]) -> None:
        """Note what a server here records."""
        with self._lock:
            self._now = replace(self._now, cameras={**self._now.cameras, server: cameras})

    def away(self, server: str, storages: Iterable[str]) -> None:
        """Note which storages of a server here cannot be read."""
        with self._lock:
            self._now = replace(self._now, absent={**self._now.absent, server: frozenset(storages)})

    def newest_elsewhere(self, server: str) -> dict[str, int]:
        """Return the end of each camera's newest recording on any server but this one."""
        now = self.now()
        found: dict[str, int] = {}
        others = [cameras for name, cameras in now.cameras.items() if name != server]
        for cameras in (*others, *(peer.cameras for peer in now.peers.values())):
            for one in cameras:
                found[one.camera] = max(found.get(one.camera, 0), one.newest)
        return found

    def on_fill(self, event: Event) -> None:
        """Follow a fill; a listener, called from worker threads. Who fills says when it is over, in all its slices."""
        with self._lock:
            self._now = self._after(event)

    def _after(self, event: Event) -> Now:
        now, fill = self._now, self._now.fill
        if isinstance(event, FillStarted):
            plan = event.plan
            if fill is not None and fill.server == event.server:
                more = replace(fill, segments=fill.landed + len(plan.tasks), size=fill.moved + plan.size)
                return replace(now, fill=more)
            self._began = time.monotonic()
            return replace(now, fill=FillState(server=event.server, segments=len(plan.tasks), size=plan.size))
        if fill is None:
            return now
        if isinstance(event, BytesMoved):
            resumed = fill.resumed + (event.count if event.resumed else 0)
            return replace(now, fill=replace(fill, moved=fill.moved + event.count, resumed=resumed))
        if isinstance(event, SegmentLanded):
            task = event.landed.task
            return replace(
                now,
                fill=replace(fill, landed=fill.landed + 1),
                filled_bytes=now.filled_bytes + event.landed.size,
                filled_seconds=now.filled_seconds + task.new / SECOND,
            )
        if isinstance(event, SegmentRefused):
            self._refused[event.refused.why.name] += 1
            return replace(now, fill=replace(fill, refused=fill.refused + 1), refused=dict(self._refused))
        return now
