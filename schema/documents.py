"""What `--json` prints: one structure a command, with stable keys, from which the published JSON schema is made.

Rule: keys are only added, never renamed or removed within a major version. Times are ISO 8601 UTC with six fractional
digits, lengths are seconds, sizes are bytes, digests are hexadecimal XXH3-128.
"""

from typing import Any, Literal

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


class ScanDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan found on one storage; `error` says why it could not be scanned.

    `unreadable` folders and files, and `unrecognised` media files, are all that are known, also of earlier scans.
    """

    storage: str
    folders: int = 0
    listed: int = 0
    added: int = 0
    changed: int = 0
    open: int = 0
    moved: int = 0
    deleted: int = 0
    retired: int = 0
    repaired: int = 0
    digested: int = 0
    quarantined: list[dict[str, str]] = []
    skipped: dict[str, int] = {}
    notes: list[str] = []
    unreadable: int = 0
    unrecognised: int = 0
    seconds: float = 0.0
    error: str | None = None


class ScansDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync scan --json`."""

    generated: str
    storages: list[ScanDocument]


class TaskDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One segment to fetch, or fetched: `digest` and `sent` are set once it has landed."""

    server: str
    camera: str
    start: str
    end: str
    seconds: float
    peer: str
    source: str
    path: str
    size: int
    digest: str | None = None
    sent: int | None = None
    renamed: bool = False


class FillDocument(msgspec.Struct, frozen=True, kw_only=True):
    """How the fill of one server ended, or with `dry_run` what it would do."""

    server: str
    dry_run: bool
    segments: list[TaskDocument]
    refusals: list[RefusalDocument]
    size: int
    sent: int
    filled_seconds: float
    held_twice_seconds: float
    seconds: float
    stopped: str
    notes: list[str]


class FillsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync fill --json`."""

    generated: str
    fills: list[FillDocument]
    notes: list[str] = []


class DamageDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Something `verify` found. `kind` is `rot`, `missing`, `foreign`, `changed`, `unreadable` or `ledger`.

    `not_repaired` is the reason if a repair was tried and the copy could not be replaced.
    """

    server: str
    storage: str
    camera: str | None
    path: str
    kind: str
    detail: str
    origin: str | None
    chunks: list[int]
    repaired: bool = False
    not_repaired: str | None = None


class VerifyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync verify --json`."""

    generated: str
    read: int
    size: int
    first_digests: int
    without_digest: int
    damage: list[DamageDocument]
    seconds: float
    stopped: str


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


class FrameCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The demo's proof for one camera on one server, in pictures."""

    server: str
    camera: str
    filmed: int
    missing: int
    back: int
    lost: int
    fillable_left: int


class DemoDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync demo --json`."""

    layout: str
    cameras: list[FrameCounts]
    missing: int
    back: int
    lost: int
    fillable_left: int
    filled_files: int
    identical_files: int
    moved_by_second_fill: int
    sent: int
    fill_seconds: float
    seconds: float
    kept: str | None
    ok: bool


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


class AlarmDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm: what webhooks and commands get. The same `key` is the same event, however often it is sent."""

    key: str
    kind: str
    server: str
    camera: str | None
    at: str
    text: str
    facts: dict[str, Any]


class DeliveryDocument(msgspec.Struct, frozen=True, kw_only=True):
    """How far an alarm got on one channel. `state` is `pending`, `delivered` or `expired`; `next` is the next try."""

    channel: str
    state: str
    attempts: int
    next: str | None
    error: str


class RaisedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm in the ledger. `observer` is the server whose service noticed and sends it."""

    alarm: AlarmDocument
    observer: str
    deliveries: list[DeliveryDocument]


class TriedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a test alarm on one channel. `error` is null if the channel took it."""

    channel: str
    kind: str
    seconds: float
    error: str | None


class AlarmsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync alarms --json`: the latest alarms, newest first; with `--test` how each channel answered."""

    generated: str
    alarms: list[RaisedDocument]
    tried: list[TriedDocument]


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


class SignalDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One look at whether the primary's recorder lives. `reading` is `alive`, `down`, `silent` or `unknown`."""

    source: str
    reading: str
    said: str


class IdentityDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync clone-id --json`.

    `state`: `cloned`, `already` (it has that id), `returned` (its own again), `learnt` (the primary's id is kept),
    `planned` (`--dry-run`: it would be done) or `refused`. `before` and `after` are the one line that differs.
    """

    generated: str
    state: str
    file: str | None
    own: str | None
    """The id of the recorder here."""
    now: str | None
    """The id that it has at the moment."""
    server: str
    """Whose id is, or was, to be taken."""
    wanted: str | None
    read: str | None
    """When that id was read from its server."""
    source: str | None
    digest: str | None
    """Of the file that it was read from."""
    allowed: bool | None
    verdict: str
    signals: list[SignalDocument] = []
    line: int | None = None
    before: str | None = None
    after: str | None = None
    service: str | None = None
    """What the recorder's service here does now."""
    backup: str | None = None
    notes: list[str] = []


DOCUMENTS: dict[str, type[msgspec.Struct]] = {
    "alarms": AlarmsDocument,
    "clock": ClockDocument,
    "clone-id": IdentityDocument,
    "coverage": CoverageDocument,
    "demo": DemoDocument,
    "fill": FillsDocument,
    "fleet": FleetDocument,
    "gaps": GapsDocument,
    "scan": ScansDocument,
    "service": ServiceDocument,
    "status": StatusDocument,
    "verify": VerifyDocument,
}


def json_schema(command: str) -> dict[str, Any]:
    """Return the JSON schema of what `recorder-sync COMMAND --json` prints."""
    return msgspec.json.schema(DOCUMENTS[command])
