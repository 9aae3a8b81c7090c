"""The power fails in the middle of a fill, or right after it: what is on the disk is whole, and all that was claimed.

A real ext4 whose power is cut by its own ioctl: nothing that was not yet on the disk gets there, the journal neither.
The next mount replays the journal, as after any power cut. With the ledger on that disk, and with the ledger on
another one that survives: then it must not have claimed anything too early.
"""

import os
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backfill.gate import Gate
from recorder_sync.app import opened
from schema.values import FillResult
from tests import make
from tests.fault.checks import check_held, claims, cut, digests, ext4
from tests.fault.children import FILL, Step, command, forked, killed_at
from tests.faults import as_root, mounted

pytestmark = as_root

SEGMENTS = 16
SIZE = 2**20 + 1000
LEDGERS = {"on the same disk": "a/ledger.db", "on another disk": "ledger.db"}


class Machine:
    """`a` on a disk of its own whose power can fail; `b`, without a hole, elsewhere."""

    def __init__(self, base: Path, ledger: str) -> None:
        self.base = base
        self.disk = base / "a"
        self.a, self.b = self.disk / "recordings", base / "b/recordings"
        self.config = base / "recorder-sync.toml"
        self.config.write_text(make.config_text("a", "b", head=make.CONFIG.replace('"ledger.db"', f'"{ledger}"')))
        self._image = ext4(base / "image", 64 * 2**20)
        end = 10 * SEGMENTS
        self.record(self.b, range(5, end, 10), seed=2, size=SIZE)
        self.theirs = digests(self.b)
        with self.on():
            self.record(self.a, [0, end - 10], seed=1, size=3000)
            self.own = digests(self.a)
            os.sync()

    def record(self, root: Path, seconds: Iterable[int], *, seed: int, size: int) -> None:
        """Let a recorder record."""
        make.record(root, "front", seconds, seed=seed, size=size)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Switch it on: mounting replays the journal."""
        with mounted("-o", "loop", str(self._image), at=self.disk):
            yield

    def cut(self) -> None:
        cut(self.disk)

    def check(self) -> None:
        """Check what must hold after every cut."""
        check_held(self.config, self.a, self.own, self.theirs)

    def finish(self) -> FillResult:
        """Fill to the end."""
        with opened(self.config) as app:
            app.scan()
            return app.fill(app.plan(app.survey(app.question()), "a"), "a", Gate())

    def check_complete(self) -> None:
        """Check that everything came, is known, and is known to be the peer's."""
        self.check()
        assert set(digests(self.a)) == {*self.own, *self.theirs}
        with opened(self.config) as app:
            origins = {one.path: one.origin for one in claims(app.ledger, app.site.storages[0])}
        assert origins == dict.fromkeys(self.own) | dict.fromkeys(self.theirs, "b")
        assert self.finish().sent == 0


@pytest.fixture(params=LEDGERS.values(), ids=LEDGERS.keys())
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, request.param)


def test_a_cut_loses_what_was_not_made_durable(tmp_path: Path) -> None:
    """Else nothing here would prove anything: a file written and renamed carelessly is gone or empty."""
    machine = Machine(tmp_path, "ledger.db")
    content = b"x" * 100_000
    with machine.on():
        folder = os.open(machine.disk, os.O_RDONLY)
        for name in ("careful", "careless"):
            new = machine.disk / f"{name}.new"
            with open(new, "wb") as file:
                file.write(content)
                file.flush()
                if name == "careful":
                    os.fsync(file.fileno())
            new.rename(machine.disk / name)
            if name == "careful":
                os.fsync(folder)
        os.close(folder)
        machine.cut()
    with machine.on():
        assert (machine.disk / "careful").read_bytes() == content
        careless = machine.disk / "careless"
        assert not careless.exists() or careless.read_bytes() != content


STEPS: list[Step] = [
    ("backfill.transfer:_write", "after", 9),
    ("backfill.origins:OriginLog.append", "before", 1),
    ("backfill.origins:OriginLog.append", "after", 1),
    ("backfill.landing:publish", "after", 2),
    ("backfill.landing:_Folders.make_durable", "after", 1),
    ("backfill.landing:Lander._commit", "after", 1),
    ("backfill.landing:Lander._commit", "after", 2),
    ("backfill.fill:_note_end", "after", 1),
]


@pytest.mark.parametrize("step", STEPS)
def test_cut_at_a_step_what_is_there_is_whole_and_the_next_run_goes_on(
    machine: Machine, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backfill.fill._BATCH", 4)  # so that there is a second landing, however fast the disk is
    with machine.on():
        killed_at(machine.base, step, machine.cut)
    with machine.on():
        machine.check()
        assert machine.finish().refused == ()
        machine.check_complete()


def test_cut_right_after_a_fill_everything_it_said_is_there(machine: Machine) -> None:
    with machine.on():
        said = {one.path for one in machine.finish().landed}
        machine.cut()
    assert said == set(machine.theirs)
    with machine.on():
        machine.check_complete()


def test_cut_again_and_again_at_random_moments(machine: Machine) -> None:
    chance = random.Random(9)
    for _ in range(4):
        with machine.on():
            process = forked.Process(target=command, args=(machine.base, *FILL, "--bandwidth", "20 MB/s"))
            process.start()
            process.join(chance.uniform(0.1, 0.8))
            machine.cut()
            process.kill()
            process.join()
        with machine.on():
            machine.check()
    with machine.on():
        assert machine.finish().refused == ()
        machine.check_complete()
