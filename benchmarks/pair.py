"""Two servers on temporary folders, with a configuration and a settled ledger, that can be set back after each run.

Rule: whatever a run wrote is deleted before the next; the archive itself is written once and never touched.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backfill.storage import STATE_FOLDER
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
    """A pair of trees below `base`, of which the destination lacks something."""

    base: Path
    shape: data.Trees

    @property
    def source(self) -> Path:
        """The tree that has everything."""
        return self.base / SOURCE / self.shape.tree

    @property
    def destination(self) -> Path:
        """The tree that lacks something."""
        return self.base / DESTINATION / self.shape.tree

    @property
    def landing(self) -> Path:
        """Where recorder-sync puts it: into the tree or into the side store. Who is told what to copy is told this."""
        if not self.shape.beside:
            return self.destination
        return self._state / self.shape.tree / "side" / SOURCE / "main"

    @property
    def config(self) -> Path:
        """The configuration of recorder-sync."""
        return self.base / "recorder-sync.toml"

    @property
    def lost(self) -> list[tuple[Path, Path]]:
        """Each missing folder at the source and where it is to land; none is at the destination before a run."""
        return [(self.source / folder, self.landing / folder) for folder in self.shape.lost_folders]

    @property
    def names(self) -> Path:
        """A file that names the missing folders, one a line, for whoever is told."""
        return self.base / "lost.txt"

    def make(self) -> list[dict[str, Any]]:
        """Write the trees, settle the ledger and keep a copy of it; returns how each storage's scans went."""
        self.base.mkdir(parents=True)
        data.build(self.source, self.destination, self.shape)
        self.names.write_text("".join(f"{folder}\n" for folder in self.shape.lost_folders))
        roots = ((name, f"{name}/{self.shape.tree}") for name in (SOURCE, DESTINATION))
        self.config.write_text(config_text(self.shape.layout, *roots) + _RESERVE)
        os.sync()
        settled = measure.run(measure.worker("settle", str(self.config)), written=self.base, syncs=True, works=True)
        (self.base / "settled").mkdir()
        shutil.copy2(self.base / "ledger.db", self.base / "settled")
        shutil.copytree(self._state, self.base / "settled" / "state")
        scans: list[dict[str, Any]] = settled.told["scans"]
        return scans

    @property
    def _state(self) -> Path:
        return self.base / DESTINATION / STATE_FOLDER

    def take_back(self) -> None:
        """Delete what a run brought, wherever it put it, and the notes beside the tree."""
        for folder in (*(self.destination / name for name in self.shape.lost_folders), self._state):
            shutil.rmtree(folder, ignore_errors=True)

    def reset(self) -> None:
        """Take back whatever a run did: what it brought, the notes beside the tree, and what the ledger learned."""
        self.take_back()
        for ledger in self.base.glob("ledger.db*"):
            ledger.unlink()
        shutil.copytree(self.base / "settled" / "state", self._state)
        shutil.copy2(self.base / "settled" / "ledger.db", self.base)

    def drop(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.base)

    def complete(self, *, to_the_bit: bool) -> bool:
        """Tell whether the destination now has what it lacked: every file with its size, or with every bit.

        To the bit a side store needs an index as well that tells of all of it.
        """
        same = _same_bits if to_the_bit else _same_size
        if to_the_bit and self.shape.beside:
            index = self.landing / "cache.xml"
            told = index.read_text() if index.exists() else ""
            if any(f"<name>{folder}</name>" not in told for folder in self.shape.lost_folders):
                return False
        return all(
            _alike(source, landed if landed.exists() else self.destination / source.relative_to(self.source), same)
            for source, landed in self.lost
        )


def _alike(one: Path, other: Path, same: Callable[[Path, Path], bool]) -> bool:
    """Tell whether two folders hold the same files."""
    had, has = (sorted(path for path in folder.rglob("*") if path.is_file()) for folder in (one, other))
    if [path.relative_to(one) for path in had] != [path.relative_to(other) for path in has]:
        return False
    return all(same(mine, theirs) for mine, theirs in zip(had, has, strict=True))


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
