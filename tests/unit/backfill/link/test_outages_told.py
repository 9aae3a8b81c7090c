"""What services tell each other of outages: what each noticed itself, once, and an end that stays one."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from backfill.link.answers import Answers
from backfill.link.client import LinkClient
from backfill.link.mirror import Follower
from schema.ledger import Ledger
from schema.spans import MINUTE, Span
from schema.values import Cause
from schema.wire import OutageMessage, Outages
from tests import make

T = make.T0
Said = list[tuple[str, str, Span, bool]]


class Side:
    """One service: its ledger, what it tells, and what it takes from the other."""

    def __init__(self, folder: Path, own: str, peer: str) -> None:
        self.ledger = Ledger.open(f"sqlite:///{folder}/{own}.db")
        self.answers = Answers(
            lambda: cast(Any, None), self.ledger, own, release="0", boot="one", now=lambda: T + 60 * MINUTE
        )
        self.own, self.peer = own, peer
        self.told: list[OutageMessage] | None = None

    def hear(self, other: "Side") -> None:
        """Ask the other for its outages."""
        told = other.answers.outages() if other.told is None else Outages(outages=other.told)
        client = cast(LinkClient, SimpleNamespace(server=self.peer, outages=lambda: told))
        follower = Follower(client, self.ledger, self.own, lambda: T + 60 * MINUTE)
        follower._storages = {"main": self.ledger.storage_id(self.peer, "main")}
        follower.outages()

    def says(self) -> Said:
        """Return everything its ledger knows."""
        with self.ledger.reading() as connection:
            found = self.ledger.history.outages(connection, None, T + 60 * MINUTE)
        return [(one.server, one.cause.value, one.span, one.over) for one in found]


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[tuple[Side, Side]]:
    a, b = Side(tmp_path, "a", "b"), Side(tmp_path, "b", "a")
    yield a, b
    a.ledger.close()
    b.ledger.close()


def test_an_outage_that_is_over_stays_over_however_often_peers_ask(sides: tuple[Side, Side]) -> None:
    a, b = sides
    with a.ledger.writing() as connection:
        a.ledger.history.outage_began(connection, "a", Cause.RECORDER, T, "silent")
    b.hear(a)
    assert b.says() == [("a", Cause.RECORDER.value, Span(T, T + 60 * MINUTE), False)]
    with a.ledger.writing() as connection:
        a.ledger.history.outage_ended(connection, "a", Cause.RECORDER, T + MINUTE)
    over = [("a", Cause.RECORDER.value, Span(T, T + MINUTE), True)]
    for _ in range(3):
        a.hear(b)
        b.hear(a)
    assert a.says() == b.says() == over


def test_what_was_told_is_not_told_on(sides: tuple[Side, Side]) -> None:
    a, b = sides
    with a.ledger.writing() as connection:
        a.ledger.history.outage_began(connection, "a", Cause.RECORDER, T, "silent")
        a.ledger.history.outage_began(connection, "b", Cause.SERVER, T, "no answer", observer="a")
    b.hear(a)
    assert len(b.says()) == 2
    assert b.answers.outages().outages == []


def test_a_peer_cannot_open_again_what_it_said_was_over(sides: tuple[Side, Side]) -> None:
    a, b = sides
    message = OutageMessage(server="a", camera=None, cause=Cause.RECORDER.value, start=T, end=T + 1, evidence="")
    a.told = [message]
    b.hear(a)
    a.told = [OutageMessage(server="a", camera=None, cause=Cause.RECORDER.value, start=T, end=None, evidence="")]
    b.hear(a)
    assert b.says() == [("a", Cause.RECORDER.value, Span(T, T + 1), True)]


@pytest.mark.parametrize(
    ("server", "cause", "kept"),
    [
        ("a", Cause.RECORDER, True),
        ("a", Cause.SERVER, True),
        ("b", Cause.SERVER, True),
        ("b", Cause.RECORDER, False),
        ("b", Cause.STORAGE, False),
        ("c", Cause.SERVER, False),
    ],
)
def test_a_peer_is_believed_of_itself_and_that_we_did_not_answer(
    sides: tuple[Side, Side], server: str, cause: Cause, kept: bool
) -> None:
    a, b = sides
    a.told = [OutageMessage(server=server, camera=None, cause=cause.value, start=T, end=None, evidence="")]
    b.hear(a)
    assert bool(b.says()) is kept


def test_what_a_peer_tells_ends_nothing_that_was_noticed_here(sides: tuple[Side, Side]) -> None:
    a, b = sides
    with b.ledger.writing() as connection:
        b.ledger.history.outage_began(connection, "a", Cause.SERVER, T, "no answer", observer="b")
    a.told = [OutageMessage(server="a", camera=None, cause=Cause.SERVER.value, start=T, end=T + 1, evidence="")]
    b.hear(a)
    assert sorted(over for *_, over in b.says()) == [False, True]


def test_two_storages_of_a_peer_are_away_at_once_and_come_back_one_by_one(sides: tuple[Side, Side]) -> None:
    a, b = sides
    ids = {name: a.ledger.storage_id("a", name) for name in ("events", "main")}
    with a.ledger.writing() as connection:
        for ident in ids.values():
            a.ledger.history.outage_began(connection, "a", Cause.STORAGE, T, "unplugged", storage_id=ident)
    b.ledger.storage_id("a", "events")
    names = {one.storage for one in a.answers.outages().outages}
    assert names == {"events", "main"}
    b.hear(a)
    with a.ledger.writing() as connection:
        a.ledger.history.outage_ended(connection, "a", Cause.STORAGE, T + MINUTE, storage_id=ids["main"])
    b.hear(a)
    assert b.says() == [("a", Cause.STORAGE.value, Span(T, T + MINUTE), True)], "of a storage it never named, nothing"


def test_of_too_many_outages_those_that_last_are_told(
    sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _ = sides
    monkeypatch.setattr("backfill.link.answers.OUTAGES_AT_ONCE", 2)
    with a.ledger.writing() as connection:
        a.ledger.history.outage_began(connection, "a", Cause.RECORDER, T, "silent")
        for number in range(1, 5):
            a.ledger.history.outage_began(connection, "a", Cause.SERVER, T + number, "")
            a.ledger.history.outage_ended(connection, "a", Cause.SERVER, T + number + 1)
    assert [(one.start, one.end) for one in a.answers.outages().outages] == [(T + 4, T + 5), (T, None)]
