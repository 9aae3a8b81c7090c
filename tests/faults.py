"""Faults for tests: a peer that fails by script, a recorder whose segments are folders, mounts that are released."""

import errno
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from backfill.digesting import take_fresh
from backfill.gate import Gate
from backfill.layouts.base import CompleteRule, EndRule, Traits
from backfill.layouts.pattern import PathPattern
from backfill.layouts.patterned import PatternLayout
from backfill.peer import Peer, Reader
from backfill.site import Site
from backfill.storage import Storage
from schema.errors import SourceChanged, SourceGone, SourceUnreadable
from schema.spans import SECOND, Span
from schema.values import Manifest, ManifestFile, Segment
from tests import make

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def rot(path: Path) -> bytes:
    """Flip a bit in the middle as a disk would; returns what was there."""
    good, when = path.read_bytes(), path.stat().st_mtime_ns
    with open(path, "r+b") as file:
        file.seek(len(good) // 2)
        file.write(bytes([good[len(good) // 2] ^ 1]))
    os.utime(path, ns=(when, when))
    return good


class FaultyPeer:
    """A coat around a peer whose reads follow a script, one letter each; once it is used up, every read is good.

    `.` good, `c` cut short (half of what was asked), `z` ends too early, `f` one bit flipped, `e` the disk fails,
    `g` gone, `h` changed.
    """

    def __init__(self, peer: Peer, script: Iterable[str]) -> None:
        self._peer = peer
        self._script = iter(script)
        self._lock = threading.Lock()
        self.read: dict[str, int] = {}
        """Bytes given of each path."""

    @property
    def name(self) -> str:
        return self._peer.name

    def segments(self, storage: Storage, wanted: Mapping[str, Sequence[Span]]) -> dict[str, list[Segment]]:
        return self._peer.segments(storage, wanted)

    def manifest(self, segment: Segment) -> Manifest:
        return self._peer.manifest(segment)

    @contextmanager
    def open(self, segment: Segment, file: ManifestFile) -> Iterator[Reader]:
        with self._peer.open(segment, file) as reader:
            yield _FaultyReader(self, reader, segment.path)

    def step(self) -> str:
        with self._lock:
            return next(self._script, ".")

    def count(self, path: str, size: int) -> None:
        with self._lock:
            self.read[path] = self.read.get(path, 0) + size


class _FaultyReader:
    def __init__(self, peer: FaultyPeer, reader: Reader, path: str) -> None:
        self._peer = peer
        self._reader = reader
        self._path = path

    def readinto(self, view: memoryview, offset: int) -> int:
        step = self._peer.step()
        if step == "e":
            raise SourceUnreadable(self._path, self._peer.name, os.strerror(errno.EIO))
        if step == "g":
            raise SourceGone(self._path, self._peer.name)
        if step == "h":
            raise SourceChanged(self._path, self._peer.name)
        if step == "z":
            return 0
        got = self._reader.readinto(view[: len(view) // 2] if step == "c" and len(view) > 1 else view, offset)
        if step == "f" and got:
            view[got // 2] ^= 0x10
        self._peer.count(self._path, got)
        return got


class Tables(PatternLayout):
    """A made-up recorder whose segments are folders: `front/2026-11-22_12-00-00_10s/`, as XProtect's tables are."""

    def __init__(self) -> None:
        traits = Traits(
            name="tables",
            title="Tables",
            summary="Folders.",
            end=EndRule.NAME,
            complete=CompleteRule.NAME,
            fill="tree",
            segment=10 * SECOND,
        )
        super().__init__(traits, [PathPattern("{camera}/%Y-%m-%d_%H-%M-%S_{duration_s}s", clock_is_utc=True)], "UTC")

    def is_unit(self, folder: str) -> bool:
        return self.read(folder) is not None


def with_tables(bench: make.Bench) -> make.Bench:
    """Let every recorder of `bench` write tables."""
    layout = Tables()
    storages = tuple(replace(storage, layout=layout) for storage in bench.site.storages)
    bench.site = Site(bench.site.settings, bench.site.servers, storages, bench.site.side)
    return bench


def table_path(camera: str, second: int) -> str:
    """Return the path of a ten-second table that starts `second` after T0."""
    return time.strftime(f"{camera}/%Y-%m-%d_%H-%M-%S_10s", make.utc(make.T0 + second * SECOND))


def record_table(root: Path, second: int, files: dict[str, bytes], camera: str = "front") -> Path:
    """Write a table of these files and give it and them the time of its end."""
    written = make.T0 + (second + 10) * SECOND
    folder = root / table_path(camera, second)
    for name, content in files.items():
        make.put(folder, name, content, written)
    os.utime(folder, ns=(written * 1000, written * 1000))
    return folder


def digest_all(bench: make.Bench, server: str) -> int:
    """Take the digests of everything `server` holds, as if at sealing; returns how many."""
    taken = 0
    for storage in bench.site.of(server):
        named = [str(path.relative_to(storage.root)) for path in sorted(Path(storage.root).rglob("*"))]
        taken += take_fresh(bench.ledger, storage, named, bench.settings.fill.chunk, Gate())
    return taken


@contextmanager
def deadline(seconds: float, what: str = "it hung") -> Iterator[None]:
    """Fail instead of hanging for ever: for code that would wait without end if it were broken."""

    def ring(*_: object) -> None:
        raise AssertionError(what)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def mounted(*arguments: str, at: Path) -> Iterator[Path]:
    """Mount something for this block; skips where that is not allowed. Always unmounted."""
    at.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *arguments, str(at)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=False, capture_output=True)
