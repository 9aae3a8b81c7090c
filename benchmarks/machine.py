"""The machine's facts that a figure means nothing without. No name, no path: the document is meant to be shown."""

import os
import platform
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import xxhash


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where the figures were taken."""

    system: str
    kernel: str
    processor: str
    cores: int
    memory_mib: int
    file_system: str
    mount_options: str
    python_ms: float
    """Milliseconds for a million additions in Python: how fast the processor was, for comparing runs."""
    load_before: float
    """Load average of the last minute before the first case: of the others on this machine."""
    python: str
    sqlite: str
    xxhash: str
    tools: dict[str, str]
    """Version of each tool that was found."""


def facts(folder: Path, tools: Sequence[str]) -> Machine:
    """Return what this machine is, as seen from `folder`."""
    file_system, options = _mount(folder)
    return Machine(
        system=_system(),
        kernel=f"{platform.system()} {platform.release()}",
        processor=_first(r"model name\s*: (.*)", _text("/proc/cpuinfo")) or platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_mib=int(_first(r"MemTotal:\s*(\d+) kB", _text("/proc/meminfo")) or 0) // 1024,
        file_system=file_system,
        mount_options=options,
        python_ms=_python_ms(),
        load_before=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0,
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        xxhash=xxhash.VERSION,
        tools={tool: version(tool) for tool in tools if shutil.which(tool)},
    )


def _python_ms() -> float:
    """Time a million additions; the fastest of five, because others may use the processor too."""

    def once() -> float:
        began = time.perf_counter()
        total = 0
        for number in range(1_000_000):
            total += number
        return time.perf_counter() - began

    return round(min(once() for _ in range(5)) * 1000, 1)


def version(tool: str) -> str:
    """Return the first version number that a tool prints of itself."""
    said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False).stdout
    return _first(r"(\d+\.\d+(?:\.\d+)?)", said) or "?"


def _mount(folder: Path) -> tuple[str, str]:
    """Return type and options of the file system that `folder` is on."""
    best, found = "", ("?", "")
    for line in _text("/proc/self/mounts").splitlines():
        _, place, kind, options = line.split()[:4]
        if (folder == Path(place) or Path(place) in folder.parents) and len(place) >= len(best):
            best, found = place, (kind, options)
    return found


def _system() -> str:
    return _first(r'PRETTY_NAME="(.*)"', _text("/etc/os-release")) or platform.platform()


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""
