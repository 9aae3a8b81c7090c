"""The ledger is damaged or lost: that is noticed, and it is built anew from the storages without a transfer.

What came from a peer stays known as that (invariant 4), because it is noted beside the data too; and the ledger claims
nothing that is not there (invariant 2).
"""

import json
import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from schema.errors import OperatorError
from schema.ledger import Ledger
from schema.values import Segment, State
from tests import make
from tests.faults import digest_all

Cli = Callable[..., subprocess.CompletedProcess[str]]

FLIPS = 300

OLD = 1_000_000_000


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """`a` was filled from `b`; returns the folder with the configuration."""
    with make.bench(tmp_path, make.config_text("a", "b")) as bench:
        make.record(bench.root("a"), "front", [*make.tens(0, 60), *make.tens(120, 300)], seed=1)
        make.record(bench.root("b"), "front", make.tens(0, 300), seed=2)
        bench.scan()
        digest_all(bench, "b")
        assert not bench.fill("a").refused
        for folder, _, _ in os.walk(bench.base):
            os.utime(folder, (OLD, OLD))  # as if nothing had been written for years
        bench.scan()
    (tmp_path / "recorder-sync.toml").write_text(make.config_text("a", "b"))
    return tmp_path


def spans(cli: Cli) -> list[dict[str, object]]:
    done = cli("coverage", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout)["spans"]
    return found


def digests(folder: Path) -> dict[str, str | None]:
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        return dict(
            connection.execute(
                "SELECT folders.path || '/' || name, hex(digest) FROM segments JOIN folders ON folders.id = folder_id"
                " WHERE origin_id != 0"
            )
        )


@pytest.mark.parametrize("how", ["lost", "zeros in the middle", "cut in half", "another file"])
def test_a_rebuilt_ledger_says_what_the_old_one_said(filled: Path, cli: Cli, how: str) -> None:
    before, known, tree = spans(cli), digests(filled), make.tree(filled / "a")
    assert known and {span["origin"] for span in before} == {"own", "b"}
    ledger = filled / "ledger.db"
    content = ledger.read_bytes()
    for file in filled.glob("ledger.db-*"):
        file.unlink()
    if how == "lost":
        ledger.unlink()
    elif how == "cut in half":
        ledger.write_bytes(content[: len(content) // 2])
    elif how == "another file":
        ledger.write_bytes(b"not a database, and long enough to be read as one" * 50)
    else:
        ledger.write_bytes(content[:4096] + bytes(len(content) - 8192) + content[-4096:])
    if how != "lost":
        broken = cli("gaps")
        assert broken.returncode not in (0, 1), broken.stdout
        assert "--rebuild" in broken.stderr and "Traceback" not in broken.stderr
    done = cli("scan", "--rebuild")
    assert done.returncode == 0, done.stderr
    assert spans(cli) == before
    assert digests(filled) == known
    assert list(filled.glob("ledger.db.damaged-1")) == ([] if how == "lost" else [filled / "ledger.db.damaged-1"])
    again = cli("fill", "--json")
    assert [fill["sent"] for fill in json.loads(again.stdout)["fills"]] == [0, 0]
    assert make.tree(filled / "a") == tree


def test_what_was_filled_is_never_offered_back_by_a_rebuilt_ledger(filled: Path, cli: Cli) -> None:
    """`b` loses everything: what `a` once got from it is `b`'s own recording, not `a`'s, and says so."""
    (filled / "ledger.db").unlink()
    cli("scan", "--rebuild")
    shutil.rmtree(filled / "b/recordings/2026-11-22")
    shutil.rmtree(filled / "b/.recorder-sync")
    for second in make.tens(300, 400):
        make.record(filled / "b/recordings", "front", [second], seed=3)
        make.record(filled / "a/recordings", "front", [second], seed=4)
    (filled / "ledger.db").unlink()
    planned = cli("fill", "--server", "b", "--dry-run", "--since", "2026-11-22T12:00:00Z", "--json")
    tasks = json.loads(planned.stdout)["fills"][0]["segments"]
    starts = {task["start"][11:19] for task in tasks}
    assert starts and not starts & {"12:01:00", "12:01:10", "12:01:20", "12:01:30", "12:01:40", "12:01:50"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"server":"b"', '"server":"c"', 1),
        lambda text: "junk\n" + text + "\0\0\0",
    ],
    ids=["cut", "changed", "junk around it"],
)
def test_damaged_notes_cost_only_the_records_they_hurt(filled: Path, cli: Cli, damage: Callable[[str], str]) -> None:
    [notes] = (filled / "a").rglob("origins/*.jsonl")
    text = notes.read_text()
    notes.write_text(damage(text))
    whole = sum(line in notes.read_text().splitlines() for line in text.splitlines())
    (filled / "ledger.db").unlink()
    assert cli("scan").returncode == 0
    assert len(digests(filled)) == whole


def claims(url: str, storages: list[int]) -> list[Segment]:
    with Ledger.open(url) as ledger, ledger.reading() as connection:
        return [
            one
            for storage in storages
            for state in State
            for _, one in ledger.segments.after(connection, storage, state, 0)
            if one
        ]


def test_a_flipped_bit_is_noticed_or_harmless(filled: Path) -> None:
    """Anywhere in the file: what comes out is what went in, or nothing with a sentence, never something else."""
    database = filled / "ledger.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ids = [row[0] for row in connection.execute("SELECT id FROM storages")]
    sound = {one.id: one for one in claims(f"sqlite:///{database}", ids)}
    content = database.read_bytes()
    chance = random.Random(7)
    copy = filled / "copy.db"
    noticed = 0
    for _ in range(FLIPS):
        flipped = bytearray(content)
        at = chance.randrange(len(content))
        flipped[at] ^= 1 << chance.randrange(8)
        for file in filled.glob("copy.db*"):
            file.unlink()
        copy.write_bytes(flipped)
        try:
            found = claims(f"sqlite:///{copy}", ids)
        except OperatorError as error:
            assert error.hint
            noticed += 1
            continue
        assert all(sound.get(one.id) == one for one in found), f"bit flipped in byte {at}"
        noticed += len(found) < len(sound)
    assert noticed > FLIPS // 100, "the flips hit nothing"


def test_a_damaged_row_is_read_anew_from_the_storage(filled: Path, cli: Cli) -> None:
    before = spans(cli)
    with closing(sqlite3.connect(filled / "ledger.db")) as connection, connection:
        connection.execute("UPDATE segments SET start_us = start_us + 64 WHERE id IN (3, 40)")
        connection.execute("UPDATE coverage SET stale = 1")
    cli("gaps")  # whoever reads coverage notices, and the folder is listed again by the next scan
    done = cli("scan")
    assert done.stdout.count("damaged rows of the ledger, read anew from the storage: 1") == 2
    assert spans(cli) == before


def test_verify_finds_damage_in_the_ledger_itself(filled: Path, cli: Cli) -> None:
    with closing(sqlite3.connect(filled / "ledger.db")) as connection, connection:
        connection.execute("UPDATE segments SET size = size + 1 WHERE id = 3")
    done = cli("verify")
    assert done.returncode == 1
    assert "damaged rows, read anew from the storage: 1" in " ".join(done.stdout.split())
    assert cli("verify").returncode == 0
