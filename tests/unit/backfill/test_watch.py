"""A watch is a hint, a scan is the truth (invariant 6): events hurry scans, lost events lead to a rescan.

The observers are real. Every wait is for something the watch does; the deadline only ends a test that would hang.
"""

import asyncio
import logging
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from backfill.scan import scan
from backfill.scanned import ScanOptions
from backfill.storage import Storage
from backfill.watch import Watch
from schema.spans import HOUR, SECOND
from tests import make
from tests.xprotect import FRONT, Recorder

NEVER = 24 * HOUR
DEADLINE = 20.0

Asked = tuple[str, frozenset[str] | None]


class Watched:
    """A watch over a bench, with everything it asked for in order."""

    def __init__(self, bench: make.Bench, *, rescan: int = NEVER, polling: bool = False) -> None:
        self.bench = bench
        self.asked: list[Asked] = []
        self.said: list[str] = []
        self.changed = asyncio.Condition()
        self.open: frozenset[str] = frozenset()
        self._watch = Watch(bench.site.of("a")[:1], self._look, rescan=rescan, polling=polling, said=self.said.append)
        self.task: asyncio.Task[None] | None = None

    async def _look(self, storage: Storage, folders: frozenset[str] | None) -> frozenset[str]:
        if Path(storage.root).is_dir():
            options = ScanOptions(only=folders)
            await asyncio.to_thread(scan, self.bench.ledger, storage, now=self.bench.clock, options=options)
        async with self.changed:
            self.asked.append((storage.server, folders))
            self.changed.notify_all()
        return self.open

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something asked for makes `true` true."""
        assert self.task is not None

        async def wait() -> None:
            async with self.changed:
                await self.changed.wait_for(true)

        waiting = asyncio.ensure_future(wait())
        await asyncio.wait({waiting, self.task}, timeout=DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        assert waiting.done(), f"not within {DEADLINE} s; asked for {self.asked}, said {self.said}"
        await waiting

    async def __aenter__(self) -> "Watched":
        self.task = asyncio.ensure_future(self._watch.run())
        await self.until(lambda: bool(self.asked))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait({self.task}, timeout=DEADLINE)
        assert self.task.cancelled(), "it did not stop"


def run(steps: Callable[[Watched], Awaitable[None]], bench: make.Bench, **options: object) -> None:
    async def main() -> None:
        async with Watched(bench, **options) as watched:  # type: ignore[arg-type]
            await steps(watched)

    asyncio.run(main())


def knows(bench: make.Bench, second: int) -> Callable[[], bool]:
    """Return whether the ledger knows the segment at that second."""

    def known() -> bool:
        with bench.ledger.reading() as connection:
            path = make.frigate_path("front", make.T0 + second * SECOND)
            return bench.ledger.segments.by_path(connection, bench.site.of("a")[0].id, path) is not None

    return known


HOUR_FOLDER = "2026-11-22/12/front"

observers = pytest.mark.parametrize("polling", [False, True], ids=["inotify", "polling"])


@observers
def test_a_new_segment_is_known_without_a_full_scan(pair: make.Bench, polling: bool) -> None:
    make.record(pair.root("a"), "front", [0])

    async def steps(watched: Watched) -> None:
        make.record(pair.root("a"), "front", [10])
        await watched.until(knows(pair, 10))
        assert watched.asked[0] == ("a", None)
        assert all(folders == {HOUR_FOLDER} for _, folders in watched.asked[1:])

    run(steps, pair, polling=polling)


@observers
def test_a_segment_in_a_new_hour_is_known(pair: make.Bench, polling: bool) -> None:
    make.record(pair.root("a"), "front", [0])

    async def steps(watched: Watched) -> None:
        make.record(pair.root("a"), "front", [3600])
        await watched.until(knows(pair, 3600))

    run(steps, pair, polling=polling)


@observers
def test_a_storage_whose_recorder_does_not_bear_it_is_only_rescanned(
    tmp_path: Path, polling: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's events open every folder, and XProtect's live tables are nobody's to open."""
    with make.bench(tmp_path, make.config_text("a", layout="xprotect")) as bench:
        recorder = Recorder(bench.root("a"))
        recorder.record(FRONT, make.T0, make.T0 + HOUR)
        watched_folders: list[str] = []
        monkeypatch.setattr(
            "watchdog.observers.api.BaseObserver.schedule",
            lambda _, __, path, **___: watched_folders.append(path),
        )

        async def steps(watched: Watched) -> None:
            recorder.close(FRONT)
            before = len(watched.asked)
            await watched.until(lambda: len(watched.asked) > before + 1)
            assert watched_folders == []
            assert set(watched.asked) == {("a", None)}
            assert watched.said == ["a/main is not watched, for the sake of Milestone XProtect; see scan.rescan"]

        run(steps, bench, polling=polling, rescan=SECOND)


def test_a_segment_that_is_moved_into_place_is_known(pair: make.Bench, tmp_path: Path) -> None:
    make.record(pair.root("a"), "front", [0])
    waiting = make.record(tmp_path / "cache", "front", [10])[0]

    async def steps(watched: Watched) -> None:
        waiting.rename(pair.root("a") / HOUR_FOLDER / "00.10.mp4")
        await watched.until(knows(pair, 10))

    run(steps, pair)


def test_a_deleted_segment_is_noticed(pair: make.Bench) -> None:
    make.record(pair.root("a"), "front", make.tens(0, 60))

    def gone() -> bool:
        coverage = pair.survey().coverage["front"]["a"]
        return bool(coverage.gone)

    async def steps(watched: Watched) -> None:
        (pair.root("a") / HOUR_FOLDER / "00.30.mp4").unlink()
        await watched.until(gone)

    run(steps, pair)


def test_lost_events_lead_to_a_rescan_of_everything(pair: make.Bench) -> None:
    make.record(pair.root("a"), "front", [0])

    async def steps(watched: Watched) -> None:
        # What watchdog itself writes when the kernel's queue has overflown: nobody else is told.
        logging.getLogger("watchdog.observers.inotify_buffer").warning("inotify queue overflow")
        await watched.until(lambda: watched.asked.count(("a", None)) == 2)
        assert watched.said == ["events were lost; rescanning everything"]

    run(steps, pair)


def test_other_warnings_of_watchdog_are_not_lost_events(pair: make.Bench) -> None:
    async def steps(watched: Watched) -> None:
        logging.getLogger("watchdog").warning("something else")
        make.record(pair.root("a"), "front", [10])
        await watched.until(knows(pair, 10))
        assert watched.said == []

    run(steps, pair)


def test_everything_is_rescanned_on_a_schedule_whatever_was_heard(pair: make.Bench) -> None:
    async def steps(watched: Watched) -> None:
        await watched.until(lambda: watched.asked.count(("a", None)) >= 3)

    run(steps, pair, rescan=SECOND // 2)


def test_a_folder_with_something_open_is_looked_at_again_when_it_can_be_sealed(
    pair: make.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backfill.watch.REST", SECOND // 10)

    async def steps(watched: Watched) -> None:
        watched.open = frozenset({HOUR_FOLDER})
        make.record(pair.root("a"), "front", [10])
        await watched.until(lambda: watched.asked.count(("a", frozenset({HOUR_FOLDER}))) >= 2)
        watched.open = frozenset()

    make.record(pair.root("a"), "front", [0])
    run(steps, pair)


def test_our_own_notes_are_no_events(pair: make.Bench) -> None:
    make.record(pair.root("a"), "front", [0])
    inside = pair.root("a") / ".recorder-sync/staging"
    inside.mkdir(parents=True)

    async def steps(watched: Watched) -> None:
        (inside / "x.part").write_bytes(b"x")
        make.record(pair.root("a"), "front", [10])
        await watched.until(knows(pair, 10))
        assert {folder for _, folders in watched.asked if folders for folder in folders} == {HOUR_FOLDER}

    run(steps, pair)


def test_a_storage_that_is_away_at_the_start_is_looked_for(pair: make.Bench) -> None:
    shutil.rmtree(pair.root("a"))

    async def steps(watched: Watched) -> None:
        assert "a/main is away" in watched.said[0]
        make.record(pair.root("a"), "front", [0])
        await watched.until(knows(pair, 0))

    run(steps, pair, rescan=SECOND)


def test_another_folder_in_its_place_is_watched_too(pair: make.Bench) -> None:
    """A watch is set on a folder, not on a name: after a remount the old one is silent for ever."""
    make.record(pair.root("a"), "front", [0])
    root = pair.root("a")

    async def steps(watched: Watched) -> None:
        root.rename(root.with_name("unplugged"))
        await watched.until(lambda: len(watched.said) == 1)
        assert "a/main is away" in watched.said[0]
        make.record(root, "front", [0])
        await watched.until(lambda: len(watched.said) == 2)
        assert watched.said[1] == "a/main is back"
        looks = len(watched.asked)
        make.record(root, "front", [10])
        await watched.until(lambda: any(folders == {HOUR_FOLDER} for _, folders in watched.asked[looks:]))

    run(steps, pair, rescan=SECOND)


QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


@pytest.mark.skipif(not os.access(QUEUE, os.W_OK), reason="needs root to make the kernel's queue small")
def test_a_queue_that_overflows_loses_no_segment(pair: make.Bench) -> None:
    make.record(pair.root("a"), "front", [0])
    before = QUEUE.read_text()

    async def steps(watched: Watched) -> None:
        QUEUE.write_text(before)
        make.record(pair.root("a"), "front", range(10, 3600, 10))
        await watched.until(lambda: "events were lost; rescanning everything" in watched.said and knows(pair, 3590)())
        await watched.until(lambda: len(pair.survey().coverage["front"]["a"].own) == 1)

    QUEUE.write_text("4")
    try:
        run(steps, pair)
    finally:
        QUEUE.write_text(before)


def test_without_the_kernels_events_folders_are_listed_instead(
    pair: make.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.record(pair.root("a"), "front", [0])

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("watchdog.observers.inotify.InotifyObserver.schedule", refuse)

    async def steps(watched: Watched) -> None:
        assert "listing the folders instead" in watched.said[0]
        make.record(pair.root("a"), "front", [10])
        await watched.until(knows(pair, 10))

    run(steps, pair)


def test_an_open_file_costs_looks_at_its_own_folder_alone_and_ever_fewer(
    pair: make.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a live recorder something is always open: that must not mean to scan without end (invariant 9)."""
    monkeypatch.setattr("backfill.watch.REST", SECOND // 100)
    monkeypatch.setattr("backfill.watch._GATHER_SECONDS", 0.02)
    make.record(pair.root("a"), "front", [0])
    make.record(pair.root("a"), "yard", [0])
    at: list[float] = []

    async def steps(watched: Watched) -> None:
        for looks in range(2, 7):
            await watched.until(lambda looks=looks: len(watched.asked) >= looks)  # type: ignore[misc]
            at.append(asyncio.get_running_loop().time())
        assert watched.asked[:6] == [("a", None)] + [("a", frozenset({HOUR_FOLDER}))] * 5
        assert at[-1] - at[-2] > 2 * (at[1] - at[0]), "each time it is waited longer"
        before = len(watched.asked)
        make.record(pair.root("a"), "front", [10])
        await watched.until(lambda: len(watched.asked) > before and knows(pair, 10)())
        watched.open = frozenset()

    async def main() -> None:
        watched = Watched(pair)
        watched.open = frozenset({HOUR_FOLDER})
        async with watched:
            await steps(watched)

    asyncio.run(main())


def test_a_storage_that_cannot_be_watched_is_rescanned_and_tried_again(
    pair: make.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes back after all the kernel's watches were taken by others, and they are given back later."""
    root = pair.root("a")
    make.record(root, "front", [0])

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    async def steps(watched: Watched) -> None:
        root.rename(root.with_name("unplugged"))
        await watched.until(lambda: len(watched.said) == 1)
        with monkeypatch.context() as full:
            full.setattr("watchdog.observers.inotify.InotifyObserver.schedule", refuse)
            make.record(root, "front", [0])
            await watched.until(lambda: len(watched.said) == 2)
            looks = len(watched.asked)
            await watched.until(lambda: len(watched.asked) >= looks + 2)
            assert "cannot be watched (No space left on device)" in watched.said[1]
            assert len(watched.said) == 2, "said once"
        await watched.until(lambda: len(watched.said) == 3)
        assert watched.said[2] == "a/main is back"
        looks = len(watched.asked)
        make.record(root, "front", [10])
        await watched.until(lambda: any(folders == {HOUR_FOLDER} for _, folders in watched.asked[looks:]))

    run(steps, pair, rescan=SECOND * 3 // 2)
