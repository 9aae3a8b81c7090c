"""Segments that are folders, killed or without power at each step of a fill: all of one is seen, or nothing of it.

The real command with a made-up recorder whose segments are folders of files that mean something only together, some of
them in a folder of their own. What holds for files holds for them, and no table is ever seen without one of its files.
"""

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.fault.checks import digests, recordings
from tests.fault.children import Step, killed_at
from tests.fault.test_kill9 import CHUNK, Found, Pair
from tests.fault.test_power_cut import LEDGERS, Machine
from tests.faults import Tables, as_root, record_table, table_path

FILES = ("data.blk", "below/index.idx", "below/further/marks.txt")


def record_tables(root: Path, seconds: Iterable[int], seed: int, size: int) -> None:
    """Let a recorder write tables of three files each."""
    for second in seconds:
        pattern = f"{seed}-{second}-".encode()
        sizes = (size, size // 3, 50)
        parts = {name: (pattern * (length // 4))[:length] for name, length in zip(FILES, sizes, strict=True)}
        record_table(root, second, parts)


def cut_tables(root: Path) -> list[str]:
    """Return the tables in a tree that lack a file."""
    tables = {path.relative_to(root).parts[:2] for path in recordings(root)}
    return ["/".join(one) for one in sorted(tables) if not all(Path(root, *one, name).is_file() for name in FILES)]


class TablePair(Pair):
    """Two recorders whose segments are folders."""

    def record(self, root: Path, seconds: Iterable[int], *, seed: int, size: int) -> None:
        record_tables(root, seconds, seed, size)

    def check(self) -> None:
        super().check()
        assert cut_tables(self.a) == []


class TableMachine(Machine):
    """The same on a disk whose power can fail."""

    def record(self, root: Path, seconds: Iterable[int], *, seed: int, size: int) -> None:
        record_tables(root, seconds, seed, size // 8)

    def check(self) -> None:
        super().check()
        assert cut_tables(self.a) == []


@pytest.fixture(autouse=True)
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever layout a configuration names, the recorder writes tables: in forked processes too."""
    monkeypatch.setattr("backfill.site.build", lambda *_: Tables())


SMALL = (3, 2 * CHUNK + 1000)

STEPS: list[Step] = [
    ("backfill.bring:_open_partial", "after", 2),
    ("backfill.transfer:_write", "after", 4),
    ("backfill.journal:Journal.append", "after", 3),
    ("backfill.bring:_dress", "after", 3),
    ("backfill.bring:sync_folder", "before", 1),
    ("backfill.bring:sync_folder", "after", 3),
    ("backfill.bring:last_write", "after", 2),
    ("backfill.origins:OriginLog.append", "before", 1),
    ("backfill.origins:OriginLog.append", "after", 1),
    ("backfill.landing:publish", "before", 1),
    ("backfill.landing:publish", "after", 1),
    ("backfill.landing:_Folders.make_durable", "before", 1),
    ("backfill.landing:_Folders.make_durable", "after", 1),
    ("backfill.landing:Lander._commit", "before", 1),
    ("backfill.landing:Lander._commit", "after", 1),
    ("backfill.staging:Partial.drop_journal", "after", 1),
    ("backfill.fill:_note_end", "after", 1),
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What is there when a few tables are filled in peace."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("backfill.site.build", lambda *_: Tables())
        pair = TablePair(tmp_path_factory.mktemp("peace"), *SMALL)
        pair.finish()
        pair.check()
        found = pair.found()
    assert set(found[0]) == set(pair.own) | set(pair.theirs)
    assert len(found[2]) == 2 + 5 and table_path("front", 15) in found[2]
    return found


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_the_next_run_ends_as_if_nothing_had_happened(
    tmp_path: Path, undisturbed: Found, step: Step
) -> None:
    pair = TablePair(tmp_path, *SMALL)
    killed_at(tmp_path, step)
    pair.check()
    pair.finish()
    pair.check()
    assert pair.found() == undisturbed
    assert list((pair.base / "a").rglob("*.part")) == []


CUTS: list[Step] = [
    ("backfill.transfer:_write", "after", 9),
    ("backfill.bring:sync_folder", "after", 2),
    ("backfill.origins:OriginLog.append", "after", 1),
    ("backfill.landing:publish", "after", 1),
    ("backfill.landing:_Folders.make_durable", "after", 1),
    ("backfill.landing:Lander._commit", "after", 1),
    ("backfill.fill:_note_end", "after", 1),
]


@as_root
@pytest.mark.parametrize("ledger", LEDGERS.values(), ids=LEDGERS.keys())
@pytest.mark.parametrize("step", CUTS)
def test_without_power_at_a_step_what_is_there_is_whole_and_the_next_run_goes_on(
    tmp_path: Path, ledger: str, step: Step
) -> None:
    machine = TableMachine(tmp_path, ledger)
    with machine.on():
        killed_at(machine.base, step, machine.cut)
    with machine.on():
        machine.check()
        assert machine.finish().refused == ()
        machine.check()
        assert set(digests(machine.a)) == {*machine.own, *machine.theirs}
        assert machine.finish().sent == 0
