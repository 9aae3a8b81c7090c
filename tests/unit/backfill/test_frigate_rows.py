"""Frigate shows a filled segment only when its database has a row. It is another program's, so every step is careful.

What must hold: a dry run leaves no trace, rows are only ever added, the values that decide how long Frigate keeps a
recording are the peer's own, and whatever goes wrong with a database leaves the recordings where they are and is said.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from backfill.after import after_fill
from backfill.layouts import frigate_rows
from tests import make

Cli = Callable[..., subprocess.CompletedProcess[str]]

CONFIG = """
ledger = "ledger.db"

[gaps]
settle = "1s"

[fill]
reserve = "1 MB"

[[servers]]
name = "nvr-a"
{cameras}

[[servers.storages]]
root = "frigate_two_nvrs/nvr-a/recordings"
layout = "frigate"
{after}

[servers.storages.frigate]
database = "{database}"
rows = "{rows}"
{container}

[[servers]]
name = "nvr-b"

[[servers.storages]]
root = "frigate_two_nvrs/nvr-b/recordings"
layout = "frigate"
{peer}
"""

OWN = "frigate_two_nvrs/nvr-a/frigate.db"
PEER = '[servers.storages.frigate]\ndatabase = "frigate_two_nvrs/nvr-b/frigate.db"'
FILLED = 11
"""Files that nvr-a gets: the ten of tests/samples/truth.md, and one because names carry whole seconds only."""

HOLD = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute('BEGIN IMMEDIATE')
held.execute('UPDATE recordings SET motion = 1')
print(flush=True)
sys.stdin.read()
"""


def config(folder: Path, rows: str = "write", *, database: str = OWN, peer: str = PEER, **more: str) -> None:
    """Write the configuration of the sample's two servers."""
    parts = {"cameras": "", "after": "", "container": ""} | more
    text = CONFIG.format(rows=rows, database=database, peer=peer, **parts)
    (folder / "recorder-sync.toml").write_text(text)


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    return make.unpack("frigate_two_nvrs", tmp_path)


def rows(database: Path, columns: str = "*") -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(f"SELECT {columns} FROM recordings ORDER BY path").fetchall()


def change(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)


def fill(cli: Cli) -> str:
    """Fill nvr-a as an operator would and return what was printed."""
    done = cli("fill", "--server", "nvr-a")
    assert done.returncode == 0, done.stdout + done.stderr
    return " ".join(done.stdout.split())


def test_a_dry_run_says_what_is_missing_and_leaves_no_trace(samples: Path, tmp_path: Path, cli: Cli) -> None:
    for server in ("nvr-a", "nvr-b"):
        change(samples / server / "frigate.db", "PRAGMA journal_mode = wal")
    before = {path: path.read_bytes() for path in samples.glob("*/frigate.db")}
    config(tmp_path, "dry-run")
    assert f'{FILLED} rows are missing in Frigate\'s database; rows = "write" adds them' in fill(cli)
    assert {path: path.read_bytes() for path in samples.glob("*/frigate.db")} == before
    assert sorted(path.name for path in samples.glob("nvr-?/frigate*")) == ["frigate.db", "frigate.db"], "no lock files"


def test_rows_are_the_peers_own_with_our_path_and_an_id_of_their_own(samples: Path, tmp_path: Path, cli: Cli) -> None:
    change(samples / "nvr-b/frigate.db", "UPDATE recordings SET motion = 7, objects = 2, dBFS = -31, regions = 4")
    own, theirs = samples / "nvr-a/frigate.db", samples / "nvr-b/frigate.db"
    before = rows(own)
    config(tmp_path)
    assert f"{FILLED} rows added to Frigate's database" in fill(cli)
    after = rows(own)
    assert set(before) <= set(after) and len(after) == len(before) + FILLED
    new = {row[2]: row for row in after if row not in before}
    peers = {row[2]: row for row in rows(theirs)}
    root = "/media/frigate/recordings/"
    for path, row in new.items():
        assert (samples / "nvr-a/recordings" / str(path).removeprefix(root)).is_file()
        assert row[1:] == peers[path][1:] and row[0] != peers[path][0]
        assert row[6:9] == (7, 2, -31)
    assert len({row[0] for row in after}) == len(after)


def test_a_second_fill_adds_nothing(samples: Path, tmp_path: Path, cli: Cli) -> None:
    config(tmp_path)
    fill(cli)
    before = rows(samples / "nvr-a/frigate.db")
    assert "Frigate" not in fill(cli)
    assert rows(samples / "nvr-a/frigate.db") == before


def test_a_fill_that_was_killed_before_its_rows_is_made_up_for(samples: Path, tmp_path: Path, cli: Cli) -> None:
    config(tmp_path, "dry-run")
    fill(cli)
    config(tmp_path, "write")
    assert f"{FILLED} rows added" in fill(cli)


def test_without_a_peers_database_nothing_is_made_up(samples: Path, tmp_path: Path, cli: Cli) -> None:
    before = rows(samples / "nvr-a/frigate.db")
    config(tmp_path, peer="")
    fill(cli)
    new = [row for row in rows(samples / "nvr-a/frigate.db", "*") if row not in before]
    assert len(new) == FILLED
    for row in new:
        start, end, duration = row[3:6]
        assert row[6:9] == (-1, -1, -1)
        assert duration == end - start and 8 <= duration <= 12  # type: ignore[operator]
        size = os.path.getsize(samples / "nvr-a/recordings" / str(row[2]).removeprefix("/media/frigate/recordings/"))
        assert row[9] == round(size / 2**20, 2)


def test_a_segment_that_the_peers_frigate_does_not_know_is_not_analysed_either(
    samples: Path, tmp_path: Path, cli: Cli
) -> None:
    change(samples / "nvr-b/frigate.db", "DELETE FROM recordings WHERE path LIKE '%front/17.58.mp4'")
    config(tmp_path)
    fill(cli)
    new = dict(rows(samples / "nvr-a/frigate.db", "path, motion"))  # type: ignore[arg-type]
    assert new["/media/frigate/recordings/2026-11-22/11/front/17.58.mp4"] == -1
    assert new["/media/frigate/recordings/2026-11-22/11/front/18.08.mp4"] == 0


def test_paths_are_as_each_frigate_sees_them(samples: Path, tmp_path: Path, cli: Cli) -> None:
    change(
        samples / "nvr-b/frigate.db", "UPDATE recordings SET path = replace(path, '/media/frigate', '/b'), motion = 9"
    )
    config(tmp_path, container='container_root = "/a/recordings/"', peer=f'{PEER}\ncontainer_root = "/b/recordings"')
    fill(cli)
    new = rows(samples / "nvr-a/frigate.db", "path, motion")
    assert ("/a/recordings/2026-11-22/11/front/18.08.mp4", 9) in new
    assert len([path for path, _ in new if str(path).startswith("/a/recordings/2026-11-22/11/")]) == FILLED


def test_a_camera_has_our_name_for_it(samples: Path, tmp_path: Path, cli: Cli) -> None:
    (samples / "nvr-a/recordings/2026-11-22/11/front").rename(samples / "nvr-a/recordings/2026-11-22/11/Tor_1")
    config(tmp_path, cameras='cameras = { Tor_1 = "front" }')
    fill(cli)
    new = rows(samples / "nvr-a/frigate.db", "camera, path")
    assert ("Tor_1", "/media/frigate/recordings/2026-11-22/11/Tor_1/18.08.mp4") in new
    assert ("yard", "/media/frigate/recordings/2026-11-22/11/yard/18.00.mp4") in new


def test_a_file_that_had_to_take_another_name_is_known_by_that(samples: Path, tmp_path: Path, cli: Cli) -> None:
    taken = samples / "nvr-a/recordings/2026-11-22/11/front/18.08.mp4"
    shutil.copy(samples / "nvr-a/recordings/2026-11-22/11/front/18.33.mp4", taken)
    os.truncate(taken, 5000)
    change(samples / "nvr-b/frigate.db", "UPDATE recordings SET motion = 5 WHERE path LIKE '%front/18.08.mp4'")
    config(tmp_path)
    fill(cli)
    new = dict(rows(samples / "nvr-a/frigate.db", "path, motion"))  # type: ignore[arg-type]
    assert new["/media/frigate/recordings/2026-11-22/11/front/18.09.mp4"] == 5
    assert "/media/frigate/recordings/2026-11-22/11/front/18.08.mp4" not in new


@pytest.mark.parametrize(
    ("make_it", "says"),
    [
        (lambda path: path.unlink(), "unable to open database file"),
        (
            lambda path: path.write_bytes(b"no database at all, but long enough to be read as one" * 20),
            "not a database",
        ),
        (lambda path: change(path, "ALTER TABLE recordings RENAME TO events"), "no table 'recordings' like Frigate's"),
        (
            lambda path: change(
                path, "CREATE TRIGGER t BEFORE INSERT ON recordings BEGIN SELECT RAISE(ABORT, 'not like this'); END"
            ),
            "not like this",
        ),
    ],
    ids=["missing", "no database", "foreign", "one that takes no row"],
)
def test_a_database_that_is_not_frigates_is_said_and_the_recordings_stay(
    make_it: Callable[[Path], None], says: str, samples: Path, tmp_path: Path, cli: Cli
) -> None:
    make_it(samples / "nvr-a/frigate.db")
    config(tmp_path, after="after_fill = ['cp', '/dev/stdin', 'landed.txt']")
    printed = fill(cli)
    assert says in printed and "could not be used" in printed
    assert len(list((samples / "nvr-a/recordings").rglob("*.mp4"))) == 9 + FILLED
    assert "18.08.mp4" in (tmp_path / "landed.txt").read_text(), "the operator's own command must run all the same"


def test_a_peer_whose_database_is_away_is_said_and_made_up_for_later(samples: Path, tmp_path: Path, cli: Cli) -> None:
    away = samples / "nvr-b/frigate.db"
    away.rename(samples / "away.db")
    before = rows(samples / "nvr-a/frigate.db")
    config(tmp_path)
    assert "nvr-b/frigate.db could not be used" in fill(cli)
    assert rows(samples / "nvr-a/frigate.db") == before, "values made up now would never be corrected"
    (samples / "away.db").rename(away)
    assert f"{FILLED} rows added" in fill(cli)


@pytest.mark.parametrize("name", ["odd #1 %41 ?.db", "ünïcode &mode=memory.db"])
def test_a_database_may_have_any_name(name: str, samples: Path, tmp_path: Path, cli: Cli) -> None:
    (samples / "nvr-a/frigate.db").rename(samples / name)
    config(tmp_path, database=f"frigate_two_nvrs/{name}")
    assert f"{FILLED} rows added" in fill(cli)
    assert len(rows(samples / name)) == 9 + FILLED
    assert {path.name for path in samples.glob("*") if path.is_file()} >= {name}
    assert not [path for path in samples.iterdir() if path.name.startswith("odd") and path.name != name]


@pytest.fixture
def busy(samples: Path) -> Iterator[Path]:
    """Frigate's database while Frigate holds it for writing."""
    database = samples / "nvr-a/frigate.db"
    change(database, "PRAGMA journal_mode = wal")
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLD,
            str(database),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    yield database
    holder.kill()
    holder.communicate()


def test_a_database_that_stays_locked_is_said_and_made_up_for_later(
    busy: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    config(tmp_path, "dry-run")
    assert f"{FILLED} rows are missing" in fill(cli), "a reader does not wait for a writer"
    config(tmp_path, "write")
    monkeypatch.setattr(frigate_rows, "_BUSY_SECONDS", 0.1)
    text = (tmp_path / "recorder-sync.toml").read_text()
    with make.bench(tmp_path, text) as bench:
        said = after_fill(bench.ledger, bench.site, "nvr-a", [])
    assert len(said) == 1 and "database is locked" in said[0]
    assert len(rows(busy)) == 9


def test_of_a_peer_with_several_storages_the_database_that_knows_a_segment_is_asked(
    samples: Path, tmp_path: Path, cli: Cli
) -> None:
    change(samples / "nvr-b/frigate.db", "UPDATE recordings SET motion = 7")
    shutil.copy(samples / "nvr-b/frigate.db", tmp_path / "empty.db")
    change(tmp_path / "empty.db", "DELETE FROM recordings")
    (tmp_path / "other").mkdir()
    first = '[servers.storages.frigate]\ndatabase = "empty.db"'
    config(tmp_path, peer=f'name = "disk1"\n{first}\n[[servers.storages]]\nroot = "other"\nlayout = "frigate"\n{PEER}')
    assert f"{FILLED} rows added" in fill(cli)
    assert len([row for row in rows(samples / "nvr-a/frigate.db", "motion") if row == (7,)]) == FILLED
