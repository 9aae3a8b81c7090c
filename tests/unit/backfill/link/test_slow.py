"""A receiver on a slow line gets its recording, however long a block takes; one that takes nothing is cut.

A site on a mobile line, with a limit on top, needs minutes for what a block is; a peer whose process hangs must not
keep its place from others for that long.
"""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfill.link import receiver as receiver_module
from backfill.link import serve
from backfill.link.accepting import Place
from backfill.link.lane import Lane
from backfill.link.receiver import Receiver
from backfill.link.trust import host_name
from backfill.pacing import pace
from schema.digests import DIGEST_BYTES
from schema.wire import LANE
from tests import links, make

SIZE = 4 * 2**20
CHUNK = 2**20
PATIENCE = 0.4
BOTH = pytest.mark.parametrize("encrypted", [True, False], ids=["tls", "plain"])


@contextlib.contextmanager
def pair(base: Path, monkeypatch: pytest.MonkeyPatch, encrypted: bool, size: int = SIZE) -> Iterator[links.Pair]:
    """Give a pair whose `b` has one recording, and little patience."""
    monkeypatch.setattr(serve, "_LOOKS", 0.05)
    make.record(base / "b/recordings", "front", [5], seed=2, size=size)
    (base / "a/recordings").mkdir(parents=True)
    with links.linked(base, encrypted=encrypted) as found:
        found.serving._server._lane._timeout = PATIENCE
        found.b.scan()
        yield found


def asked(pair: links.Pair) -> dict[str, object]:
    path = next(pair.b.root("b").rglob("*.mp4"))
    info = path.stat()
    name = str(path.relative_to(pair.b.root("b")))
    return {"storage": "main", "path": name, "size": info.st_size, "mtime": info.st_mtime_ns}


@contextlib.contextmanager
def reading(pair: links.Pair) -> Iterator[socket.socket]:
    """Give a connection that has asked for the recording, with little room for what it has not read."""
    query = "&".join(f"{key}={value}" for key, value in asked(pair).items())
    with contextlib.closing(socket.socket()) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        raw.settimeout(10)
        raw.connect(("127.0.0.1", pair.serving.port))
        raw.sendall(LANE)
        context = pair.client._context()
        sock = raw if context is None else context.wrap_socket(raw, server_hostname=host_name("b"))
        with contextlib.closing(sock):
            sock.sendall(f"GET /v1/data?{query}&chunk={CHUNK}&offset=0 HTTP/1.1\r\nHost: b\r\n\r\n".encode())
            yield sock


def sending(pair: links.Pair) -> bool:
    return bool(pair.serving._server._lane._sending)


def wait_until(wanted: bool, pair: links.Pair) -> None:
    end = time.monotonic() + 10
    while sending(pair) is not wanted:
        assert time.monotonic() < end
        time.sleep(0.01)


@BOTH
def test_a_slow_line_is_not_cut(encrypted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer for a block than our patience lasts."""
    real = Lane.take

    def take(self: Lane, sock: socket.socket, place: Place) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)  # so that a write waits for the line
        real(self, sock, place)

    monkeypatch.setattr(Lane, "take", take)
    with pair(tmp_path, monkeypatch, encrypted, CHUNK) as found, reading(found) as sock:
        began, got, head = time.monotonic(), 0, b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        got = len(head.partition(b"\r\n\r\n")[2])
        while got < CHUNK + DIGEST_BYTES:
            received = len(sock.recv(4 * 1024))
            assert received, f"cut after {got:,} bytes"
            got += received
            time.sleep(0.01)
        assert time.monotonic() - began > 4 * PATIENCE


@BOTH
def test_who_takes_nothing_is_cut(encrypted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pair(tmp_path, monkeypatch, encrypted, 4 * SIZE) as found, reading(found) as sock:
        wait_until(True, found)
        began = time.monotonic()
        wait_until(False, found)
        assert time.monotonic() - began > 0.8 * PATIENCE
        got = 0
        with contextlib.suppress(OSError):
            while more := len(sock.recv(65536)):
                got += more
        assert got < 4 * SIZE


@BOTH
def test_who_takes_next_to_nothing_is_cut(encrypted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "_SLOW_FOR", 1.0)
    monkeypatch.setattr(receiver_module, "_SLOWEST", 4 * 2**20)
    with pair(tmp_path, monkeypatch, encrypted, 4 * SIZE) as found, reading(found) as sock:
        found.serving._server._lane._timeout = 1000
        wait_until(True, found)
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while sending(found):
                sock.recv(1024)
                time.sleep(0.01)
                assert time.monotonic() - began < 10


@BOTH
def test_a_limit_of_ours_cuts_nobody(encrypted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as any_socket:
        if not pace(any_socket, 10**6):
            pytest.skip("this system does not pace sockets")
    with pair(tmp_path, monkeypatch, encrypted) as found:
        found.serving._server._lane._gate.set_rate(2_000_000)
        began = time.monotonic()
        answer = found.client.data({**asked(found), "chunk": CHUNK, "offset": 0})
        assert len(answer.read()) == SIZE + 4 * DIGEST_BYTES
        assert time.monotonic() - began > 2 * PATIENCE


class Sock:
    """A socket whose other end takes as much as it is told."""

    def __init__(self) -> None:
        self.taken = 0

    def getsockopt(self, level: int, option: int, length: int) -> bytes:
        return b"\0" * 120 + self.taken.to_bytes(8, "little")


def test_only_waiting_for_the_receiver_counts() -> None:
    sock, receiver = Sock(), Receiver(10.0)
    receiver.begin(sock)  # type: ignore[arg-type]
    assert not receiver.lost(sock, 1e9)  # type: ignore[arg-type]  # nothing is being written: our disk is slow
    receiver._writing = 2e9
    assert not receiver.lost(sock, 2e9 + 9)  # type: ignore[arg-type]
    assert receiver.lost(sock, 2e9 + 11)  # type: ignore[arg-type]
    sock.taken += 100_000
    assert not receiver.lost(sock, 2e9 + 11)  # type: ignore[arg-type]
    assert receiver.lost(sock, 2e9 + 22)  # type: ignore[arg-type]


def test_where_the_system_does_not_count_what_was_handed_to_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_INFO")
    one, other = socket.socketpair()
    with one, other:
        receiver = Receiver(10.0)
        receiver.begin(one)
        receiver.send(one, b"x" * 1000)
        assert receiver._taken(one) == 1000
