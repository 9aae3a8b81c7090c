"""What the kernel says of our priority afterwards. In processes of their own: nobody gets a priority back."""

import platform
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from recorder_sync.host import priority

linux = pytest.mark.skipif(sys.platform != "linux", reason="the calls are Linux's own")

ASK = """
import ctypes, os, threading
from recorder_sync.host import priority

def io(thread=0):
    number = {"x86_64": 252, "aarch64": 31}[os.uname().machine]
    value = ctypes.CDLL(None).syscall(number, 1, thread)
    return value >> 13, value & 7

def nice(thread=0):
    return os.getpriority(os.PRIO_PROCESS, thread)

def elsewhere(ask):
    found = []
    thread = threading.Thread(target=lambda: found.append(ask()))
    thread.start(); thread.join()
    return found[0]
"""


def asked(code: str, *before: str) -> str:
    done = subprocess.run([*before, sys.executable, "-c", ASK + code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


readable = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="ioprio_get is not known here for this processor"
)


@linux
@readable
def test_a_whole_process_is_lowered_with_the_threads_it_has_and_those_it_will_have() -> None:
    code = """
go, ids, done = threading.Event(), [], threading.Barrier(2)
running = threading.Thread(target=lambda: (ids.append(threading.get_native_id()), done.wait(), go.wait()))
running.start(); done.wait()
print(priority.lower_process(), nice(), io(), nice(ids[0]), io(ids[0]), elsewhere(nice), elsewhere(io))
go.set()
"""
    assert asked(code) == "[] 10 (2, 7) 10 (2, 7) 10 (2, 7)"


@linux
@readable
def test_one_thread_is_lowered_and_the_others_are_not() -> None:
    code = """
before = nice(), io()
print(elsewhere(lambda: (priority.lower_thread(), nice(), io())), (nice(), io()) == before)
"""
    assert asked(code) == "([], 10, (2, 7)) True"


@linux
def test_who_is_nicer_already_stays_so() -> None:
    assert asked("priority.lower_process(); print(nice())", "nice", "-n", "15") == "15"


@linux
def test_what_is_not_granted_is_said_once_and_the_rest_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(thread: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    niced: list[int] = []
    monkeypatch.setattr(priority, "_ioprio", refused)
    monkeypatch.setattr(priority, "_nice", niced.append)
    assert priority._lower([7, 8]) == ["the priority for the disk could not be lowered: Operation not permitted"]
    assert niced == [7, 8]


def test_a_thread_that_ended_meanwhile_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(thread: int) -> None:
        raise ProcessLookupError(3, "No such process")

    monkeypatch.setattr(priority, "_ioprio", gone)
    monkeypatch.setattr(priority, "_nice", gone)
    assert priority._lower([7]) == []


@linux
def test_a_processor_whose_call_is_not_known_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    monkeypatch.setattr(priority, "_nice", lambda thread: None)
    assert priority.lower_thread() == [
        "the priority for the disk could not be lowered: the system call is not known for vax"
    ]


class Function:
    """A function of a Windows library."""

    def __init__(self, result: Any) -> None:
        self.result, self.called = result, []  # type: ignore[var-annotated]

    def __call__(self, *arguments: Any) -> Any:
        self.called.append(arguments)
        return self.result


@pytest.mark.parametrize("granted", [1, 0])
def test_on_windows_the_process_goes_below_normal_or_says_that_it_may_not(granted: int) -> None:
    kernel32 = SimpleNamespace(GetCurrentProcess=Function(-1), SetPriorityClass=Function(granted))
    problems = priority._lower_windows(kernel32)
    assert kernel32.SetPriorityClass.called == [(-1, 0x4000)]
    assert any("processor" in one for one in problems) is not bool(granted)
    assert any("disk" in one for one in problems)


def test_where_there_is_no_windows_library_that_is_said() -> None:
    assert any("kernel32" in one for one in priority._lower_windows(priority._kernel32()))
