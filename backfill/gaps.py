"""What one server lacks of one camera, and what can be done about it.

Rule: pure; the same input gives the same gaps. A gap is found by comparing with the *peer*, never with the clock alone:
recording on motion has lawful holes. What was deleted here on purpose or by retention is no gap.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Generic, Protocol, TypeVar

from schema.spans import Span, clip, intersect, longer_than, merge, moved, subtract, total
from schema.values import Gap, GapState, Outage, Refusal

UNDONE = "deleted again after it was filled from {0}: does the recorder here delete files that it did not write?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What one server holds of one camera; every list merged."""

    own: list[Span] = field(default_factory=list)
    """Written by its own recorder, for certain."""
    claimed: list[Span] = field(default_factory=list)
    """What the names of its own recorder claim beyond `own`: not to rely on, but worth fetching."""
    early: list[Span] = field(default_factory=list)
    """Before each of its runs, what the first file may hold if it was named late; see `hoped`."""
    filled: Mapping[str, list[Span]] = field(default_factory=dict)
    """Fetched, by the server it came from."""
    gone: list[Span] = field(default_factory=list)
    """Written by the recorder here and deleted; not to be filled again."""
    undone: Mapping[str, list[Span]] = field(default_factory=dict)
    """Fetched, by the server it came from, and deleted; not to be filled again."""
    open_since: int | None = None
    """Where the file begins that is being written: from there on nothing is known yet."""

    @property
    def held(self) -> list[Span]:
        """Everything that can be played here."""
        return merge(span for spans in (self.own, *self.filled.values()) for span in spans)

    def with_more(self, other: "Coverage") -> "Coverage":
        """Return this and what another storage of the same server holds."""
        opened = [one.open_since for one in (self, other) if one.open_since is not None]
        return Coverage(
            own=merge([*self.own, *other.own]),
            claimed=merge([*self.claimed, *other.claimed]),
            early=merge([*self.early, *other.early]),
            gone=merge([*self.gone, *other.gone]),
            filled=_both(self.filled, other.filled),
            undone=_both(self.undone, other.undone),
            open_since=min(opened, default=None),
        )

    def shifted(self, us: int) -> "Coverage":
        """Return this as a clock would name it that is `us` microseconds ahead of the one it was named by."""
        if not us:
            return self
        return Coverage(
            own=moved(self.own, us),
            claimed=moved(self.claimed, us),
            early=moved(self.early, us),
            gone=moved(self.gone, us),
            filled={origin: moved(spans, us) for origin, spans in self.filled.items()},
        )

    @property
    def deleted(self) -> list[Span]:
        """Everything that was here: what is deleted on purpose is not filled again."""
        return merge(span for spans in (self.gone, *self.undone.values()) for span in spans)

    @property
    def offered(self) -> list[Span]:
        """What a peer may be asked for, by its names."""
        return merge([*self.own, *self.claimed])


def _both(one: Mapping[str, list[Span]], other: Mapping[str, list[Span]]) -> dict[str, list[Span]]:
    return {origin: merge([*one.get(origin, ()), *other.get(origin, ())]) for origin in sorted({*one, *other})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What counts as a gap. Times in microseconds.

    `window` is what to look at: from where this server's recordings begin (or what the operator asked for) to now less
    the settling time. `continuous`: the recorder should record all the time, so that time nobody holds is lost;
    otherwise it is lost only inside an outage that was observed: in a silence that is merely inferred peers were there,
    and recorded what moved.
    """

    window: Span
    threshold: int
    continuous: bool = True
    outages_only: bool = False
    losable: Span | None = None
    """Where time that nobody holds may be called lost; None for all of `window`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusing:
    """Why a span was not filled at the last try."""

    span: Span
    sentence: str


class _HasSpan(Protocol):
    @property
    def span(self) -> Span: ...


_Spanned = TypeVar("_Spanned", bound=_HasSpan)


class _Overlapping(Generic[_Spanned]):
    """Finds which of many spans, that may overlap each other, overlap a given one; a flapping camera has thousands."""

    def __init__(self, items: Iterable[_Spanned]) -> None:
        self._items = sorted(items, key=lambda item: item.span)
        self._starts = [item.span.start for item in self._items]
        self._reach = list(accumulate((item.span.end for item in self._items), max))

    def of(self, span: Span) -> list[_Spanned]:
        """Return what overlaps `span`, by start."""
        first = bisect_right(self._reach, span.start)
        last = bisect_left(self._starts, span.end)
        return [item for item in self._items[first:last] if item.span.overlaps(span)]


def find(
    server: str,
    camera: str,
    here: Coverage,
    peers: Mapping[str, Coverage],
    rules: Rules,
    *,
    outages: Sequence[Outage] = (),
    refusing: Sequence[Refusing] = (),
) -> list[Gap]:
    """Return every gap of `camera` on `server`, by start: fillable, filled, lost and refused.

    `outages` are those of this server, recorded or inferred; `peers` must not contain `server`.
    """
    window = rules.window
    if window.end <= window.start:
        return []
    offers = {name: peer.offered for name, peer in peers.items()}
    offered = merge(span for spans in offers.values() for span in spans)
    missing = _missing(here, rules)
    gaps: list[Gap] = []
    # What nobody has for a moment does not cut a gap into pieces too short to count.
    causes, refusals = _Overlapping(outages), _Overlapping(refusing)
    worth = longer_than(intersect(missing, merge(offered, joint=rules.threshold)), rules.threshold)
    for span in intersect(worth, offered):
        gaps += _open_gap(server, camera, span, offers, rules, causes, refusals)
    told = here.own
    for origin, spans in here.filled.items():
        for span in clip(subtract(spans, told), window):
            gaps.append(_gap(server, camera, span, GapState.FILLED, causes, peer=origin))
        told = merge([*told, *spans])
    for span, origin in _undone(here, rules):
        gaps.append(_gap(server, camera, span, GapState.REFUSED, causes, reason=UNDONE.format(origin)))
    # What a peer is writing may hold it: that is known when the peer closes its file.
    unknown = merge(Span(peer.open_since, window.end) for peer in peers.values() if peer.open_since is not None)
    lost = subtract(subtract(missing, offered), unknown)
    if not rules.continuous:
        lost = intersect(lost, merge(outage.span for outage in outages if outage.observed))
    last = max((span[-1].end for span in (here.held, offered) if span), default=window.start)
    if rules.losable is not None:
        lost = clip(lost, rules.losable)
    for span in longer_than(clip(lost, Span(window.start, last)), rules.threshold):
        reason = "no server has it" + ("" if not peers else f"; {_absent(span, offers)}")
        gaps.append(_gap(server, camera, span, GapState.LOST, causes, reason=reason))
    return sorted(gaps, key=lambda gap: (gap.span, gap.state))


def hoped(here: Coverage, peers: Mapping[str, Coverage], rules: Rules, outages: Sequence[Outage] = ()) -> list[Span]:
    """Return what is no gap by itself but worth fetching with the gaps.

    What no name says that a peer holds, but its first file after a start may, because it was named late: until that
    file is here, or was deleted here, for no name tells whether it held any of it. And what is short in a hole that is
    not: a hole that was filled up to where the time had settled leaves such a rest, and it is pictures all the same.
    """
    if rules.window.end <= rules.window.start:
        return []
    untried = [
        span
        for name, peer in peers.items()
        for span in peer.early
        if not _holds(here.filled.get(name, ()), span.end) and not _holds(here.gone, span.end)
    ]
    missing = _missing(here, rules)
    found = longer_than(intersect(missing, merge(untried)), rules.threshold)
    offered = merge(span for peer in peers.values() for span in peer.offered)
    holes = longer_than(subtract(subtract([rules.window], here.own), here.deleted), rules.threshold)
    rests = [span for span in intersect(intersect(missing, holes), offered) if span.length <= rules.threshold]
    found = merge([*found, *rests])
    return [span for span in found if not rules.outages_only or explain(span, outages)]


def _missing(here: Coverage, rules: Rules) -> list[Span]:
    """Return what is neither held here nor was deleted here."""
    return subtract(subtract([rules.window], here.held), here.deleted)


def _undone(here: Coverage, rules: Rules) -> Iterator[tuple[Span, str]]:
    """Yield what was filled and then deleted by something that left the recordings around it alone, with its origin.

    Retention deletes what lies beside it as well; a recorder's upkeep takes only the files that it does not know.
    """
    around = merge(Span(span.start - rules.threshold, span.end + rules.threshold) for span in here.gone)
    told = here.held
    for origin, spans in here.undone.items():
        alone = [span for span in spans if not clip(around, span)]
        for span in longer_than(clip(subtract(alone, told), rules.window), rules.threshold):
            yield span, origin
        told = merge([*told, *spans])


def _holds(spans: Sequence[Span], moment: int) -> bool:
    """Tell whether a moment lies in one of merged spans."""
    at = bisect_right(spans, moment, key=lambda span: span.start)
    return at > 0 and moment < spans[at - 1].end


def fillable(gaps: Iterable[Gap]) -> list[Span]:
    """Return the spans that are worth another try, merged; a refused one may succeed this time."""
    return merge(
        gap.span for gap in gaps if gap.state is GapState.FILLABLE or (gap.state is GapState.REFUSED and gap.peer)
    )


def _open_gap(
    server: str,
    camera: str,
    span: Span,
    offers: Mapping[str, list[Span]],
    rules: Rules,
    outages: _Overlapping[Outage],
    refusing: _Overlapping[Refusing],
) -> list[Gap]:
    """Return one span that a peer has and we lack, split where a refusal begins or ends.

    Between two refused segments names leave slivers that are no gaps by themselves; they go with the refusal.
    """
    peer = max(offers, key=lambda name: total(clip(offers[name], span)))
    if rules.outages_only and explain(span, outages.of(span)) is None:
        return [_gap(server, camera, span, GapState.REFUSED, outages, reason=Refusal.NO_OUTAGE.value)]
    parts: list[tuple[Span, str]] = []
    cursor = span.start
    for one in refusing.of(span):
        start, end = max(one.span.start, cursor), min(one.span.end, span.end)
        if start >= end:
            continue  # an earlier refusal says it all
        if start - cursor > rules.threshold:
            parts.append((Span(cursor, start), ""))
            cursor = start
        parts.append((Span(cursor, end), one.sentence))
        cursor = end
    if parts and 0 < span.end - cursor <= rules.threshold:
        last, sentence = parts.pop()
        parts.append((Span(last.start, span.end), sentence))
    elif cursor < span.end:
        parts.append((Span(cursor, span.end), ""))
    return [
        _gap(
            server,
            camera,
            part,
            GapState.REFUSED if sentence else GapState.FILLABLE,
            outages,
            reason=sentence,
            peer=peer,
        )
        for part, sentence in parts
    ]


def _gap(
    server: str,
    camera: str,
    span: Span,
    state: GapState,
    outages: _Overlapping[Outage],
    *,
    reason: str = "",
    peer: str | None = None,
) -> Gap:
    outage = explain(span, outages.of(span))
    return Gap(server=server, camera=camera, span=span, state=state, reason=reason, outage=outage, peer=peer)


def explain(span: Span, outages: Sequence[Outage]) -> Outage | None:
    """Return the outage that overlaps `span` most; the earlier one of two equals."""

    def shared(outage: Outage) -> int:
        return min(span.end, outage.span.end) - max(span.start, outage.span.start)

    best = max(outages, key=shared, default=None)
    return best if best is not None and shared(best) > 0 else None


def _absent(span: Span, offers: Mapping[str, list[Span]]) -> str:
    """Say of each peer whether it recorded the camera around a lost span."""
    said = []
    for name, spans in offers.items():
        before = bool(spans) and spans[0].end <= span.start
        after = bool(spans) and spans[-1].start >= span.end
        if before and after:
            said.append(f"{name} was away too")
        elif before:
            said.append(f"{name} had stopped before")
        elif after:
            said.append(f"{name} begins later")
        else:
            said.append(f"{name} has nothing of it")
    return ", ".join(said)
