"""The clock offset between two servers from the key frames that both recorded, or why it cannot be told.

Rule: pure, and refuses to guess. Only a picture that is the only one of its kind on either side says anything; a
picture says no more than the names of the two files that hold it allow, and the answer is what most pictures agree on,
with how far it may be wrong.

Two recorders that copy a camera's stream hold its coded key frames byte for byte alike, whatever they cut and wrap
differently. Source: measured on Frigate-like recorders and motion, 73 of 73 and 42 of 42 key frames.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median_low
from typing import NamedTuple

from schema.spans import SECOND, Span, intersect, merge, total

LEAST = 3
"""Equal pictures that must agree: fewer may be chance."""

SPREAD = SECOND // 4
"""How far equal pictures of the same two files may disagree.

Recorders that stamp packets by when they arrive (Frigate's default for RTSP) jitter by tens of milliseconds.
"""

SLACK = SECOND // 10
"""What names are wrong by beside what their layout says: they are taken when a picture arrives, not when filmed."""


class KeyFrame(NamedTuple):
    """A coded key frame: when by its server's clock, in microseconds as its file's name has it, and its digest."""

    at: int
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Filmed:
    """The key frames of one segment. A picture at `at` was truly taken between `at - early` and `at + blur`."""

    path: str
    span: Span
    frames: Sequence[KeyFrame]
    early: int = 0
    """By how much the segment may begin before its name, because the recorder may just have started; microseconds."""
    blur: int = 0
    """By how much its name may otherwise be too early, microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What one segment of each server have in common, exact to the frame."""

    ours: str
    theirs: str
    span: Span
    """By the name of our segment."""
    shift: int
    """By how much their segment names the same picture later than ours, microseconds."""
    matches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """The peer's clock less ours: `offset`, give or take `uncertainty`, in microseconds."""

    offset: int
    uncertainty: int
    matches: int
    """Pictures that agree."""
    disputed: int
    """Pictures that are equal and do not agree."""
    shared: tuple[Shared, ...]

    @property
    def overlap(self) -> int:
        """Microseconds of ours that the peer holds too, true to the frame whatever names say."""
        by_segment: defaultdict[str, list[Span]] = defaultdict(list)
        for one in self.shared:
            by_segment[one.ours].append(one.span)
        return sum(total(merge(spans)) for spans in by_segment.values())


class Doubt(StrEnum):
    """Why no offset can be told. The value is what operators read."""

    UNREAD = "not read"
    NO_PICTURES = "no pictures"
    NO_OVERLAP = "no overlap"
    REPEATED = "pictures repeat"
    RECODED = "re-encoded"
    FEW = "too few"
    DISPUTED = "no agreement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """That no offset can be told, and why."""

    why: Doubt
    detail: str

    @property
    def sentence(self) -> str:
        """What an operator reads."""
        return f"{self.why}: {self.detail}"


class _Match(NamedTuple):
    """An equal picture: the index of its segment here and there, and by how much it is named later there."""

    ours: int
    theirs: int
    shift: int


class _Vote(NamedTuple):
    """What the equal pictures of two segments say: the offset lies between `low` and `high`."""

    low: int
    high: int
    matches: int
    shared: Shared


def match(ours: Sequence[Filmed], theirs: Sequence[Filmed], *, about: int = 0) -> Matched | Unmatched:
    """Return the clock offset of `theirs` against `ours`.

    `about` is what the offset is believed to be, microseconds: it moves no result, only the reason for having none.
    """
    if not any(one.frames for one in ours) or not any(one.frames for one in theirs):
        side = "here" if not any(one.frames for one in ours) else "there"
        return Unmatched(why=Doubt.NO_PICTURES, detail=f"no key frame could be read {side}")
    here, repeated_here = _only(ours)
    there, repeated_there = _only(theirs)
    matches = [
        _Match(index, there[digest][0], there[digest][1] - at)
        for digest, (index, at) in here.items()
        if digest in there
    ]
    repeated = (repeated_here & (repeated_there | there.keys())) | (repeated_there & here.keys())
    alike = sum(frame.digest in repeated for one in ours for frame in one.frames)
    if alike > len(matches):
        # Where most pictures look like others, the few that do not may well have their like in what was not read.
        return Unmatched(
            why=Doubt.REPEATED, detail=f"{alike} key frames that both hold look like others, {len(matches)} do not"
        )
    if len(matches) < LEAST:
        return _too_few(ours, theirs, about, len(matches))
    votes = [vote for pair in _by_pair(matches) for vote in _votes(ours, theirs, pair)]
    agreeing = _most_agreed(votes)
    count = _pictures(agreeing)
    if count < LEAST or count * 3 < len(matches) * 2:
        return Unmatched(
            why=Doubt.DISPUTED, detail=f"of {len(matches)} equal pictures no more than {count} say the same offset"
        )
    low, high = max(vote.low for vote in agreeing), min(vote.high for vote in agreeing)
    return Matched(
        offset=(low + high) // 2,
        uncertainty=(high - low + 1) // 2,
        matches=count,
        disputed=len(matches) - count,
        shared=tuple(vote.shared for vote in agreeing if vote.shared.span.length > 0),
    )


def _only(filmed: Sequence[Filmed]) -> tuple[dict[bytes, tuple[int, int]], set[bytes]]:
    """Return the pictures that one server holds once, with segment and time, and those that it holds more often.

    Files that overlap (motion's begin before their name) hold the same picture twice; that is one picture if both
    names allow the same moment. In one file it is another picture that looks the same.
    """
    once: dict[bytes, tuple[int, int]] = {}
    repeated: set[bytes] = set()
    for index, segment in enumerate(filmed):
        for at, digest in segment.frames:
            if digest not in once:
                once[digest] = index, at
            elif once[digest][0] == index or not _may_be_one(filmed[once[digest][0]], once[digest][1], segment, at):
                repeated.add(digest)
    return {digest: place for digest, place in once.items() if digest not in repeated}, repeated


def _may_be_one(one: Filmed, at: int, other: Filmed, other_at: int) -> bool:
    """Tell whether a picture at `at` in one file and one at `other_at` in another may have been taken at once."""
    return at - one.early < other_at + other.blur and other_at - other.early < at + one.blur


def _by_pair(matches: Iterable[_Match]) -> list[list[_Match]]:
    pairs: defaultdict[tuple[int, int], list[_Match]] = defaultdict(list)
    for one in matches:
        pairs[one.ours, one.theirs].append(one)
    return [pairs[key] for key in sorted(pairs)]


def _votes(ours: Sequence[Filmed], theirs: Sequence[Filmed], pair: Sequence[_Match]) -> list[_Vote]:
    """Return what two segments say, nothing if their pictures disagree.

    Inside one file times are exact, so their pictures must all be named later by the same amount. How far that is the
    clocks' doing, names decide: `true time there - true time here` with each inside what its name allows.
    """
    here, there = ours[pair[0].ours], theirs[pair[0].theirs]
    shift = median_low(one.shift for one in pair)
    agreeing = sum(abs(one.shift - shift) <= SPREAD for one in pair)
    if agreeing * 3 < len(pair) * 2:
        return []
    span = Span(max(here.span.start, there.span.start - shift), min(here.span.end, there.span.end - shift))
    return [
        _Vote(
            low=shift - there.early - here.blur - SLACK,
            high=shift + there.blur + here.early + SLACK,
            matches=agreeing,
            shared=Shared(ours=here.path, theirs=there.path, span=span, shift=shift, matches=agreeing),
        )
    ]


def _most_agreed(votes: Sequence[_Vote]) -> list[_Vote]:
    """Return the votes that allow one offset together, with the most pictures behind them."""
    allowing = ([vote for vote in votes if vote.low <= one.low <= vote.high] for one in votes)
    return max(allowing, key=_pictures, default=[])


def _pictures(votes: Iterable[_Vote]) -> int:
    return sum(vote.matches for vote in votes)


def _too_few(ours: Sequence[Filmed], theirs: Sequence[Filmed], about: int, matches: int) -> Unmatched:
    """Return why there are too few equal pictures to tell anything."""
    common = intersect(
        merge(one.span for one in ours),
        merge(Span(one.span.start - about, one.span.end - about) for one in theirs),
    )
    seconds = total(common) / SECOND
    if matches:
        detail = f"{matches} equal, {LEAST} are needed"
        return Unmatched(why=Doubt.FEW, detail=detail)
    if not common:
        return Unmatched(why=Doubt.NO_OVERLAP, detail="by their names the two hold no time in common")
    fewer = min(_within(ours, common, 0), _within(theirs, common, about))
    if fewer < LEAST:
        return Unmatched(why=Doubt.FEW, detail=f"{fewer} key frames in {seconds:.0f} s of overlap, {LEAST} are needed")
    return Unmatched(
        why=Doubt.RECODED,
        detail=f"no equal picture in {seconds:.0f} s of overlap; or the clocks differ by more than that",
    )


def _within(filmed: Sequence[Filmed], spans: Sequence[Span], about: int) -> int:
    """Count the key frames inside `spans`."""
    moments = (frame.at - about for one in filmed for frame in one.frames)
    return sum(any(span.start <= at < span.end for span in spans) for at in moments)
