"""One peer's task: whatever goes wrong with a peer is its state with a reason, and the service goes on."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from recorder_sync.app import now
from recorder_sync.service.events import Events
from recorder_sync.service.live import Live
from recorder_sync.service.peers import PeerTask
from schema.ledger import Ledger
from schema.settings import Settings, parse
from schema.values import Reach
from schema.wire import Hello, Outages, Pulse, StorageAbout
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
        return Hello(protocols=[1], release="1", server=self.server, ledger="other", storages=[about])

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
