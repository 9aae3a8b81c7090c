"""What `recorder-sync import --json` prints."""

import msgspec


class ImportedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One recording that is, or is to be, moved. `source` and `path` are below the roots of their storages."""

    camera: str
    start: str
    end: str
    size: int
    twice: float
    """Seconds of it that the recorder has itself."""
    origin: str | None
    side: str
    source: str
    storage: str
    path: str
    digest: str | None


class LeftDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One recording that stays where it is, and why."""

    camera: str
    start: str
    end: str
    path: str
    why: str


class ImportDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync import --json`.

    `state`: `planned` (`--dry-run`, or nobody agreed), `imported`, `returned` (`--undo`) or `nothing`.
    """

    generated: str
    state: str
    server: str
    service: str | None
    """What the recorder's service does now; null before anything was done."""
    moved: list[ImportedDocument]
    left: list[LeftDocument]
    told: int | None = None
    """Of how many the recorder's own index told when this ended."""
    aside: list[str] = []
    """Folders in which the recorder's index files are that were set aside."""
    notes: list[str] = []
