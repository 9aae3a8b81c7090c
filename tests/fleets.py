"""Pairs of services on one ledger, in this process, on loopback: each host with its folder, keys and configuration."""

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backfill.link.trust import Trust
from recorder_sync.service.run import Service
from schema.ledger import Ledger
from schema.settings import Settings, load
from tests import make

HOST = """
ledger = "{ledger}"
pair = "{pair}"

[gaps]
settle = "1s"

[fill]
reserve = "1 MB"
chunk = "64 KiB"
priority = "normal"

[service]
monitor = "127.0.0.1:{monitor}"
pulse = "200ms"
away = "1s"
silent = "3650d"
reserve = "1 MB"

[link]
listen = "127.0.0.1:{listen}"
folder = "keys"

[[servers]]
name = "{name}"

[[servers.storages]]
root = "recordings"
layout = "frigate"

[[peers]]
name = "{peer}"
address = "127.0.0.1:{peer_listen}"
"""


def free_ports(count: int) -> list[int]:
    """Return ports on which nobody listens now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


_BEGIN = round(time.time() - make.T0 / 1e6) // 10 * 10 - 4200
"""When recordings begin, the same on all hosts, in seconds after T0."""


@dataclass
class Host:
    """One host: a folder with configuration, keys and recordings, and its service when that runs."""

    name: str
    config: Path
    settings: Settings
    service: Service | None = None
    failure: list[BaseException] = field(default_factory=list)
    _thread: threading.Thread | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    @property
    def recordings(self) -> Path:
        """Where its recorder writes."""
        return Path(self.settings.servers[0].storages[0].root)

    def start(self) -> None:
        """Run its service in a thread with a loop of its own, and wait until it is ready."""
        ready = threading.Event()

        async def run() -> None:
            with Ledger.open(self.settings.ledger) as ledger:
                self.service = Service(self.settings, ledger)
                self._loop = asyncio.get_running_loop()
                serving = asyncio.create_task(self.service.run())
                waiting = asyncio.create_task(self.service.ready())
                await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                ready.set()
                await serving

        def target() -> None:
            try:
                asyncio.run(run())
            except BaseException as error:  # noqa: BLE001  told by whoever stops it
                self.failure.append(error)
            finally:
                ready.set()

        self._thread = threading.Thread(target=target, daemon=True)
        self._thread.start()
        assert ready.wait(30), f"{self.name} does not start"

    @property
    def runs(self) -> bool:
        """Whether its service is there."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Stop its service. Raises what ended it before."""
        if self._thread is None or self._loop is None or self.service is None:
            return
        if self.runs:
            self._loop.call_soon_threadsafe(self.service.stop)
            self._thread.join(30)
            assert not self._thread.is_alive(), f"{self.name} does not stop"
        self._thread = None
        if self.failure:
            raise self.failure[0]

    def ask(self, path: str) -> tuple[int, Any]:
        """Return status and document of its monitor's answer."""
        host, _, port = self.settings.service.monitor.rpartition(":")
        link = http.client.HTTPConnection(host, int(port), timeout=10)
        try:
            link.request("GET", path)
            answer = link.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            link.close()


def pairs(base: Path, ledger: str, names: list[tuple[str, str, str]]) -> list[Host]:
    """Write the hosts of pairs `(pair, one, other)` that share a ledger; their services are paired and not started."""
    hosts = []
    ports = free_ports(4 * len(names))
    for pair, *members in names:
        listens = {member: ports.pop() for member in members}
        trusts = {}
        for member, peer in (members, members[::-1]):
            folder = base / member
            (folder / "recordings").mkdir(parents=True)
            config = folder / "recorder-sync.toml"
            config.write_text(
                HOST.format(
                    ledger=ledger,
                    pair=pair,
                    name=member,
                    peer=peer,
                    monitor=ports.pop(),
                    listen=listens[member],
                    peer_listen=listens[peer],
                )
            )
            settings = load(config)
            trusts[member] = Trust(settings.link.folder, member)
            hosts.append(Host(member, config, settings))
        identities = {member: trust.prepare() for member, trust in trusts.items()}
        for member, peer in (members, members[::-1]):
            trusts[member].add_peer(peer, identities[peer].pem)
    return hosts


@contextlib.contextmanager
def running(hosts: list[Host]) -> Iterator[list[Host]]:
    """Run the services of `hosts` in this block; one that ended by itself is an error."""
    try:
        for host in hosts:
            host.start()
        yield hosts
    finally:
        for host in hosts:
            host.stop()


def until(holds: Callable[[], object], what: str, seconds: float = 40) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def recorded(host: Host, camera: str, missing: range = range(0), seed: int = 0) -> None:
    """Record ten minutes of a camera that ended an hour ago, in tens, but for those of `missing`."""
    wanted = [_BEGIN + second for second in make.tens(0, 600) if second not in missing]
    make.record(host.recordings, camera, wanted, seed=seed)


def files(host: Host) -> set[str]:
    """Return the recordings in its tree, own and filled."""
    return set(make.tree(host.recordings))
