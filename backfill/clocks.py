"""How far the clocks of servers are apart, what to believe of it, and coverage as one of them would have named it.

Rule: pure. An offset that may be none moves nothing: below its own uncertainty it counts as zero. Segments keep the
times of their names for ever; only what is compared is moved. Why so: docs/design/0012-clock-offset.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from backfill.gaps import Coverage
from schema.spans import moved


class Basis(StrEnum):
    """What an offset was measured by."""

    FRAMES = "key frames"
    LINK = "link"
    BOTH = "key frames and link"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """A server's clock less another's: `us`, give or take `uncertainty`, microseconds."""

    us: int
    uncertainty: int
    basis: Basis
    note: str = ""
    """What an operator should know of it, empty if nothing."""

    @property
    def applied(self) -> int:
        """What coverage is moved by: nothing if the clocks may well agree."""
        return self.us if abs(self.us) > self.uncertainty else 0

    @property
    def doubt(self) -> int:
        """How much farther plans must reach for it: what was moved may have been moved too far or not far enough."""
        return self.uncertainty if self.applied else 0

    def above(self, limit: int) -> bool:
        """Tell whether it is certainly more than `limit`, so that filling waits for the operator."""
        return abs(self.us) - self.uncertainty > limit


def agreed(offsets: Iterable[Offset]) -> Offset | None:
    """Return what several measurements of one kind allow together, None if there is none or two exclude each other."""
    found: Offset | None = None
    for one in offsets:
        if found is None:
            found = one
            continue
        both = _both(found, one)
        if both is None:
            return None
        found = replace(found, us=both[0], uncertainty=both[1])
    return found


def believed(frames: Offset | None, link: Offset | None) -> Offset | None:
    """Return which offset counts.

    Names are what is compared, and pictures tell how names differ, so pictures win. Where the link agrees with them it
    is the finer measure; where it does not, names are not made by the clocks that the services read.
    """
    if frames is None or link is None:
        return frames or link
    both = _both(frames, link)
    if both is None:
        note = "key frames and the link disagree: a recorder names its files by another clock or zone than its server's"
        return replace(frames, note=note)
    return Offset(us=both[0], uncertainty=both[1], basis=Basis.BOTH)


def _both(one: Offset, other: Offset) -> tuple[int, int] | None:
    """Return middle and half width of what both allow, None if they exclude each other."""
    low = max(one.us - one.uncertainty, other.us - other.uncertainty)
    high = min(one.us + one.uncertainty, other.us + other.uncertainty)
    return ((low + high) // 2, (high - low + 1) // 2) if low <= high else None


def between(offsets: Mapping[str, Offset], server: str, other: str) -> int:
    """Return by how much to move times of `other` to compare them with those of `server`, microseconds.

    `offsets` are against one clock that all have in common; a server without one is on that clock.
    """
    return _applied(offsets, server) - _applied(offsets, other)


def _applied(offsets: Mapping[str, Offset], server: str) -> int:
    found = offsets.get(server)
    return 0 if found is None else found.applied


def doubt(offsets: Mapping[str, Offset], servers: Iterable[str]) -> int:
    """Return how much farther plans between these servers must reach, microseconds."""
    return sum(offsets[server].doubt for server in servers if server in offsets)


def seen_from(server: str, coverage: Mapping[str, Coverage], offsets: Mapping[str, Offset]) -> dict[str, Coverage]:
    """Return what each server holds of a camera on the clock of `server`.

    What was filled bears the names of the server that recorded it, and so is on that one's clock.
    """
    return {
        name: replace(
            one.shifted(between(offsets, server, name)),
            filled={origin: moved(spans, between(offsets, server, origin)) for origin, spans in one.filled.items()},
        )
        for name, one in coverage.items()
    }
