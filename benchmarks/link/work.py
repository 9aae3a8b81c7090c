"""The link's workers: each a process of its own that times itself and prints JSON, as `benchmarks.worker`."""

import argparse
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.measure import own_peak
from benchmarks.pair import DESTINATION
from benchmarks.worker import timed_fill

BLOCK = 1024 * 1024


@contextmanager
def _linked(config: Path) -> Iterator[Any]:
    """Give the app of a configuration with its links, as the service puts it together, and what asks the first peer."""
    from backfill.site import build_site
    from recorder_sync.app import App
    from recorder_sync.linking import clients, links, trust_of
    from schema.ledger import Ledger
    from schema.settings import load

    settings = load(config)
    (client,) = reached = clients(settings, trust_of(settings))
    with Ledger.open(settings.ledger) as ledger:
        site = build_site(settings, ledger)
        try:
            yield App(settings, ledger, site, links(settings, reached, site.storage)), client
        finally:
            client.close()


def follow(config: Path) -> dict[str, Any]:
    """Learn what the peer has, and look at the gaps once, as a service has long done."""
    from backfill.link.mirror import Follower
    from backfill.site import build_site
    from recorder_sync.app import now

    with _linked(config) as (app, client):
        follower = Follower(client, app.ledger, DESTINATION, now)
        follower.follow(client.pulse())
        learned = replace(app, site=build_site(app.settings, app.ledger))
        learned.survey(learned.question())
    return {}


def fill(config: Path) -> dict[str, Any]:
    """Fill the destination over the link from a settled ledger, as a running service does: survey, plan, fill."""
    from backfill.gate import Gate

    with _linked(config) as (app, _):
        app.survey(app.question())
        return timed_fill(app, Gate(app.settings.fill.bandwidth))


def fake(config: Path, segments: int, length: int) -> dict[str, Any]:
    """Put so many segments of the destination into its ledger, up to an hour ago, and make the folders they are in."""
    from benchmarks.data import HOUR, START
    from benchmarks.link.idle import folders
    from benchmarks.scale import CAMERAS, batches

    each = segments // CAMERAS
    first = int(time.time()) // HOUR * HOUR - HOUR - each * length // HOUR * HOUR
    taken = 0
    with _linked(config) as (app, _):
        (storage,) = app.site.storages
        paths: set[str] = set()
        for batch in batches(storage.id, each, length, first_start=first):
            with app.ledger.writing() as connection:
                app.ledger.segments.apply(connection, storage.id, batch)
            taken += sum(len(change.added) for change in batch)
            paths.update(change.path for change in batch)
        for path in paths:
            os.makedirs(os.path.join(storage.root, path))
        for path in folders(paths):
            os.utime(os.path.join(storage.root, path), (START, START))
    return {"segments": taken}


def send(source: Path, names: Path, host: str, port: int) -> dict[str, Any]:
    """Send every file of the named folders to each who connects, with sendfile, until ended: the least work."""
    with socket.create_server((host, port)) as listening:
        while True:
            connection, _ = listening.accept()
            with connection:
                for path in _files(source, names):
                    try:
                        with open(path, "rb", buffering=0) as file:
                            connection.sendfile(file)
                    except ConnectionError:
                        break


def receive(source: Path, destination: Path, names: Path, host: str, port: int) -> dict[str, Any]:
    """Receive what `send` sends; sizes and names are known beforehand. Each file and folder is put on the disk."""
    buffer = memoryview(bytearray(BLOCK))
    began = time.perf_counter()
    folders = set()
    with socket.create_connection((host, port)) as connection:
        for path in _files(source, names):
            target = destination / path.relative_to(source)
            if target.parent not in folders:
                target.parent.mkdir(parents=True, exist_ok=True)
                folders.add(target.parent)
            into = os.open(target, os.O_WRONLY | os.O_CREAT, 0o644)
            at, size = 0, path.stat().st_size
            while at < size:
                got = connection.recv_into(buffer[: min(BLOCK, size - at)])
                if not got:
                    raise RuntimeError("the sender hung up")
                os.pwrite(into, buffer[:got], at)
                at += got
            os.fsync(into)
            os.close(into)
    for folder in folders:
        made = os.open(folder, os.O_RDONLY)
        os.fsync(made)
        os.close(made)
    return {"seconds": time.perf_counter() - began}


def _files(source: Path, names: Path) -> list[Path]:
    folders = (source / name for name in names.read_text().splitlines())
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())


def main(arguments: list[str]) -> None:
    """Do what was asked and print what came of it."""
    parser = argparse.ArgumentParser(prog="benchmarks.link.work")
    commands = parser.add_subparsers(required=True)
    for name, work in (("follow", follow), ("fill", fill)):
        added = commands.add_parser(name)
        added.set_defaults(work=work)
        added.add_argument("config", type=Path)
    faking = commands.add_parser("fake")
    faking.set_defaults(work=fake)
    faking.add_argument("config", type=Path)
    faking.add_argument("segments", type=int)
    faking.add_argument("length", type=int)
    sending = commands.add_parser("send")
    sending.set_defaults(work=send)
    receiving = commands.add_parser("receive")
    receiving.set_defaults(work=receive)
    sending.add_argument("source", type=Path)
    receiving.add_argument("source", type=Path)
    receiving.add_argument("destination", type=Path)
    for one in (sending, receiving):
        one.add_argument("names", type=Path)
        one.add_argument("host")
        one.add_argument("port", type=int)
    given = vars(parser.parse_args(arguments))
    told = given.pop("work")(**given)
    told["peak"] = own_peak()
    sys.stdout.buffer.write(msgspec.json.encode(told))


if __name__ == "__main__":
    main(sys.argv[1:])
