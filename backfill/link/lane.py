"""The data lane: recordings leave through blocking sockets, a thread for each connection.

Rule: one way for encrypted connections and others. A connection begins with `LANE` in the clear, then shakes hands;
after that it is asked for files in HTTP, one request after the other, and nothing else. asyncio encrypts at half the
speed of a thread that waits in the kernel, and it is the link's questions that its loop is for.

No thread here keeps time: threads wait in the kernel, and the service's loop looks at all of them every second
(`sweep`) and cuts who does not enter, asks nothing or takes nothing. Cutting is shutting the socket down, which wakes
the thread that waits on it. A socket is closed by its own thread alone, and after nobody else can find it.
"""

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from backfill.gate import Gate
from backfill.link.accepting import Place
from backfill.link.answers import Answers
from backfill.link.queries import HEAD_END, HEAD_LIMIT, FileAsked, file_asked, named, query_of, refusal
from backfill.link.receiver import Receiver
from backfill.link.sending import buffer, pieces
from backfill.link.trust import issuer_of, paired_with
from backfill.pacing import pace
from schema.errors import Interrupted, OperatorError, SourceChanged
from schema.wire import LANE, Problem, written

_STREAMS = 16
"""Recordings on their way at once; who wants one more is told to come back."""
_ENTERS = 5.0
"""Seconds for the handshake."""
_SILENT = 60.0
"""Seconds in which a whole request must come."""


class _Guest:
    """One connection."""

    def __init__(self, sock: socket.socket, place: Place, patience: float) -> None:
        self.sock = sock
        self.place = place
        self.issuer = ""
        self.receiver = Receiver(patience)
        self.until = time.monotonic() + _ENTERS
        """When it is cut, whatever it does."""

    def send(self, piece: bytes | memoryview) -> None:
        self.receiver.send(self.sock, piece)

    def cut(self) -> None:
        with suppress(OSError):
            # Not `sock.shutdown`: an encrypted socket's also takes away what its own thread sends through.
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class Lane:
    """Sends files to peers. `take`, `sweep` and `close` never wait, and may be called from any thread.

    Args:
        context: None sends without encryption, to anybody.
        known: returns the servers that are paired, by the name of their identity.
        bandwidth: bytes a second of all streams together; None for no limit.
        timeout: seconds in which a receiver must take something.
    """

    def __init__(
        self,
        answers: Answers,
        *,
        context: ssl.SSLContext | None,
        known: Callable[[], dict[str, str]],
        bandwidth: int | None,
        timeout: float,
    ) -> None:
        self._answers = answers
        self._context = context
        self._known = known
        self._timeout = timeout
        self._lock = threading.Lock()
        self._guests: dict[_Guest, threading.Thread] = {}
        self._sending: set[_Guest] = set()
        self._gate = Gate(bandwidth)
        self._closed = False

    def take(self, sock: socket.socket, place: Place) -> None:
        """Serve a new connection, of which nothing was read yet. It and its place are left in any case."""
        guest = _Guest(sock, place, self._timeout)
        thread = threading.Thread(target=self._serve, args=(guest,), name="lane", daemon=True)
        with self._lock:
            self._guests[guest] = thread
            refused = self._closed
        try:
            if not refused:
                thread.start()
        except RuntimeError:  # as many threads as there may be
            refused = True
        if refused:
            self._leave(guest)

    def sweep(self) -> None:
        """Cut who keeps us waiting."""
        now = time.monotonic()
        with self._lock:
            for guest in self._guests:
                if now > guest.until or guest.receiver.lost(guest.sock, now):
                    guest.cut()

    def close(self) -> list[threading.Thread]:
        """Cut everybody and take nobody any more; returns the threads, which end in a moment."""
        with self._lock:
            self._closed = True
            self._gate.stop()
            for guest in self._guests:
                guest.cut()
            return list(self._guests.values())

    def _leave(self, guest: _Guest) -> None:
        with self._lock:
            del self._guests[guest]
        guest.sock.close()
        guest.place.leave()

    def _serve(self, guest: _Guest) -> None:
        try:
            self._enter(guest)
            view = buffer()
            while self._answer(guest, view):
                pass
        except OSError:
            pass  # it went away, was cut, or is a stranger: its own side tells whom it concerns
        finally:
            self._leave(guest)

    def _enter(self, guest: _Guest) -> None:
        """Have it say what it wants and prove who it is. Raises OSError."""
        guest.sock.setblocking(True)
        guest.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pace(guest.sock, self._gate.rate)  # what passes the gate at once, the kernel spreads
        said = b""
        while len(said) < len(LANE):  # and not a byte more: what follows belongs to the handshake
            more = guest.sock.recv(len(LANE) - len(said))
            said += more
            if not more or not LANE.startswith(said):
                raise ConnectionAbortedError
        if self._context is not None:
            with self._lock:  # a plain socket is empty once it is wrapped, and whoever cuts must find the other
                guest.sock = encrypted = self._context.wrap_socket(
                    guest.sock, server_side=True, do_handshake_on_connect=False
                )
            encrypted.do_handshake()
            guest.issuer = issuer_of(encrypted.getpeercert())
        guest.place.entered()

    def _answer(self, guest: _Guest, view: memoryview) -> bool:
        """Answer the next request; tells whether another may follow. Raises OSError."""
        guest.until = time.monotonic() + _SILENT
        head = _head(guest.sock, view)
        if not head:
            return False
        guest.until = float("inf")
        guest.receiver.begin(guest.sock)
        try:
            query = query_of(head)
        except ValueError as error:
            guest.send(_said(400, "Bad Request", written(Problem(error="NoRequest", detail=str(error)))))
            return False
        try:
            if self._context is not None:
                paired_with(guest.issuer, self._known())
            return self._data(guest, file_asked(query), view)
        except OperatorError as error:
            guest.send(_said(409, "Conflict", refusal(error)))
            return True

    def _data(self, guest: _Guest, file: FileAsked, view: memoryview) -> bool:
        """Send a file; tells whether all of it went. Raises why it cannot be had, and OSError."""
        with self._stream(guest) as admitted:
            if not admitted:
                busy = Problem(error="Busy", detail=f"{_STREAMS} recordings are on their way already")
                guest.send(_said(503, "Service Unavailable", written(busy)))
                return True
            try:
                fd = self._answers.open(file.storage, file.path, file.name, file.size, file.mtime_ns)
            except OSError as error:
                raise named(error, file.path) from None
            try:
                return self._send(guest, file, fd, view)
            finally:
                os.close(fd)

    def _send(self, guest: _Guest, file: FileAsked, fd: int, view: memoryview) -> bool:
        sending = pieces(fd, file, view)
        try:
            head = next(sending)
        except OSError as error:
            raise named(error, file.path) from None
        guest.send(head)
        try:
            for piece in sending:
                self._gate.take(len(piece))
                guest.send(piece)
        except (SourceChanged, Interrupted):
            return False  # it is cut, so that nobody takes it for the whole; who asks again is told why
        return True

    @contextmanager
    def _stream(self, guest: _Guest) -> Iterator[bool]:
        """Count it among those that are being sent to, if there is room."""
        with self._lock:
            admitted = len(self._sending) < _STREAMS
            if admitted:
                self._sending.add(guest)
        try:
            yield admitted
        finally:
            with self._lock:
                self._sending.discard(guest)


def _head(sock: socket.socket, view: memoryview) -> bytes:
    """Return the next request as it came, empty at the end of the connection. Raises OSError if it is too long."""
    got = 0
    while view[max(0, got - len(HEAD_END)) : got] != HEAD_END:
        more = sock.recv_into(view[got:HEAD_LIMIT]) if got < HEAD_LIMIT else 0
        if not more and got:
            raise ConnectionAbortedError
        if not more:
            return b""
        got += more
    return bytes(view[:got])


def _said(status: int, reason: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
