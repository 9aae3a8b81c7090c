"""What is measured in a process of its own: one command, one JSON object on standard output.

Rule: a worker times its own work, so that the start of the interpreter is in no figure. It goes through the
product's composition root, `recorder_sync.app`, as the command line and the service do.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.measure import own_peak
from benchmarks.pair import DESTINATION

BLOCK = 1024 * 1024


def settle(config: Path) -> dict[str, Any]:
    """Scan every storage, scan again what has not changed, and look at the gaps once, as a service has long done."""
    from recorder_sync.app import opened

    with opened(config) as app:
        first = app.scan()
        again = app.scan()
        began = time.perf_counter()
        app.survey(app.question())
        surveyed = time.perf_counter() - began
    scans = []
    for one, other in zip(first, again, strict=True):
        if one.report is None or other.report is None:
            raise RuntimeError(f"{one.storage.title} could not be scanned")
        scans.append(
            {
                "files": one.report.added,
                "first": one.report.seconds,
                "again": other.report.seconds,
                "listed_again": other.report.listed,
            }
        )
    return {"scans": scans, "first_survey": surveyed}


def timed_fill(app: Any, gate: Any) -> dict[str, Any]:
    """Survey, plan and fill the destination; returns the seconds of each and what came of it."""
    began = time.perf_counter()
    found = app.survey(app.question())
    surveyed = time.perf_counter()
    planned = app.plan(found, DESTINATION)
    decided = time.perf_counter()
    result = app.fill(planned, DESTINATION, gate)
    ended = time.perf_counter()
    return {
        "seconds": ended - began,
        "survey": surveyed - began,
        "plan": decided - surveyed,
        "fill": ended - decided,
        "landed": len(result.landed),
        "refused": len(result.refused),
        "stopped": result.stopped,
        "sent": result.sent,
    }


def fill(config: Path, readback: bool) -> dict[str, Any]:
    """Fill the destination from a settled ledger, as a running service does: survey, plan, fill.

    The service has looked before, so one survey and plan come first and are not timed.
    """
    from backfill.gate import Gate
    from recorder_sync.app import opened

    with opened(config) as configured:
        app = configured.with_fill(readback=readback)
        app.plan(app.survey(app.question()), DESTINATION)
        return {**timed_fill(app, Gate()), "chunk": int(app.settings.fill.chunk)}


def half(config: Path) -> dict[str, Any]:
    """Begin a fill and stop it half way, as a power cut or a restart would; returns how many bytes had arrived."""
    from backfill.gate import Gate
    from backfill.progress import BytesMoved, Event
    from recorder_sync.app import opened

    gate = Gate()
    arrived = 0
    with opened(config) as app:
        planned = app.plan(app.survey(app.question()), DESTINATION)
        enough = planned.size // 2

        def listen(event: Event) -> None:
            nonlocal arrived
            if isinstance(event, BytesMoved):
                arrived += event.count
                if arrived >= enough:
                    gate.stop()

        app.fill(planned, DESTINATION, gate, listen)
        return {"arrived": arrived, "chunk": int(app.settings.fill.chunk)}


def loop(source: Path, destination: Path, names: Path, hashed: bool, half_there: bool) -> dict[str, Any]:
    """Copy every file of the named folders as simply as it can be done durably: read, hash or not, write, fsync.

    `half_there`: the first half of each file is here already; it is read and hashed, and the rest is copied.
    """
    from schema.digests import hasher

    began = time.perf_counter()
    buffer = memoryview(bytearray(BLOCK))
    walks = (os.walk(source / name) for name in names.read_text().splitlines())
    for folder, _, files in chain.from_iterable(walks):
        target = destination / Path(folder).relative_to(source)
        target.mkdir(parents=True, exist_ok=True)
        for name in files:
            state = hasher()
            into = os.open(target / name, os.O_RDWR | os.O_CREAT, 0o644)
            with open(os.path.join(folder, name), "rb", buffering=0) as file:
                if half_there:
                    while got := os.readv(into, [buffer]):
                        state.update(buffer[:got])
                    file.seek(os.lseek(into, 0, os.SEEK_CUR))
                while got := file.readinto(buffer) or 0:
                    if hashed:
                        state.update(buffer[:got])
                    os.write(into, buffer[:got])
            os.fsync(into)
            os.close(into)
        made = os.open(target, os.O_RDONLY)
        os.fsync(made)
        os.close(made)
    return {"seconds": time.perf_counter() - began}


def main(arguments: list[str]) -> None:
    """Do what was asked and print what came of it."""
    parser = argparse.ArgumentParser(prog="benchmarks.worker")
    commands = parser.add_subparsers(required=True)

    def command(name: str, work: Callable[[argparse.Namespace], dict[str, Any]]) -> argparse.ArgumentParser:
        added = commands.add_parser(name)
        added.set_defaults(work=work)
        return added

    command("settle", lambda given: settle(given.config)).add_argument("config", type=Path)
    filling = command("fill", lambda given: fill(given.config, given.readback))
    filling.add_argument("config", type=Path)
    filling.add_argument("--readback", action="store_true")
    command("half", lambda given: half(given.config)).add_argument("config", type=Path)
    looping = command(
        "loop", lambda given: loop(given.source, given.destination, given.names, given.hashed, given.half_there)
    )
    looping.add_argument("source", type=Path)
    looping.add_argument("destination", type=Path)
    looping.add_argument("names", type=Path)
    looping.add_argument("--hashed", action="store_true")
    looping.add_argument("--half-there", action="store_true")
    recording = command("ledger", _ledger)
    recording.add_argument("folder", type=Path)
    recording.add_argument("segments", type=int)
    recording.add_argument("length", type=int)
    banking = command("bank", _bank)
    banking.add_argument("folder", type=Path)
    banking.add_argument("cameras", type=int)
    banking.add_argument("hours", type=int)
    given = parser.parse_args(arguments)
    told = given.work(given)
    told["peak"] = own_peak()
    sys.stdout.buffer.write(msgspec.json.encode(told))


def _ledger(given: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.scale import measure_ledger

    return measure_ledger(given.folder, given.segments, given.length)


def _bank(given: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.bank import measure_bank

    return measure_bank(given.folder, given.cameras, given.hours)


if __name__ == "__main__":
    main(sys.argv[1:])
