"""A connection to a peer, for its questions or for its recordings, and the beginning of an answer on it.

Rule: who answers must hold the pinned identity. A connection for recordings says so before it shakes hands, which
takes it into the peer's data lane; nothing else differs.
"""

import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable

from backfill.link.reach import reached
from backfill.link.timely import Timely
from backfill.link.trust import host_name
from schema.wire import LANE


class Answer(http.client.HTTPResponse):
    """An answer that can be read as it comes: a peer that drips does not keep us in one call for ever."""

    def __init__(self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None):
        super().__init__(sock, debuglevel, method, url)
        self.fp: io.BufferedReader = io.BufferedReader(Timely(self.fp.detach()))
        self._direct = _reading(sock)
        self._buffered = True
        """Whether bytes may wait in `fp`, which read ahead while it looked for the end of the headers."""

    def receive(self, view: memoryview, seconds: float) -> int:
        """Fill `view` if that does not take longer than so many seconds; returns how many bytes, 0 only at the end.

        Past what `fp` has read ahead straight from the socket: an encrypted one gives 16 KiB at most, so that every
        layer in between counts.
        """
        if self.length is not None:
            view = view[: self.length]
        if not view or self.fp is None:
            return 0
        done, wanted, direct, until = 0, len(view), self._direct, time.monotonic() + seconds
        if self._buffered:
            done = self.fp.readinto1(view)
            self._buffered = done == wanted
        got = 1
        while got and done < wanted and time.monotonic() < until:
            got = direct(view[done:])
            done += got
        if self.length is not None:
            self.length -= done
        if not got or self.length == 0:
            self.close()
        return done


def _reading(sock: socket.socket) -> Callable[[memoryview], int]:
    """Return what reads from a socket into memory with the fewest calls."""
    if isinstance(sock, ssl.SSLSocket):
        return lambda view: sock.read(len(view), view)  # type: ignore[return-value]  # a number, with a buffer
    return sock.recv_into


class Connection(http.client.HTTPConnection):
    """A connection whose other end must hold the pinned identity.

    Args:
        lane: it is for recordings, else for questions.
        timeout: seconds the other end may say nothing.
        closed: once set, nobody is connected to any more.
    """

    response_class = Answer

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        server: str,
        *,
        lane: bool,
        timeout: float,
        closed: threading.Event,
    ) -> None:
        super().__init__(host, port, timeout=timeout, blocksize=256 * 1024)
        self._context = context
        self._server = server
        self._lane = lane
        self._closed = closed

    def __del__(self) -> None:
        # Its thread has ended, as a fill's threads do, and nobody else knows it.
        self.close()

    def answer(self) -> Answer:
        """Return the beginning of the answer. Raises OSError, HTTPException."""
        found = self.getresponse()
        assert isinstance(found, Answer)
        return found

    @property
    def encrypted(self) -> bool:
        """Whether the other end had to prove who it is."""
        return self._context is not None

    def connect(self) -> None:
        self.sock = reached((self.host, self.port), self.timeout or 0.0, self._closed)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._lane:
                self.sock.sendall(LANE)
            if self._context is not None:
                # What shakes hands can be cut by `close`, which must find it: a plain socket is empty once wrapped.
                self.sock = encrypted = self._context.wrap_socket(
                    self.sock, server_hostname=host_name(self._server), do_handshake_on_connect=False
                )
                encrypted.do_handshake()
        except BaseException:
            self.sock.close()
            raise


def shut(sock: socket.socket) -> None:
    """Wake whoever waits on `sock`, from another thread."""
    try:
        # Not `sock.shutdown`: an encrypted socket's also takes away what the thread that waits on it reads through.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        sock.close()
