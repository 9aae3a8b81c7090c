"""A pulse is asked and answered every two seconds, for ever: it costs no look into a ledger that did not change.

And it is never older than the ledger: what this service commits, or a command beside it, is in the next one.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backfill.link.mirror import Follower
from schema.ledger import Ledger
from tests import make
from tests.links import Pair, linked

NOTE = """
import sys
from schema.ledger import Ledger
with Ledger.open(sys.argv[1]) as ledger:
    ledger.note_storage(int(sys.argv[2]), scanned_us=int(sys.argv[3]))
"""
RESET = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as connection:
    connection.execute("update storages set cursor = '', epoch = '' where mirror")
"""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with linked(tmp_path) as pair:
        make.record(pair.b.root("b"), "front", make.tens(0, 60), seed=2)
        pair.b.scan()
        yield pair


def counted(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note every read of `ledger` from now on."""
    reads: list[int] = []
    reading = ledger.reading

    def noting() -> Any:
        reads.append(1)
        return reading()

    monkeypatch.setattr(ledger, "reading", noting)
    return reads


def test_a_ledger_that_does_not_change_is_not_read_to_answer(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pair.client.pulse()
    reads = counted(pair.b.ledger, monkeypatch)
    pair.b.now += 1_000_000
    second = pair.client.pulse()
    assert reads == []
    assert second.storages == first.storages
    assert second.now == first.now + 1_000_000, "what time it is there is asked each time"


def test_what_the_service_commits_is_in_the_next_answer(pair: Pair) -> None:
    before = pair.client.pulse()
    make.record(pair.b.root("b"), "front", make.tens(60, 90), seed=2)
    pair.b.scan()
    after = pair.client.pulse()
    assert after.storages[0].seq > before.storages[0].seq


def test_what_another_process_commits_is_in_the_next_answer(pair: Pair) -> None:
    before = pair.client.pulse().storages[0]
    (storage,) = pair.b.site.storages
    command = [sys.executable, "-c", NOTE, pair.b.settings.ledger, str(storage.id), str(before.scanned + 7)]
    subprocess.run(command, check=True)
    assert pair.client.pulse().storages[0].scanned == before.scanned + 7


def test_a_pulse_without_news_reads_nothing_where_it_was_asked(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = Follower(pair.client, pair.a.ledger, "a", pair.a.clock)
    assert follower.follow(pair.client.pulse())
    follower.follow(pair.client.pulse())
    reads = counted(pair.a.ledger, monkeypatch)
    assert not follower.follow(pair.client.pulse())
    assert reads == []


def test_a_copy_that_another_process_gave_up_is_made_again_at_the_next_pulse(pair: Pair) -> None:
    follower = Follower(pair.client, pair.a.ledger, "a", pair.a.clock)
    assert follower.follow(pair.client.pulse())
    assert not follower.follow(pair.client.pulse())
    subprocess.run([sys.executable, "-c", RESET, pair.a.settings.ledger], check=True)
    assert follower.follow(pair.client.pulse())
