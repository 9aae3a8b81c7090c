"""Where things stand: storages, cameras, fills and servers of this host in `status`, of every pair in `fleet`.

Rule: as in the whole package, keys are only added. A server looks the same in both.
"""

import msgspec

from schema.documents.alarms import RaisedDocument
from schema.documents.gaps import OutageDocument
from schema.documents.service import LiveDocument


class StorageDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One storage in the status. `age_seconds`: since its last scan, null if it was never scanned."""

    server: str
    storage: str
    root: str
    layout: str
    state: str
    segments: int
    size: int
    quarantined: int
    open: int
    free: int | None
    age_seconds: float | None
    unreadable: int = 0
    unrecognised: int = 0


class CameraDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One camera on one server in the status. `silent_seconds`: since its newest recording ends."""

    server: str
    camera: str
    newest: str | None
    silent_seconds: float | None
    own: float
    filled: float
    fillable: float
    lost: float
    refused: float
    recording: bool | None = None
    """Whether the recorder records it now; null if that is not known."""


class FillRecordDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One earlier fill. `ended` is null if it runs, or was killed."""

    server: str
    started: str
    ended: str | None
    landed: int
    sent: int
    stopped: str


class ServerDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One server as a whole, from its service, from its peers, and from the ledger.

    `state` is `up`, `standby` (it fills nothing: paused), `away`, `refused` (what answers is not it, or does not want
    us), `stopped` (no service runs here) or `unknown`; `since` is when that began and `last` the last sign of life.
    `offset` is its clock less that of the first server here, in seconds, by `basis`. Amounts are seconds.
    """

    server: str
    here: bool
    """Whether its storages are folders of this host."""
    state: str
    since: str | None
    last: str | None
    detail: str
    offset: float | None
    offset_error: float | None
    basis: str | None
    recording: list[str]
    silent: list[str]
    """Cameras that it should record and does not. One in neither list is not known."""
    gaps: int
    """How many gaps are open: fillable, refused or lost."""
    fillable: float
    lost: float
    refused: float
    filled: float
    scanned_seconds: float | None
    """Since the oldest scan of its storages; null if one was never scanned or none is known."""


class StatusDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync status --json`. `service` is null if none runs here, or with `service_problem` why not known."""

    generated: str
    ledger: str
    storages: list[StorageDocument]
    cameras: list[CameraDocument]
    fills: list[FillRecordDocument]
    outages: list[OutageDocument]
    notes: list[str]
    refusals: int = 0
    servers: list[ServerDocument] = []
    service: LiveDocument | None = None
    service_problem: str = ""
    paused: str = ""
    alarms: list[RaisedDocument] = []


class PairDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The servers that record the same cameras, in the report over all."""

    pair: str
    servers: list[ServerDocument]
    notes: list[str]


class FleetTotalDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in a ledger together. Amounts are seconds."""

    pairs: int
    servers: int
    away: int
    """Servers that are neither up nor standby."""
    gaps: int
    fillable: float
    lost: float
    refused: float
    filled: float


class FleetDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync fleet --json`."""

    generated: str
    ledger: str
    pairs: list[PairDocument]
    total: FleetTotalDocument
    notes: list[str]
