"""Two servers on temporary folders, with a configuration and a settled ledger, that can be set back after each run.

Rule: whatever a run wrote is deleted before the next; the archive itself is written once and never touched.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import data, measure

SOURCE = "nvr-a"
DESTINATION = "nvr-b"
_PIECE = 1024 * 1024

_RESERVE = """
[fill]
reserve = "1 MB"
"""


def config_text(layout: str, *roots: tuple[str, str]) -> str:
    """Return a configuration of servers with one storage each. `roots`: a server's name, and where its storage lies."""
    servers = (
        f'\n[[servers]]\nname = "{name}"\n\n[[servers.storages]]\nroot = "{root}"\nlayout = "{layout}"\n'
        for name, root in roots
    )
    return 'ledger = "ledger.db"\n' + "".join(servers)


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair of trees below `base`, of which the destination lacks an hour."""

    base: Path
    shape: data.Shape

    @property
    def source(self) -> Path:
        """The tree that has everything."""
        return self.base / SOURCE / "recordings"

    @property
    def destination(self) -> Path:
        """The tree that lacks the hour."""
        return self.base / DESTINATION / "recordings"

    @property
    def config(self) -> Path:
        """The configuration of recorder-sync."""
        return self.base / "recorder-sync.toml"

    @property
    def lost(self) -> tuple[Path, Path]:
        """The hour's folder in both trees; it does not exist in the destination before a run."""
        return self.source / self.shape.lost_folder, self.destination / self.shape.lost_folder

    def make(self) -> list[dict[str, Any]]:
        """Write the trees, settle the ledger and keep a copy of it; returns how each storage's scans went."""
        self.base.mkdir(parents=True)
        data.build(self.source, self.destination, self.shape)
        roots = ((name, f"{name}/recordings") for name in (SOURCE, DESTINATION))
        self.config.write_text(config_text("frigate", *roots) + _RESERVE)
        os.sync()
        settled = measure.run(measure.worker("settle", str(self.config)), written=self.base, syncs=True, works=True)
        (self.base / "settled").mkdir()
        shutil.copy2(self.base / "ledger.db", self.base / "settled")
        shutil.copytree(self._state, self.base / "settled" / "state")
        scans: list[dict[str, Any]] = settled.told["scans"]
        return scans

    @property
    def _state(self) -> Path:
        return self.base / DESTINATION / ".recorder-sync"

    def reset(self) -> None:
        """Take back whatever a run did: the hour, the notes beside the tree, and what the ledger learned."""
        for folder in (self.lost[1], self._state):
            shutil.rmtree(folder, ignore_errors=True)
        for ledger in self.base.glob("ledger.db*"):
            ledger.unlink()
        shutil.copytree(self.base / "settled" / "state", self._state)
        shutil.copy2(self.base / "settled" / "ledger.db", self.base)

    def drop(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.base)

    def complete(self, *, to_the_bit: bool) -> bool:
        """Tell whether the destination now has the hour: every file with its size, or with every bit."""
        had, has = (sorted(path for path in folder.rglob("*") if path.is_file()) for folder in self.lost)
        if [path.relative_to(self.lost[0]) for path in had] != [path.relative_to(self.lost[1]) for path in has]:
            return False
        same = _same_bits if to_the_bit else _same_size
        return all(same(one, other) for one, other in zip(had, has, strict=True))


def _same_size(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size


def _same_bits(one: Path, other: Path) -> bool:
    if not _same_size(one, other):
        return False
    with open(one, "rb", buffering=0) as first, open(other, "rb", buffering=0) as second:
        while piece := first.read(_PIECE):
            if piece != second.read(_PIECE):
                return False
    return True
