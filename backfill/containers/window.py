"""Reading a few headers of a large file with few system calls.

Rule: one buffer of fixed size; a hostile header can make us read elsewhere, never more.
"""

import os

_WINDOW = 8 * 1024


class Window:
    """Random access to an open file through one small buffer."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self.size = size
        self._start = 0
        self._bytes = b""

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes at `offset`; fewer only at the end of the file. Raises OSError."""
        end = offset + length
        if offset < self._start or end > self._start + len(self._bytes):
            self._start = offset
            self._bytes = os.pread(self._fd, max(_WINDOW, length), offset)
        at = offset - self._start
        return self._bytes[at : at + length]
