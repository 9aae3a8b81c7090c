"""A table's files are made durable together, and still each of them before the table can get its name.

And whatever happens in between, no descriptor stays open: a service brings tables for years.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from backfill import bring as bringing
from backfill.bring import bring
from backfill.gate import Gate
from backfill.layouts.xprotect import layout as xprotect_layout
from backfill.peer import FolderPeer, Peer
from backfill.staging import Staging
from schema.spans import HOUR
from tests import make
from tests.faults import FaultyPeer
from tests.make import T0, Bench
from tests.xprotect import FRONT, Recorder

Benches = Callable[[str], AbstractContextManager[Bench]]

BLOCKS = 50
"""More than are made durable at once."""


@dataclass
class Lacking:
    """`a` lacks one table of `b`."""

    bench: Bench

    def bring(self, coat: Callable[[Peer], Peer] = lambda peer: peer) -> Path:
        """Bring it into staging; returns where it is."""
        (task,) = self.bench.plan("a").tasks
        storage = self.bench.site.storage(task.storage_id)
        staging = Staging(storage)
        peer = coat(FolderPeer("b", self.bench.site, self.bench.ledger))
        rules = self.bench.settings.fill
        bring(task, peer, storage, staging, rules=rules, gate=Gate(), listener=lambda _: None)
        return Path(staging.partial(task).path)


@pytest.fixture
def lacking(benches: Benches, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lacking]:
    monkeypatch.setattr(xprotect_layout, "_RECORDER_SPARE", 1_000_000)
    monkeypatch.setattr("tests.xprotect._BLOCK", 200)
    with benches(make.config_text("a", "b", layout="xprotect")) as bench:
        a, b = Recorder(bench.root("a"), seed=1), Recorder(bench.root("b"), seed=2)
        b.hours(FRONT, T0, 3)
        for hour in (0, 2):
            a.hours(FRONT, T0 + hour * HOUR, 1)
        assert len(list(next(b.bank.glob(f"{FRONT}_*")).rglob("*.blk"))) > BLOCKS
        bench.scan()
        yield Lacking(bench)


def test_every_file_and_folder_is_synced_after_it_was_last_changed(
    lacking: Lacking, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: dict[int, os.stat_result] = {}
    fsync = os.fsync

    def noting(fd: int) -> None:
        fsync(fd)
        synced[os.fstat(fd).st_ino] = os.fstat(fd)

    monkeypatch.setattr(os, "fsync", noting)
    table = lacking.bring()
    parts = [table, *table.rglob("*")]
    assert len(parts) > BLOCKS
    for part in parts:
        info, then = part.stat(), synced[part.stat().st_ino]
        assert (info.st_size, info.st_mtime_ns, info.st_ctime_ns) == (then.st_size, then.st_mtime_ns, then.st_ctime_ns)


def test_never_more_files_are_open_than_are_made_durable_together(
    lacking: Lacking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bringing, "_UNSYNCED_FILES", 4)
    before, most = open_files(), 0
    dress = bringing._dress

    def looking(*given: object) -> None:
        nonlocal most
        most = max(most, open_files() - before)
        dress(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(bringing, "_dress", looking)
    lacking.bring()
    assert 4 <= most <= 4 + 2, "those that wait, the journal and the one being written"
    assert open_files() == before


@pytest.mark.parametrize("fails", ["a read", "a sync"])
def test_a_failure_in_the_middle_leaves_no_file_open(
    lacking: Lacking, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    before = open_files()
    if fails == "a read":
        with pytest.raises(Exception, match="Input/output error"):
            lacking.bring(lambda peer: FaultyPeer(peer, "." * 20 + "e"))
    else:

        def failing(_: int) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fsync", failing)
        with pytest.raises(Exception, match="Input/output error"):
            lacking.bring()
    assert open_files() == before


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))
