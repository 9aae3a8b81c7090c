"""The gate that every block passes: bandwidth limit and stop.

Rule: one gate for all threads of a fill, so that the limit holds for their sum. A stop is noticed within a tenth of a
second and loses at most the chunk under way.
"""

import threading
import time
from collections.abc import Callable

from schema.errors import Interrupted

_SLICE = 0.1
_BURST = 0.05
"""Seconds of credit: small, so that the limit also holds over short spans."""


class Gate:
    """Paces bytes to `rate` a second (None: no limit) and raises Interrupted once stopped."""

    def __init__(
        self,
        rate: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = clock()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Make every thread that passes raise Interrupted."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Tell whether `stop` was called."""
        return self._stopped.is_set()

    def check(self) -> None:
        """Let work pass that does not use the line. Raises Interrupted once stopped."""
        if self._stopped.is_set():
            raise Interrupted

    def take(self, count: int) -> None:
        """Wait until `count` more bytes may pass. Raises Interrupted."""
        self.check()
        if self._rate is None:
            return
        with self._lock:
            now = self._clock()
            begin = max(self._free_at, now - _BURST)
            self._free_at = begin + count / self._rate
        while (left := begin - self._clock()) > 0:
            self.check()
            self._sleep(min(left, _SLICE))
