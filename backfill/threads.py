"""Pools of threads that nobody waits for at exit.

Rule: what is stuck in a call that cannot be cut short - a resolver that does not answer, a disk that hangs - never
keeps the process from ending. Python joins the threads of its own pools when it exits, however long that takes; these
it leaves where they are. That is safe, because nothing here rests on a thread having come to its end: it could have
been killed at any step (docs/design/0005-landing.md).
"""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Job = tuple["Future[Any]", Callable[[], Any]]


class Threads(ThreadPoolExecutor):
    """A pool of at most `most` threads. It inherits only for event loops, which want that type.

    Args:
        patience: seconds that `shutdown` waits for threads; None: until they have ended.
    """

    def __init__(self, most: int, name: str, patience: float | None = None) -> None:
        super().__init__(most, name)
        self._most = most
        self._name = name
        self._patience = patience
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._guard = threading.Lock()
        self._ours: list[threading.Thread] = []
        self._ended = False

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> "Future[_T]":
        """Have `fn` called in a thread. Raises RuntimeError after `shutdown`."""
        future: Future[_T] = Future()
        with self._guard:
            if self._ended:
                raise RuntimeError("this pool was shut down")
            self._jobs.put((future, partial(fn, *args, **kwargs)))
            if not self._idle.acquire(blocking=False) and len(self._ours) < self._most:
                name = f"{self._name}_{len(self._ours)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._ours.append(thread)
                thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more, and wait for what is under way, as long as the pool's patience lasts."""
        with self._guard:
            self._ended = True
            while cancel_futures:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is not None:
                    job[0].cancel()
            self._jobs.put(None)
        deadline = None if self._patience is None else time.monotonic() + self._patience
        for thread in self._ours if wait else ():
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                self._idle.release()
                job = self._jobs.get()
            if job is None:
                self._jobs.put(None)  # for the next
                return
            _do(*job)
            del job  # nothing is kept alive while it waits


def _do(future: "Future[Any]", call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001  it is raised where the result is asked for
        future.set_exception(error)
    else:
        future.set_result(result)
