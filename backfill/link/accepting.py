"""Accepting connections of peers: counted from the first packet, so that who never says who it is takes no room.

Rule: whoever connects has a few seconds to prove who it is, and one address can neither have all places nor all
handshakes. Beyond that a connection is closed at once; an honest peer tries again. asyncio's own servers count nothing
before the handshake is over.
"""

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Any

_AT_ONCE = 128
_FROM_ONE = 48
"""Connections of one address, handshakes included."""
_HANDSHAKES = 64
_HANDSHAKES_FROM_ONE = 16
_HANDSHAKE_SECONDS = 5.0
_BACKLOG = 128
_RESTS = 0.5
"""Seconds to wait after no connection could be accepted: without descriptors, trying again at once cannot help."""


class Door:
    """Listens, and hands each connection that is let in to a protocol.

    Args:
        made: returns the protocol of a new connection.
        context: None for connections without encryption.
    """

    def __init__(self, made: Callable[[], asyncio.Protocol], context: ssl.SSLContext | None) -> None:
        self._made = made
        self._context = context
        self._listening: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: Counter[str] = Counter()
        self._pending: Counter[str] = Counter()

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
            source = str(address[0])
            if self._full(source):
                sock.close()
                continue
            self._open[source] += 1
            self._pending[source] += 1
            self._keep(self._let_in(sock, source))

    def _full(self, source: str) -> bool:
        return (
            self._open.total() >= _AT_ONCE
            or self._open[source] >= _FROM_ONE
            or self._pending.total() >= _HANDSHAKES
            or self._pending[source] >= _HANDSHAKES_FROM_ONE
        )

    async def _let_in(self, sock: socket.socket, source: str) -> None:
        """Have the handshake done; whatever goes wrong with it is the end of this connection alone."""
        counted = _Counted(self._made(), lambda: _less(self._open, source))
        try:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: counted,
                sock,
                ssl=self._context,
                ssl_handshake_timeout=None if self._context is None else _HANDSHAKE_SECONDS,
            )
        except (OSError, ssl.SSLError):
            pass  # a scanner, a stranger, or a peer that went away: it is told by its side, and tries again
        finally:
            _less(self._pending, source)
            if not counted.began:
                sock.close()
                counted.end()


class _Counted(asyncio.Protocol):
    """A protocol that tells when its connection is over."""

    def __init__(self, inner: asyncio.Protocol, over: Callable[[], None]) -> None:
        self._inner = inner
        self._over: Callable[[], None] | None = over
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
            self.end()

    def end(self) -> None:
        """Count it no more."""
        over, self._over = self._over, None
        if over is not None:
            over()


def _less(counter: Counter[str], source: str) -> None:
    counter[source] -= 1
    if counter[source] <= 0:
        del counter[source]
