"""kill -9 at any moment of a fill, and at each of its steps: what is there is whole, and the next run goes on.

The real command, in a process of its own, is killed where it stands. After every kill every file under its final name
is whole and equal to its source, and the ledger claims nothing that the storage lacks. In the end everything is as if
nothing had happened: the same bytes, the same rows, the same origins; and a kill costs each segment that was under way
at most one chunk that is sent twice.
"""

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from backfill.gate import Gate
from backfill.origins import Origin, OriginLog
from recorder_sync.app import opened
from schema.values import FillResult
from tests import make
from tests.fault.checks import check_held, claims, digests, recordings
from tests.fault.children import FILL, Step, command, forked, killed_at

CHUNK = 64 * 1024
IN_FLIGHT = 4
CONFIG = make.config_text("a", "b", head=make.CONFIG.replace('"1 MB"', '"0 B"'))

Found = tuple[dict[str, bytes], set[tuple[object, ...]], dict[str, Origin | None]]


class Pair:
    """Two recorders in a folder, `a` without what `b` recorded in the middle."""

    def __init__(self, base: Path, segments: int, size: int) -> None:
        self.base = base
        self.config = base / "recorder-sync.toml"
        self.a, self.b = base / "a/recordings", base / "b/recordings"
        self._end = 10 * segments + 20
        base.mkdir(exist_ok=True)
        self.record(self.b, range(5, self._end, 10), seed=2, size=size)
        self.theirs = digests(self.b)
        self.begin_again()

    def record(self, root: Path, seconds: Iterable[int], *, seed: int, size: int) -> None:
        """Let a recorder record."""
        make.record(root, "front", seconds, seed=seed, size=size)

    def begin_again(self) -> None:
        """Let `a` have only what its own recorder wrote, and nobody know anything."""
        shutil.rmtree(self.base / "a", ignore_errors=True)
        for path in self.base.glob("ledger.db*"):
            path.unlink()
        self.record(self.a, [0, self._end], seed=1, size=3000)
        self.own = digests(self.a)
        self.config.write_text(CONFIG)

    def finish(self) -> FillResult:
        """Fill to the end."""
        with opened(self.config) as app:
            app.scan()
            result = app.fill(app.plan(app.survey(app.question()), "a"), "a", Gate())
        assert (result.refused, result.stopped) == ((), "")
        return result

    def check(self) -> None:
        """Check what must hold at every moment."""
        check_held(self.config, self.a, self.own, self.theirs)

    def found(self) -> Found:
        """Return what is here: content, what the ledger says of it, and where the records say it came from.

        Without inodes, and without the digests of sources: those are a by-product of a landing, and no promise.
        """
        log = OriginLog(str(self.base / "a/.recorder-sync/recordings"))
        rows, origins = set(), dict[str, Origin | None]()
        with opened(self.config) as app:
            for storage in app.site.storages:
                for one in claims(app.ledger, storage):
                    taken = one.digest if storage.server == "a" else None
                    plain = msgspec.structs.replace(one, id=0, inode=0, digest=taken)
                    rows.add((storage.title, *msgspec.structs.astuple(plain)))
                    if storage.server == "a":
                        origin = log.find(one.path, one.start, one.size, one.mtime_ns)
                        origins[one.path] = origin and msgspec.structs.replace(origin, landed=0)
        return digests(self.a), rows, origins

    def waiting(self) -> int:
        """Return how many bytes of partials are here."""
        return sum(path.stat().st_size for path in (self.base / "a").rglob("*.part"))


STEPS: list[Step] = [
    ("recorder_sync.cli.fill:scan_with_progress", "before", 1),
    ("backfill.storage:write_durably", "before", 1),
    ("backfill.storage:write_durably", "after", 1),
    ("schema.ledger.segments:SegmentBook.apply", "after", 1),
    ("recorder_sync.cli.fill:scan_with_progress", "after", 1),
    ("backfill.fill:_note_start", "before", 1),
    ("backfill.fill:_note_start", "after", 1),
    ("backfill.bring:_open_partial", "after", 2),
    ("backfill.transfer:_write", "before", 1),
    ("backfill.transfer:_write", "after", 7),
    ("backfill.journal:Journal.append", "before", 5),
    ("backfill.journal:Journal.append", "after", 5),
    ("backfill.bring:_dress", "before", 2),
    ("backfill.bring:_dress", "after", 2),
    ("backfill.bring:last_write", "after", 2),
    ("backfill.origins:OriginLog.append", "before", 1),
    ("backfill.origins:OriginLog.append", "after", 1),
    ("backfill.landing:publish", "before", 1),
    ("backfill.landing:publish", "after", 1),
    ("backfill.landing:publish", "after", 3),
    ("backfill.landing:_Folders.make_durable", "before", 1),
    ("backfill.landing:_Folders.make_durable", "after", 1),
    ("backfill.landing:Lander._commit", "before", 1),
    ("schema.ledger.segments:SegmentBook.set_digests", "after", 1),
    ("backfill.landing:Lander._commit", "after", 1),
    ("backfill.staging:Partial.drop_journal", "before", 1),
    ("backfill.staging:Partial.drop_journal", "after", 2),
    ("backfill.fill:_note_end", "before", 1),
    ("backfill.fill:_note_end", "after", 1),
]
"""The steps of a fill in their order: a function, and which call of it is the last thing that happens."""

SMALL = (4, 3 * CHUNK + 1000)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What is there when a few segments are filled in peace."""
    pair = Pair(tmp_path_factory.mktemp("peace"), *SMALL)
    pair.finish()
    pair.check()
    found = pair.found()
    assert set(found[0]) == set(pair.own) | set(pair.theirs)
    assert sorted(path for path, origin in found[2].items() if origin is None) == sorted(pair.own)
    return found


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_the_next_run_ends_as_if_nothing_had_happened(
    tmp_path: Path, undisturbed: Found, step: Step
) -> None:
    pair = Pair(tmp_path, *SMALL)
    killed_at(tmp_path, step)
    pair.check()
    pair.finish()
    pair.check()
    assert pair.found() == undisturbed
    assert pair.waiting() == 0


@pytest.mark.parametrize("place", ["backfill.landing:_Folders.make_durable", "backfill.landing:Lander._commit"])
def test_what_has_its_name_but_no_row_is_not_sent_again(tmp_path: Path, place: str) -> None:
    pair = Pair(tmp_path, *SMALL)
    killed_at(tmp_path, (place, "before", 1))
    here = {str(path.relative_to(pair.a)) for path in recordings(pair.a)} - set(pair.own)
    assert here
    assert here.isdisjoint(one.path for one in pair.finish().landed)


@pytest.mark.parametrize("call", range(1, 12, 2))
def test_before_any_fsync_of_a_fill_nothing_is_lost_to_a_kill(tmp_path: Path, undisturbed: Found, call: int) -> None:
    pair = Pair(tmp_path, *SMALL)
    killed_at(tmp_path, ("os:fsync", "before", call))
    pair.check()
    pair.finish()
    assert pair.found() == undisturbed


LARGE = (60, 2 * 2**20)
KILLS = 50
KILLS_AT_ONE_FILL = 12
SLOW = ["--bandwidth", "60 MB/s"]


@pytest.mark.slow
def test_killed_fifty_times_at_random_moments(tmp_path: Path) -> None:
    """The moments are spread over all of it: starting, scanning, transferring, landing; a fill is killed until done."""
    chance = random.Random(20261122)
    pair = Pair(tmp_path, *LARGE)
    pair.finish()
    undisturbed = pair.found()
    kills = fills = 0
    while kills < KILLS:
        pair.begin_again()
        fills += 1
        for _ in range(KILLS_AT_ONE_FILL):
            alive = killed(pair, chance.uniform(0.02, 0.9))
            if not alive:
                break
            kills += 1
            pair.check()
        waiting = pair.waiting()
        rest = pair.finish()
        needed = sum(one.size for one in rest.landed) - waiting
        assert rest.sent <= needed + IN_FLIGHT * CHUNK, "more than a chunk of each segment under way was sent twice"
        pair.check()
        assert pair.found() == undisturbed
    assert fills > 1, "they all hit the beginning"


def killed(pair: Pair, after: float) -> bool:
    """Start a fill and kill it after so many seconds; tells whether it was still running then."""
    process = forked.Process(target=command, args=(pair.base, *FILL, *SLOW))
    process.start()
    process.join(after)
    alive = process.exitcode is None
    process.kill()
    process.join()
    return alive


@pytest.mark.slow
def test_killed_from_its_very_first_moment_on(tmp_path: Path) -> None:
    """The same with the command as it is installed, interpreter and all."""
    chance = random.Random(1122)
    pair = Pair(tmp_path, *SMALL)
    codes = set()
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-m", "recorder_sync", *FILL, "--bandwidth", "500 kB/s"],
            cwd=pair.base,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                codes.add(process.wait(chance.uniform(0.1, 1.6)))
            except subprocess.TimeoutExpired:
                process.kill()
                codes.add(process.wait())
        pair.check()
    assert -signal.SIGKILL in codes
    pair.finish()
    pair.check()
