"""One run of one command: how long, until when it is on the disk, how much memory and processor.

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
    cpu: float = 0.0
    """Processor seconds of all of them, and of the servers they asked."""
    told: dict[str, Any] = field(default_factory=dict)
    """What a worker said on its standard output."""
    output: str = ""


def worker(*arguments: str, module: str = "benchmarks.worker") -> list[str]:
    """Return the command line of one of our own workers."""
    return [sys.executable, "-m", module, *arguments]


def product(*arguments: str) -> list[str]:
    """Return the command line of recorder-sync itself."""
    return [sys.executable, "-m", "recorder_sync", *arguments]


def run(
    command: Sequence[str], *, written: Path, syncs: bool, works: bool = False, servers: Sequence[int] = ()
) -> Sample:
    """Run `command` and measure it.

    Args:
        written: a folder on the file system it writes to, which is synced afterwards unless it `syncs` itself.
        works: it is one of our own workers, which time themselves and print JSON.
        servers: processes that it asks and that were started for it; their memory and processor time count as well.
    """
    used = os.times()
    served = sum(map(cpu_seconds, servers))
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        watch = _MemoryWatch(process.pid, *servers)
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
    done = os.times()
    cpu = done.children_user + done.children_system - used.children_user - used.children_system
    cpu += sum(map(cpu_seconds, servers)) - served
    began = time.perf_counter()
    if not syncs:
        sync_file_system(written)
    synced = time.perf_counter() - began
    told: dict[str, Any] = json.loads(output) if works else {}
    seconds = told.get("seconds", seconds)
    peak = max(told.get("peak", 0), watch.peak)
    return Sample(seconds=seconds, durable=seconds + synced, peak=peak, cpu=cpu, told=told, output=output)


def cpu_seconds(pid: int) -> float:
    """Return the processor seconds of a process, its children and those it has seen end; 0 where nobody tells."""
    return sum(map(_cpu_of, family((pid,)))) / os.sysconf("SC_CLK_TCK")


def _cpu_of(pid: int) -> int:
    """Return user and system ticks of a process and of its children that ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return sum(map(int, text.rpartition(")")[2].split()[11:15]))


def family(pids: Sequence[int]) -> list[int]:
    """Return processes and whatever they started that still runs."""
    found = list(pids)
    for pid in found:
        try:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, task.read_text(encoding="ascii").split())
        except OSError:
            continue  # it ended meanwhile
    return found


def resident(pid: int) -> int:
    """Return the memory that a process holds now, bytes; 0 where the system does not tell."""
    return _status(pid, "VmRSS:")


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
    return _status(pid, "VmHWM:")


def _status(pid: int | str, key: str) -> int:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith(key):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class _MemoryWatch:
    """Looks at processes and their children every few milliseconds until it is stopped."""

    def __init__(self, *pids: int) -> None:
        self._peaks: dict[int, int] = {}
        self._pids = pids
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
            for pid in family(self._pids):
                self._peaks[pid] = max(self._peaks.get(pid, 0), _high_water(pid))
