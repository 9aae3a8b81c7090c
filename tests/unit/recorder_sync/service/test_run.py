"""The service as a whole: whatever is configured it runs until it is stopped, and nothing in it dies in silence."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from recorder_sync.service import clocks, run
from recorder_sync.service.clocks import Clocks
from recorder_sync.service.linking import LinkThread
from recorder_sync.service.live import Live
from recorder_sync.service.run import Service
from schema.ledger import Ledger
from schema.settings import parse
from tests import make

SERVICE = '[service]\nmonitor = "127.0.0.1:{port}"\n'
PEER = """
[[peers]]
name = "b"
address = "127.0.0.1:1"
[link]
listen = "127.0.0.1:{link}"
encryption = "none"
"""


@asynccontextmanager
async def running(
    base: Path, free_port: Callable[[], int], fill: str = "", *, peer: bool = False
) -> AsyncIterator[Any]:
    """Give a service that runs, as a task; it is stopped afterwards."""
    make.record(base / "a/recordings", "front", [0])
    text = make.config_text("a").replace("[fill]", f"[fill]\n{fill}", 1)
    text += SERVICE.format(port=free_port()) + (PEER.format(link=free_port()) if peer else "")
    settings = parse(text.encode(), base / "a.toml")
    with Ledger.open(settings.ledger) as ledger:
        service = Service(settings, ledger)
        task = asyncio.create_task(service.run())
        ready = asyncio.create_task(service.ready())
        await asyncio.wait({ready, task}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        yield task
        service.stop()
        ready.cancel()
        await asyncio.wait({task}, timeout=20)
        assert task.done()


@pytest.fixture
def free_port() -> Callable[[], int]:
    import socket

    def port() -> int:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            return int(sock.getsockname()[1])

    return port


def test_without_a_guard_of_the_latency_it_runs_as_well(tmp_path: Path, free_port: Callable[[], int]) -> None:
    async def serve() -> None:
        async with running(tmp_path, free_port, 'latency = "0s"') as task:
            await asyncio.sleep(0.5)
            assert not task.done()
        task.result()

    asyncio.run(serve())


def test_what_keeps_certificates_up_to_date_does_not_die_in_silence(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: LinkThread) -> None:
        raise AssertionError("nobody foresaw this")

    monkeypatch.setattr(LinkThread, "keep_certificates", broken)

    async def serve() -> None:
        async with running(tmp_path, free_port, peer=True) as task:
            await asyncio.wait({task}, timeout=10)
        with pytest.raises(AssertionError, match="nobody foresaw this"):
            task.result()

    asyncio.run(serve())


def test_a_task_that_only_returns_ends_the_service_as_a_defect(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None:
        pass

    monkeypatch.setattr(Clocks, "run", nothing)

    async def serve() -> None:
        async with running(tmp_path, free_port) as task:
            await asyncio.wait({task}, timeout=10)
        with pytest.raises(AssertionError, match="came to an end"):
            task.result()

    asyncio.run(serve())


def test_what_a_decoder_makes_of_a_picture_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "_FIRST", 0.0)
    monkeypatch.setattr(clocks, "_AGAIN", 0.01)
    monkeypatch.setattr(clocks.importlib.util, "find_spec", lambda _: object())  # type: ignore[attr-defined]
    tried: list[int] = []

    def broken() -> Any:
        tried.append(1)
        raise ValueError("not a picture")

    async def measure() -> None:
        running = asyncio.create_task(Clocks(broken, "a", Live()).run())
        while len(tried) < 2:
            assert not running.done()
            await asyncio.sleep(0.01)
        running.cancel()

    asyncio.run(measure())


def test_of_two_peers_that_tell_at_once_neither_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = parse(make.config_text("a").encode(), tmp_path / "a.toml")

    async def tell() -> None:
        with Ledger.open(settings.ledger) as ledger:
            service = Service(settings, ledger)
            real, slow, begun = run.build_site, threading.Event(), threading.Event()
            built: list[object] = []

            def building(*arguments: Any) -> Any:
                site = real(*arguments)
                built.append(site)
                if len(built) == 1:
                    begun.set()
                    slow.wait(5)
                return site

            monkeypatch.setattr(run, "build_site", building)
            first = threading.Thread(target=service._rebuild)
            first.start()
            begun.wait(5)
            second = threading.Thread(target=service._rebuild)
            second.start()
            second.join(0.3)
            slow.set()
            first.join(5)
            second.join(5)
            assert service._current().site is built[-1]

    asyncio.run(tell())
