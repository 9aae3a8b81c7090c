"""The benchmarks run, measure everyone who is here, prove our fills, say who is absent, and leave nothing behind.

No test here looks at a time: what counts is that a figure cannot come from a fill that was wrong, that nobody is left
out in silence, and that a run that is broken off cleans up.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from benchmarks import data, measure, peers
from benchmarks.document import Case, Document, Figure, Row
from benchmarks.link import lines
from benchmarks.link import peers as link_peers
from benchmarks.link.peers import EVERYBODY, IN_NAMESPACES, PLAIN, RSYNC_DAEMON
from benchmarks.pair import Pair
from benchmarks.suite import DEFAULT, PARTS
from benchmarks.tables import Tables
from benchmarks.targets import judge

CHECKOUT = Path(__file__).parents[2]
SHAPE = data.Shape(cameras=2, hours=3, per_hour=4, size=2048, lost_per_hour=6, lost_size=70_000)


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks", *map(str, arguments)]


def document(folder: Path, *arguments: str, path: str | None = None) -> Document:
    """Run a quick benchmark and return its JSON."""
    work = folder / "work"
    work.mkdir()
    file = folder / "result.json"
    environment = os.environ if path is None else {**os.environ, "PATH": path}
    subprocess.run(
        command("--quick", "--dir", work, "--json", file, *arguments),
        cwd=CHECKOUT,
        env=environment,
        check=True,
        capture_output=True,
        timeout=300,
    )
    assert list(work.iterdir()) == [], "the recordings are still there"
    return msgspec.json.decode(file.read_bytes(), type=Document)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """One quick run of everything."""
    return document(tmp_path_factory.mktemp("benchmarks"))


def test_a_bank_is_indexed_once_and_then_what_was_closed_since(tmp_path: Path) -> None:
    figures = {one.name: one.title for one in document(tmp_path, "--only", "bank").figures}
    assert set(figures) == {"bank, first scan", "bank, rescan", "bank, one closed", "bank, each closed"}
    assert "rescan, 1 table closed, of" in figures["bank, one closed"]
    assert "rescan, 4 tables closed, of an XProtect bank of 96 tables" in figures["bank, each closed"]


@pytest.mark.slow
def test_missing_tables_are_filled_by_all_and_by_ours_to_the_bit(tmp_path: Path) -> None:
    if shutil.disk_usage(tmp_path).free < 9 * 10**9:
        pytest.skip("a bank leaves 6 GB to its recorder, and there is less")
    found = document(tmp_path, "--only", "tables", "--blocks", "3")
    here, there = found.cases
    assert (here.name, there.name) == ("tables", "link-tables")
    assert found.verified
    for case, wanted in ((here, peers.TABLES), (there, link_peers.TABLES)):
        assert case.title.startswith("3 h of 3 cameras: 9 tables, 144 files, 0.01 GB, in a bank of 24 tables")
        assert case.files == 144
        rows = {row.who: row for row in case.rows}
        for peer in wanted:
            assert peer.who in rows or any(sentence.startswith(peer.who) for sentence in found.absent)
        assert all(row.complete for row in rows.values())


@pytest.fixture
def banks(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path / "pair", Tables(cameras=2, hours=5, lost_hours=2, blocks=2, block=5000))
    made.base.mkdir()
    data.build(made.source, made.destination, made.shape)
    yield made
    made.drop()


def test_nothing_but_the_lost_tables_is_missing_and_each_is_as_it_was_measured(banks: Pair) -> None:
    source, destination = (
        {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (banks.source, banks.destination)
    )
    missing = source.keys() - destination.keys()
    assert {path.split("/")[0] for path in missing} == set(banks.shape.lost_folders)
    assert len(missing) == banks.shape.lost_files == 4 * (2 + 5 + 4 + 2 + 2)
    assert sum(len(source[path]) for path in missing) == banks.shape.lost_bytes
    assert {path for path in source if source[path] != destination.get(path, source[path])} == {"cache.xml"}
    blocks = [source[path] for path in missing if path.endswith(".blk") and len(source[path]) == 5000]
    assert len(set(blocks)) == len(blocks) == 8, "two blocks have the same content"


def test_tables_are_complete_with_every_bit_and_an_index_that_tells_of_them(banks: Pair) -> None:
    for one in banks.lost:
        shutil.copytree(*one)
    index = banks.landing / "cache.xml"
    shutil.copy(banks.source / "cache.xml", index)
    assert banks.complete(to_the_bit=True)
    index.write_text(index.read_text().replace(banks.shape.lost_folders[1], "another"))
    assert not banks.complete(to_the_bit=True)
    assert banks.complete(to_the_bit=False)
    next(banks.lost[2][1].rglob("pindex.idx")).unlink()
    assert not banks.complete(to_the_bit=False)


def test_tables_may_be_in_the_bank_itself(banks: Pair) -> None:
    for source, _ in banks.lost:
        shutil.copytree(source, banks.destination / source.name)
    assert banks.complete(to_the_bit=False)
    banks.take_back()
    assert not banks.complete(to_the_bit=False)
    assert sorted(path.name for path in banks.destination.iterdir() if path.name in banks.shape.lost_folders) == []


@pytest.mark.slow
def test_a_quick_run_measures_every_part(quick: Document) -> None:
    assert quick.quick
    cold = {"hour-cold"} if measure.can_drop_caches() else set()
    assert {case.name for case in quick.cases} == {"large", "small", "hour", "hour-tenth", "resume"} | cold
    assert cold or any(sentence.startswith("hour-cold") for sentence in quick.absent)
    assert {"first scan", "rescan", "intake", "planning", "planning, tenth"} <= {one.name for one in quick.figures}
    assert set(DEFAULT) == {"large", "small", "hour", "resume", "scan", "ledger"}
    assert set(PARTS) - set(DEFAULT) == {"bank", "tables", "link"}


@pytest.mark.slow
def test_every_fill_of_ours_is_what_its_source_is(quick: Document) -> None:
    ours = [row for case in quick.cases for row in case.rows if row.who.startswith(peers.OURS)]
    assert len(ours) == len(quick.cases) + sum(case.name in ("large", "hour") for case in quick.cases)
    assert quick.verified
    assert all(row.complete for row in ours)


@pytest.mark.slow
def test_everyone_is_measured_or_said_to_be_absent(quick: Document) -> None:
    for case, wanted in (
        ("large", peers.COPY),
        ("small", peers.COPY_MANY),
        ("hour", peers.SEARCH),
        ("resume", peers.RESUME),
    ):
        rows = {row.who for found in quick.cases if found.name == case for row in found.rows}
        for peer in wanted:
            assert peer.who in rows or any(sentence.startswith(peer.who) for sentence in quick.absent)
    assert all(row.durable >= row.seconds > 0 for case in quick.cases for row in case.rows)


@pytest.mark.slow
def test_a_resumed_fill_moves_no_verified_chunk_again(quick: Document) -> None:
    resume = next(case for case in quick.cases if case.name == "resume")
    ours = resume.row(peers.OURS)
    assert ours is not None
    assert ours.resent == 0


@pytest.mark.slow
def test_the_document_names_neither_this_machine_nor_its_folders(quick: Document) -> None:
    text = msgspec.json.encode(quick).decode()
    assert quick.machine.cores >= 1
    assert str(CHECKOUT) not in text
    assert "recorder-sync-benchmarks-" not in text


@pytest.mark.slow
def test_a_quick_run_of_the_link_measures_everyone_and_proves_our_fills(tmp_path: Path) -> None:
    found = document(tmp_path, "--only", "link")
    apart = not lines.unable()
    names = {"link-large", "link-small"} | ({"link-large-apart", "link-small-apart"} if apart else set())
    assert {case.name for case in found.cases} == names
    assert apart or any("between namespaces" in sentence for sentence in found.absent)
    for case in found.cases:
        wanted = IN_NAMESPACES if case.name.endswith("apart") else EVERYBODY
        rows = {row.who: row for row in case.rows}
        for peer in wanted:
            assert peer.who in rows or any(sentence.startswith(peer.who) for sentence in found.absent)
        assert rows[peers.OURS].complete
        assert rows[PLAIN].complete
        assert all(row.cpu > 0 for row in case.rows if row.who.startswith(peers.OURS))
    slow = {"line used", "line used, bare", "fill.bandwidth", "link.bandwidth"} if apart else set()
    assert {"back", "idle cpu", "idle memory"} | slow <= {one.name for one in found.figures}
    assert any(sentence.startswith("Syncthing") for sentence in found.absent)
    assert found.verified


def test_tools_that_are_not_installed_are_named(tmp_path: Path) -> None:
    found = document(tmp_path, "--only", "large", path=str(tmp_path))
    assert [sentence.partition(":")[0] for sentence in found.absent] == [
        "rsync -a",
        "rsync -a --fsync",
        "rclone copy",
        "cp -a",
    ]
    assert {row.who for case in found.cases for row in case.rows} == {
        "recorder-sync",
        "recorder-sync, readback",
        "loop: read, write, fsync",
        "loop: read, hash, write, fsync",
    }


def test_a_run_that_is_broken_off_cleans_up(tmp_path: Path) -> None:
    with subprocess.Popen(command("--quick", "--dir", tmp_path), cwd=CHECKOUT, stderr=subprocess.PIPE) as running:
        assert running.stderr is not None
        while b"round 1" not in (line := running.stderr.readline()):
            assert line, "it ended before the first round"
        running.send_signal(signal.SIGTERM)
        running.stderr.read()
        assert running.wait(60) == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Two small trees, of which the second lacks an hour."""
    made = Pair(tmp_path / "pair", SHAPE)
    made.base.mkdir()
    data.build(made.source, made.destination, SHAPE)
    yield made
    made.drop()


def test_nothing_but_the_lost_hour_is_missing(pair: Pair) -> None:
    source, destination = (
        {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.mp4")}
        for root in (pair.source, pair.destination)
    )
    missing = source.keys() - destination.keys()
    assert len(missing) == SHAPE.lost_files
    assert all(path.startswith(SHAPE.lost_folders) for path in missing)
    assert all(source[path] == destination[path] for path in source.keys() & destination.keys())
    assert {len(source[path]) for path in missing} == {SHAPE.lost_size}
    assert len(set(source.values())) == len(source), "two recordings have the same content"


def test_a_copy_that_differs_in_one_bit_is_not_complete(pair: Pair) -> None:
    shutil.copytree(*pair.lost[0])
    assert pair.complete(to_the_bit=True)
    victim = sorted(pair.lost[0][1].rglob("*.mp4"))[3]
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    assert not pair.complete(to_the_bit=True)


def test_a_copy_without_one_file_is_not_complete(pair: Pair) -> None:
    shutil.copytree(*pair.lost[0])
    next(pair.lost[0][1].rglob("*.mp4")).unlink()
    assert not pair.complete(to_the_bit=False)


def row(who: str, durable: float, ours: float, *, peak: float = 50) -> Row:
    return Row(
        who=who,
        seconds=durable,
        durable=durable,
        durable_rounds=[durable],
        rate=1,
        ratio=durable / ours,
        verifies="",
        syncs=True,
        peak_mib=peak,
    )


def case(name: str, *rows: Row) -> Case:
    return Case(name=name, title="", files=1, size=1, rounds=1, rows=list(rows))


def test_a_target_is_met_from_its_limit_on() -> None:
    slow, fast = (
        case("large", row(peers.OURS, 1, 1), row("rsync -a", other, 1), row(peers.LIMIT, 0.8, 1))
        for other in (1.49, 1.5)
    )
    assert [target.met for target in judge([slow], [])] == [False, True, True]
    assert [target.met for target in judge([fast], [])] == [True, True, True]


def test_the_missing_hour_must_cost_the_same_in_a_tenth_of_the_archive() -> None:
    hour = case("hour", row(peers.OURS, 1.3, 1.3))
    for tenth, met in ((1.3, True), (1.09, True), (1.0, False), (1.7, False)):
        found = judge([hour, case("hour-tenth", row(peers.OURS, tenth, tenth))], [])
        assert [target.met for target in found] == [met, True], tenth


def test_a_fill_that_takes_too_much_memory_misses_its_target() -> None:
    found = judge([case("other", row(peers.OURS, 1, 1, peak=251), row("rclone copy", 1, 1, peak=900))], [])
    assert [(target.measured, target.met) for target in found] == [("251 MiB", False)]


def test_planning_is_judged_by_itself_and_against_a_tenth() -> None:
    measured = {"planning": 0.09, "planning, tenth": 0.04}
    figures = [Figure(name=name, value=value, unit="s", title="") for name, value in measured.items()]
    assert [target.met for target in judge([], figures)] == [True, False]


def test_the_link_is_judged_by_its_own_rows() -> None:
    found = judge([case("link-large", row(peers.OURS, 2, 2), row(PLAIN, 1, 2), row(RSYNC_DAEMON, 1.9, 2))], [])
    assert [(target.measured, target.met) for target in found] == [("0.95 x", False), ("1.90 x", True)]


def test_a_limit_that_is_exceeded_misses_its_target_as_well_as_one_not_reached() -> None:
    for value, met in ((0.94, False), (0.96, True), (1.04, True), (1.06, False)):
        found = judge([], [Figure(name="link.bandwidth", value=value, unit="", title="")])
        assert [target.met for target in found] == [met], value
