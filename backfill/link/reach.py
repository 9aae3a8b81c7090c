"""Making a TCP connection that can be given up while it is being made.

Rule: a peer whose packets go nowhere keeps nobody longer than a moment after the client was closed. What the resolver
of names does is not ours to cut short.
"""

import errno
import os
import selectors
import socket
import threading
import time
from typing import Any

from schema.errors import Interrupted

_LOOK = 0.2
"""Seconds between two looks at whether it is still wanted."""
_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK)


def reached(address: tuple[str, int], timeout: float, closed: threading.Event) -> socket.socket:
    """Return a connected socket with that timeout, the first of the address's that answers.

    Raises Interrupted once closed, and OSError.
    """
    problem: OSError | None = None
    for family, kind, protocol, _, where in socket.getaddrinfo(*address, type=socket.SOCK_STREAM):
        if closed.is_set():
            raise Interrupted
        try:
            return _connected(socket.socket(family, kind, protocol), where, timeout, closed)
        except OSError as error:
            problem = error
    raise problem or OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))


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
