"""A peer that is paired and tells without end: what it may take up here is bounded, and a refusal leaves no trace."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import text

from backfill.link.client import LinkClient
from backfill.link.mirror import Follower
from schema.errors import PeerInvalid
from schema.ledger import Ledger
from schema.ledger.coverage import BUCKET
from schema.spans import DAY, MINUTE, Span
from schema.values import Cause
from schema.wire import (
    PROTOCOL,
    Bucket,
    CoveragePage,
    Hello,
    OutageMessage,
    Outages,
    Pulse,
    StorageAbout,
    StorageState,
)
from tests import make

NOW = make.T0
STATE = StorageState(name="main", epoch="e", seq=99, scanned=1)
PULSE = Pulse(now=1, boot="x", storages=[STATE])


class Told:
    """A peer that tells what a test gives it."""

    def __init__(self, ledger: Ledger) -> None:
        self.server = "b"
        self.ledger = ledger
        self.storages = ["main"]
        self.pages: list[CoveragePage] = []
        self.lasting: list[OutageMessage] = []
        self.follower = Follower(cast(LinkClient, self), ledger, "a", lambda: NOW)

    def hello(self) -> Hello:
        about = [StorageAbout(name=name, layout="frigate", zone="UTC") for name in self.storages]
        return Hello(protocols=[PROTOCOL], release="x", server="b", ledger="other", storages=about)

    def coverage(self, storage: str, cursor: str) -> CoveragePage:
        return self.pages.pop(0)

    def outages(self) -> Outages:
        return Outages(outages=self.lasting)

    def follow(self, *pages: CoveragePage, pulse: Pulse = PULSE) -> None:
        self.pages = list(pages)
        self.follower.follow(pulse)

    def held(self) -> dict[str, list[object]]:
        """Return everything that the ledger holds."""
        with self.ledger.reading() as connection:
            tables = ("servers", "cameras", "storages", "coverage", "outages", "properties")
            return {name: [tuple(row) for row in connection.execute(text(f"SELECT * FROM {name}"))] for name in tables}


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    with Ledger.open(f"sqlite:///{tmp_path}/a.db") as ledger:
        yield Told(ledger)


def bucket(number: int, camera: str = "front", *, origins: int = 0) -> Bucket:
    start = number * BUCKET
    return Bucket(
        camera=camera,
        bucket=number,
        joint=1,
        own=[(start, start + 1, start)],
        filled={f"o{one}": [] for one in range(origins)},
        gone=[],
        undone={},
    )


def page(*buckets: Bucket, cursor: str = "99.1.1", more: bool = False, epoch: str = "e") -> CoveragePage:
    return CoveragePage(epoch=epoch, cursor=cursor, more=more, longest=1, buckets=list(buckets))


@pytest.mark.parametrize(
    ("more", "limit"),
    [
        (page(*(bucket(1, f"c{number}") for number in range(9))), "NAMES_AT_MOST"),
        (page(bucket(1, origins=9)), "NAMES_AT_MOST"),
        (page(*(bucket(number) for number in range(2, 9))), "BUCKETS_AT_MOST"),
    ],
)
def test_coverage_beyond_a_limit_is_refused_and_leaves_no_trace(
    told: Told, more: CoveragePage, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"schema.ledger.allowance.{limit}", 6)
    told.follow(page(bucket(1), cursor="5.1.1"))
    before = told.held()
    for _ in range(2):
        with pytest.raises(PeerInvalid, match="more than 6 "):
            told.follow(more)
        assert told.held() == before
    told.follow(page(bucket(2), bucket(1)))
    assert len(told.held()["coverage"]) == 2


def test_bytes_of_coverage_are_counted_and_what_is_replaced_is_not(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    told.follow(page(bucket(1), bucket(2), cursor="5.1.1"))
    with told.ledger.reading() as connection:
        size = told.ledger.allowance.coverage(connection, "b")
    assert size.buckets == 2
    monkeypatch.setattr("schema.ledger.allowance.COVERAGE_AT_MOST", size.bytes)
    monkeypatch.setattr("schema.ledger.allowance.BUCKETS_AT_MOST", 2)
    for seq in range(6, 20):
        pulse = Pulse(now=1, boot="x", storages=[StorageState(name="main", epoch="e", seq=seq, scanned=1)])
        told.follow(page(bucket(2), bucket(1), cursor=f"{seq}.1.1"), pulse=pulse)
    with pytest.raises(PeerInvalid, match=f"more than {size.bytes} bytes"):
        told.follow(page(bucket(2, origins=1), cursor="20.1.1"))
    with told.ledger.reading() as connection:
        assert told.ledger.allowance.coverage(connection, "b") == size


def test_another_epoch_begins_to_count_anew_and_names_are_counted_for_ever(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("schema.ledger.allowance.BUCKETS_AT_MOST", 2)
    monkeypatch.setattr("schema.ledger.allowance.NAMES_AT_MOST", 8)
    refused = 0
    for epoch in range(9):
        pulse = Pulse(now=1, boot="x", storages=[StorageState(name="main", epoch=f"e{epoch}", seq=9, scanned=1)])
        try:
            told.follow(page(bucket(1, f"c{epoch}"), bucket(2), epoch=f"e{epoch}", cursor="9.1.1"), pulse=pulse)
        except PeerInvalid:
            refused += 1
    assert (refused, len(told.held()["cameras"])) == (3, 7), "the storage, six of nine cameras, and front"


def test_names_of_storages_are_counted(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schema.ledger.allowance.NAMES_AT_MOST", 6)
    told.storages = [f"s{number}" for number in range(6)]
    told.follow(pulse=Pulse(now=1, boot="x", storages=[]))
    before = told.held()
    told.storages = ["main"]
    with pytest.raises(PeerInvalid, match="more than 6 different"):
        told.follow(pulse=Pulse(now=1, boot="y", storages=[]))
    assert told.held() == before


def test_what_one_peer_took_up_is_not_missing_to_another(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schema.ledger.allowance.NAMES_AT_MOST", 3)
    told.follow(page(bucket(1, "one"), bucket(1, "two")))
    with told.ledger.writing() as connection:
        told.ledger.allowance.cameras(connection, "c", ["one", "three", "four", "five"])
        with pytest.raises(PeerInvalid, match="peer c"):
            told.ledger.allowance.cameras(connection, "c", ["six"])


@pytest.mark.parametrize(
    "run", [(0, 1, 0), (2 * BUCKET, 2 * BUCKET + 1, 0), (BUCKET, BUCKET, 0), (BUCKET + 5, BUCKET, 0)]
)
@pytest.mark.parametrize("where", ["own", "gone", "filled", "undone"])
def test_recordings_at_a_time_that_they_are_not_of_are_refused(
    told: Told, run: tuple[int, int, int], where: str
) -> None:
    parts: dict[str, object] = {"own": [], "gone": [], "filled": {}, "undone": {}}
    parts[where] = {"c": [run]} if where in ("filled", "undone") else [run]
    odd = Bucket(camera="front", bucket=1, joint=0, **parts)  # type: ignore[arg-type]
    with pytest.raises(PeerInvalid, match="at a time that they are not of"):
        told.follow(page(odd))
    assert told.held()["coverage"] == []


@pytest.mark.parametrize("cursor", ["", "4.1.1", "5.1.0", "5.1.1"])
def test_changes_that_go_back_or_stand_still_are_refused(told: Told, cursor: str) -> None:
    with pytest.raises(PeerInvalid, match="go back, or stand still"):
        told.follow(page(bucket(1), cursor="5.1.1", more=True), page(bucket(2), cursor=cursor, more=True))


def test_changes_that_have_no_end_are_refused(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill.link.mirror._PAGES_AT_ONCE", 20)
    with pytest.raises(PeerInvalid, match="no end within 20 pages"):
        told.follow(*(page(bucket(1), cursor=f"{number}.1.1", more=True) for number in range(1, 30)))


def test_a_ledger_that_begins_anew_between_two_pages_is_copied_from_the_start(told: Told) -> None:
    told.follow(page(bucket(1), cursor="5.1.1", more=True), page(bucket(2), epoch="new"))
    assert len(told.held()["coverage"]) == 1
    state = StorageState(name="main", epoch="new", seq=1, scanned=7)
    told.follow(page(bucket(3), bucket(4), epoch="new"), pulse=Pulse(now=1, boot="x", storages=[state]))
    with told.ledger.reading() as connection:
        found = connection.execute(text("SELECT bucket FROM coverage ORDER BY bucket")).scalars().all()
    assert found == [3, 4]


def lasting(start: int, *, camera: str | None = None, end: int | None = None) -> OutageMessage:
    return OutageMessage(server="b", camera=camera, cause=Cause.RECORDER.value, start=start, end=end, evidence="")


def known(told: Told) -> list[tuple[Span, bool]]:
    with told.ledger.reading() as connection:
        return [(one.span, one.over) for one in told.ledger.history.outages(connection, None, NOW)]


def test_an_outage_that_a_peer_does_not_tell_any_more_is_over(told: Told) -> None:
    """It lost its ledger, and the end with it: nobody would ever tell that."""
    told.lasting = [lasting(NOW - MINUTE), lasting(NOW - 2 * MINUTE, camera="front")]
    told.follower.outages()
    told.lasting = [lasting(NOW - 2 * MINUTE, camera="front")]
    told.follower.outages()
    assert known(told) == [(Span(NOW - 2 * MINUTE, NOW), False), (Span(NOW - MINUTE, NOW), True)]


def test_what_was_noticed_here_lasts_whatever_a_peer_tells(told: Told) -> None:
    with told.ledger.writing() as connection:
        told.ledger.history.outage_began(connection, "b", Cause.SERVER, NOW - MINUTE, "no answer", observer="a")
        told.ledger.history.outage_began(connection, "a", Cause.RECORDER, NOW - MINUTE, "silent")
    told.follower.outages()
    assert [over for _, over in known(told)] == [False, False]


def test_of_a_list_that_was_cut_nothing_is_taken_for_over(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill.link.mirror.OUTAGES_AT_ONCE", 2)
    told.lasting = [lasting(NOW - MINUTE)]
    told.follower.outages()
    told.lasting = [lasting(NOW - 3, camera="front"), lasting(NOW - 2, camera="back")]
    told.follower.outages()
    assert [over for _, over in known(told)] == [False] * 3
    told.lasting = [lasting(NOW - 9, end=NOW - 8), lasting(NOW - 2, camera="back")]
    told.follower.outages()
    assert [one for one in known(told) if not one[1]] == [(Span(NOW - 2, NOW), False)]


def test_outages_that_a_peer_tells_without_end_are_kept_up_to_a_number(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("schema.ledger.outages.OUTAGES_KEPT", 5)
    with told.ledger.writing() as connection:
        told.ledger.history.outage_began(connection, "b", Cause.SERVER, NOW - 30 * DAY, "no answer", observer="a")
    for number in range(20):
        told.lasting = [lasting(NOW - 9 * DAY), lasting(NOW - DAY + number, end=NOW - DAY + number + 1)]
        told.follower.outages()
    kept = known(told)
    assert [span.start - NOW for span, over in kept if not over] == [-30 * DAY, -9 * DAY]
    assert [span.start - NOW + DAY for span, over in kept if over] == [16, 17, 18, 19]


def test_outages_that_cannot_be_are_left_out_and_counted(told: Told) -> None:
    told.lasting = [lasting(0), lasting(0, end=NOW), lasting(NOW - MINUTE, end=NOW - 1)]
    assert told.follower.outages() == 2
    assert known(told) == [(Span(NOW - MINUTE, NOW - 1), True)]


def test_cameras_of_outages_are_counted(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schema.ledger.allowance.NAMES_AT_MOST", 3)
    told.lasting = [lasting(NOW - 1, camera=f"c{number}") for number in range(4)]
    before = told.held()
    with pytest.raises(PeerInvalid, match="more than 3 different"):
        told.follower.outages()
    assert told.held() == before
