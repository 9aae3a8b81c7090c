"""The real command in a process of its own that is killed at a chosen step.

It is forked: everything is imported already, so that a test can afford many of them.
"""

import functools
import importlib
import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

forked = multiprocessing.get_context("fork")

FILL = ("fill", "--server", "a", "--json")

Step = tuple[str, str, int]
"""A function as `module:path`, `before` or `after`, and which call of it."""


def command(base: Path, *arguments: str) -> None:
    """Run `recorder-sync` in `base`, in this process."""
    from recorder_sync.cli import main

    os.chdir(base)
    sys.argv = ["recorder-sync", *arguments]
    main()


class Deadly:
    """Kills this process before its so many-th step; wrapped around what counts as one."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._counter = itertools.count(1)

    def __call__(self, real: Callable[..., object]) -> Callable[..., object]:
        """Return `real` as a step."""

        def call(*arguments: object, **named: object) -> object:
            if next(self._counter) == self._step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return call


def came_to_its_end(doomed: Callable[..., object], *arguments: object) -> bool:
    """Do it in a child; returns whether it ended, and was not killed."""
    process = forked.Process(target=doomed, args=arguments)
    process.start()
    process.join(60)
    code = process.exitcode
    process.kill()
    process.join()
    assert code in (0, -signal.SIGKILL), code
    return code == 0


def killed_at(base: Path, step: Step, first: Callable[[], object] | None = None) -> None:
    """Run a fill in `base` that is killed at a step, right after `first` was done there."""
    process = forked.Process(target=_doomed, args=(base, step, first))
    process.start()
    process.join(60)
    code = process.exitcode
    process.kill()
    process.join()
    assert code == -signal.SIGKILL, "it never came there"


def _doomed(base: Path, step: Step, first: Callable[[], object] | None) -> None:
    place, when, call = step
    module, _, path = place.partition(":")
    *above, name = path.split(".")
    owner = functools.reduce(getattr, above, importlib.import_module(module))
    real, calls = getattr(owner, name), 0

    def die() -> None:
        if first is not None:
            first()
        os.kill(os.getpid(), signal.SIGKILL)

    def deadly(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        now = calls == call
        if now and when == "before":
            die()
        outcome = real(*arguments, **named)
        if now:
            die()
        return outcome

    setattr(owner, name, deadly)
    command(base, *FILL)
