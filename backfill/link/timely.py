"""An answer that must be there in time: a peer that sends a byte now and then says something, and keeps us for ever.

Rule: whoever reads an answer waits for its socket's own time at most, and for all of the answer `WITHIN`.
"""

import io
import time
from collections.abc import Callable
from typing import Any

WITHIN = 120.0
"""Seconds for a message, headers included: 8 MiB of it at 0.6 Mbit/s, less than any line that can carry recordings."""


class Late(TimeoutError):
    """An answer that was begun did not end in time."""

    def __str__(self) -> str:
        return f"its answer did not end within {WITHIN:g} s"


class Timely(io.RawIOBase):
    """Reads from `raw` until the time is over, then raises Late."""

    def __init__(self, raw: io.RawIOBase, clock: Callable[[], float] = time.monotonic) -> None:
        self._raw = raw
        self._clock = clock
        self._until = clock() + WITHIN

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, view: Any) -> int | None:
        """Read what is there, at least a byte. Raises Late, OSError."""
        if self._clock() > self._until:
            raise Late
        return self._raw.readinto(view)

    def close(self) -> None:
        """Let go of what it reads from."""
        self._raw.close()
        super().close()
