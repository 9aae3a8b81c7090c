"""A service that has nothing to do, and one whose peer comes back.

Rule: whole services as an operator runs them. A million segments are made up in the ledger, as a scan would have found
them; their folders exist, with the times that the ledger knows, so that a rescan believes them and a watch has as many
to watch as there would be.
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure
from benchmarks.data import HOUR, Shape
from benchmarks.link.lines import LOOPBACK
from benchmarks.link.pair import LinkedPair, worker
from benchmarks.link.servers import answers, running
from benchmarks.pair import DESTINATION, SOURCE

_AWAY = 14.0
"""Seconds after which a peer that never answered is away for sure."""
_PATIENCE = 60.0
_SETTLES = 75.0
"""Seconds until a service that started has done all that it does once: after a minute it first compares the clocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """What a service at rest costs."""

    segments: int
    share: float
    """Of one core."""
    resident: int


def back(pair: LinkedPair) -> float:
    """Return the seconds from the source's first answer to the first missing segment at the destination."""
    pair.configured(SOURCE)
    destination = pair.configured(DESTINATION)
    command = measure.product("run", "--config", str(destination))
    with running(command, LOOPBACK, pair.other_port), ExitStack() as stack:
        time.sleep(_AWAY)
        if _landed(pair.lost[0][1]):
            raise RuntimeError("something landed although the peer was away")
        stack.enter_context(pair.service())
        if not answers(LOOPBACK, pair.port):
            raise RuntimeError("the source's service does not answer")
        began = time.monotonic()
        while not _landed(pair.lost[0][1]):
            if time.monotonic() - began > _PATIENCE:
                raise RuntimeError(f"nothing landed {_PATIENCE:.0f} s after the peer was back")
            time.sleep(0.005)
        return time.monotonic() - began


def _landed(folder: Path) -> bool:
    return any(folder.rglob("*.mp4"))


def idle(folder: Path, segments: int, seconds: float) -> Idle:
    """Run two services whose recorders have both recorded so many segments; returns what one of them costs."""
    pair = LinkedPair(
        folder / "pair", Shape(cameras=1, hours=3, per_hour=2, size=2048, lost_per_hour=1, lost_size=2048)
    )
    pair.make()
    config = pair.configured(DESTINATION)
    for one in (pair.configured(SOURCE), config):
        command = worker("fake", str(one), str(segments), str(HOUR // 60))
        told = measure.run(command, written=folder, syncs=True, works=True).told
    with pair.service(), running(measure.product("run", "--config", str(config)), LOOPBACK, pair.other_port) as (pid,):
        time.sleep(min(_SETTLES, seconds))
        before, began = measure.cpu_seconds(pid), time.monotonic()
        time.sleep(seconds)
        share = (measure.cpu_seconds(pid) - before) / (time.monotonic() - began)
        return Idle(segments=int(told["segments"]), share=share, resident=measure.resident(pid))


def folders(paths: set[str]) -> Iterator[str]:
    """Yield folders and all above them, the deepest first."""
    whole = set(paths)
    for path in paths:
        while path := os.path.dirname(path):
            whole.add(path)
    return iter(sorted(whole, key=lambda path: -path.count("/")))
