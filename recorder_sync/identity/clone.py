"""Giving a recorder another's id, and its own one back.

The order of a clone; a kill after any step leaves a whole file, old or new, and enough in the journal to go on or back:

1. ask whether the other may be alive         refused: nothing was touched
2. keep a copy of the file                    it is durable and was read back
3. journal: began                             from here on `undo` has something to do
4. stop the recorder's service
5. put the changed file in place              one rename; owner, mode and access list kept
6. let the registry follow (Windows)
7. ask again whether the other may be alive   it may have come back meanwhile: then everything is put back
8. start the service, if it ran before
9. journal: taken

What fails after step 3 is put back at once. `undo` takes the same steps the other way and asks nobody: a recorder with
its own id endangers no one. Both can be repeated as often as one likes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from recorder_sync.identity.document import RecorderFile, digest, read, with_id
from recorder_sync.identity.drivers import Driver, State
from recorder_sync.identity.exchange import System, exchange, load, sweep
from recorder_sync.identity.guid import same
from recorder_sync.identity.interlock import Verdict
from recorder_sync.identity.journal import Entry, Journal, Step, in_force
from recorder_sync.identity.place import Place
from recorder_sync.identity.registry import Registry, follow
from recorder_sync.identity.vault import Known
from schema.errors import (
    IdentityChanged,
    IdentityHalfDone,
    IdentityNotTaken,
    IdentityNotWritten,
    IdentityRefused,
    OperatorError,
    UsageInvalid,
)

Permit = Callable[[], Verdict]
"""Looks anew, at each call, whether the other recorder may be alive."""


class Result(StrEnum):
    """What came of it."""

    CLONED = "cloned"
    ALREADY = "already"
    """It has that id; nothing was done."""
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class Situation:
    """A recorder's file as it is, and what the journal says of it."""

    document: RecorderFile
    entry: Entry | None
    """The last step of a clone that is in force or half done."""

    @property
    def own(self) -> str:
        """The recorder's own id, whatever it has at the moment."""
        return self.document.id if self.entry is None else self.entry.own


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was done."""

    result: Result
    own: str
    now: str
    """The id that the recorder has."""
    server: str
    """Whose id was taken, or given back."""
    service: State
    backup: str = ""
    notes: tuple[str, ...] = ()


class Cloner:
    """The identity of the recorder on this host.

    Args:
        path: of its RecorderConfig.xml.
        now: microseconds UTC.
    """

    def __init__(
        self, path: str, place: Place, driver: Driver, registry: Registry, system: System, now: Callable[[], int]
    ) -> None:
        self.path = path
        self._place = place
        self._journal = Journal(place)
        self._driver = driver
        self._registry = registry
        self._system = system
        self._now = now

    def look(self) -> Situation:
        """Return how things are. Raises RecorderFileInvalid, RecorderFileUnreadable, IdentityNotesDamaged."""
        return situation(self.path, self._place)

    def clone(self, wanted: Known, permit: Permit) -> Outcome:
        """Give the recorder the id that is `wanted`, if `permit` allows it.

        Raises IdentityRefused, IdentityChanged, IdentityNotWritten, IdentityHalfDone, and what reading the file and
        stopping the service raise. Whatever it raises, the recorder has its own id and runs as it did before, unless
        that is IdentityHalfDone, which says what is left to do.
        """
        with self._place.locked():
            sweep(self.path)
            found = self.look()
            entry = found.entry
            if entry is not None and entry.step is Step.RETURNING:
                self._give_back(found, entry)
                found, entry = self.look(), None
            if entry is None:
                if same(found.document.id, wanted.id):
                    note = "both recorders have this id, and it was not taken here: they must never run together"
                    return self._outcome(Result.ALREADY, found, wanted.server, (note,))
                return self._take(found, wanted, permit)
            if not same(entry.taken, wanted.id):
                raise UsageInvalid("clone-id", f"{self.path} has the id of {entry.server} already; first use --undo")
            if entry.step is Step.TAKEN and same(found.document.id, entry.taken):
                return self._outcome(Result.ALREADY, found, entry.server)
            self._check_known(found, entry)
            return self._take(found, wanted, permit, unfinished=entry if entry.step is Step.BEGAN else None)

    def undo(self) -> Outcome:
        """Give the recorder its own id back.

        Raises IdentityNotTaken, IdentityChanged, IdentityNotWritten, and what reading the file and stopping the service
        raise. After an error the file is whole, and undoing again goes on where this ended.
        """
        with self._place.locked():
            sweep(self.path)
            found = self.look()
            if found.entry is None:
                raise IdentityNotTaken(self.path)
            return self._give_back(found, found.entry)

    def _take(self, found: Situation, wanted: Known, permit: Permit, unfinished: Entry | None = None) -> Outcome:
        verdict = permit()
        if not verdict.allowed:
            if unfinished is not None:
                self._give_back(found, unfinished)
            raise IdentityRefused(wanted.server, verdict.said)
        ran = self._driver.state() is not State.STOPPED or (unfinished is not None and unfinished.was_running)
        if unfinished is None or same(found.document.id, found.own):
            entry = self._entry(found, wanted, ran, verdict.said)
        else:  # the file is changed already; only what follows is left to do
            entry = msgspec.structs.replace(unfinished, was_running=ran, at=self._now(), note=verdict.said)
        self._journal.add(entry)
        try:
            notes = self._change(found, entry, permit)
        except (OperatorError, OSError, KeyboardInterrupt) as error:
            self._put_back(entry, error)
            raise
        if verdict.forced:
            notes.append(verdict.said)
        return self._outcome(Result.CLONED, self.look(), entry.server, notes)

    def _entry(self, found: Situation, wanted: Known, ran: bool, why: str) -> Entry:
        """Return the first step of a clone, with a copy of the file in safety."""
        changed = with_id(found.document, wanted.id, self.path)
        return Entry(
            step=Step.BEGAN,
            at=self._now(),
            path=self.path,
            own=found.document.id,
            taken=wanted.id,
            server=wanted.server,
            before=digest(found.document.raw),
            after=digest(changed),
            backup=self._place.keep(found.document.raw),
            was_running=ran,
            note=why,
        )

    def _change(self, found: Situation, entry: Entry, permit: Permit) -> list[str]:
        """Take the steps that can be put back; returns what is to be said of them."""
        self._driver.stop()
        if not same(found.document.id, entry.taken):
            exchange(self.path, entry.before, with_id(found.document, entry.taken, self.path), self._system)
        notes = [follow(self._registry, entry.own, entry.taken)]
        verdict = permit()
        if not verdict.allowed:
            raise IdentityRefused(entry.server, verdict.said)
        if entry.was_running:
            self._driver.start()
        self._journal.add(msgspec.structs.replace(entry, step=Step.TAKEN, at=self._now(), note=""))
        return [note for note in notes if note]

    def _put_back(self, entry: Entry, error: BaseException) -> None:
        """Undo a clone that failed. Raises IdentityHalfDone if that fails, too."""
        try:
            self._give_back(self.look(), entry, str(error))
        except (OperatorError, OSError) as second:
            raise IdentityHalfDone(self.path, f"{error}; and then: {second}") from error

    def _give_back(self, found: Situation, entry: Entry, why: str = "") -> Outcome:
        """Restore the own id; the service ends as it is now, or after a crash as it was before that."""
        self._check_known(found, entry)
        runs = self._driver.state() is not State.STOPPED or (entry.step is not Step.TAKEN and entry.was_running)
        entry = msgspec.structs.replace(entry, was_running=runs, note=why)
        notes = [self._noted(entry, Step.RETURNING)]
        if not same(found.document.id, entry.own):
            self._driver.stop()
            restored = with_id(found.document, entry.own, self.path)
            exchange(self.path, digest(found.document.raw), restored, self._system)
            if digest(restored) != entry.before:
                notes.append("the file was changed otherwise since its id was taken; those changes were kept")
        notes.append(follow(self._registry, entry.taken, entry.own))
        if runs:
            self._driver.start()
        notes.append(self._noted(entry, Step.RETURNED))
        said = list(dict.fromkeys(note for note in notes if note))
        return self._outcome(Result.RETURNED, self.look(), entry.server, said, entry.backup)

    def _noted(self, entry: Entry, step: Step) -> str:
        """Write down a step of giving back; returns why that could not be done.

        The own id is given back all the same: with it the recorder endangers no one, and the file says what it has.
        """
        try:
            self._journal.add(msgspec.structs.replace(entry, step=step, at=self._now()))
        except IdentityNotWritten as error:
            return f"the journal does not say that the own id was given back: {error}"
        return ""

    def _check_known(self, found: Situation, entry: Entry) -> None:
        """Raise IdentityChanged if the file has an id that was not given to it here."""
        if not same(found.document.id, entry.own) and not same(found.document.id, entry.taken):
            said = f"its id {found.document.id} is neither its own {entry.own} nor that of {entry.server}"
            raise IdentityChanged(self.path, said)

    def _outcome(
        self, result: Result, found: Situation, server: str, notes: Sequence[str] = (), backup: str = ""
    ) -> Outcome:
        copy = backup or (found.entry.backup if found.entry is not None else "")
        return Outcome(
            result=result,
            own=found.own,
            now=found.document.id,
            server=server,
            service=self._driver.state(),
            backup=self._place.path(copy) if copy else "",
            notes=tuple(notes),
        )


def situation(path: str, place: Place) -> Situation:
    """Return how the recorder's file is and what the journal says of it; nothing is locked or changed.

    Raises RecorderFileInvalid, RecorderFileUnreadable, IdentityNotesDamaged.
    """
    return Situation(read(load(path), path), in_force(Journal(place).entries(), path))
