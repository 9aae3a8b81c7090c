"""The service: what a running one is doing now, and what the machine's service manager knows of it.

Rule: as in the whole package, keys are only added. What is not known is null, never a guess.
"""

import msgspec


class LivePeerDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A peer as the service sees it now. `offset`: its clock less ours, seconds, give or take `offset_error`."""

    server: str
    state: str
    since: str
    last: str | None
    detail: str
    offset: float | None
    offset_error: float | None
    silent: list[str]
    """Cameras that its recorder does not record."""


class LiveFillDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The fill under way: `rate` in bytes a second, `left` in seconds, null while unknown."""

    server: str
    segments: int
    landed: int
    refused: int
    size: int
    moved: int
    rate: int
    seconds: float
    left: float | None


class LiveDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a running service is doing. `waiting` says why nothing is filled although something could be.

    `role` says why the recorder here answers with the id that it has, where failover by identity is on.
    """

    server: str
    process: int
    started: str
    paused: str
    waiting: str
    problem: str
    silent: list[str]
    fill: LiveFillDocument | None
    peers: list[LivePeerDocument]
    role: str = ""


class ServiceDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync service status --json`. `state` and `since` are in the service manager's own words."""

    name: str
    active: bool
    enabled: bool | None
    """Whether it starts with the machine; null if that is not known."""
    state: str
    status: str = ""
    """What the service says of itself."""
    pid: int | None = None
    restarts: int = 0
    since: str = ""
