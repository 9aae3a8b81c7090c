"""Importing filled recordings into the storage of the recorder here, and taking an import back.

The order; a kill after any step leaves every recording whole, and enough in the journal to take all of it back:

1. read every recording anew                  what is not bit for bit what was fetched stays where it is
2. look whether the disks are the known ones  another, or one that is away: refused
3. lock out fills, imports, changes of ids    what somebody moved meanwhile stays where it is
4. ask whether the recorder may be stopped    refused: nothing was touched
5. journal: began
6. stop the recorder's service
7. look twice whether anybody writes there    it is another recorder's storage: refused
8. journal: moving
9. move the recordings in, the indexes aside  one rename each, never replacing anything
10. journal: starting
11. start the service, if it ran before       unless a peer answers with its id by now
12. journal: done

What fails after step 5 is taken back at once, and the service started if it ran; it is started, too, if taking back
fails. `undo` takes back the latest import however far it came. While this runs the recorder counts as running for peers
(`identity.learn`): it is about to be.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from backfill.after import index_beside
from backfill.gate import Gate
from backfill.importing.choose import Choice, Left, Move
from backfill.importing.move import Stayed, carry_in, carry_out, put_back, set_aside
from backfill.layouts.capabilities import Indexing
from backfill.link.client import LinkClient
from backfill.prepare import check_disk
from backfill.staging import Staging
from recorder_sync.app import App
from recorder_sync.identity.drivers import Driver, State
from recorder_sync.identity.place import Place
from recorder_sync.importing.checking import Reading, check_quiet, read_anew, still_there
from recorder_sync.importing.claims import claims
from recorder_sync.importing.indexes import indexes, made_anew, told_of
from recorder_sync.importing.journal import Aside, Entry, Journal, Step, check_ended, standing
from schema.errors import (
    ImportFailed,
    ImportHalfDone,
    ImportNotMade,
    ImportUnsafe,
    Interrupted,
    OperatorError,
    RecorderWrites,
    UnknownName,
)

_INDEXED = 10.0
"""Seconds in which a recorder's new index is looked for after its start; it may take much longer, and nobody waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was done. `moved`: into the recorder's storage, or out of it."""

    moved: tuple[Move, ...]
    left: tuple[Left, ...] = ()
    stayed: tuple[Stayed, ...] = ()
    service: State
    kept_stopped: bool = False
    """The recorder was to run, and is stopped because another may answer with its id."""
    aside: tuple[Aside, ...] = ()
    told: int = 0
    """Of how many the recorder's own index tells by now."""
    notes: tuple[str, ...] = ()


class Importer:
    """Imports for one server of this host.

    Args:
        clients: of every peer, which may stand in for the recorder here.
        now: microseconds UTC.
        pause: sleeps for seconds.
        said: is told what happens now, as long as the recorder is stopped.
    """

    def __init__(
        self,
        app: App,
        server: str,
        driver: Driver,
        clients: Sequence[LinkClient],
        now: Callable[[], int],
        pause: Callable[[float], None] = time.sleep,
        said: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._app = app
        self._server = server
        self._driver = driver
        self._clients = clients
        self._now = now
        self._pause = pause
        self._said = said
        self._rules = app.settings.identity
        self._place = Place(self._rules.folder)
        self._journal = Journal(self._place)
        self._last: Entry | None = None
        self._stores = {storage.name: storage for storage in app.site.of(server) if not storage.remote}

    def run(self, choice: Choice, gate: Gate, read: Reading = lambda _, __: None) -> Outcome:
        """Import what was chosen.

        Raises ImportCutOff, ImportUnsafe, RecorderWrites, ImportFailed, ImportHalfDone, StorageAway, StorageSwapped,
        and what moving, journal and service raise. Whatever it raises, everything is as it was before, unless that is
        ImportHalfDone.
        """
        good, left = read_anew(self._stores, choice, self._app.settings.fill.chunk, gate, read)
        with self._place.locked(), self._alone(good):
            check_ended(self._standing())
            moves, gone = still_there(self._stores, good)
            left = (*left, *gone)
            state = self._driver.state()
            if not moves:
                return Outcome(moved=(), left=left, service=state)
            ran = state is not State.STOPPED
            if ran:
                self._check_free()
            began = self._now()
            entry = Entry(step=Step.BEGAN, at=began, began=began, server=self._server, moves=moves, was_running=ran)
            self._journal.note(entry)
            self._last = entry
            try:
                entry = self._carried(entry, gate)
                started = self._started(entry.was_running)
                notes = [*started.notes, *self._index_beside(moves)]
                self._noted(entry, Step.DONE)
            except BaseException as error:
                self._take_back_after(self._last, error)
                if isinstance(error, OSError):
                    raise ImportFailed(error.filename or self._server, error.strerror or error) from error
                raise
            return Outcome(
                moved=moves,
                left=left,
                service=started.state,
                kept_stopped=started.kept,
                aside=entry.aside,
                told=told_of(self._stores, moves, _INDEXED, self._pause) if started.state is State.RUNNING else 0,
                notes=tuple(notes),
            )

    def undo(self, began: int | None = None) -> Outcome:
        """Take the latest import back, if it is the one that `began` then.

        Raises ImportNotMade, ImportUnsafe, RecorderWrites, ImportHalfDone, UnknownName, StorageAway, StorageSwapped,
        and what journal and service raise. After an error every recording is whole, and undoing again goes on where
        this ended.
        """
        with self._place.locked():
            entry = self._standing()
            if entry is None:
                raise ImportNotMade(self._server)
            if began not in (None, entry.began):
                raise ImportUnsafe("another import than the one to be taken back is the latest by now")
            moved = entry.moves if entry.touched else ()
            self._check_known(moved)
            with self._alone(moved):
                if self._driver.state() is not State.STOPPED:
                    self._check_free()
                try:
                    return self._take_back(entry)
                except RecorderWrites:
                    raise  # nothing was moved
                except (OperatorError, OSError) as error:
                    raise ImportHalfDone(error, self._service()) from error

    def _standing(self) -> Entry | None:
        return standing(self._place, self._server)

    def _check_known(self, moves: Sequence[Move]) -> None:
        """Raise UnknownName if the configuration lacks a storage that an import moved between."""
        for name in sorted({name for move in moves for name in (move.side, move.storage)}):
            if name not in self._stores:
                raise UnknownName("storage", repr(name), ", ".join(sorted(self._stores)))

    def _check_free(self) -> None:
        """Raise ImportUnsafe if another has the id of the recorder here, or might take it while that is stopped."""
        for claim in claims(self._rules, self._place, self._clients):
            raise ImportUnsafe(claim.said)

    def _carried(self, entry: Entry, gate: Gate) -> Entry:
        """Take steps 6 to 10."""
        self._stop()
        check_quiet(self._stores, entry.moves, self._rules.service, self._pause)
        if gate.stopped:  # for the last time: what follows is short, and ends with a recorder that runs
            raise Interrupted("the import")
        entry = self._noted(entry, Step.MOVING, aside=indexes(self._stores, entry.moves, entry.began))
        carry_in(self._app.ledger, self._stores, entry.moves, self._now())
        self._set_aside(entry.aside)
        return self._noted(entry, Step.STARTING)

    def _set_aside(self, aside: Sequence[Aside]) -> None:
        for one in aside:
            set_aside(self._stores[one.storage].root, one.paths, one.place)

    def _take_back_after(self, entry: Entry, error: BaseException) -> None:
        """Take back an import that failed. Raises ImportHalfDone if that fails, too."""
        try:
            self._take_back(entry)
        except (OperatorError, OSError, KeyboardInterrupt) as second:
            why = f"{error}; and then: {second}" if str(second) != str(error) else str(error)
            raise ImportHalfDone(why, self._service()) from error

    def _take_back(self, entry: Entry) -> Outcome:
        """Restore what was before an import; the service ends as it is now, or after a crash as it was before that.

        If that fails the service is started all the same: every recording is whole wherever it is, and what it does
        not record meanwhile is lost.
        """
        cut = entry.step is not Step.DONE
        runs_now = self._driver.state() is not State.STOPPED
        runs = runs_now or (cut and entry.was_running)
        if entry.touched and runs_now:  # after a crash somebody started it
            entry = msgspec.structs.replace(entry, reached=Step.STARTING)
        try:
            entry = self._noted(entry, Step.RETURNING, was_running=runs)
            stayed = self._carried_out(entry) if entry.touched else []
        except BaseException:
            with contextlib.suppress(OperatorError):
                self._started(runs)
            raise
        started = self._started(runs)
        notes = [*started.notes, *self._index_beside(entry.moves if entry.touched else ())]
        self._noted(entry, Step.RETURNED)
        here = {one.move for one in stayed}
        return Outcome(
            moved=tuple(move for move in entry.moves if move not in here) if entry.touched else (),
            stayed=tuple(stayed),
            service=started.state,
            kept_stopped=started.kept,
            aside=entry.aside if entry.asked else (),
            notes=tuple(notes),
        )

    def _carried_out(self, entry: Entry) -> list[Stayed]:
        """Stop the recorder, and take out what was moved in; returns what stays."""
        self._stop()
        check_quiet(self._stores, entry.moves, self._rules.service, self._pause)
        found = indexes(self._stores, entry.moves, entry.began)
        if entry.asked or made_anew(entry.aside, found):
            self._set_aside(found)  # they tell of what is taken out now
            return carry_out(self._app.ledger, self._stores, entry.moves)
        stayed = carry_out(self._app.ledger, self._stores, entry.moves)
        for one in entry.aside:
            put_back(self._stores[one.storage].root, one.paths, one.place)
        return stayed

    def _started(self, wanted: bool) -> "_Started":
        """Start the service if it is to run and nobody answers with its id."""
        if not wanted:
            return _Started(State.STOPPED, kept=False)
        found = claims(self._rules, self._place, self._clients)
        against = [f"the recorder here is left stopped: {claim.said}" for claim in found if claim.certain]
        if against:
            return _Started(State.STOPPED, kept=True, notes=against)
        self._said("starting the service")
        self._driver.start()
        self._said("it runs")
        doubts = [f"the recorder here was started all the same, although {claim.said}" for claim in found]
        return _Started(State.RUNNING, kept=False, notes=doubts)

    def _stop(self) -> None:
        self._said("stopping the service")
        self._driver.stop()
        self._said("it is stopped: the recorder records nothing")

    def _service(self) -> str:
        """Return what the service does, as far as that can be told."""
        try:
            return str(self._driver.state())
        except OperatorError as error:
            return f"not known, {error}"

    def _index_beside(self, moves: Sequence[Move]) -> list[str]:
        """Let the indexes beside the trees tell of what lies there now; returns what failed, which loses nothing."""
        notes = []
        for name in sorted({move.side for move in moves}):
            side = self._stores[name]
            if isinstance(side.layout, Indexing):
                notes.append(index_beside(self._app.ledger, side, side.layout).problem)
        return [note for note in notes if note]

    @contextlib.contextmanager
    def _alone(self, moves: Sequence[Move]) -> Iterator[None]:
        """Keep fills out of the places beside the trees, on the disks that the ledger knows.

        On another disk everything would seem to have been deleted by the recorder. Raises AlreadyRunning,
        StagingUnusable, StorageAway, StorageSwapped.
        """
        for name in sorted({name for move in moves for name in (move.side, move.storage)}):
            check_disk(self._stores[name], self._app.site, self._app.ledger)
        with contextlib.ExitStack() as held:
            for name in sorted({move.side for move in moves}):
                held.enter_context(Staging(self._stores[name]).locked())
            yield

    def _noted(self, entry: Entry, step: Step, **changes: object) -> Entry:
        """Write a step down, and return it."""
        reached = entry.reached if step in (Step.RETURNING, Step.RETURNED) else step
        entry = msgspec.structs.replace(entry, step=step, at=self._now(), reached=reached, **changes)
        self._journal.note(entry)
        self._last = entry
        return entry


class _Started(NamedTuple):
    """What became of the service."""

    state: State
    kept: bool
    """It was to run, and must not."""
    notes: Sequence[str] = ()
