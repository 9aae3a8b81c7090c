"""Making a TCP connection that can be given up while it is being made.

Rule: a peer whose packets go nowhere keeps nobody longer than a moment after the client was closed. What the resolver
of names does cannot be cut short: it is asked in a thread that nobody waits for, one for each address, however many
want to know.
"""

import errno
import os
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

from schema.errors import Interrupted

_LOOK = 0.2
"""Seconds between two looks at whether it is still wanted."""
_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK)

_Found = Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]]


class _Lookup:
    """One question to the resolver, and what it answered."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.found: _Found = ()
        self.problem: OSError | None = None
        self.ended = threading.Event()
        threading.Thread(target=self._ask, args=(address,), name="lookup", daemon=True).start()

    def _ask(self, address: tuple[str, int]) -> None:
        try:
            self.found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
        except OSError as error:
            self.problem = error
        except UnicodeError as error:  # such as an empty label
            self.problem = socket.gaierror(socket.EAI_NONAME, str(error))
        finally:
            with _asking:
                _asked.pop(address, None)
            self.ended.set()


_asking = threading.Lock()
_asked: dict[tuple[str, int], _Lookup] = {}
"""The questions under way: a resolver that hangs is not asked again and again."""


def reached(address: tuple[str, int], timeout: float, closed: threading.Event) -> socket.socket:
    """Return a connected socket with that timeout, the first of the address's that answers.

    Raises Interrupted once closed, and OSError.
    """
    problem: OSError | None = None
    for family, kind, protocol, _, where in _looked_up(address, timeout, closed):
        if closed.is_set():
            raise Interrupted
        try:
            return _connected(socket.socket(family, kind, protocol), where, timeout, closed)
        except OSError as error:
            problem = error
    raise problem or OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))


def _looked_up(address: tuple[str, int], timeout: float, closed: threading.Event) -> _Found:
    """Return what the resolver says. Raises Interrupted once closed, and OSError."""
    deadline = time.monotonic() + timeout
    with _asking:
        lookup = _asked.get(address)
        if lookup is None:
            lookup = _asked[address] = _Lookup(address)
    while not lookup.ended.wait(max(0.0, min(_LOOK, deadline - time.monotonic()))):
        if closed.is_set():
            raise Interrupted
        if time.monotonic() >= deadline:
            raise socket.gaierror(socket.EAI_AGAIN, f"its name could not be looked up within {timeout:g} s")
    if lookup.problem is not None:
        raise lookup.problem
    return lookup.found


def _connected(sock: socket.socket, where: Any, timeout: float, closed: threading.Event) -> socket.socket:
    try:
        sock.setblocking(False)
        code = sock.connect_ex(where)
        if code in _UNDER_WAY:
            code = _outcome(sock, timeout, closed)
        if code == 0:
            sock.settimeout(timeout)
            return sock
    except BaseException:
        sock.close()
        raise
    sock.close()
    raise OSError(code, os.strerror(code))


def _outcome(sock: socket.socket, timeout: float, closed: threading.Event) -> int:
    """Return how a connection under way turns out, 0 if it is there. Raises Interrupted, TimeoutError."""
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_WRITE)
        while True:
            if closed.is_set():
                raise Interrupted
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if selector.select(min(left, _LOOK)):
                return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
