"""The latency guard at work: a small durable write a second while filling, and the gate set by what it took.

Rule: decides nothing (see `guard`). The write is made in a thread of its own that nobody waits for: on a disk that
hangs, the time that has passed so far is the latency, and stopping is not held up. A write that fails is no latency; it
is told once, and whoever fills meets the same disk and says what is wrong with it.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

from backfill.gate import Gate
from recorder_sync.host.guard import RECENT, Pace, decide, rate_for
from schema.spans import SECOND

PROBE_NAME = "latency-probe"
"""The file that is written, in the storage's state folder: on its disk, outside the recorder's tree."""

_SIZE = 4096
_BLOCK = bytes(_SIZE)


def small_durable_write(folder: str) -> None:
    """Write 4 KiB and wait for the disk, as a recorder does for its index. Raises OSError."""
    fd = os.open(os.path.join(folder, PROBE_NAME), os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        os.write(fd, _BLOCK)
        getattr(os, "fdatasync", os.fsync)(fd)
    finally:
        os.close(fd)


class _Probe:
    """One write under way or done."""

    def __init__(self, folder: str, write: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ended: float | None = None
        self.problem = ""
        self._began = clock()
        threading.Thread(target=self._run, args=(folder, write), daemon=True, name="latency-probe").start()

    def _run(self, folder: str, write: Callable[[str], None]) -> None:
        try:
            write(folder)
        except OSError as error:
            self.problem = error.strerror or str(error)
        self._ended = self._clock()

    @property
    def done(self) -> bool:
        return self._ended is not None

    @property
    def latency(self) -> float:
        """Seconds it took, or has taken so far."""
        ended = self._ended
        return (self._clock() if ended is None else ended) - self._began


class Guard:
    """Sets the rate of `gate` by the latency of the slowest of `folders`.

    Args:
        gate: of the fill; the rate it has now is the ceiling.
        folders: the state folders of the storages that are filled.
        limit: what a write may take, microseconds, as `fill.latency` says.
        tell: gets a sentence when filling is held back, when it is free again, and when a probe fails.
    """

    def __init__(
        self,
        gate: Gate,
        folders: Sequence[str],
        limit: int,
        *,
        tell: Callable[[str], None] = lambda _: None,
        write: Callable[[str], None] = small_durable_write,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gate = gate
        self._folders = list(folders)
        self._limit = limit / SECOND
        self._tell = tell
        self._write = write
        self._clock = clock
        self._ceiling = gate.rate
        self._probes: dict[str, _Probe] = {}
        self._latencies: deque[float] = deque(maxlen=RECENT)
        self._speeds: deque[float] = deque([0.0], maxlen=5)
        self._seen = gate.taken, clock()
        self._said: set[str] = set()
        self.pace = Pace()
        self.latency = 0.0
        """Seconds the last probe took."""

    def tick(self) -> None:
        """Take what the probes say, set the gate by it and begin the next ones."""
        self._measure()
        found = self._observed()
        for folder in self._folders:
            if folder not in self._probes or self._probes[folder].done:
                self._probes[folder] = _Probe(folder, self._write, self._clock)
        if not found:
            return
        self.latency = max(found)
        self._latencies.append(self.latency)
        before, self.pace = self.pace, decide(self.pace, list(self._latencies), self._limit)
        self._gate.set_rate(rate_for(self.pace, ceiling=self._ceiling, unbraked=int(max(self._speeds))))
        if before.braked != self.pace.braked:
            limit = f"{self._limit * 1000:.0f} ms"
            self._tell(
                f"filling is held back: a small write took {self.latency * 1000:.0f} ms, more than {limit}"
                if self.pace.braked
                else f"filling is free again: small writes take well below {limit}"
            )

    def _measure(self) -> None:
        """Note how fast filling goes while nothing holds it back."""
        taken, at = self._gate.taken, self._clock()
        passed = at - self._seen[1]
        if passed > 0 and not self.pace.braked:
            self._speeds.append((taken - self._seen[0]) / passed)
        self._seen = taken, at

    def _observed(self) -> list[float]:
        """Return the latencies of the probes that say anything."""
        found = []
        for folder, probe in self._probes.items():
            if not probe.problem:
                found.append(probe.latency)
            elif probe.problem not in self._said:
                self._said.add(probe.problem)
                self._tell(f"the latency at {folder} cannot be measured: {probe.problem}")
        return found

    def release(self) -> None:
        """Give the gate its own rate back and leave nothing behind."""
        self._gate.set_rate(self._ceiling)
        for folder, probe in self._probes.items():
            if probe.done:  # else the disk hangs, and so would we
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(folder, PROBE_NAME))


@contextlib.asynccontextmanager
async def guarding(
    gate: Gate,
    folders: Sequence[str],
    limit: int,
    *,
    interval: float = 1.0,
    tell: Callable[[str], None] = lambda _: None,
    write: Callable[[str], None] = small_durable_write,
) -> AsyncIterator[Guard]:
    """Guard the folders' disks while the block runs; with a limit of 0 nothing is written and nothing is set."""
    guard = Guard(gate, folders if limit > 0 else (), limit, tell=tell, write=write)
    if limit <= 0:
        yield guard
        return

    async def ticking() -> None:
        while True:
            guard.tick()
            await asyncio.sleep(interval)

    task = asyncio.create_task(ticking(), name="latency guard")
    try:
        yield guard
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        guard.release()
