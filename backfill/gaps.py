"""What one server lacks of one camera, and what can be done about it.

Rule: pure; the same input gives the same gaps. A gap is found by comparing with the *peer*, never with the clock alone:
recording on motion has lawful holes. What was deleted here on purpose or by retention is no gap.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from schema.spans import Span, clip, intersect, longer_than, merge, subtract
from schema.values import Gap, GapState, Outage


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What one server holds of one camera; every list merged."""

    own: list[Span] = field(default_factory=list)
    """Written by its own recorder."""
    filled: Mapping[str, list[Span]] = field(default_factory=dict)
    """Fetched, by the server it came from."""
    gone: list[Span] = field(default_factory=list)
    """Deleted here; not to be filled again."""

    @property
    def held(self) -> list[Span]:
        """Everything that can be played here."""
        return merge(span for spans in (self.own, *self.filled.values()) for span in spans)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What counts as a gap. Times in microseconds.

    `window` is what to look at: from where this server's recordings begin (or what the operator asked for) to now less
    the settling time. `continuous`: the recorder should record all the time, so that time nobody holds is lost;
    otherwise it is lost only inside a recorded outage.
    """

    window: Span
    threshold: int
    continuous: bool = True
    outages_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusing:
    """Why a span was not filled at the last try."""

    span: Span
    sentence: str


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
    held = here.held
    offered = merge(span for peer in peers.values() for span in peer.own)
    missing = subtract(subtract([window], held), here.gone)
    gaps: list[Gap] = []
    for span in longer_than(intersect(missing, offered), rules.threshold):
        gaps += _open_gap(server, camera, span, peers, rules, outages, refusing)
    for origin, spans in here.filled.items():
        for span in clip(subtract(spans, here.own), window):
            gaps.append(_gap(server, camera, span, GapState.FILLED, outages, peer=origin))
    lost = subtract(missing, offered)
    if not rules.continuous:
        lost = intersect(lost, merge(outage.span for outage in outages))
    last = max((span[-1].end for span in (held, offered) if span), default=window.start)
    for span in longer_than(clip(lost, Span(window.start, last)), rules.threshold):
        reason = "no server has it" + ("" if not peers else f"; {_absent(span, peers)}")
        gaps.append(_gap(server, camera, span, GapState.LOST, outages, reason=reason))
    return sorted(gaps, key=lambda gap: (gap.span, gap.state))


def fillable(gaps: Iterable[Gap]) -> list[Span]:
    """Return the spans that are worth another try, merged; a refused one may succeed this time."""
    return merge(
        gap.span for gap in gaps if gap.state is GapState.FILLABLE or (gap.state is GapState.REFUSED and gap.peer)
    )


def _open_gap(
    server: str,
    camera: str,
    span: Span,
    peers: Mapping[str, Coverage],
    rules: Rules,
    outages: Sequence[Outage],
    refusing: Sequence[Refusing],
) -> list[Gap]:
    """Return one span that a peer has and we lack, split where a refusal begins or ends."""
    peer = next(name for name, coverage in peers.items() if intersect([span], coverage.own))
    if rules.outages_only and explain(span, outages) is None:
        reason = "no outage explains it, and the policy fills outages only"
        return [_gap(server, camera, span, GapState.REFUSED, outages, reason=reason)]
    gaps: list[Gap] = []
    taken: list[Span] = []
    for one in refusing:
        parts = intersect([span], [one.span])
        gaps += [
            _gap(server, camera, part, GapState.REFUSED, outages, reason=one.sentence, peer=peer)
            for part in subtract(parts, taken)
        ]
        taken = merge([*taken, *parts])
    gaps += [_gap(server, camera, part, GapState.FILLABLE, outages, peer=peer) for part in subtract([span], taken)]
    return gaps


def _gap(
    server: str,
    camera: str,
    span: Span,
    state: GapState,
    outages: Sequence[Outage],
    *,
    reason: str = "",
    peer: str | None = None,
) -> Gap:
    outage = explain(span, outages)
    return Gap(server=server, camera=camera, span=span, state=state, reason=reason, outage=outage, peer=peer)


def explain(span: Span, outages: Sequence[Outage]) -> Outage | None:
    """Return the outage that overlaps `span` most; the earlier one of two equals."""

    def shared(outage: Outage) -> int:
        return min(span.end, outage.span.end) - max(span.start, outage.span.start)

    best = max(outages, key=shared, default=None)
    return best if best is not None and shared(best) > 0 else None


def _absent(span: Span, peers: Mapping[str, Coverage]) -> str:
    """Say of each peer whether it recorded the camera around a lost span."""
    said = []
    for name, coverage in peers.items():
        before = any(one.end <= span.start for one in coverage.own)
        after = any(one.start >= span.end for one in coverage.own)
        if before and after:
            said.append(f"{name} was away too")
        elif before:
            said.append(f"{name} had stopped before")
        elif after:
            said.append(f"{name} begins later")
        else:
            said.append(f"{name} has nothing of it")
    return ", ".join(said)
