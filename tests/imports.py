"""A recorder that lacks two hours, with the tables that fill them beside its bank, and a service that runs it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backfill.after import after_fill
from backfill.importing.choose import Choice
from backfill.importing.find import find
from backfill.link.client import LinkClient
from recorder_sync.app import App
from recorder_sync.identity.drivers import State
from recorder_sync.identity.place import Place
from recorder_sync.importing.importer import Importer
from recorder_sync.importing.journal import Journal, Step
from schema.errors import OperatorError, RecorderServiceStuck
from schema.spans import HOUR
from schema.values import Segment
from schema.wire import IdentityMessage
from tests import make
from tests.make import T0, Bench
from tests.xprotect import FRONT, Recorder

CONFIG = make.config_text("a", "b", layout="xprotect") + '[identity]\nserver = "a"\nfolder = "identity"\n'
LOST = (2, 3)


class Peer:
    """What a peer's recorder-sync answers."""

    server = "nvr-x"

    def __init__(self, *answers: IdentityMessage | OperatorError) -> None:
        self._answers = list(answers)

    def identity(self) -> IdentityMessage:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, OperatorError):
            raise answer
        return answer

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Played:
    """A service whose recorder writes only while it runs; its state is a file, so that it outlives its master."""

    recorder: Recorder
    note: Path
    log: list[str] = field(default_factory=list)
    fails: set[str] = field(default_factory=set)

    def state(self) -> State:
        return State(self.note.read_text())

    def stop(self) -> None:
        self._ask("stop", State.STOPPED)
        self.recorder.kill()

    def start(self) -> None:
        self._ask("start", State.RUNNING)
        self.recorder.wake(T0 + 7 * HOUR)

    def _ask(self, what: str, state: State) -> None:
        if what in self.fails:
            raise RecorderServiceStuck("recorder", what, "a test wants it so")
        if self.state() is not state:
            self.log.append(what)
        self.note.write_text(state.value)


@dataclass
class Desk:
    """Everything to import with."""

    bench: Bench
    a: Recorder
    b: Recorder
    service: Played
    clients: Sequence[LinkClient] = ()
    said: list[str] = field(default_factory=list)

    def choice(self, **more: object) -> Choice:
        found: Choice = find(
            self.bench.ledger,
            self.bench.site,
            "a",
            self.bench.now,
            **{"cameras": frozenset(), **more},  # type: ignore[arg-type]
        )
        return found

    def importer(self) -> Importer:
        app = App(self.bench.settings, self.bench.ledger, self.bench.site)
        return Importer(app, "a", self.service, self.clients, self.bench.clock, lambda _: None, self.said.append)

    @property
    def side(self) -> Path:
        """Where the tables are that `b` gave."""
        [store] = [one for one in self.bench.site.side.values() if one.server == "a"]
        return Path(store.root)

    def rows(self, *, beside: bool) -> list[Segment]:
        """Return what the ledger says was filled, beside the bank or in it."""
        stores = [one for one in self.bench.site.of("a") if (one.origin is not None) is beside]
        with self.bench.ledger.reading() as connection:
            return [row for one in stores for row in self.bench.ledger.segments.filled(connection, one.id)]

    def is_as_before(self, bank: dict[str, bytes], side: dict[str, bytes]) -> None:
        """Assert that bank, place beside and ledger are what they were before an import, and the recorder runs."""
        assert self.service.state() is State.RUNNING
        assert make.tree(self.a.bank) == bank
        assert make.tree(self.side) == side
        assert len(self.rows(beside=True)) == len(LOST) and not self.rows(beside=False)
        assert self.bench.states("a", FRONT) == [("filled", 7200, 14400)]


def place(at: Desk) -> Place:
    return Place(at.bench.settings.identity.folder)


def steps(at: Desk) -> list[Step]:
    return [entry.step for entry in Journal(place(at)).entries()]


@contextmanager
def desk(base: Path, **more: object) -> Iterator[Desk]:
    """Give a recorder whose missing tables were filled beside its bank. Its spare is that of a real one."""
    with make.bench(base, CONFIG) as bench:
        yield laid(bench, **more)


@contextmanager
def desk_of_banks(base: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Give one whose recorder has several banks, and has moved its first tables to an archive among them."""
    more = 'options = { banks = "several" }\n'
    config = make.config_text("a", "b", layout="xprotect", more=more) + '[identity]\nserver = "a"\n'
    with make.bench(base, config) as bench:
        root = bench.root("a")
        monkeypatch.setattr(bench, "root", lambda server: base / server / "recordings" / f"bank-{server}")
        at = laid(bench)
        archive = Recorder(root / "archive", tag="ARCHIVE")
        for table in list(at.a.closed[:2]):
            at.a.archive(table.name, archive)
        bench.scan()
        yield at


def laid(bench: Bench, **more: object) -> Desk:
    """Record, fill beside the bank, and return what is there."""
    a = Recorder(bench.root("a"), seed=1, **more)  # type: ignore[arg-type]
    b = Recorder(bench.root("b"), seed=2, **more)  # type: ignore[arg-type]
    b.hours(FRONT, T0, 6)
    for hour in range(6):
        if hour not in LOST:
            a.hours(FRONT, T0 + hour * HOUR, 1)
    a.record(FRONT, T0 + 6 * HOUR, T0 + 6 * HOUR + HOUR // 2)
    bench.scan()
    after_fill(bench.ledger, bench.site, "a", bench.fill("a").landed)
    note = bench.base / "service"
    note.write_text("running")
    return Desk(bench, a, b, Played(a, note))
