"""Which parts there are and in what order they run; each cleans up behind itself."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import measure
from benchmarks.cases import Task, beside, compare, half_there
from benchmarks.data import Shape, Trees
from benchmarks.document import Case, Figure
from benchmarks.link.suite import LinkSuite
from benchmarks.pair import Pair
from benchmarks.peers import (
    COLD,
    COPY,
    COPY_MANY,
    FILL,
    FILL_PROCESS,
    READBACK,
    RESUME,
    RSYNC_NEW,
    SEARCH,
    TABLES,
    Peer,
)
from benchmarks.sizes import Sizes

MINUTE = 60
FRIGATE = 10
"""Seconds that its segments last."""

DEFAULT = ("large", "small", "hour", "resume", "scan", "ledger")
PARTS = (*DEFAULT, "bank", "tables", "link")
"""The link takes longer than all others together, and the banks of XProtect recorders have hundreds of thousands of
files: these only run when they are asked for."""


class Suite:
    """One run: what was measured so far."""

    def __init__(self, folder: Path, sizes: Sizes, rounds: int, *, keep: bool, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._sizes = sizes
        self._rounds = rounds
        self._keep = keep
        self._say = say
        self.cases: list[Case] = []
        self.figures: list[Figure] = []
        self.absent: list[str] = []

    def run(self, parts: Sequence[str]) -> None:
        """Run `parts` in the order of PARTS."""
        if "large" in parts:
            shape = self._sizes.large
            self._copies("large", shape, shape.lost_title, (*COPY, *READBACK))
        if "small" in parts:
            shape = self._sizes.small
            self._copies("small", shape, shape.lost_title, COPY_MANY)
        if "hour" in parts or "scan" in parts:
            self._archive(scan="scan" in parts, hour="hour" in parts)
        if "resume" in parts:
            shape = self._sizes.resume
            title = f"half of a file of {shape.lost_size // 2**20:,} MiB is here already"
            pair = self._pair("resume", shape)
            self._compare(pair, Task(name="resume", title=title, peers=RESUME, seconds=25, prepare=half_there))
            self._drop(pair)
        if "ledger" in parts:
            self._ledger()
        if "bank" in parts:
            self._bank()
        link = LinkSuite(self._folder, self._sizes, self._rounds, keep=self._keep, say=self._say)
        if "tables" in parts:
            self._tables()
            link.tables()
        if "link" in parts:
            link.run()
        self.cases += link.cases
        self.figures += link.figures
        self.absent += [sentence for sentence in link.absent if sentence not in self.absent]

    def _copies(self, name: str, shape: Shape, title: str, peers: tuple[Peer, ...]) -> None:
        pair = self._pair(name, shape)
        self._compare(pair, Task(name=name, title=title, peers=peers, seconds=60))
        self._drop(pair)

    def _archive(self, *, scan: bool, hour: bool) -> None:
        """Scan a large archive; find and fetch its missing hour, and that of one a tenth as large."""
        large, tenth = self._sizes.archive, self._sizes.archive_tenth
        pair = self._pair("hour", large, scan=scan)
        if hour:
            title = f"{large.lost_title}, missing in an archive of {_number(large):,} files"
            note = (
                f"the loop is told where the hour is; {FILL.who} runs inside a service, {FILL_PROCESS.who} as a command"
            )
            self._compare(pair, Task(name="hour", title=title, peers=SEARCH, seconds=40, notes=(note,)))
            self._cold(pair)
        self._drop(pair)
        if hour:
            pair = self._pair("hour-tenth", tenth)
            title = f"the same in an archive of {_number(tenth):,} files"
            task = Task(name="hour-tenth", title=title, peers=(FILL,), seconds=10)
            self._compare(pair, task)
            self._drop(pair)

    def _cold(self, pair: Pair) -> None:
        """Do it again as on a recorder, whose memory is full of video: whoever walks the archive reads it from disk."""
        title = "the same, and the archive's folders are not in memory"
        if measure.can_drop_caches():
            self._compare(pair, Task(name="hour-cold", title=title, peers=COLD, seconds=30, cold=True))
        else:
            self.absent.append("hour-cold: only root can make the system forget what it has read")

    def _ledger(self) -> None:
        """Take in made-up segments and plan: as many a camera as minutes, and once as Frigate cuts them."""
        sizes = self._sizes
        for name, segments, length in (
            ("", sizes.segments, MINUTE),
            (", tenth", sizes.segments_tenth, MINUTE),
            (", short", sizes.segments_short, FRIGATE),
        ):
            self._say(f"ledger: {segments:,} segments of {length} s")
            folder = self._folder / f"ledger-{segments}-{length}"
            folder.mkdir()
            command = measure.worker("ledger", str(folder), str(segments), str(length))
            told = measure.run(command, written=folder, syncs=True, works=True).told
            among = f"{told['segments']:,} segments of {length} s"
            hour = f"one missing hour of 50 cameras, {told['tasks']:,} to fetch, out of {among}"
            self._figure(f"intake{name}", told["intake"], "segments/s", f"ledger intake of {among}")
            self._figure(f"first survey{name}", told["first_survey"], "s", f"first survey after intake of {among}")
            self._figure(f"survey{name}", told["survey"], "s", f"survey of {among}")
            self._figure(f"planning{name}", told["survey"] + told["plan"], "s", f"survey and plan: {hour}")

    def _bank(self) -> None:
        """Index an XProtect bank, and again after little changed."""
        cameras, hours = self._sizes.bank_cameras, self._sizes.bank_hours
        self._say(f"bank: writing {cameras * hours:,} tables")
        folder = self._folder / "bank"
        folder.mkdir()
        told = measure.run(
            measure.worker("bank", str(folder), str(cameras), str(hours)), written=folder, syncs=True, works=True
        ).told
        bank = f"an XProtect bank of {told['first_added']:,} tables, its cache of {told['cache'] / 2**20:.0f} MiB"
        self._figure("bank, first scan", told["first"], "s", f"first scan of {bank}")
        self._figure("bank, rescan", told["again"], "s", f"rescan, nothing changed, of {bank}")
        self._figure("bank, one closed", told["one"], "s", f"rescan, {told['one_added']} table closed, of {bank}")
        self._figure("bank, each closed", told["each"], "s", f"rescan, {told['each_added']} tables closed, of {bank}")
        if not self._keep:
            shutil.rmtree(folder)

    def _tables(self) -> None:
        """Fill hours of an XProtect bank, all cameras, into the side store."""
        shape = self._sizes.tables
        pair = self._pair("tables", shape)
        note = (
            f"only {FILL.who} and {RSYNC_NEW.who} find out which tables are missing; the latter writes into the bank,"
            " the others into the side store"
        )
        task = Task(name="tables", title=shape.lost_title, peers=TABLES, seconds=150, prepare=beside, notes=(note,))
        self._compare(pair, task)
        self._drop(pair)

    def _pair(self, name: str, shape: Trees, *, scan: bool = False) -> Pair:
        self._say(f"{name}: writing and scanning two trees, one of which lacks {shape.lost_title}")
        pair = Pair(self._folder / name, shape)
        scans = pair.make()
        if scan:
            slowest = max(scans, key=lambda one: float(one["first"]))
            files = f"{slowest['files']:,} files"
            self._figure("first scan", slowest["first"], "s", f"first scan of {files}, the slower of two storages")
            again = max(one["again"] for one in scans)
            listed = max(one["listed_again"] for one in scans)
            self._figure("rescan", again, "s", f"rescan of the unchanged {files}, {listed} folders listed")
        return pair

    def _drop(self, pair: Pair) -> None:
        if not self._keep:
            pair.drop()

    def _compare(self, pair: Pair, task: Task) -> None:
        case, absent = compare(pair, task, self._rounds, self._say)
        self.cases.append(case)
        self.absent += [sentence for sentence in absent if sentence not in self.absent]

    def _figure(self, name: str, value: float, unit: str, title: str) -> None:
        self.figures.append(Figure(name=name, value=value, unit=unit, title=title))


def _number(shape: Shape) -> int:
    """Return how many files the archive has beside the missing hour."""
    return shape.cameras * shape.per_hour * (shape.hours - 1)
