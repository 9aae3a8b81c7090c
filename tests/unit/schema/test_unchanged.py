"""What is kept of the ledger is what it says: a commit of anybody, in this process or another, is seen next time.

And while nothing is committed, nothing is read.
"""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from schema.ledger import Ledger

PAUSE = """
import sys
from schema.ledger import Ledger
with Ledger.open(sys.argv[1]) as ledger, ledger.writing() as connection:
    ledger.contacts.pause(connection, ["a"], sys.argv[2])
"""


class Asking:
    """Asks one ledger whether filling is paused, and counts how often that is read."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.reads = 0
        self._kept = ledger.unchanged()

    def _read(self, connection: Connection, server: str) -> str:
        self.reads += 1
        return self.ledger.contacts.paused(connection, [server])

    def paused(self, server: str = "a") -> str:
        return str(self._kept.get(server, lambda connection: self._read(connection, server)))


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Asking]:
    with Ledger.open(str(tmp_path / "ledger.db")) as ledger:
        yield Asking(ledger)


def pause(ledger: Ledger, said: str) -> None:
    with ledger.writing() as connection:
        ledger.contacts.pause(connection, ["a"], said)


def test_while_nothing_is_committed_nothing_is_read(asking: Asking) -> None:
    assert [asking.paused() for _ in range(5)] == [""] * 5
    assert asking.reads == 1
    assert asking.paused("b") == ""
    assert asking.reads == 2, "another question has its own answer"
    with asking.ledger.reading() as connection:
        asking.ledger.contacts.all(connection)
    asking.paused()
    asking.paused("b")
    assert asking.reads == 2, "somebody else read, and that changes nothing"


def test_what_this_process_commits_is_seen_next_time(asking: Asking) -> None:
    for said in ("", "one", "two", ""):
        pause(asking.ledger, said)
        assert (asking.paused(), asking.paused()) == (said, said)
    assert asking.reads == 4


def test_what_another_process_commits_is_seen_next_time(asking: Asking, tmp_path: Path) -> None:
    assert asking.paused() == ""
    for said in ("one", "two"):
        subprocess.run([sys.executable, "-c", PAUSE, tmp_path / "ledger.db", said], check=True)
        assert (asking.paused(), asking.paused()) == (said, said)
    assert asking.reads == 3


def test_what_is_committed_while_it_is_read_is_seen_next_time(asking: Asking) -> None:
    kept = asking.ledger.unchanged()

    def read(connection: Connection) -> str:
        found = asking.ledger.contacts.paused(connection, ["a"])
        if not found:
            pause(asking.ledger, "meanwhile")
        return found

    assert kept.get("a", read) == ""
    assert kept.get("a", read) == "meanwhile"


def test_what_is_taken_back_is_no_commit(asking: Asking) -> None:
    asking.paused()
    with pytest.raises(RuntimeError), asking.ledger.writing() as connection:
        asking.ledger.contacts.pause(connection, ["a"], "never")
        raise RuntimeError
    assert asking.paused() == ""


def test_a_file_that_was_set_aside_is_read_every_time(asking: Asking, tmp_path: Path) -> None:
    asking.paused()
    (tmp_path / "ledger.db").rename(tmp_path / "aside.db")
    asking.paused()
    asking.paused()
    assert asking.reads == 3


def test_where_sqlite_cannot_tell_it_is_read_every_time(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    asking.paused()

    class Broken:
        def cursor(self) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        def close(self) -> None:
            pass

    monkeypatch.setattr(asking.ledger._commits, "_connection", Broken())
    asking.paused()
    assert asking.reads == 2
    asking.paused()
    asking.paused()
    assert asking.reads == 3, "a new connection tells again"
