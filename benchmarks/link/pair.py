"""A pair of trees on two hosts: a configuration, a ledger and keys for each, paired and followed once.

Rule: as for a pair on one host: set back after each run, the archive written once.
"""

import os
import shutil
import socket
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backfill.link.trust import Trust
from benchmarks import data, measure
from benchmarks.link.lines import LOOPBACK, Line
from benchmarks.link.servers import running
from benchmarks.pair import DESTINATION, SOURCE, Pair

_CONFIG = """
ledger = "ledger-{name}.db"

[fill]
reserve = "1 MB"
priority = "normal"  # whoever asks is not in the background either
{fill}
[[servers]]
name = "{name}"
[[servers.storages]]
root = "{name}/{tree}"
layout = "{layout}"

[[peers]]
name = "{other}"
address = "{host}:{peer_port}"

[link]
listen = "{listen}:{port}"
folder = "link-{name}"
encryption = "{encryption}"
{link}
[service]
monitor = "127.0.0.1:{monitor}"
"""


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def worker(*arguments: str) -> list[str]:
    """Return the command line of one of the link's workers."""
    return measure.worker(*arguments, module="benchmarks.link.work")


@dataclass(frozen=True, slots=True)
class LinkedPair(Pair):
    """A pair whose trees are on two hosts. Every host has the same ports in all configurations."""

    line: Line = LOOPBACK
    port: int = field(default_factory=free_port)
    other_port: int = field(default_factory=free_port)
    monitors: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))

    def configured(self, name: str, *, encryption: str = "tls", fill: str = "", link: str = "") -> Path:
        """Write the configuration of one host and return its path."""
        source = name == SOURCE
        path = self.base / f"{name}.toml"
        path.write_text(
            _CONFIG.format(
                name=name,
                tree=self.shape.tree,
                layout=self.shape.layout,
                other=DESTINATION if source else SOURCE,
                host=self.line.host,
                listen=self.line.host if source else "127.0.0.1",
                port=self.port if source else self.other_port,
                peer_port=self.other_port if source else self.port,
                monitor=self.monitors[0 if source else 1],
                encryption=encryption,
                fill=fill,
                link=link,
            )
        )
        return path

    def make(self) -> list[dict[str, Any]]:
        """Write the trees, settle both ledgers, let the destination learn what the source has, and keep that."""
        self.base.mkdir(parents=True)
        data.build(self.source, self.destination, self.shape)
        self.names.write_text("".join(f"{folder}\n" for folder in self.shape.lost_folders))
        trusts = [Trust(str(self.base / f"link-{name}"), name) for name in (SOURCE, DESTINATION)]
        one, other = (trust.prepare() for trust in trusts)
        trusts[0].add_peer(DESTINATION, other.pem)
        trusts[1].add_peer(SOURCE, one.pem)
        os.sync()
        scans: list[dict[str, Any]] = []
        for name in (SOURCE, DESTINATION):
            command = measure.worker("settle", str(self.configured(name)))
            scans += measure.run(command, written=self.base, syncs=True, works=True).told["scans"]
        with self.service():
            command = [*self.line.at_destination, *worker("follow", str(self.base / f"{DESTINATION}.toml"))]
            measure.run(command, written=self.base, syncs=True, works=True)
        (self.base / "settled").mkdir()
        shutil.copy2(self.base / self._ledger, self.base / "settled")
        shutil.copytree(self._state, self.base / "settled" / "state")
        return scans

    def service(self) -> AbstractContextManager[tuple[int, ...]]:
        """Run the source's service while the block runs; gives its process."""
        config = self.base / f"{SOURCE}.toml"
        command = [*self.line.at_source, *measure.product("run", "--config", str(config))]
        return running(command, self.line, self.port)

    @property
    def _ledger(self) -> str:
        return f"ledger-{DESTINATION}.db"

    def reset(self) -> None:
        """Take back whatever a run did to the destination."""
        self.take_back()
        for ledger in self.base.glob(f"{self._ledger}*"):
            ledger.unlink()
        shutil.copytree(self.base / "settled" / "state", self._state)
        shutil.copy2(self.base / "settled" / self._ledger, self.base)
