"""Kernel pacing is set on real sockets, and what does not take it says so. How evenly it sends is the kernel's."""

import asyncio
import socket
import struct
import sys

import pytest

from backfill.pacing import SO_MAX_PACING_RATE, pace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the option is Linux's own")


def rate_of(sock: socket.socket) -> int:
    found: int = struct.unpack("=Q", sock.getsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, 8))[0]
    return found


@pytest.mark.parametrize("rate", [1, 2_000_000, 25_000_000, 10 * 2**30])
def test_a_connected_socket_takes_the_rate(rate: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert pace(client, rate)
        assert rate_of(client) == rate


def test_a_limit_can_be_taken_off_again() -> None:
    with socket.socket() as sock:
        untouched = rate_of(sock)
        assert pace(sock, 1000)
        assert rate_of(sock) == 1000
        assert pace(sock, None)
        assert rate_of(sock) == untouched


def test_a_rate_of_nothing_stays_a_rate_because_nothing_would_stop_the_line_for_good() -> None:
    with socket.socket() as sock:
        assert pace(sock, 0)
        assert rate_of(sock) == 1


def test_a_socket_that_is_gone_takes_nothing() -> None:
    sock = socket.socket()
    sock.close()
    assert not pace(sock, 1000)


def test_elsewhere_than_on_linux_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with socket.socket() as sock:
        untouched = rate_of(sock)
        assert not pace(sock, 1000)
        assert rate_of(sock) == untouched


def test_what_asyncio_gives_in_place_of_a_socket_takes_it_too() -> None:
    async def scenario() -> int:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        given = writer.get_extra_info("socket")
        assert pace(given, 5_000_000)
        found: int = struct.unpack("=Q", given.getsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, 8))[0]
        writer.close()
        server.close()
        return found

    assert asyncio.run(scenario()) == 5_000_000
