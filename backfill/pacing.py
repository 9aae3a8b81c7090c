"""Pacing in the kernel: a socket that sends no faster than it should, spread evenly and at no cost to us.

Rule: a help, never the limit itself: whoever sends keeps its gate where the kernel does not take it (anything but
Linux, and what is not TCP). It holds for one socket and one direction, so a limit for several is divided by the caller.
"""

import socket
import struct
import sys
from typing import Protocol

SO_MAX_PACING_RATE = 47
"""Linux, <asm-generic/socket.h>; the same on every architecture that Python is built for but PA-RISC and SPARC."""

_UNLIMITED = 2**64 - 1


class Pacable(Protocol):
    """A socket, or what asyncio gives in its place (`transport.get_extra_info("socket")`)."""

    def setsockopt(self, level: int, optname: int, value: bytes, /) -> None:
        """Set an option."""
        ...


def pace(sock: Pacable, bytes_per_second: int | None) -> bool:
    """Let the kernel send no faster than `bytes_per_second` (None: no limit); tells whether it took that.

    TCP needs no queueing discipline for it: where the interface has no `fq`, TCP paces by itself.
    """
    if sys.platform != "linux":
        return False
    wanted = _UNLIMITED if bytes_per_second is None else max(1, bytes_per_second)
    # Before Linux 4.20 it was 32 bits wide, and eight bytes are read as the first four: little-endian, and all ones
    # for no limit, that is still the rate asked for up to 4 GB/s.
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, struct.pack("=Q", wanted))
    except OSError:
        return False
    return True
