"""What an import did, step by step: enough to take it back after a crash at any moment.

Rule: a step is written down, durably, before it is taken (`recorder_sync.lines`). Where a recording is the disk tells:
the journal says both places at which it may be.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from backfill.importing.choose import Move
from recorder_sync.identity.place import Place
from recorder_sync.lines import Lines
from schema.errors import (
    IdentityBusy,
    ImportCutOff,
    ImportNotesDamaged,
    ImportNotWritten,
    OperatorError,
    hint_of,
)
from schema.moments import clock

NAME = "imports.jsonl"


class Step(StrEnum):
    """What happens next, or has happened."""

    BEGAN = "began"
    """The recorder is to be stopped."""
    MOVING = "moving"
    """It is stopped; recordings are to be moved in, and indexes aside."""
    STARTING = "starting"
    """Everything is in its place; the recorder is to be started, if it ran."""
    DONE = "done"
    RETURNING = "returning"
    """All of it is to be taken back."""
    RETURNED = "returned"


class Aside(msgspec.Struct, frozen=True, kw_only=True):
    """Index files of the recorder that are set aside, so that it makes them anew."""

    storage: str
    place: str
    """The folder that they are in, under the paths that they had below the storage's root."""
    paths: tuple[str, ...]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One step of one import."""

    step: Step
    at: int
    began: int
    """When the import began, microseconds UTC: which import this is."""
    server: str
    was_running: bool
    """Whether the recorder is to run in the end."""
    moves: tuple[Move, ...] = ()
    """In the file only the first step says them."""
    aside: tuple[Aside, ...] = ()
    reached: Step = Step.BEGAN
    """The last step before anything was taken back."""

    @property
    def touched(self) -> bool:
        """Whether anything may have been moved."""
        return self.reached is not Step.BEGAN

    @property
    def asked(self) -> bool:
        """Whether the recorder may have been started with the recordings in its storage."""
        return self.reached in (Step.STARTING, Step.DONE)


class Journal(Lines[Entry]):
    """The journal of imports in an identity folder. Raises ImportNotesDamaged, ImportNotWritten."""

    def __init__(self, place: Place) -> None:
        super().__init__(place.path(NAME), Entry, damaged=ImportNotesDamaged, unwritten=ImportNotWritten)

    def note(self, entry: Entry) -> None:
        """Write a step down; it is durable when this returns. Raises ImportNotesDamaged, ImportNotWritten."""
        self.add(entry if entry.step is Step.BEGAN else msgspec.structs.replace(entry, moves=()))


def in_force(entries: Sequence[Entry], server: str) -> Entry | None:
    """Return the last step of the latest import for `server` that was not taken back; None if there is none.

    Imports are taken back latest first.
    """
    latest: dict[int, Entry] = {}
    for entry in entries:
        if entry.server == server:
            known = latest.get(entry.began)
            if entry.step is Step.BEGAN:
                latest.pop(entry.began, None)  # in the order in which they began, whatever the clock said
            moves = entry.moves if entry.step is Step.BEGAN or known is None else known.moves
            latest[entry.began] = msgspec.structs.replace(entry, moves=moves)
    found = [entry for entry in latest.values() if entry.step is not Step.RETURNED]
    return found[-1] if found else None


def standing(place: Place, server: str) -> Entry | None:
    """Return the last step of the latest import that was not taken back. Raises ImportNotesDamaged."""
    return in_force(Journal(place).entries(), server)


def check_ended(entry: Entry | None) -> None:
    """Raise ImportCutOff if that is of an import that neither ended nor was taken back."""
    if entry is not None and entry.step is not Step.DONE:
        raise ImportCutOff(clock(entry.began))


def cut_off(place: Place, server: str) -> Entry | None:
    """Return the last step of an import that was cut off; None if there is none, or one is under way now.

    Raises ImportNotesDamaged.
    """
    entry = standing(place, server)
    return None if entry is None or entry.step is Step.DONE or place.busy() else entry


def problems(folder: str, servers: Iterable[str]) -> list[tuple[str, str]]:
    """Return for each of `servers` whose latest import was cut off, or cannot be told of, why, and what to do.

    `folder`: of identities.
    """
    said = []
    for server in servers:
        try:
            check_ended(cut_off(Place(folder), server))
        except (ImportCutOff, ImportNotesDamaged) as error:
            said.append((f"{server}: {error}", hint_of(error)))
    return said


def emptied_by(folder: str, server: str) -> OperatorError | None:
    """Return the import that has moved what lay beside a tree of `server` and did not tell; None if none is known.

    `folder`: of identities.
    """
    place = Place(folder)
    try:
        entry = standing(place, server)
    except ImportNotesDamaged:
        return None
    if entry is None or entry.step in (Step.BEGAN, Step.DONE):
        return None
    return IdentityBusy(place.folder) if place.busy() else ImportCutOff(clock(entry.began))
