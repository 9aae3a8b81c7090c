"""A client that is closed lets go: whoever connects, waits for an answer or waits to ask again ends in a moment."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

from backfill.fill import fill
from backfill.gate import Gate
from backfill.link.client import LinkClient
from schema.errors import Interrupted, OperatorError, PeerUnreachable
from tests import make
from tests.links import linked

Address = AbstractContextManager[tuple[str, int]]

_numbers = count()
PATIENCE = 2.0
"""Seconds; the client's own timeout is much longer."""


@contextmanager
def black_hole() -> Iterator[tuple[str, int]]:
    """Give an address at which a connection is never made: its queue is full."""
    with ExitStack() as stack:
        hole = stack.enter_context(socket.socket())
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(hole.getsockname())
        yield hole.getsockname()


@contextmanager
def silent() -> Iterator[tuple[str, int]]:
    """Give an address that takes connections and never says anything."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(5)
        yield listening.getsockname()


@contextmanager
def refusing() -> Iterator[tuple[str, int]]:
    """Give an address at which nobody listens, so that the client waits between its tries."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()


@contextmanager
def slow_name() -> Iterator[tuple[str, int]]:
    """Give an address whose name is being looked up for as long as the test takes; each has a name of its own."""
    real, ended, name = socket.getaddrinfo, threading.Event(), f"slow-{next(_numbers)}.example"

    def hanging(host: str, *arguments: object, **named: object) -> object:
        if host == name:
            ended.wait(60)
        return real(host, *arguments, **named)  # type: ignore[call-overload]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", hanging)
        yield name, 7443
        ended.set()


@pytest.mark.parametrize("where", [black_hole, silent, refusing, slow_name])
def test_whoever_asks_when_a_client_is_closed_ends_at_once(where: Callable[[], Address]) -> None:
    with where() as address:
        client = LinkClient("b", address, context=lambda: None, timeout=30)
        ended: list[OperatorError] = []

        def ask() -> None:
            try:
                client.manifest("main", "x.mp4", 1, 1)
            except OperatorError as error:
                ended.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        time.sleep(0.3)
        client.close()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert isinstance(ended[0], Interrupted)


def test_a_name_that_is_not_looked_up_in_time_makes_a_peer_unreachable_and_is_asked_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with slow_name() as address:
        hanging, asked = socket.getaddrinfo, list[object]()

        def noted(host: object, *arguments: object, **named: object) -> object:
            asked.append(host)
            return hanging(host, *arguments, **named)  # type: ignore[call-overload]

        monkeypatch.setattr(socket, "getaddrinfo", noted)
        client = LinkClient("b", address, context=lambda: None, timeout=0.3)
        for _ in range(3):
            with pytest.raises(PeerUnreachable, match=r"could not be looked up within 0\.3 s"):
                client.pulse()
        assert asked == [address[0]]
        monkeypatch.undo()


def test_a_name_that_cannot_be_one_makes_a_peer_unreachable() -> None:
    client = LinkClient("b", ("a..b", 7443), context=lambda: None, timeout=5)
    with pytest.raises(PeerUnreachable, match="label"):
        client.pulse()


def test_a_closed_client_makes_no_new_connection() -> None:
    with silent() as address:
        client = LinkClient("b", address, context=lambda: None, timeout=30)
        client.close()
        with pytest.raises(Interrupted):
            client.pulse()


def test_a_fill_from_a_peer_that_vanished_stops_soon_and_never_holds_up_the_loop(tmp_path: Path) -> None:
    make.record(tmp_path / "a/recordings", "front", [*range(0, 40, 10), *range(100, 140, 10)], seed=1, size=3000)
    make.record(tmp_path / "b/recordings", "front", range(5, 135, 10), seed=2, size=2_000_000)
    with linked(tmp_path) as pair, black_hole() as hole:
        pair.a.scan()
        pair.b.scan()
        pair.follow()
        planned, gate = pair.a.plan("a"), Gate(500_000)
        late: list[float] = []

        async def beat() -> None:
            while True:
                began = time.monotonic()
                await asyncio.sleep(0.05)
                late.append(time.monotonic() - began)

        async def stopped() -> float:
            beating = asyncio.create_task(beat())
            filling = asyncio.create_task(
                fill(
                    planned,
                    "a",
                    site=pair.a.site,
                    ledger=pair.a.ledger,
                    peers={"b": pair.peer()},
                    now=pair.a.clock,
                    gate=gate,
                )
            )
            await asyncio.sleep(1.0)
            pair.client._address = hole
            pair.client.drop(lane=True)
            for connection in list(pair.client._open):
                if connection.sock is not None:
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)  # what was under way is cut off first
            await asyncio.sleep(0.7)
            began = time.monotonic()
            gate.stop()
            pair.client.close()
            filling.cancel()
            await asyncio.wait([filling])
            beating.cancel()
            return time.monotonic() - began

        assert asyncio.run(stopped()) < PATIENCE
        assert max(late) < 1.0
