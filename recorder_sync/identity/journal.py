"""What was done to a recorder's identity, step by step: enough to go on, or back, after a crash at any moment.

Rule: a step is written down, durably, before the next is taken. Lines are only added; each carries a checksum, and a
last line that a crash cut off counts as not written. What holds is judged by the recorder's file, never by the journal
alone: the journal says what it had and what it was to get.
"""

import os
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from backfill.storage import sync_folder
from recorder_sync.identity.place import Place
from schema.digests import text_checksum
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


class Journal:
    """The journal in an identity folder."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def entries(self) -> list[Entry]:
        """Return every step, oldest first. Raises IdentityNotesDamaged."""
        content = self._place.read(NAME) or b""
        path = self._place.path(NAME)
        found = []
        lines = content.decode(errors="replace").split("\n")
        for number, line in enumerate(lines[:-1], 1):  # what follows the last line end was cut off
            said, _, body = line.partition(" ")
            if said != text_checksum(body):
                raise IdentityNotesDamaged(path, f"line {number} does not hold what was written")
            try:
                found.append(msgspec.json.decode(body, type=Entry))
            except msgspec.DecodeError as error:
                raise IdentityNotesDamaged(path, f"line {number}: {error}") from None
        return found

    def add(self, entry: Entry) -> None:
        """Write a step down; it is durable when this returns. Raises IdentityNotWritten, IdentityNotesDamaged."""
        self.entries()
        body = msgspec.json.encode(entry).decode()
        self._place.make()
        try:
            fd = os.open(self._place.path(NAME), os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
            with open(fd, "r+b") as file:
                kept = file.read()
                end = kept.rfind(b"\n") + 1
                file.truncate(end)
                file.seek(end)
                file.write(f"{text_checksum(body)} {body}\n".encode())
                file.flush()
                os.fsync(file.fileno())
            sync_folder(self._place.folder)
        except OSError as error:
            raise IdentityNotWritten(self._place.path(NAME), error.strerror) from None


def in_force(entries: Sequence[Entry], path: str) -> Entry | None:
    """Return the last step that concerns the file at `path`; None if its own id was returned or never touched."""
    last = next((entry for entry in reversed(entries) if entry.path == path), None)
    return None if last is None or last.step is Step.RETURNED else last
