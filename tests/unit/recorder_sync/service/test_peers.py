"""One peer's task: whatever goes wrong with a peer is its state with a reason, and the service goes on."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recorder_sync.app import now
from recorder_sync.service.events import Events
from recorder_sync.service.live import Live
from recorder_sync.service.peers import PeerTask
from schema.ledger import Ledger
from schema.settings import parse
from schema.values import Reach
from schema.wire import Pulse
from tests import make


class Odd:
    """A client whose peer answers a pulse, and then something that nobody foresaw."""

    server = "b"

    def pulse(self) -> Pulse:
        return Pulse(now=now(), boot="one", storages=[])

    def hello(self) -> None:
        raise AssertionError("nobody foresaw this")


@pytest.fixture
def task(tmp_path: Path) -> Iterator[tuple[PeerTask, Live]]:
    more = '[[peers]]\nname = "b"\naddress = "127.0.0.1:1"\n[service]\npulse = "100ms"\naway = "200ms"\n'
    settings = parse((make.config_text("a") + more).encode(), tmp_path / "a.toml")
    live = Live()
    with Ledger.open(settings.ledger) as ledger:
        events = Events(ledger, "a", settings.alarms, lambda: None)
        told: Callable[[object], None] = lambda _: None  # noqa: E731
        yield (
            PeerTask(
                Odd(),  # type: ignore[arg-type]
                ledger,
                settings,
                "a",
                live,
                events,
                now=now,
                changed=told,
                learned=lambda: None,
            ),
            live,
        )


def test_what_nobody_foresaw_is_that_peers_state(task: tuple[PeerTask, Live]) -> None:
    peer, live = task

    async def until_refused() -> None:
        running = asyncio.create_task(peer.run())
        for _ in range(100):
            await asyncio.sleep(0.05)
            seen = live.now().peers.get("b")
            if running.done() or (seen is not None and seen.state is Reach.REFUSED):
                break
        assert not running.done()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    asyncio.run(until_refused())
    seen = live.now().peers["b"]
    assert seen.state is Reach.REFUSED
    assert "nobody foresaw this" in seen.detail
