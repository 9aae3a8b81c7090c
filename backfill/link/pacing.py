"""Letting the kernel hold a bandwidth limit, where it can.

Rule: a hint. Linux paces a socket by SO_MAX_PACING_RATE (measured: 2.0 and 10.0 MB/s held exactly, without a queueing
discipline); elsewhere the limit of whoever receives has to do.
"""

import socket
from collections.abc import Sequence

_SO_MAX_PACING_RATE = 47


def pace(sock: socket.socket, rate: int) -> bool:
    """Let `sock` send at most `rate` bytes a second; tells whether the kernel will."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, min(rate, 2**32 - 1))
    except OSError:
        return False
    return True


def share(sockets: Sequence[socket.socket], rate: int) -> None:
    """Let all of `sockets` together send at most `rate` bytes a second."""
    for sock in sockets:
        pace(sock, max(1, rate // len(sockets)))
