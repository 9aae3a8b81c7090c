"""Accepting connections of peers: counted from the first packet, so that who never says who it is takes no room.

Rule: whoever connects has a few seconds to prove who it is, and one address can neither have all places nor all
handshakes. Beyond that a connection is closed at once; an honest peer tries again. asyncio's own servers count nothing
before the handshake is over.

One port for both kinds of connection: the first byte, looked at and left where it is, tells who goes into the lane.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from schema.wire import LANE

_AT_ONCE = 128
_FROM_ONE = 48
"""Connections of one address, handshakes included."""
_HANDSHAKES = 64
_HANDSHAKES_FROM_ONE = 16
_HANDSHAKE_SECONDS = 5.0
_BACKLOG = 128
_RESTS = 0.5
"""Seconds to wait after no connection could be accepted: without descriptors, trying again at once cannot help."""


class Places:
    """How many connections there are, from where, and how many have not proved who they are. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()
        self._pending: Counter[str] = Counter()

    def take(self, source: str) -> "Place | None":
        """Return a place for a connection from that address, None if there is none."""
        with self._lock:
            if (
                self._open.total() >= _AT_ONCE
                or self._open[source] >= _FROM_ONE
                or self._pending.total() >= _HANDSHAKES
                or self._pending[source] >= _HANDSHAKES_FROM_ONE
            ):
                return None
            self._open[source] += 1
            self._pending[source] += 1
        return Place(self, source)

    def taken(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return how many there are from each address, and how many of them are not in yet."""
        with self._lock:
            return dict(+self._open), dict(+self._pending)

    def _less(self, source: str, *, pending: bool) -> None:
        with self._lock:
            counter = self._pending if pending else self._open
            counter[source] -= 1
            if counter[source] <= 0:
                del counter[source]


class Place:
    """One connection's. `entered` and `leave` may be called again, which changes nothing, but by one thread only."""

    def __init__(self, places: Places, source: str) -> None:
        self._places = places
        self._source = source
        self._pending = self._open = True

    def entered(self) -> None:
        """It proved who it is."""
        if self._pending:
            self._pending = False
            self._places._less(self._source, pending=True)

    def leave(self) -> None:
        """It is closed."""
        self.entered()
        if self._open:
            self._open = False
            self._places._less(self._source, pending=False)


class Door:
    """Listens, and hands each connection that is let in to a protocol, or to the lane.

    Args:
        made: returns the protocol of a new connection.
        context: None for connections without encryption.
        lane: takes what is for the lane, as it is, and its place; None where there is no lane.
    """

    def __init__(
        self,
        made: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext | None,
        lane: Callable[[socket.socket, Place], None] | None = None,
    ) -> None:
        self._made = made
        self._context = context
        self._lane = lane
        self._listening: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.places = Places()

    async def listen(self, host: str, port: int) -> int:
        """Listen at every address of `host`; returns the port. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        try:
            for family, kind, protocol, _, address in dict.fromkeys(found):
                sock = socket.socket(family, kind, protocol)
                self._listening.append(sock)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.setblocking(False)
                sock.bind(address)
                sock.listen(_BACKLOG)
        except OSError:
            self.close()
            raise
        for sock in self._listening:
            self._keep(self._accept(sock))
        return int(self._listening[0].getsockname()[1])

    def close(self) -> None:
        """Listen no more, and let go of who is not in yet."""
        for task in self._tasks:
            task.cancel()
        for sock in self._listening:
            sock.close()
        self._listening.clear()

    def _keep(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listening)
            except OSError:
                await asyncio.sleep(_RESTS)
                continue
            place = self.places.take(str(address[0]))
            if place is None:
                sock.close()
            else:
                self._keep(self._let_in(sock, place))

    async def _let_in(self, sock: socket.socket, place: Place) -> None:
        """See whom it is for; whatever goes wrong with it is the end of this connection alone."""
        first = b""
        try:
            with contextlib.suppress(OSError):
                async with asyncio.timeout(_HANDSHAKE_SECONDS):
                    first = await _first_byte(sock)
        finally:
            if not first:
                sock.close()
                place.leave()
        if first == LANE[:1] and self._lane is not None:
            self._lane(sock, place)
        elif first:
            await self._shake_hands(sock, place)

    async def _shake_hands(self, sock: socket.socket, place: Place) -> None:
        counted = _Counted(self._made(), place.leave)
        try:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: counted,
                sock,
                ssl=self._context,
                ssl_handshake_timeout=None if self._context is None else _HANDSHAKE_SECONDS,
            )
            place.entered()
        except (OSError, ssl.SSLError):
            pass  # a scanner, a stranger, or a peer that went away: it is told by its side, and tries again
        finally:
            if not counted.began:
                sock.close()
                place.leave()


class _Counted(asyncio.Protocol):
    """A protocol that tells when its connection is over."""

    def __init__(self, inner: asyncio.Protocol, over: Callable[[], None]) -> None:
        self._inner = inner
        self._over = over
        self.began = False
        # What is called for every piece that arrives is not worth a call in between.
        self.data_received = inner.data_received  # type: ignore[method-assign]
        self.eof_received = inner.eof_received  # type: ignore[method-assign]
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.began = True
        self._inner.connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        try:
            self._inner.connection_lost(error)
        finally:
            self._over()


async def _first_byte(sock: socket.socket) -> bytes:
    """Wait for the first byte and leave it where it is; empty if the other end hung up. Raises OSError."""
    while True:
        with contextlib.suppress(BlockingIOError):
            return sock.recv(1, socket.MSG_PEEK)
        await _readable(sock)


async def _readable(sock: socket.socket) -> None:
    loop, there = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sock, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(sock)
