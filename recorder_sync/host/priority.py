"""Asking the system to let others go first: low priority for processor and disk.

Rule: a request, never a condition. What the system does not grant is returned as a sentence for the log, and the
service goes on. How much it helps is the kernel's business: processor priority always counts; I/O priority is honoured
by the BFQ scheduler and hardly or not at all by the others, so the latency guard is what protects the recorder.
"""

import ctypes
import os
import platform
import sys
from collections.abc import Callable
from typing import Any

NICE = 10
"""Of 19: a busy recorder gets ten times our share, and an idle machine is still ours."""

_BEST_EFFORT, _LOWEST = 2, 7
"""Best-effort level 7, the lowest that still moves. Idle (class 3) could wait for ever beside a recorder."""

_IOPRIO_WHO_PROCESS = 1
_IOPRIO_SET = {
    "x86_64": 251,
    "i686": 289,
    "aarch64": 30,
    "riscv64": 30,
    "loongarch64": 30,
    "armv7l": 314,
    "armv6l": 314,
    "ppc64le": 273,
    "s390x": 282,
}
"""The number of the system call: the C library has no function for it."""

_BELOW_NORMAL_PRIORITY_CLASS = 0x4000


def lower_process() -> list[str]:
    """Lower the priority of every thread of this process and of those it will start; returns what was not possible."""
    if sys.platform == "win32":
        return _lower_windows(_kernel32())
    return _lower(_threads())


def lower_thread() -> list[str]:
    """Lower the priority of the calling thread and of those it will start; returns what was not possible.

    Only Linux has it: elsewhere priority is the process's, and nothing is done.
    """
    if sys.platform != "linux":
        return [f"one thread cannot be lowered on {sys.platform}"]
    return _lower([0])


def _threads() -> list[int]:
    """Return the ids of this process's threads; on Linux both calls below take one thread, not all."""
    if sys.platform != "linux":
        return [0]
    try:
        return [int(name) for name in os.listdir("/proc/self/task")]
    except OSError:
        return [0]


def _lower(threads: list[int]) -> list[str]:
    """Lower each thread; 0 is the calling one. One sentence for each kind of failure, however many threads have it."""
    problems: dict[str, None] = {}
    for thread in threads:
        for what, call in (("processor", _nice), ("disk", _ioprio)):
            try:
                call(thread)
            except ProcessLookupError:
                continue  # it has ended meanwhile
            except OSError as error:
                problems[f"the priority for the {what} could not be lowered: {error.strerror}"] = None
    return list(problems)


def _nice(thread: int) -> None:
    """Make a thread nicer; one that is nicer already stays so, because taking it back would need rights."""
    if os.getpriority(os.PRIO_PROCESS, thread) < NICE:
        os.setpriority(os.PRIO_PROCESS, thread, NICE)


def _ioprio(thread: int) -> None:
    if sys.platform != "linux":
        raise OSError(0, f"{sys.platform} has none")
    number = _IOPRIO_SET.get(platform.machine())
    if number is None:
        raise OSError(0, f"the system call is not known for {platform.machine()}")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, _IOPRIO_WHO_PROCESS, thread, _BEST_EFFORT << 13 | _LOWEST) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _kernel32() -> Any:
    loader: Callable[..., Any] | None = getattr(ctypes, "WinDLL", None)
    return None if loader is None else loader("kernel32", use_last_error=True)


def _lower_windows(kernel32: Any) -> list[str]:
    """Put this process below normal. Disk priority has no call that leaves the memory of the process alone."""
    problems = ["the priority for the disk is not lowered on Windows"]
    if kernel32 is None:
        return ["the priority for the processor could not be lowered: kernel32 is missing", *problems]
    kernel32.GetCurrentProcess.restype = ctypes.c_void_p
    kernel32.SetPriorityClass.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    if not kernel32.SetPriorityClass(kernel32.GetCurrentProcess(), _BELOW_NORMAL_PRIORITY_CLASS):
        problems.insert(0, "the priority for the processor could not be lowered: Windows refused it")
    return problems
