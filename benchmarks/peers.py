"""Who is measured: recorder-sync, what people use instead, and how fast a plain loop can be at best.

Rule: each is called as its manual says and as a user would, with the options that make it do the task safely; what it
checks and what it puts on the disk is said beside every figure.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from benchmarks.measure import worker
from benchmarks.pair import DESTINATION, Pair

TOOLS = ("rsync", "rclone", "cp")

OURS = "recorder-sync"
WHOLE_PROCESS = "recorder-sync fill"
LIMIT = "loop: read, hash, write, fsync"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One way to bring the missing hour over."""

    who: str
    verifies: str
    """What it knows of the copy when it is done."""
    syncs: bool
    """Whether the copy is on the disk when it is done."""
    command: Callable[[Pair], list[str]]
    tool: str | None = None
    """The program it needs; None: it is always there."""
    works: bool = False
    """One of our own workers, which time themselves."""
    serve: Callable[[Pair], AbstractContextManager[Sequence[int]]] = lambda _pair: nullcontext(())
    """What must run while it works and is not timed: gives the processes."""

    @property
    def ours(self) -> bool:
        """Whether this is the product."""
        return self.who.startswith(OURS)


def _roots(pair: Pair, *command: str, source: str = "/", destination: str = "/") -> list[str]:
    return [*command, f"{pair.source}{source}", f"{pair.destination}{destination}"]


def _loop(pair: Pair, *options: str) -> list[str]:
    return worker("loop", str(pair.source), str(pair.landing), str(pair.names), *options)


def _told(pair: Pair, *command: str) -> list[str]:
    """Let rsync copy the missing folders, which it is told, to where ours go."""
    return [*command, *named(pair), f"{pair.source}/", f"{pair.landing}/"]


def named(pair: Pair) -> list[str]:
    """Return the options that tell rsync what is missing; none where it goes into the tree: there it may look."""
    return ["-r", f"--files-from={pair.names}"] if pair.shape.beside else []


_READS = "XXH3-128 of every chunk and file as it is read, kept in the ledger; source unchanged meanwhile"
_RSYNC = "sum of what was sent, not of what was written"

FILL = Peer(
    who=OURS,
    verifies=_READS,
    syncs=True,
    works=True,
    command=lambda pair: worker("fill", str(pair.config)),
)
FILL_READBACK = Peer(
    who=f"{OURS}, readback",
    verifies="the same, and every copy read back from the disk",
    syncs=True,
    works=True,
    command=lambda pair: worker("fill", str(pair.config), "--readback"),
)
FILL_PROCESS = Peer(
    who=WHOLE_PROCESS,
    verifies=_READS,
    syncs=True,
    command=lambda pair: [
        *(sys.executable, "-m", "recorder_sync", "fill", "--no-scan", "--json"),
        *("--config", str(pair.config), "--server", DESTINATION),
    ],
)
RSYNC = Peer(
    who="rsync -a",
    verifies=_RSYNC,
    syncs=False,
    tool="rsync",
    command=lambda pair: _roots(pair, "rsync", "-a", "--stats"),
)
RSYNC_FSYNC = Peer(
    who="rsync -a --fsync",
    verifies=_RSYNC,
    syncs=True,
    tool="rsync",
    command=lambda pair: _roots(pair, "rsync", "-a", "--stats", "--fsync"),
)
RSYNC_APPEND = Peer(
    who="rsync -a --append-verify",
    verifies=f"{_RSYNC}; with what was there",
    syncs=False,
    tool="rsync",
    command=lambda pair: _roots(pair, "rsync", "-a", "--stats", "--append-verify"),
)
RCLONE = Peer(
    who="rclone copy",
    verifies="hash of source and copy after each file",
    syncs=False,
    tool="rclone",
    command=lambda pair: _roots(pair, "rclone", "copy", "--quiet"),
)
CP = Peer(
    who="cp -a",
    verifies="nothing",
    syncs=False,
    tool="cp",
    command=lambda pair: _roots(pair, "cp", "-a", source="/."),
)
CP_UPDATE = Peer(
    who="cp -a -u",
    verifies="nothing",
    syncs=False,
    tool="cp",
    command=lambda pair: _roots(pair, "cp", "-a", "-u", source="/."),
)
PLAIN_LOOP = Peer(
    who="loop: read, write, fsync",
    verifies="nothing",
    syncs=True,
    works=True,
    command=_loop,
)
HASH_LOOP = Peer(
    who=LIMIT,
    verifies="nothing: it hashes and compares with nothing",
    syncs=True,
    works=True,
    command=lambda pair: _loop(pair, "--hashed"),
)
HASH_LOOP_HALF = Peer(
    who=LIMIT,
    verifies="nothing: it hashes and compares with nothing",
    syncs=True,
    works=True,
    command=lambda pair: _loop(pair, "--hashed", "--half-there"),
)

RSYNC_TOLD = Peer(
    who="rsync -a --files-from",
    verifies=_RSYNC,
    syncs=False,
    tool="rsync",
    command=lambda pair: _told(pair, "rsync", "-a", "--stats"),
)
RSYNC_TOLD_FSYNC = Peer(
    who="rsync -a --files-from --fsync",
    verifies=_RSYNC,
    syncs=True,
    tool="rsync",
    command=lambda pair: _told(pair, "rsync", "-a", "--stats", "--fsync"),
)
RSYNC_NEW = Peer(
    who="rsync -a --ignore-existing",
    verifies=_RSYNC,
    syncs=False,
    tool="rsync",
    command=lambda pair: _roots(pair, "rsync", "-a", "--stats", "--ignore-existing"),
)
CP_TOLD = Peer(
    who="cp -a of each",
    verifies="nothing",
    syncs=False,
    tool="cp",
    command=lambda pair: ["cp", "-a", "-t", str(pair.landing), *(str(source) for source, _ in pair.lost)],
)

COPY = (FILL, RSYNC, RSYNC_FSYNC, RCLONE, CP, PLAIN_LOOP, HASH_LOOP)
"""For many bytes."""
READBACK = (FILL_READBACK,)
COPY_MANY = tuple(peer for peer in COPY if peer is not PLAIN_LOOP)
"""The same for many small files, where the loop that does not even hash says nothing more."""
SEARCH = (FILL, FILL_PROCESS, RSYNC, RSYNC_FSYNC, RCLONE, CP_UPDATE, HASH_LOOP)
COLD = (FILL, RSYNC, RCLONE, HASH_LOOP)
"""With cold folders each run takes long to set up: only those that the targets speak of."""
"""For few bytes in a large archive; the loop is told where they are."""
TABLES = (FILL, RSYNC_TOLD, RSYNC_TOLD_FSYNC, RSYNC_NEW, CP_TOLD, PLAIN_LOOP, HASH_LOOP)
"""For whole folders; of these only ours and the last rsync find out which are missing."""
RESUME = (FILL, RSYNC, RSYNC_APPEND, RCLONE, CP, HASH_LOOP_HALF)


def available(peers: tuple[Peer, ...]) -> tuple[list[Peer], list[str]]:
    """Return those whose program is here, and a sentence for each of the others."""
    here, absent = [], []
    for peer in peers:
        if peer.tool and not shutil.which(peer.tool):
            absent.append(f"{peer.who}: {peer.tool} is not installed")
        elif peer in (RSYNC_FSYNC, RSYNC_TOLD_FSYNC) and "--fsync" not in _help("rsync"):
            absent.append(f"{peer.who}: this rsync is older than 3.2.4 and has no --fsync")
        else:
            here.append(peer)
    return here, absent


def _help(tool: str) -> str:
    return subprocess.run([tool, "--help"], capture_output=True, text=True, check=False).stdout
