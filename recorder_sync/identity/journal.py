"""What was done to a recorder's identity, step by step: enough to go on, or back, after a crash at any moment.

Rule: a step is written down, durably, before the next is taken (`recorder_sync.lines`). What holds is judged by the
recorder's file, never by the journal alone: the journal says what it had and what it was to get.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from recorder_sync.identity.place import Place
from recorder_sync.lines import Lines
from schema.errors import IdentityNotesDamaged, IdentityNotWritten

NAME = "journal.jsonl"


class Step(StrEnum):
    """What happened."""

    BEGAN = "began"
    """The id is to be changed; nothing was done yet."""
    TAKEN = "taken"
    """The file has the other id, and the service runs with it if it ran before."""
    RETURNING = "returning"
    """The own id is to be restored."""
    RETURNED = "returned"
    """The file has its own id again, and the service runs with it if it ran before."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One step. All but `step`, `at` and `note` says the same until the id is returned."""

    step: Step
    at: int
    path: str
    """The recorder's file."""
    own: str
    """The id it had, as it was written there."""
    taken: str
    """The id it was to get."""
    server: str
    """Whose id that is."""
    before: str
    """Digest of the file as it was."""
    after: str
    """Digest of the file with the other id."""
    backup: str
    """Name of the copy of the file as it was, in the identity folder."""
    was_running: bool
    """Whether the recorder's service ran when this began."""
    note: str = ""


class Journal(Lines[Entry]):
    """The journal in an identity folder. Raises IdentityNotesDamaged, IdentityNotWritten."""

    def __init__(self, place: Place) -> None:
        super().__init__(place.path(NAME), Entry, damaged=IdentityNotesDamaged, unwritten=IdentityNotWritten)


def in_force(entries: Sequence[Entry], path: str) -> Entry | None:
    """Return the last step that concerns the file at `path`; None if its own id was returned or never touched."""
    last = next((entry for entry in reversed(entries) if entry.path == path), None)
    return None if last is None or last.step is Step.RETURNED else last
