"""The data lane: who does not enter, asks for something else, asks for too much or never ends is refused or cut.

Every case is one of the two-host service's own port: what is cut gives its place back, and the honest peer is served.
"""

import asyncio
import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backfill.link import lane, serve
from backfill.link.client import LinkClient
from backfill.link.connection import Answer, Connection
from backfill.link.trust import Trust, host_name
from schema.errors import PeerRefused, PeerUnreachable, PeerUntrusted, SourceChanged, SourceUnreadable
from schema.wire import LANE
from tests import make
from tests.links import Pair, linked, paired

SIZE = 200_000
PATIENCE = 10.0


@pytest.fixture(params=[True, False], ids=["tls", "plain"])
def pair(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setattr(serve, "_LOOKS", 0.05)
    make.record(tmp_path / "a/recordings", "front", [0], seed=1)
    make.record(tmp_path / "b/recordings", "front", range(5, 55, 10), seed=2, size=SIZE)
    with linked(tmp_path, encrypted=request.param) as pair:
        pair.b.scan()
        yield pair


def asked(pair: Pair, number: int = 0) -> dict[str, object]:
    """Return what is asked to get a recording of `b`."""
    path = sorted(pair.b.root("b").rglob("*.mp4"))[number]
    info = path.stat()
    name = str(path.relative_to(pair.b.root("b")))
    return {
        "storage": "main",
        "path": name,
        "size": info.st_size,
        "mtime": info.st_mtime_ns,
        "chunk": 65536,
        "offset": 0,
    }


@contextlib.contextmanager
def raw(pair: Pair, said: bytes = LANE) -> Iterator[socket.socket]:
    """Give a connection of which nothing but `said` was sent."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", pair.serving.port), PATIENCE)) as sock:
        sock.sendall(said)
        yield sock


@contextlib.contextmanager
def entered(pair: Pair) -> Iterator[socket.socket]:
    """Give a connection that is in the lane."""
    with raw(pair) as sock:
        context = pair.client._context()
        if context is None:
            yield sock
        else:
            with context.wrap_socket(sock, server_hostname=host_name("b")) as encrypted:
                yield encrypted


def rest(sock: socket.socket) -> bytes:
    """Return everything until the other end hangs up, which it must."""
    got = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while more := sock.recv(65536):
            got += more
    return got


def free(pair: Pair) -> bool:
    """Wait until all places are free; tells whether they are."""
    door = pair.serving._server._door
    assert door is not None
    return until(lambda: door.places.taken() == ({}, {}))


def until(reached: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE
    while not reached():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name == "lane"]


def test_recordings_come_one_after_the_other_through_one_connection(pair: Pair) -> None:
    for number in range(3):
        answer = pair.client.data(asked(pair, number))
        content = sorted(pair.b.root("b").rglob("*.mp4"))[number].read_bytes()
        assert answer.read()[:65536] == content[:65536]
    assert threads() == ["lane"]
    pair.client.close()
    assert free(pair)
    assert until(lambda: threads() == [])


def test_a_thread_that_ends_takes_its_connections_with_it(pair: Pair) -> None:
    """A service fills again and again, each time in new threads; what they leave open would be all it may have."""

    def ask() -> None:
        pair.client.hello()
        assert pair.client.data(asked(pair)).read()

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join(PATIENCE)
    assert free(pair)
    assert list(pair.client._open) == []


def test_who_asks_nothing_for_long_is_cut_and_comes_back_unnoticed(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "_SILENT", 0.2)
    assert pair.client.data(asked(pair)).read()
    assert free(pair)
    assert pair.client.data(asked(pair, 1)).read()


@pytest.mark.parametrize("said", [LANE, LANE[:5], LANE[:1]])
def test_who_says_that_it_is_for_the_lane_and_then_nothing_is_cut(
    said: bytes, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_ENTERS", 0.3)
    monkeypatch.setattr(lane, "_SILENT", 0.3)
    with raw(pair, said) as sock:
        assert rest(sock) == b""
        assert free(pair)
    assert pair.client.data(asked(pair)).read()


@pytest.mark.parametrize(
    "said",
    [b"rsync daemon, are you there?\n", b"r" * 100_000, LANE[:-1] + b"\r\n" + b"x" * 100, LANE.upper(), b"\0" * 40],
)
def test_other_first_bytes_are_no_way_in(said: bytes, pair: Pair) -> None:
    with raw(pair, said) as sock:
        answer = rest(sock)
        assert b" 200 OK" not in answer
        assert said[:1] != b"r" or not answer
    assert free(pair)
    assert pair.client.data(asked(pair)).read()


@pytest.mark.parametrize("pair", [True], indirect=True, ids=["tls"])
def test_who_does_not_encrypt_where_the_link_is_encrypted_is_cut(pair: Pair) -> None:
    with raw(pair, LANE + b"GET /v1/data?storage=main HTTP/1.1\r\n\r\n") as sock:
        assert b"HTTP" not in rest(sock)
    assert free(pair)


@pytest.mark.parametrize("pair", [True], indirect=True, ids=["tls"])
def test_a_host_of_another_pair_gets_nothing_from_the_lane(pair: Pair, tmp_path: Path) -> None:
    stranger = Trust(str(tmp_path / "stranger"), "a")
    stranger.prepare()
    stranger.add_peer("b", pair.trusts["b"].identity().pem)
    address = ("127.0.0.1", pair.serving.port)
    client = LinkClient("b", address, context=lambda: stranger.client_context("b"), timeout=5)
    with pytest.raises(PeerRefused):
        client.data(asked(pair))
    others = paired(tmp_path / "others", "a", "b")
    client = LinkClient("b", address, context=lambda: others["a"].client_context("b"), timeout=5)
    with pytest.raises(PeerUntrusted):
        client.data(asked(pair))
    assert free(pair)


@pytest.mark.parametrize("error", [ConnectionResetError(), ssl.SSLEOFError(8, "EOF occurred")], ids=["reset", "end"])
@pytest.mark.parametrize("pair", [True], indirect=True, ids=["tls"])
def test_who_hangs_up_on_the_certificate_shown_refuses_it(
    pair: Pair, error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(_: Connection) -> None:
        raise error

    monkeypatch.setattr(Connection, "answer", answer)
    with pytest.raises(PeerRefused, match="hung up on the certificate"):
        pair.client.data(asked(pair))


@pytest.mark.parametrize("pair", [True], indirect=True, ids=["tls"])
def test_whose_pairing_was_taken_back_gets_nothing_more_through_its_open_connection(pair: Pair) -> None:
    assert pair.client.data(asked(pair)).read()
    pair.serving._server._lane._known = dict  # type: ignore[assignment]
    with pytest.raises(PeerRefused, match="no server it is paired with"):
        pair.client.data(asked(pair))


@pytest.mark.parametrize("ends", [False, True], ids=["never", "not soon"])
def test_a_request_without_end_is_cut(ends: bool, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "_SILENT", 0.5)
    with entered(pair) as sock:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            for _ in range(200):
                sock.sendall(b"GET /v1/data?" if ends else b"x" * 1000)
                if ends:
                    time.sleep(0.01)
        assert rest(sock) == b""
        assert free(pair)


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /v1/data?x=1 HTTP/1.1\r\n\r\n",
        b"GET /v1/hello HTTP/1.1\r\n\r\n",
        b"GET /v1/data?x=1 HTTP/1.0\r\n\r\n",
        b"GET  /v1/data?x=1 HTTP/1.1\r\n\r\n",
        b"GET /v1/data?x=1 HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
        b"GET /v1/data?x=1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /v1/data?x=1 HTTP/1.1\r\nno header\r\n\r\n",
        b"GET /v1/d\xffta?x=1 HTTP/1.1\r\n\r\n",
        b"\r\n\r\n",
        b"\0\r\n\r\n",
    ],
)
def test_what_is_no_request_for_a_recording_is_refused_and_the_connection_ends(request_: bytes, pair: Pair) -> None:
    with entered(pair) as sock:
        sock.sendall(request_)
        assert rest(sock).startswith(b"HTTP/1.1 400 ")
        assert free(pair)


@pytest.mark.parametrize("query", ["", "x", "storage=main", "storage=main&storage=main", "&".join(["a=b"] * 40)])
def test_half_a_question_is_refused_and_the_next_is_answered(query: str, pair: Pair) -> None:
    with entered(pair) as sock:
        for _ in range(2):
            sock.sendall(f"GET /v1/data?{query} HTTP/1.1\r\nHost: b\r\n\r\n".encode())
            assert sock.recv(4096).startswith(b"HTTP/1.1 409 ")


def test_a_thousand_connections_take_a_few_places_and_not_for_long(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "_ENTERS", 1.0)
    monkeypatch.setattr(lane, "_SILENT", 1.0)
    before = len(os.listdir("/proc/self/fd"))
    most = 0
    with contextlib.ExitStack() as held:
        for number in range(1000):
            sock = held.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", pair.serving.port), 5)))
            with contextlib.suppress(ConnectionError):
                sock.sendall(LANE)
            if number % 50 == 0:
                most = max(most, len(threads()))
        assert until(lambda: len(os.listdir("/proc/self/fd")) - before - 1000 <= 50)
        assert 0 < most <= 48
        assert until(lambda: not threads())
        assert pair.client.data(asked(pair)).read()


def test_who_is_in_does_not_keep_others_from_entering(pair: Pair) -> None:
    """More than may shake hands at once from one address."""
    door = pair.serving._server._door
    assert door is not None
    with contextlib.ExitStack() as held:
        for number in range(20):
            held.enter_context(entered(pair))
            assert until(lambda number=number: door.places.taken() == ({"127.0.0.1": number + 1}, {}))  # type: ignore[misc]


def test_more_recordings_than_may_be_on_their_way_are_refused_by_name(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_STREAMS", 1)
    served = pair.serving._server._lane
    whoever: Any = object()
    with served._stream(whoever), pytest.raises(PeerUnreachable, match="on their way already"):
        pair.client.data(asked(pair))
    assert pair.client.data(asked(pair)).read()
    assert threads() == ["lane"]


def test_a_limit_holds_for_all_that_is_sent_together(pair: Pair) -> None:
    files = len(list(pair.b.root("b").rglob("*.mp4")))
    received = sum(len(pair.client.data(asked(pair, number)).read()) for number in range(files))
    assert received > 0
    assert pair.serving._server._lane._gate.taken == received, "every byte passes the one gate, and no more than that"


def test_a_stop_cuts_everything_at_once_and_no_thread_is_left(pair: Pair, tmp_path: Path) -> None:
    big = make.record(pair.b.root("b"), "front", [65], seed=3, size=30_000_000)[0]
    pair.b.scan()
    number = sorted(pair.b.root("b").rglob("*.mp4")).index(big)
    with entered(pair) as idle, raw(pair) as entering:
        stalled = pair.client.data(asked(pair, number))
        assert until(lambda: len(threads()) == 3)
        began = time.monotonic()
        asyncio.run_coroutine_threadsafe(pair.serving._server.stop(), pair.serving._loop).result(PATIENCE)
        assert time.monotonic() - began < 1.5
        assert threads() == []
        assert rest(idle) == rest(entering) == b""
        assert not whole(stalled)


def whole(answer: Answer) -> bool:
    """Tell whether all of an answer comes."""
    view = memoryview(bytearray(1 << 20))
    with contextlib.suppress(OSError):
        while answer.receive(view, 1.0):
            pass
    return answer.length == 0


def test_nobody_enters_a_lane_that_is_closed(pair: Pair) -> None:
    pair.serving._server._lane.close()
    with raw(pair) as sock:
        assert rest(sock) == b""
    assert free(pair)


def test_a_recording_that_changes_while_it_is_sent_is_never_whole(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sorted(pair.b.root("b").rglob("*.mp4"))[0]
    monkeypatch.setattr("backfill.link.sending.BLOCK", 65536)
    real = lane._Guest.send

    def touch(guest: lane._Guest, piece: bytes) -> None:
        real(guest, piece)
        os.utime(path, (1, 1))

    before = asked(pair)
    monkeypatch.setattr(lane._Guest, "send", touch)
    assert not whole(pair.client.data(before))
    assert free(pair)
    with pytest.raises(SourceChanged):
        pair.client.data(before)


def test_a_recording_that_cannot_be_read_is_refused_by_name(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def preadv(*_: object) -> int:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr("backfill.link.sending.os.preadv", preadv)
        with pytest.raises(SourceUnreadable, match="Input/output error"):
            pair.client.data(asked(pair))
    assert pair.client.data(asked(pair)).read()
