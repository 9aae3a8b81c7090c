"""How far servers' clocks are apart, and what that is based on: `clock`.

Rule: as in the whole package, keys are only added. An offset comes with its uncertainty, or with why there is none.
"""

import msgspec


class CameraClockDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What the key frames of one camera say: the clock of `peer` less that of `server`, or in `reason` why nothing.

    `start` and `end`: where was looked, by the clock of `server`. `overlap_seconds`: what both hold of that and of the
    segments around it, true to the frame. `disputed`: equal pictures that say another offset.
    """

    camera: str
    server: str
    peer: str
    start: str
    end: str
    offset_seconds: float | None
    uncertainty_seconds: float | None
    matches: int
    disputed: int
    overlap_seconds: float | None
    reason: str
    read: int
    problems: list[str]


class ServerClockDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What counts between two servers: the clock of `peer` less that of `server`, null if nothing is known.

    `basis` is `key frames`, `link` or `key frames and link`; `above_limit`: certainly more than `service.offset`.
    """

    server: str
    peer: str
    offset_seconds: float | None
    uncertainty_seconds: float | None
    basis: str | None
    above_limit: bool
    note: str


class ClockDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync clock --json`."""

    generated: str
    limit_seconds: float
    servers: list[ServerClockDocument]
    cameras: list[CameraClockDocument]
