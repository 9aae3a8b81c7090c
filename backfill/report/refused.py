"""What was not brought over, as operators want it: by server and reason, with how much it is and what to do.

Rule: pure, like every view. A disk that was away refuses thousands of segments for one reason: that is one row.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rich.console import Group, RenderableType
from rich.text import Text

from backfill.report.grid import Grid, Kind
from schema.moments import human_duration, human_size
from schema.spans import SECOND, Span, total_each
from schema.values import Gap, GapState, Refusal, Refused

_NEAR = 2 * SECOND
"""Refused gaps of one reason that lie this close are shown as one."""

ADVICE: Mapping[Refusal, str] = {
    Refusal.LAYOUT_UNSAFE: 'set fill = "side" for this storage',
    Refusal.UNPLACEABLE: "give the storage here a template that needs fewer fields",
    Refusal.NO_SPACE: "free space there or lower fill.reserve; the next fill takes what fits",
    Refusal.CASE_CLASH: "rename the folder, or map the camera in [servers.cameras]",
    Refusal.CONFLICT: "look at who else writes such names there",
    Refusal.SOURCE_AWAY: "mount it; the next fill tries again",
    Refusal.SOURCE_SWAPPED: "mount the right disk, or after replacing it run 'recorder-sync scan --adopt'",
    Refusal.SOURCE_DAMAGED: "run 'recorder-sync verify' on that server; another peer may have it whole",
    Refusal.SOURCE_UNREADABLE: "look at that disk and at its permissions",
    Refusal.WRITE_FAILED: "look at the disk here; the next fill tries again",
    Refusal.NOT_PERMITTED: "give the user that runs recorder-sync write access",
    Refusal.ENCRYPTED: 'if both banks have the same passwords, set options = { passwords = "shared" } here',
    Refusal.STRANGE_DEVICE: "map the peer's device to this recorder's in [servers.cameras]",
    Refusal.IMPORTED: "take it out with 'recorder-sync import --undo', then verify again",
    Refusal.NO_OUTAGE: 'set policy = "always" if the recorder should record all the time',
}
"""What helps against a reason, where something does."""


@dataclass(frozen=True, slots=True)
class Reasoned:
    """The refusals of one server for one reason."""

    server: str
    why: Refusal
    refused: tuple[Refused, ...]

    @property
    def length(self) -> int:
        """Microseconds, of each camera once."""
        return total_each((one.camera, one.span) for one in self.refused)


def grouped(found: Iterable[Refused]) -> list[Reasoned]:
    """Return refusals by server and reason, in the order in which they first appear."""
    groups: dict[tuple[str, Refusal], list[Refused]] = {}
    for one in found:
        groups.setdefault((one.server, one.why), []).append(one)
    return [Reasoned(server, why, tuple(ones)) for (server, why), ones in groups.items()]


def refusals(found: Sequence[Refused]) -> RenderableType:
    """Return what was not brought over and why."""
    grid = Grid(
        [
            ("server", Kind.NAME),
            ("segments", Kind.AMOUNT),
            ("length", Kind.AMOUNT),
            ("size", Kind.AMOUNT),
            ("why", Kind.TEXT),
        ],
        title=f"Refused ({len(found):,})",
    )
    said: list[RenderableType] = []
    for one in grouped(found):
        size = sum(refused.size for refused in one.refused)
        grid.add(
            one.server,
            f"{len(one.refused):,}",
            human_duration(one.length),
            human_size(size) if size else "-",
            str(one.why),
        )
        first = one.refused[0]
        detail = f" ({first.detail})" if first.detail else ""
        said.append(Text(f"{one.server}: {one.why.name.lower().replace('_', '-')}, such as {first.path}{detail}"))
        if one.why in ADVICE:
            said.append(Text(f"  what helps: {ADVICE[one.why]}"))
    return Group(grid, *said)


def stem(reason: str) -> str:
    """Return a gap's reason without the detail of the single segment."""
    return next((str(why) for why in Refusal if reason.startswith(f"{why} (") or reason == why), reason)


def neighbours_merged(found: Iterable[Gap]) -> list[Gap]:
    """Return gaps with refused ones that touch and have one reason as one, that reason without its details."""
    merged: list[Gap] = []
    latest: dict[tuple[str, str], int] = {}
    for gap in found:
        key = gap.server, gap.camera
        plain = replace(gap, reason=stem(gap.reason)) if gap.state is GapState.REFUSED else gap
        before = merged[latest[key]] if key in latest else None
        if before is not None and _continues(before, plain):
            merged[latest[key]] = replace(before, span=Span(before.span.start, plain.span.end))
        else:
            latest[key] = len(merged)
            merged.append(plain)
    return merged


def _continues(before: Gap, gap: Gap) -> bool:
    """Tell whether two gaps of one camera were refused for one reason and touch."""
    same = (before.state, before.reason, before.peer) == (gap.state, gap.reason, gap.peer)
    return same and gap.state is GapState.REFUSED and gap.span.start - before.span.end <= _NEAR
