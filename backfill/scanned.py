"""What a scan is asked, and what it found on one storage."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

LISTED = 10_000
"""Paths a report lists of one kind at most; the counts are exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """How to scan."""

    full: bool = False
    """Look at every file, not only at changed folders."""
    accept_loss: bool = False
    """Take a storage that lost everything for one whose recordings were deleted."""
    adopt: bool = False
    """Take a foreign disk for the new one; what only the old one had is forgotten, not deleted on purpose."""
    only: frozenset[str] | None = None
    """Look at these folders alone, because something was heard of them; None for all."""


@dataclass(slots=True)
class ScanReport:
    """What a scan found on one storage."""

    storage: str
    folders: int = 0
    listed: int = 0
    """Folders that had to be listed; the others had not changed."""
    added: int = 0
    changed: int = 0
    still_open: int = 0
    open_in: set[str] = field(default_factory=set)
    """The folders of those that are still open."""
    quarantined: list[tuple[str, str]] = field(default_factory=list)
    """New in this scan: path and reason."""
    uncertain: int = 0
    """New segments whose local time could not be resolved."""
    moved: int = 0
    deleted: int = 0
    """Vanished from the middle, kept as tombstones."""
    retired: int = 0
    """Vanished from the old end: retention."""
    repaired: int = 0
    """Damaged ledger rows replaced from the storage."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Entries that are no recordings, by reason."""
    foreign: list[tuple[str, str]] = field(default_factory=list)
    """The first of them: path and reason."""
    vanished: list[str] = field(default_factory=list)
    """The first paths that were deleted, or taken by retention."""
    rewritten: list[str] = field(default_factory=list)
    """Sealed segments that someone wrote to."""
    notes: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    """Paths sealed since the scan before, for whoever takes digests while they are in the page cache."""
    seconds: float = 0.0


Progress = Callable[[ScanReport], None]
"""Told the report so far."""
