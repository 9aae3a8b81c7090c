"""The gate that every block passes: bandwidth limit, pause and stop.

Rule: one gate for all threads of a fill, so that the limit holds for their sum. It is worked in threads, never on the
event loop. A stop is noticed within a tenth of a second and loses at most the chunk under way; a pause loses nothing:
who is under way waits where it is.
"""

import threading
import time
from collections.abc import Callable

from schema.errors import Interrupted

_SLICE = 0.1
_BURST = 0.05
"""Seconds of credit: small, so that the limit also holds over short spans."""


class _Slot:
    """When a block may pass; moved when the rate changes while its thread waits."""

    __slots__ = ("begin",)

    def __init__(self, begin: float) -> None:
        self.begin = begin


class Gate:
    """Paces bytes to `rate` a second (None: no limit), holds them while paused, raises Interrupted once stopped."""

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
        self._waiting: set[_Slot] = set()
        self._taken = 0
        self._paused_at: float | None = None
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Make every thread that passes raise Interrupted."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Tell whether `stop` was called."""
        return self._stopped.is_set()

    @property
    def rate(self) -> int | None:
        """Bytes a second that may pass; None: no limit."""
        return self._rate

    @property
    def taken(self) -> int:
        """Bytes that have asked to pass so far; what that is a second is how fast the fill goes."""
        return self._taken

    def set_rate(self, rate: int | None) -> None:
        """Pace to another rate from now on; those who wait already wait as long as the new rate asks for."""
        if rate is not None and rate <= 0:
            raise ValueError(f"{rate} bytes a second: to let nothing pass, pause")
        with self._lock:
            now = self._now()
            stretch = self._rate / rate if self._rate is not None and rate is not None else 0.0
            for slot in self._waiting:
                slot.begin = now + max(0.0, slot.begin - now) * stretch
            self._free_at = now + max(0.0, self._free_at - now) * stretch
            self._rate = rate

    def pause(self) -> None:
        """Let nothing pass until `resume`; pausing twice is pausing once."""
        with self._lock:
            if self._paused_at is None:
                self._paused_at = self._clock()

    def resume(self) -> None:
        """Let pass again what waits. The time of the pause earns no credit."""
        with self._lock:
            if self._paused_at is None:
                return
            passed = self._clock() - self._paused_at
            for slot in self._waiting:
                slot.begin += passed
            self._free_at += passed
            self._paused_at = None

    @property
    def paused(self) -> bool:
        """Tell whether the gate holds back what comes."""
        return self._paused_at is not None

    def check(self) -> None:
        """Let work pass that does not use the line: wait while paused. Raises Interrupted once stopped."""
        while True:
            if self._stopped.is_set():
                raise Interrupted
            if self._paused_at is None:
                return
            self._sleep(_SLICE)

    def take(self, count: int) -> None:
        """Wait until `count` more bytes may pass. Raises Interrupted."""
        self.check()
        with self._lock:
            self._taken += count
            if self._rate is None:
                return
            now = self._now()
            begin = max(self._free_at, now - _BURST)
            self._free_at = begin + count / self._rate
            if begin <= now and self._paused_at is None:
                return
            slot = _Slot(begin)
            self._waiting.add(slot)
        try:
            while left := self._left(slot):
                self._sleep(min(left, _SLICE))
        finally:
            with self._lock:
                self._waiting.discard(slot)

    def _left(self, slot: _Slot) -> float:
        """Return how many seconds a slot is still away, 0 for none. Waits while paused; raises Interrupted."""
        while True:
            self.check()
            with self._lock:
                if self._paused_at is None:
                    return max(0.0, slot.begin - self._clock())

    def _now(self) -> float:
        """Return the time at which the gate stands: while paused it does not pass."""
        return self._clock() if self._paused_at is None else self._paused_at
