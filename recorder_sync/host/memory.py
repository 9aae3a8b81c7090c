"""Giving memory back that was needed for a moment: after a scan or a survey of a large ledger.

Rule: a help, never a condition. Each thread that worked keeps what it freed for itself, which is a third of what a
service with a million segments holds; glibc gives it back when it is told to, others do so by themselves.
"""

import ctypes
from collections.abc import Callable


def _load() -> Callable[[int], int] | None:
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
    trim.argtypes = (ctypes.c_size_t,)
    return trim


_trim = _load()


def give_back() -> None:
    """Give the system what is free. Takes some milliseconds."""
    if _trim is not None:
        _trim(0)
