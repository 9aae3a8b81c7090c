"""One peer's task: whatever goes wrong with a peer is its state with a reason, and the service goes on.

What becomes of it is written before it counts, and what could not be written or told is tried again.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from backfill.link.client import LinkClient
from recorder_sync.app import now
from recorder_sync.service.events import Events
from recorder_sync.service.live import Live
from recorder_sync.service.peers import PeerTask
from schema.errors import LedgerUnreachable, PeerUnreachable
from schema.ledger import Ledger
from schema.settings import Settings, parse
from schema.spans import SECOND
from schema.values import Reach
from schema.wire import PROTOCOL, Hello, Outages, Pulse, StorageAbout
from tests import make


class Odd:
    """A client whose peer answers a pulse, and then something that nobody foresaw."""

    server = "b"

    def pulse(self) -> Pulse:
        return Pulse(now=now(), boot="one", storages=[])

    def hello(self) -> None:
        raise AssertionError("nobody foresaw this")


class Known(Odd):
    """A client of a peer that says who it is, and tells nothing."""

    def __init__(self, server: str) -> None:
        self.server = server

    def hello(self) -> Hello:  # type: ignore[override]  # it does not raise
        about = StorageAbout(name="main", layout="frigate", zone="UTC")
        return Hello(protocols=[PROTOCOL], release="1", server=self.server, ledger="other", storages=[about])

    def outages(self) -> Outages:
        return Outages(outages=[])


@dataclass
class Host:
    """What the tasks of one service share."""

    settings: Settings
    ledger: Ledger
    live: Live

    def task(self, client: object) -> PeerTask:
        told: Callable[[object], None] = lambda _: None  # noqa: E731
        events = Events(self.ledger, "a", self.settings.alarms, lambda: None)
        return PeerTask(
            client,  # type: ignore[arg-type]
            self.ledger,
            self.settings,
            "a",
            self.live,
            events,
            now=now,
            changed=told,
            learned=lambda: None,
        )

    def run(self, *clients: object) -> None:
        """Run a task for each until the first peer is refused and all others are there; no task may end."""

        async def running() -> None:
            tasks = [asyncio.create_task(self.task(client).run()) for client in clients]
            for _ in range(200):
                await asyncio.sleep(0.05)
                states = [one.state for one in self.live.now().peers.values()]
                if any(one.done() for one in tasks) or sorted(states) == sorted(
                    [Reach.REFUSED, *[Reach.UP] * (len(clients) - 1)]
                ):
                    break
            assert not any(one.done() for one in tasks)
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run(running())


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    more = '[[peers]]\nname = "b"\naddress = "127.0.0.1:1"\n[service]\npulse = "100ms"\naway = "200ms"\n'
    settings = parse((make.config_text("a") + more).encode(), tmp_path / "a.toml")
    with Ledger.open(settings.ledger) as ledger:
        yield Host(settings, ledger, Live())


def test_what_nobody_foresaw_is_that_peers_state(host: Host) -> None:
    host.run(Odd())
    seen = host.live.now().peers["b"]
    assert seen.state is Reach.REFUSED
    assert "nobody foresaw this" in seen.detail


def test_who_tells_too_much_is_refused_by_name_and_the_others_are_not(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    with host.ledger.writing() as connection:
        host.ledger.allowance.cameras(connection, "b", ["front", "back"])
    monkeypatch.setattr("schema.ledger.allowance.NAMES_AT_MOST", 2)
    host.run(Known("b"), Known("c"))
    states = {name: one.state for name, one in host.live.now().peers.items()}
    assert states == {"b": Reach.REFUSED, "c": Reach.UP}
    with host.ledger.reading() as connection:
        [noted] = [one for one in host.ledger.contacts.all(connection) if one.server == "b"]
    for detail in (noted.detail, host.live.now().peers["b"].detail):
        assert "more than 2 different cameras, servers and storages" in detail


PEER = """[[peers]]
name = "b"
address = "127.0.0.1:1"
[service]
pulse = "500ms"
away = "1s"
[[alarms]]
name = "x"
kind = "command"
command = ["/bin/true"]
"""


class FakePeer:
    """A peer that answers when it is told to."""

    server = "b"

    def __init__(self, now: Callable[[], int]) -> None:
        self.here = True
        self.ahead = 0
        self.boot = "one"
        self.breaks_off = False
        self._now = now

    def pulse(self) -> Pulse:
        if not self.here:
            raise PeerUnreachable("b", "no route")
        return Pulse(now=self._now() + self.ahead, boot=self.boot, storages=[])

    def hello(self) -> Hello:
        if self.breaks_off:
            raise PeerUnreachable("b", "it broke off")
        return Hello(protocols=[PROTOCOL], release="0", server="b", ledger="other", storages=[])

    def outages(self) -> Outages:
        return Outages(outages=[])


class Stage:
    """One peer task that is asked by hand, with clocks that are moved by hand."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = make.T0
        clock = SimpleNamespace(monotonic=lambda: self.at / SECOND, monotonic_ns=lambda: self.at * 1000)
        monkeypatch.setattr("recorder_sync.service.peers.time", clock)
        settings = parse((make.config_text("a") + PEER).encode(), folder / "a.toml")
        self.ledger = Ledger.open(settings.ledger)
        self.peer = FakePeer(lambda: self.at)
        self.learned: list[int] = []
        self.changed: list[bool] = []
        self.built = 0
        self.unbuildable = False
        self.ledger_writes: list[int] = []
        writing = self.ledger.writing

        def noted() -> Any:
            self.ledger_writes.append(self.at)
            return writing()

        self.ledger.writing = noted  # type: ignore[method-assign]
        self.task = PeerTask(
            cast(LinkClient, self.peer),
            self.ledger,
            settings,
            "a",
            Live(),
            Events(self.ledger, "a", settings.alarms, lambda: None),
            now=lambda: self.at,
            changed=self.changed.append,
            learned=self.learn,
        )

    def learn(self) -> None:
        """Build the site, if that is possible now."""
        self.built += 1
        if self.unbuildable:
            raise LedgerUnreachable("pg", "down")
        self.learned.append(self.at)

    def ask(self, times: int = 1) -> None:
        """Ask the peer, a second apart; an error of the ledger is what `run` survives."""
        for _ in range(times):
            self.at += SECOND
            with contextlib.suppress(LedgerUnreachable):
                asyncio.run(self.task._ask())

    def break_ledger(self) -> Callable[[], None]:
        """Let no transaction be written until the result is called."""
        real = self.ledger.writing

        def broken() -> Any:
            raise LedgerUnreachable("pg", "down")

        self.ledger.writing = broken  # type: ignore[method-assign]
        return lambda: setattr(self.ledger, "writing", real)

    def outages(self) -> list[tuple[int, bool]]:
        """Return the start of each outage, in seconds since the beginning, and whether it is over."""
        with self.ledger.reading() as connection:
            found = self.ledger.history.outages(connection, None, self.at)
        return [((one.span.start - make.T0) // SECOND, one.over) for one in found]

    def alarms(self) -> list[str]:
        """Return the kinds of alarms raised, the first first."""
        with self.ledger.reading() as connection:
            return [one.alarm.kind.value for one in reversed(self.ledger.outbox.recent(connection))]

    def contact(self) -> tuple[Reach, int | None]:
        """Return what the ledger says of the peer: its state and the offset of its clock."""
        with self.ledger.reading() as connection:
            return next((one.state, one.offset) for one in self.ledger.contacts.all(connection))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    made = Stage(tmp_path, monkeypatch)
    yield made
    made.ledger.close()


def test_that_a_peer_went_while_the_ledger_was_away_is_written_when_that_is_back(stage: Stage) -> None:
    stage.ask()
    back = stage.break_ledger()
    stage.peer.here = False
    stage.ask(5)
    back()
    assert stage.outages() == []
    stage.ask()
    assert stage.outages() == [(1, False)]
    assert stage.alarms() == ["server-failed"]
    stage.ask(3)
    assert stage.alarms() == ["server-failed"]


def test_a_peer_that_went_and_came_while_the_ledger_was_away_was_away(stage: Stage) -> None:
    stage.ask()
    back = stage.break_ledger()
    stage.peer.here = False
    stage.ask(5)
    stage.peer.here = True
    stage.ask(2)
    back()
    stage.ask()
    assert stage.outages() == [(1, True)]
    assert stage.alarms() == ["server-failed", "server-back"]
    assert stage.contact()[0] is Reach.UP


def test_that_a_peer_came_is_told_once_it_is_written(stage: Stage) -> None:
    stage.ask()
    stage.peer.here = False
    stage.ask(5)
    back = stage.break_ledger()
    stage.peer.here = True
    stage.learned.clear()
    stage.ask(2)
    assert stage.learned == []
    back()
    stage.ask(2)
    assert stage.outages() == [(1, True)]
    assert stage.alarms() == ["server-failed", "server-back"]
    assert len(stage.learned) == 1


def test_a_clock_that_moved_is_noted_at_once_and_a_little_later_or_never(stage: Stage) -> None:
    stage.ask(2)
    assert stage.contact()[1] == 0
    stage.peer.ahead = 50_000
    stage.ask()
    assert stage.contact()[1] == 0
    stage.peer.ahead = 150_000
    stage.ask()
    assert stage.contact()[1] == 150_000


def test_a_peer_that_answers_and_has_no_news_costs_no_write_for_most_of_a_minute(stage: Stage) -> None:
    stage.ask(10)
    stage.ledger_writes.clear()
    stage.ask(40)
    assert stage.ledger_writes == []


def test_at_the_first_silence_it_is_noted_when_the_peer_was_last_heard(stage: Stage) -> None:
    """Whether it was heard lately keeps others from taking its recorder for dead (`identity.signals.heartbeat`)."""
    stage.ask(40)
    heard = stage.at
    stage.peer.here = False
    stage.ask()
    with stage.ledger.reading() as connection:
        [noted] = stage.ledger.contacts.all(connection)
    assert (noted.seen, noted.state, noted.detail) == (heard, Reach.UP, "")


def test_news_that_could_not_be_taken_in_wake_the_filler_with_the_next_pulse(stage: Stage) -> None:
    stage.ask(2)
    before = len(stage.changed)
    stage.peer.boot = "two"
    stage.peer.breaks_off = True
    stage.ask()
    assert len(stage.changed) == before
    stage.peer.breaks_off = False
    stage.ask()
    assert len(stage.changed) == before + 1
    stage.ask()
    assert len(stage.changed) == before + 1


def test_a_site_that_could_not_be_built_is_built_with_the_next_pulse(stage: Stage) -> None:
    stage.unbuildable = True
    stage.ask()
    assert (stage.built, stage.changed) == (1, [])
    stage.unbuildable = False
    stage.ask()
    assert stage.built == 2
    assert len(stage.changed) == 1


def test_a_clock_of_ours_that_was_set_back_does_not_end_what_is_noted(stage: Stage) -> None:
    stage.ask(2)
    stage.ledger_writes.clear()
    stage.at -= 3600 * SECOND
    stage.ask()
    assert stage.ledger_writes
