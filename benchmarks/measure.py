"""One run of one command: how long, until when it is on the disk, and how much memory.

Rule: everything measured runs in a process of its own, so that no run warms or burdens the next. What happens before
and between runs (priming, deleting, syncing) is never inside a figure.
"""

import ctypes
import json
import mmap
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run."""

    seconds: float
    """Until the command was done; for our own workers what they timed, without the start of the interpreter."""
    durable: float
    """The same plus putting everything on the disk, where the command does not do that itself."""
    peak: int
    """Peak resident memory in bytes, summed over the command's processes; 0 where the system does not tell."""
    told: dict[str, Any] = field(default_factory=dict)
    """What a worker said on its standard output."""
    output: str = ""


def worker(*arguments: str) -> list[str]:
    """Return the command line of one of our own workers."""
    return [sys.executable, "-m", "benchmarks.worker", *arguments]


def run(command: Sequence[str], *, written: Path, syncs: bool, works: bool = False) -> Sample:
    """Run `command` and measure it.

    Args:
        written: a folder on the file system it writes to, which is synced afterwards unless it `syncs` itself.
        works: it is one of our own workers, which time themselves and print JSON.
    """
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        watch = _MemoryWatch(process.pid)
        try:
            output, errors = process.communicate()
            seconds = time.perf_counter() - began
        except BaseException:
            process.terminate()
            raise
        finally:
            watch.stop()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {errors.strip() or output.strip()}")
    began = time.perf_counter()
    if not syncs:
        sync_file_system(written)
    synced = time.perf_counter() - began
    told: dict[str, Any] = json.loads(output) if works else {}
    seconds = told.get("seconds", seconds)
    peak = max(told.get("peak", 0), watch.peak)
    return Sample(seconds=seconds, durable=seconds + synced, peak=peak, told=told, output=output)


def sync_file_system(folder: Path) -> None:
    """Put on the disk whatever the file system of `folder` holds back: the cheapest way to make copies durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(fd):
            raise OSError(ctypes.get_errno(), "syncfs", str(folder))
    except AttributeError:
        os.sync()
    finally:
        os.close(fd)


_DROP_CACHES = "/proc/sys/vm/drop_caches"


def can_drop_caches() -> bool:
    """Tell whether this process may make the system forget what it has read; only root may."""
    return os.access(_DROP_CACHES, os.W_OK)


def drop_caches() -> None:
    """Make the system forget every folder and file it has read. Raises OSError where that is not allowed."""
    with open(_DROP_CACHES, "w", encoding="ascii") as switch:
        switch.write("3")


def prime(size: int) -> None:
    """Touch so much memory and give it back, for the page cache of the next run.

    The first touch of memory that the host has taken back from a virtual machine costs up to a second a gigabyte.
    Without this whoever runs first pays for all.
    """
    with mmap.mmap(-1, size) as memory:
        if hasattr(mmap, "MADV_HUGEPAGE"):
            memory.madvise(mmap.MADV_HUGEPAGE)
        for at in range(0, size, mmap.PAGESIZE):
            memory[at] = 1


def own_peak() -> int:
    """Return the peak resident memory of this process in bytes, 0 where the system does not tell."""
    return _high_water("self")


def _high_water(pid: int | str) -> int:
    """Return a process's peak memory since its program started.

    Not `ru_maxrss`: that one remembers the memory of the process that started it.
    """
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class _MemoryWatch:
    """Looks at a process and its children every few milliseconds until it is stopped."""

    def __init__(self, pid: int) -> None:
        self._peaks: dict[int, int] = {}
        self._pid = pid
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)
        self._thread.start()

    @property
    def peak(self) -> int:
        """Sum of the peaks of all processes seen."""
        return sum(self._peaks.values())

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self._thread.join()

    def _look_on(self) -> None:
        while not self._stopped.wait(_POLL_SECONDS):
            for pid in self._family():
                self._peaks[pid] = max(self._peaks.get(pid, 0), _high_water(pid))

    def _family(self) -> list[int]:
        family = [self._pid]
        for pid in family:
            try:
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
            except OSError:
                continue
            family += map(int, children.split())
        return family
