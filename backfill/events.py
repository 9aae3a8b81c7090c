"""The kernel's events, of which only those that mean something are asked for.

Rule: a saving, never a condition: a recorder writes thousands of times a minute, and what we read ourselves is opened
and closed as well; each of these events would wake a thread that throws it away.
"""

import sys

from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver


def observer() -> BaseObserver:
    """Return what watches folders on this system. Raises OSError if the kernel has nothing to watch with."""
    if sys.platform != "linux":
        return Observer()
    from watchdog.observers.inotify import InotifyEmitter, InotifyObserver
    from watchdog.observers.inotify_c import InotifyConstants, Mask

    nothing = InotifyConstants.IN_MODIFY | InotifyConstants.IN_OPEN | InotifyConstants.IN_CLOSE_NOWRITE

    class Emitter(InotifyEmitter):
        def get_event_mask_from_filter(self) -> Mask:
            return Mask(super().get_event_mask_from_filter() & ~nothing)

    watching = InotifyObserver()
    watching._emitter_class = Emitter
    return watching
