"""Telling a receiver on a slow line from one that stands still.

Rule: progress counts, not speed. Whoever takes something now and then is sent to for as long as it takes, on a line as
slow as may be; who takes nothing for a while, or so little that it only keeps a place from others, is cut. What counts
as taken is what the receiver's system has acknowledged: under a limit, or on a slow line, the kernel may hold a block
for long before it wants more of us.
"""

import socket
import sys
import time

_BYTES_ACKED = slice(120, 128)
"""Where Linux's `tcp_info` has it."""
_SLOWEST = 1024
"""Bytes a second, on average over an answer, below which a receiver only keeps us waiting."""
_SLOW_FOR = 60.0


class Receiver:
    """How somebody takes what is sent to it. `begin` and `send` are called by who sends, `lost` by who looks on.

    Args:
        patience: seconds in which it must take something of what is sent.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._handed = 0
        self._waited = 0.0
        self._writing: float | None = None
        """Since when the present write waits."""
        self._seen = (0, 0.0)
        """How much was taken when last looked at, and when that had last changed."""
        self._first = 0
        """How much was taken when the answer began."""

    def begin(self, sock: socket.socket) -> None:
        """An answer begins: its average counts from here."""
        self._first, self._waited = self._taken(sock), 0.0

    def send(self, sock: socket.socket, piece: bytes | memoryview) -> None:
        """Send all of `piece`, however long it takes. Raises OSError, also once it was cut."""
        began = self._writing = time.monotonic()
        try:
            sock.sendall(piece)
            self._handed += len(piece)
        finally:
            self._writing = None
            self._waited += time.monotonic() - began

    def lost(self, sock: socket.socket, now: float) -> bool:
        """Tell whether it is to be cut, looking from a thread that does not wait for it."""
        writing, taken = self._writing, self._taken(sock)
        if taken != self._seen[0]:
            self._seen = taken, now
        if writing is None:
            return False
        waited = self._waited + now - writing
        slow = waited > _SLOW_FOR and taken - self._first < waited * _SLOWEST
        return slow or now - max(writing, self._seen[1]) > self._patience

    def _taken(self, sock: socket.socket) -> int:
        """Return the bytes that its system has acknowledged; where ours does not count them, those handed to ours."""
        if not hasattr(socket, "TCP_INFO"):
            return self._handed
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.stop)
        except OSError:
            return self._handed
        return int.from_bytes(info[_BYTES_ACKED], sys.byteorder) if len(info) == _BYTES_ACKED.stop else self._handed
