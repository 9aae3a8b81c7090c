"""Importing filled recordings into the storage of the recorder here, and taking an import back.

The order; a kill after any step leaves every recording whole, and enough in the journal to take all of it back:

1. read every recording anew                  what is not bit for bit what was fetched stays where it is
2. ask whether the recorder may be stopped    refused: nothing was touched
3. journal: began
4. stop the recorder's service
5. look twice whether anybody writes there    it is another recorder's storage: refused
6. journal: moving
7. move the recordings in, the indexes aside  one rename each, never replacing anything
8. journal: starting
9. start the service, if it ran before        unless a peer answers with its id by now
10. journal: done

What fails after step 3 is taken back at once, and the service started if it ran. `undo` takes back the latest import
however far it came. While this runs the recorder counts as running for peers (`identity.learn`): it is about to be.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from backfill.after import index_beside
from backfill.digesting import take
from backfill.gate import Gate
from backfill.importing.choose import Choice, Left, Move
from backfill.importing.move import Stayed, carry_in, carry_out, folders_of, put_back, set_aside
from backfill.layouts.base import Importing, Indexing
from backfill.link.client import LinkClient
from backfill.staging import Staging
from backfill.storage import Storage
from recorder_sync.app import App
from recorder_sync.identity.clone import situation
from recorder_sync.identity.drivers import Driver, State
from recorder_sync.identity.guid import same
from recorder_sync.identity.place import Place
from recorder_sync.importing.journal import Aside, Entry, Journal, Step, check_ended, standing
from schema.errors import (
    ImportHalfDone,
    ImportNotMade,
    ImportUnsafe,
    Interrupted,
    OperatorError,
    RecorderWrites,
    SourceChanged,
    SourceGone,
    SourceUnreadable,
    UnknownName,
    WriteFailed,
)
from schema.ledger.manifests import digest_of

_QUIET = 2.0
"""Seconds between two looks: a recorder with any camera writes several times within that."""
_INDEXED = 10.0
"""Seconds in which a recorder's new index is looked for after its start; it may take much longer, and nobody waits."""

Reading = Callable[[Move, int], None]
"""Told of each recording that was read anew, with how many were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was done. `moved`: into the recorder's storage, or out of it."""

    moved: tuple[Move, ...]
    left: tuple[Left, ...] = ()
    stayed: tuple[Stayed, ...] = ()
    service: State
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
        self._stores = {storage.name: storage for storage in app.site.of(server) if not storage.remote}

    def run(self, choice: Choice, gate: Gate, read: Reading = lambda _, __: None) -> Outcome:
        """Import what was chosen.

        Raises ImportCutOff, ImportUnsafe, RecorderWrites, ImportHalfDone, and what moving, journal and service raise.
        Whatever it raises, everything is as it was before, unless that is ImportHalfDone.
        """
        moves, left = self._verified(choice, gate, read)
        with self._place.locked(), self._alone(moves):
            check_ended(self._standing())
            ran = self._driver.state() is not State.STOPPED
            if not moves:
                return Outcome(moved=(), left=left, service=self._driver.state())
            if ran:
                self._check_free()
            began = self._now()
            entry = Entry(step=Step.BEGAN, at=began, began=began, server=self._server, moves=moves, was_running=ran)
            self._journal.note(entry)
            try:
                entry = self._carried(entry, gate)
                notes = [*self._started(entry.was_running), *self._index_beside(moves)]
                entry = self._noted(entry, Step.DONE)
            except (OperatorError, OSError, KeyboardInterrupt) as error:
                self._take_back_after(self._standing() or entry, error)
                if isinstance(error, OSError):
                    raise WriteFailed(error.filename or self._server, error.strerror or error) from error
                raise
            told = self._told(moves) if self._driver.state() is State.RUNNING else 0
            return Outcome(
                moved=moves,
                left=left,
                service=self._driver.state(),
                aside=entry.aside,
                told=told,
                notes=tuple(notes),
            )

    def undo(self) -> Outcome:
        """Take the latest import back.

        Raises ImportNotMade, ImportUnsafe, RecorderWrites, UnknownName, and what moving, journal and service raise.
        After an error every recording is whole, and undoing again goes on where this ended.
        """
        with self._place.locked():
            entry = self._standing()
            if entry is None:
                raise ImportNotMade(self._server)
            self._check_known(entry.moves)
            with self._alone(entry.moves):
                if self._driver.state() is not State.STOPPED:
                    self._check_free()
                try:
                    return self._take_back(entry)
                except OSError as error:
                    raise WriteFailed(error.filename or self._server, error.strerror or error) from error

    def _standing(self) -> Entry | None:
        return standing(self._place, self._server)

    def _verified(self, choice: Choice, gate: Gate, read: Reading) -> tuple[tuple[Move, ...], tuple[Left, ...]]:
        """Return what is still bit for bit what was fetched, and all that stays. Raises Interrupted."""
        good, left = [], list(choice.left)
        for number, move in enumerate(choice.moves, 1):
            side, segment = self._stores[move.side], move.segment
            try:
                files = take(side, segment, self._app.settings.fill.chunk, gate, from_disk=True)
            except (SourceGone, SourceChanged, SourceUnreadable) as error:
                left.append(Left(segment=segment, side=move.side, why=str(error)))
            else:
                if segment.digest != digest_of(files):
                    why = "it is not bit for bit what was fetched: 'recorder-sync verify --repair' fetches it again"
                    left.append(Left(segment=segment, side=move.side, why=why))
                else:
                    good.append(move)
            read(move, number)
        return tuple(good), tuple(left)

    def _check_known(self, moves: Sequence[Move]) -> None:
        """Raise UnknownName if the configuration lacks a storage that an import moved between."""
        for name in sorted({name for move in moves for name in (move.side, move.storage)}):
            if name not in self._stores:
                raise UnknownName("storage", repr(name), ", ".join(sorted(self._stores)))

    def _check_free(self) -> None:
        """Raise ImportUnsafe if a peer has the id of the recorder here, or might take it while that is stopped."""
        if self._rules.config is None:
            return
        found = situation(self._rules.config, self._place)
        if found.entry is not None:
            raise ImportUnsafe(f"it has the id of {found.entry.server} for now, and that is to be given back first")
        for client in self._clients:
            try:
                told = client.identity()
            except OperatorError as error:
                said = f"{client.server} might take its id over while it is stopped, and does not answer: {error}"
                raise ImportUnsafe(said) from None
            if told.holds and same(told.holds, found.own):
                raise ImportUnsafe(f"{client.server} answers with its id")

    def _carried(self, entry: Entry, gate: Gate) -> Entry:
        """Take steps 4 to 8."""
        self._stop()
        self._check_quiet(entry.moves)
        if gate.stopped:  # for the last time: what follows is short, and ends with a recorder that runs
            raise Interrupted("the import")
        entry = self._noted(entry, Step.MOVING, aside=self._indexes(entry))
        carry_in(self._app.ledger, self._stores, entry.moves, self._now())
        for one in entry.aside:
            set_aside(self._stores[one.storage].root, one.paths, one.place)
        return self._noted(entry, Step.STARTING)

    def _check_quiet(self, moves: Sequence[Move]) -> None:
        """Raise RecorderWrites if anything is written where the stopped recorder alone may write."""
        before = self._written(moves)
        self._pause(_QUIET)
        after = self._written(moves)
        for (storage, folder), files in after.items():
            changed = sorted(path for path, look in files.items() if before[storage, folder].get(path) != look)
            if changed:
                where = os.path.join(self._stores[storage].root, folder)
                raise RecorderWrites(where, self._rules.service, changed[0])

    def _written(self, moves: Sequence[Move]) -> dict[tuple[str, str], dict[str, tuple[int, int]]]:
        return {
            (storage, folder): dict(_layout(self._stores[storage]).being_written(self._stores[storage].root, folder))
            for storage, folder in folders_of(moves)
        }

    def _indexes(self, entry: Entry) -> tuple[Aside, ...]:
        """Return which index files are to be set aside, and where to."""
        found: dict[str, list[str]] = {}
        for name, folder in folders_of(entry.moves):
            found.setdefault(name, []).extend(_layout(self._stores[name]).indexes(self._stores[name].root, folder))
        return tuple(
            Aside(storage=name, place=self._aside(name, str(entry.began)), paths=tuple(paths))
            for name, paths in found.items()
        )

    def _aside(self, storage: str, name: str) -> str:
        return os.path.join(self._stores[storage].state_folder(), "imports", name)

    def _take_back_after(self, entry: Entry, error: BaseException) -> None:
        """Take back an import that failed. Raises ImportHalfDone if that fails, too."""
        try:
            self._take_back(entry)
        except (OperatorError, OSError) as second:
            why = f"{error}; and then: {second}" if str(second) != str(error) else str(error)
            raise ImportHalfDone(why) from error

    def _take_back(self, entry: Entry) -> Outcome:
        """Restore what was before an import; the service ends as it is now, or after a crash as it was before that."""
        cut = entry.step is not Step.DONE
        runs_now = self._driver.state() is not State.STOPPED
        runs = runs_now or (cut and entry.was_running)
        if entry.touched and (runs_now or self._ran_since(entry)):
            entry = msgspec.structs.replace(entry, reached=Step.STARTING)
        entry = self._noted(entry, Step.RETURNING, was_running=runs)
        stayed = self._carried_out(entry) if entry.touched else []
        notes = [*self._started(runs), *self._index_beside(entry.moves)]
        self._noted(entry, Step.RETURNED)
        here = {one.move for one in stayed}
        return Outcome(
            moved=tuple(move for move in entry.moves if move not in here) if entry.touched else (),
            stayed=tuple(stayed),
            service=self._driver.state(),
            aside=entry.aside if entry.asked else (),
            notes=tuple(notes),
        )

    def _ran_since(self, entry: Entry) -> bool:
        """Return whether somebody else started the recorder after an import was cut off: it has made an index anew."""
        return any(
            os.path.lexists(os.path.join(self._stores[one.storage].root, path))
            and os.path.lexists(os.path.join(one.place, path))
            for one in entry.aside
            for path in one.paths
        )

    def _carried_out(self, entry: Entry) -> list[Stayed]:
        """Stop the recorder, and take out what was moved in; returns what stays."""
        self._stop()
        try:
            self._check_quiet(entry.moves)
        except RecorderWrites:
            self._started(entry.was_running)
            raise
        stayed = carry_out(self._app.ledger, self._stores, entry.moves)
        for one in entry.aside:
            root = self._stores[one.storage].root
            if entry.asked:  # what it wrote since tells of recordings that are gone now
                newer = [path for path in one.paths if os.path.lexists(os.path.join(root, path))]
                set_aside(root, newer, self._aside(one.storage, f"{entry.began}-{entry.at}"))
            else:
                put_back(root, one.paths, one.place)
        return stayed

    def _started(self, wanted: bool) -> list[str]:
        """Start the service if it is to run and nobody answers with its id; returns what is to be said of that."""
        if not wanted:
            return []
        notes = []
        try:
            self._check_free()
        except ImportUnsafe as error:
            if any(self._holds(client) for client in self._clients):
                return [f"the recorder here is left stopped: {error}"]
            notes.append(f"the recorder here was started all the same, although {error}")
        self._said("starting the service")
        self._driver.start()
        self._said("it runs")
        return notes

    def _stop(self) -> None:
        self._said("stopping the service")
        self._driver.stop()
        self._said("it is stopped: the recorder records nothing")

    def _holds(self, client: LinkClient) -> bool:
        assert self._rules.config is not None, "without it nobody is asked"
        try:
            told = client.identity()
        except OperatorError:
            return False
        return bool(told.holds) and same(told.holds, situation(self._rules.config, self._place).own)

    def _told(self, moves: Sequence[Move]) -> int:
        """Return of how many the recorder's new index tells; waits a moment for it."""
        end = time.monotonic() + _INDEXED
        while True:
            told = 0
            for name, folder in folders_of(moves):
                here = [move.path for move in moves if (move.storage, move.path.rpartition("/")[0]) == (name, folder)]
                names = [path.rpartition("/")[2] for path in here]
                told += len(_layout(self._stores[name]).told_of(self._stores[name].root, folder, names))
            if told == len(moves) or time.monotonic() > end:
                return told
            self._pause(0.5)

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
        """Keep fills out of the places beside the trees. Raises AlreadyRunning, StagingUnusable."""
        with contextlib.ExitStack() as held:
            for name in sorted({move.side for move in moves}):
                held.enter_context(Staging(self._stores[name]).locked())
            yield

    def _noted(self, entry: Entry, step: Step, **changes: object) -> Entry:
        """Write a step down, and return it."""
        reached = entry.reached if step in (Step.RETURNING, Step.RETURNED) else step
        entry = msgspec.structs.replace(entry, step=step, at=self._now(), reached=reached, **changes)
        self._journal.note(entry)
        return entry


def _layout(storage: Storage) -> Importing:
    layout = storage.layout
    assert isinstance(layout, Importing), "nothing is chosen for another"
    return layout
