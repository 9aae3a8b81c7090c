"""What is covered, what is missing and why, span by span: `gaps` and `coverage`.

Rule: as in the whole package, keys are only added. An outage, a gap and a refusal look the same wherever they are told.
"""

from typing import Literal

import msgspec

GapStateName = Literal["fillable", "filled", "lost", "refused"]


class OutageDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A span in which a server, or one camera on it, recorded nothing. `end` is null while it lasts."""

    server: str
    camera: str | None
    start: str
    end: str | None
    seconds: float
    cause: str
    evidence: str


class GapDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A span that a server's own recorder did not write. `peer` has it or gave it; `reason` says why not filled."""

    server: str
    camera: str
    start: str
    end: str
    seconds: float
    state: GapStateName
    reason: str
    outage: OutageDocument | None
    peer: str | None


class SpanDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A span that is covered. `origin` is `own`, or the server it was fetched from."""

    server: str
    camera: str
    start: str
    end: str
    seconds: float
    origin: str


class RefusalDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that was not brought over."""

    server: str
    camera: str
    start: str
    end: str
    seconds: float
    peer: str | None
    path: str
    why: str
    reason: str
    size: int = 0


class TotalDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds by state of one camera on one server, within the window."""

    server: str
    camera: str
    own: float
    filled: float
    fillable: float
    lost: float
    refused: float
    held_twice: float


class GapsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync gaps --json`."""

    generated: str
    start: str
    end: str
    gaps: list[GapDocument]
    outages: list[OutageDocument]
    refusals: list[RefusalDocument]
    totals: list[TotalDocument]
    notes: list[str]


class CoverageDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync coverage --json`."""

    generated: str
    start: str
    end: str
    spans: list[SpanDocument]
