"""The demo: synthetic cameras and independent recorders, so that a real outage can be seen and filled on one machine.

Rule: nothing outside the demo imports it, and only the demo needs PyAV. Its processes listen and connect on 127.0.0.1
alone and never outlive the process that started them.
"""

import contextlib
import os
import queue
import signal
import sys
import threading

from schema.errors import ExtraMissing

FPS = 10
"""Pictures a second that the demo's cameras take."""

_PR_SET_PDEATHSIG = 1
_LOOK_FOR_PARENT = 1.0
"""Seconds between two looks at who our parent is."""


def require_media() -> None:
    """Raise ExtraMissing if PyAV, with which the demo makes and reads its recordings, is not installed."""
    try:
        import av  # noqa: F401
    except ImportError:
        raise ExtraMissing("the demo", "PyAV", "media") from None


def stop_with_parent() -> threading.Event:
    """Return an event that SIGTERM, SIGINT and the end of the parent process set. Call it in the main thread."""
    stop = threading.Event()
    parent = os.getppid()
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    ending = {signal.SIGTERM, signal.SIGINT}

    def watch() -> None:
        while os.getppid() == parent:
            with contextlib.suppress(queue.Empty):
                if signals.get(timeout=_LOOK_FOR_PARENT) in ending:
                    break
        stop.set()

    heard = set(ending)
    if sys.platform == "linux":
        # The kernel sends this when the *thread* that started us ends, so it is only a reason to look.
        heard.add(signal.SIGHUP)
        _signal_at_parents_end(signal.SIGHUP)
    for number in heard:
        # Setting the event in a handler could deadlock: the main thread may hold its lock. This queue is reentrant.
        signal.signal(number, lambda number, _: signals.put(number))
    threading.Thread(target=watch, name="parent", daemon=True).start()
    return stop


def _signal_at_parents_end(number: int) -> None:
    """Ask Linux to send us `number` when our parent ends; where libc has no prctl, polling has to do."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
