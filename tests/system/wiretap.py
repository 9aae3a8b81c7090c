"""A wire between two hosts on which every byte of every recording is counted as it passes, and that can be slow.

Rule: it counts what passed, not what anybody says of it. It holds the keys of both hosts, as nobody else could: to who
asks it is the peer, to the peer it is who asks. It reads the link's requests and passes everything on as it is;
questions, handshakes and digests are counted apart from recordings. What breaks on one side is broken on the other.
"""

import contextlib
import json
import os
import select
import signal
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing import Value
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from backfill.link.trust import Trust, host_name
from schema.digests import DIGEST_BYTES
from schema.wire import LANE
from tests.fault.children import forked
from tests.system.hosts import Station

PORT = 7444
UNREAD = 72 * 1024
"""Bytes that can have passed on one connection and not been read by whom they were for: what both kernels keep, which
is held small here, and one piece."""
_PIECE = 8 * 1024
_KERNEL = 16 * 1024
"""What the kernel is told to keep for the wire on either side; it keeps twice as much."""
_WINDOW = "4096 32768 32768"
"""What the kernel may keep for a service that has not read it: least, at first, at most. It would grow by itself."""
_CONNECTS = 5.0
_WATCHES = 0.1
"""Seconds until it is seen that the other side hung up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A part of a recording that passed in one answer: `passed` bytes from `begin` on."""

    path: str
    begin: int
    passed: int
    size: int
    began: float
    """By the monotonic clock, which all processes share."""
    ended: float

    @property
    def end(self) -> int:
        """Where it ended, or broke off."""
        return self.begin + self.passed


@dataclass(frozen=True, slots=True, kw_only=True)
class Twice:
    """A part of a recording that had passed already, `again` bytes of it."""

    sent: Sent
    again: int


def twice(sent: list[Sent]) -> list[Twice]:
    """Return what passed again, in order. Pure."""
    reached: dict[str, int] = {}
    found = []
    for one in sorted(sent, key=lambda one: one.began):
        before = reached.get(one.path, 0)
        assert one.begin <= before, f"{one.path}: from {one.begin} on, and only {before} bytes had passed"
        again = min(before, one.end) - one.begin
        if again > 0:
            found.append(Twice(sent=one, again=again))
        reached[one.path] = max(before, one.end)
    return found


def check_again(sent: list[Sent], breaks: list[float], streams: int, chunk: int) -> int:
    """Check what passed again after each of the `breaks`: a chunk of each segment that was on its way.

    Returns how many bytes it is altogether. Pure.
    """
    again = twice(sent)
    by_break = Counter(sum(at < one.sent.began for at in breaks) for one in again)
    assert by_break[0] == 0, "something passed twice before anything broke"
    assert max(by_break.values(), default=0) <= streams, by_break
    assert [one for one in again if one.again > chunk + UNREAD] == []
    return sum(one.again for one in again)


class Wiretap:
    """The wire over which `asker` reaches `teller`. Laid between pairing and the start of the asker's service.

    Args:
        rate: bytes a second of everything the teller sends; 0 for no limit.
    """

    def __init__(self, asker: Station, teller: Station, rate: int = 0) -> None:
        self._asker = asker
        self._teller = teller
        self._log = asker.folder / "wire.jsonl"
        self._rate = Value("d", rate)
        self._passed, self._other = Value("q", 0), Value("q", 0)
        self._problem = asker.folder / "wire.problem"
        text = asker.config.read_text()
        address = f'address = "{teller.host.address}:7443"'
        assert text.count(address) == 1
        asker.config.write_text(text.replace(address, f'address = "127.0.0.1:{PORT}"'))
        self._process = forked.Process(target=self._run)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()

    def full_speed(self) -> None:
        """Be slow no more."""
        self._rate.value = 0

    def sent(self) -> list[Sent]:
        """Return what passed of recordings so far, in answers that have ended."""
        assert not self._problem.exists(), self._problem.read_text()
        assert self._process.is_alive()
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [Sent(**json.loads(line)) for line in lines]

    def passed(self) -> int:
        """Return how many bytes of recordings passed until this moment."""
        return int(self._passed.value)

    def other(self) -> int:
        """Return how many bytes passed, both ways, that were of no recording; without encryption and handshakes."""
        return int(self._other.value)

    def _run(self) -> None:
        """Become the wire."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._asker.host.enter()
        Path("/proc/sys/net/ipv4/tcp_rmem").write_text(_WINDOW)  # of this host alone
        # A packet of the loopback's usual size would not fit into so small a window.
        assert self._asker.host.run("ip", "link", "set", "lo", "mtu", "1500").returncode == 0
        self._due, self._turn = 0.0, threading.Lock()
        with socket.create_server(("127.0.0.1", PORT), backlog=64) as server:
            while True:
                accepted, _ = server.accept()
                threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        with accepted, contextlib.suppress(OSError), self._reached() as beyond:
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL)
            accepted.settimeout(_CONNECTS)
            if accepted.recv(1, socket.MSG_PEEK) == LANE[:1]:  # for recordings: said before the handshake
                beyond.sendall(accepted.recv(len(LANE), socket.MSG_WAITALL))
            here = Trust(str(self._teller.folder / "link"), self._teller.name).server_context()
            there = Trust(str(self._asker.folder / "link"), self._asker.name).client_context(self._teller.name)
            with (
                there.wrap_socket(beyond, server_hostname=host_name(self._teller.name)) as far,
                here.wrap_socket(accepted, server_side=True) as near,
            ):
                asks, tells = _Side(near, far), _Side(far, near)
                try:
                    while True:
                        self._exchange(asks, tells)
                except AssertionError as error:  # the link is not what this can count
                    self._problem.write_text(f"{error}\n")

    def _reached(self) -> socket.socket:
        beyond = socket.socket()
        beyond.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL)
        beyond.settimeout(_CONNECTS)
        try:
            beyond.connect((self._teller.host.address, 7443))
        except OSError:
            beyond.close()
            raise
        return beyond

    def _exchange(self, asks: "_Side", tells: "_Side") -> None:
        """Pass one question and its answer on."""
        question = asks.head()
        asked = question.split(b" ", 2)[1].decode()
        self._pass(question, tells)
        for piece in asks.body(_length(question)):
            self._pass(piece, tells)
        answer = tells.head()
        data = asked.startswith("/v1/data?") and answer.split(b" ", 2)[1] == b"200"
        counted = _Counted(asked, self._log) if data else None
        try:
            self._pass(answer, asks)
            for piece in tells.body(_length(answer)):
                self._wait(len(piece))
                self._pass(piece, asks, counted.take(len(piece)) if counted is not None else 0)
        finally:
            if counted is not None:
                counted.note()

    def _pass(self, piece: bytes, to: "_Side", recording: int = 0) -> None:
        """Pass on and count a piece, of which so much is of a recording."""
        with self._passed.get_lock():
            self._passed.value += recording
            self._other.value += len(piece) - recording
        to.send(piece)

    def _wait(self, size: int) -> None:
        """Wait until the wire has room for so many bytes, whoever sends them."""
        rate = self._rate.value
        if rate:
            with self._turn:
                self._due = max(self._due, time.monotonic()) + size / rate
                wait = self._due - time.monotonic()
            time.sleep(max(0.0, wait))


class _Side:
    """One end of a connection; while something is waited for here, it is noticed that the `other` end is gone."""

    def __init__(self, sock: ssl.SSLSocket, other: ssl.SSLSocket) -> None:
        self._sock = sock
        self._other = other
        self._read = b""

    def send(self, piece: bytes) -> None:
        """Send. Raises OSError."""
        self._sock.settimeout(60)
        self._sock.sendall(piece)

    def head(self) -> bytes:
        """Return the head of a message. Raises OSError."""
        while (end := self._read.find(b"\r\n\r\n")) < 0:
            self._read += self._some()
        found, self._read = self._read[: end + 4], self._read[end + 4 :]
        return found

    def body(self, length: int) -> Iterator[bytes]:
        """Yield a body in pieces. Raises OSError."""
        while length:
            piece = (self._read or self._some())[: min(length, _PIECE)]
            self._read = self._read[len(piece) :]
            length -= len(piece)
            yield piece

    def _some(self) -> bytes:
        while True:
            self._sock.settimeout(_WATCHES)
            try:
                got = self._sock.recv(_PIECE)
            except TimeoutError:
                self._check_other()
                continue
            if not got:
                raise ConnectionError("it hung up")
            return got

    def _check_other(self) -> None:
        if select.select([self._other], [], [], 0)[0]:
            self._other.settimeout(0)
            with contextlib.suppress(ssl.SSLWantReadError):  # not a byte of a message
                raise ConnectionError(f"the other hung up: {self._other.recv(1)!r}")


class _Counted:
    """An answer with a part of a recording in it, as the link says it: behind each chunk comes its digest."""

    def __init__(self, asked: str, log: Path) -> None:
        query = {key: values[0] for key, values in parse_qs(urlsplit(asked).query).items()}
        self._path = f"{query['path']}/{query['name']}" if query.get("name") else query["path"]
        self._begin, self._size = int(query["offset"]), int(query["size"])
        self._chunk = int(query["chunk"])
        self._log = log
        self._began = time.monotonic()
        self._body = 0

    def take(self, size: int) -> int:
        """Count a piece of the body; returns how many bytes of it are the recording's."""
        before = self._recording()
        self._body += size
        return self._recording() - before

    def _recording(self) -> int:
        whole, rest = divmod(self._body, self._chunk + DIGEST_BYTES)
        return min(whole * self._chunk + min(rest, self._chunk), self._size - self._begin)

    def note(self) -> None:
        """Write down what passed, in one piece, as others do at the same time."""
        sent = Sent(
            path=self._path,
            begin=self._begin,
            passed=self._recording(),
            size=self._size,
            began=self._began,
            ended=time.monotonic(),
        )
        fd = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(fd, json.dumps(asdict(sent)).encode() + b"\n")
        finally:
            os.close(fd)


def _length(head: bytes) -> int:
    """Return how long the body behind a head is."""
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    assert b"transfer-encoding" not in fields, f"a message of unknown length: {head!r}"
    return int(fields.get(b"content-length", b"0"))
