"""Measures the clock offset between two servers for one camera: reads a little of what both hold, and has it matched.

Rule: thin and bounded. `windows` says where to look, `fingerprint` reads, `match` decides. Both servers are read as
peers, ours through its folders. What of a recording cannot be read is told beside the result; an error of the link is
raised.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from backfill import plan as plan_rules
from backfill.keyframes.fingerprint import Fingerprint, Limits, fingerprint
from backfill.keyframes.match import Filmed, Matched, Unmatched, match
from backfill.peer import Peer, Reader
from backfill.plan import Source
from backfill.storage import Storage
from schema.errors import PathRefused, SourceChanged, SourceGone, SourceUnreadable
from schema.spans import SECOND, Span
from schema.values import Kind, Mark

LOOK = 40 * SECOND
"""How much of what both hold is read: ten key frames and more even of a camera that sends one every four seconds."""

REACH = 30 * SECOND
"""How far clocks may be apart, beyond what is believed, for the same pictures to be found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One server: how it is read, and the storages that its recorder writes into."""

    peer: Peer
    storages: Sequence[Storage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What reading one side may cost."""

    size: int = 128 * 2**20
    """Bytes."""
    segments: int = 64
    seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found for one camera in one window of ours. The offset is the clock of `theirs` less that of `ours`."""

    camera: str
    ours: str
    theirs: str
    window: Span
    result: Matched | Unmatched
    read: int = 0
    """Bytes, from both sides."""
    problems: tuple[str, ...] = field(default=())
    """What could not be read, and why."""


def windows(common: Sequence[Span], gap: Span | None = None) -> list[Span]:
    """Return where to look, best first, given the merged spans that both hold by our clock.

    With a gap: the last seconds before it and the first after it. Without: the newest seconds.
    """
    if gap is None:
        return [Span(max(common[-1].start, common[-1].end - LOOK), common[-1].end)] if common else []
    before = [span for span in common if span.start < gap.start]
    after = [span for span in common if span.end > gap.end]
    found = []
    if after:
        start = max(after[0].start, gap.end)
        found.append(Span(start, min(after[0].end, start + LOOK)))
    if before:
        end = min(before[-1].end, gap.start)
        found.append(Span(max(before[-1].start, end - LOOK), end))
    return found


def check(
    camera: str, ours: Side, theirs: Side, window: Span, *, about: int = 0, budget: Budget | None = None
) -> Finding:
    """Return the clock offset that the pictures of `camera` in `window` (our clock) tell, or why they tell none.

    `about`: what the offset is believed to be, microseconds; it says where to look at the peer's.
    Raises ExtraMissing, PeerUnreachable and the other errors of a link.
    """
    here = _Looking(ours, budget or Budget())
    there = _Looking(theirs, budget or Budget())
    mine = here.film(camera, window)
    others = there.film(camera, Span(window.start + about - REACH, window.end + about + REACH))
    return Finding(
        camera=camera,
        ours=ours.peer.name,
        theirs=theirs.peer.name,
        window=window,
        result=match(mine, others, about=about),
        read=here.read + there.read,
        problems=(*here.problems, *there.problems),
    )


class _Opened:
    """A file of a peer as `fingerprint` reads it."""

    def __init__(self, reader: Reader, size: int) -> None:
        self._reader = reader
        self.size = size

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes at `offset`, none at the end."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        buffer = bytearray(length)
        return bytes(buffer[: self._reader.readinto(memoryview(buffer), offset)])


class _Looking:
    """Reads the key frames of one server, until its budget is spent."""

    def __init__(self, side: Side, budget: Budget) -> None:
        self._side = side
        self._budget = budget
        self._deadline = time.monotonic() + budget.seconds
        self.read = 0
        self.problems: list[str] = []

    def film(self, camera: str, window: Span) -> list[Filmed]:
        """Return the key frames of `camera` in `window`, by start; the newest are read first."""
        sources = [source for storage in self._side.storages for source in self._sources(storage, camera, window)]
        sources.sort(key=lambda source: source.segment.start, reverse=True)
        filmed = []
        for source in sources[: self._budget.segments]:
            found = self._fingerprint(source, window)
            if found.problem:
                self.problems.append(f"{self._side.peer.name}: {source.segment.path}: {found.problem}")
            self.read += found.read
            if found.frames:
                filmed.append(
                    Filmed(
                        path=source.segment.path,
                        span=source.segment.span,
                        frames=found.frames,
                        early=source.early,
                        blur=source.blur,
                    )
                )
        if len(sources) > self._budget.segments:
            left = len(sources) - self._budget.segments
            self.problems.append(f"{self._side.peer.name}: {left} older segments were not looked at")
        return filmed[::-1]

    def _sources(self, storage: Storage, camera: str, window: Span) -> list[Source]:
        """Return what the recorder of one storage wrote that overlaps `window`, with how far names may be wrong."""
        traits = storage.layout.traits
        # Whether a file is the first after a start, and so named late, only its neighbours tell; see `survey`.
        beyond = traits.late + traits.segment + traits.joint
        asked = Span(window.start - beyond, window.end + beyond)
        own = [
            one
            for one in self._side.peer.segments(storage, camera, asked)
            if one.origin is None and not one.marks & Mark.UNCERTAIN
        ]
        offered = plan_rules.offer(
            self._side.peer.name, own, late=traits.late, joint=traits.joint, blur=traits.blur, retention=None
        )
        return [source for source in offered if source.segment.span.overlaps(window)]

    def _fingerprint(self, source: Source, window: Span) -> Fingerprint:
        segment = source.segment
        if segment.kind is Kind.FOLDER:
            return Fingerprint(problem="a folder of files, of which none plays alone")
        seconds = self._deadline - time.monotonic()
        if seconds <= 0 or self.read >= self._budget.size:
            return Fingerprint(problem="not read: enough was read for one look")
        limits = Limits(size=self._budget.size - self.read, seconds=seconds)
        try:
            file = self._side.peer.manifest(segment).files[0]
            with self._side.peer.open(segment, file) as reader:
                return fingerprint(_Opened(reader, file.size), segment.start, window, limits)
        except (PathRefused, SourceChanged, SourceGone, SourceUnreadable) as error:
            return Fingerprint(problem=str(error))
