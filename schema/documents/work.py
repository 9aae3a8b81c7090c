"""What a run over the recordings did and what it found: `scan`, `fill` and `verify`.

Rule: as in the whole package, keys are only added. What could not be done is in the document, with its reason.
"""

import msgspec

from schema.documents.gaps import RefusalDocument


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
