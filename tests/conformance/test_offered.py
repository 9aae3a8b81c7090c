"""Pages of what a recorder wrote, against all of it at once: nothing twice, nothing left out, of whatever size."""

import random

import msgspec
import pytest

from schema.ledger import Ledger
from schema.ledger.offered import BEFORE_ALL, offered, place_of
from schema.spans import SECOND, Span
from schema.values import Mark, Segment, State
from tests.conformance.test_ledger import segment, take_in

WINDOWS = [Span(segment(1, at).start, segment(1, end).start) for at, end in ((0, 30), (20, 45), (60, 61), (80, 500))]


@pytest.fixture
def storage(ledger: Ledger) -> int:
    return ledger.storage_id("a", "main")


def paged(ledger: Ledger, storage: int, limit: int) -> list[Segment]:
    """Return all pages, each read from the place where the one before ended."""
    found: list[Segment] = []
    place = BEFORE_ALL
    while True:
        with ledger.reading() as connection:
            page = offered(connection, ledger.names, storage, "front", WINDOWS, after=place, limit=limit)
        assert len(page) <= limit
        found += page
        if len(page) < limit:
            return found
        place = place_of(page[-1].start, page[-1].path)


def many(storage: int) -> list[Segment]:
    """Return segments of which several begin at once, in folders and under names that languages sort otherwise."""
    chance = random.Random(7)
    return [
        segment(
            storage, chance.randrange(0, 100, 5), length=chance.choice([1, 5, 40]), path=f"{folder}{number}{name}.mp4"
        )
        for number, name in enumerate(["b", "B", "é", "z", "_", "\U0001f600"])
        for folder in ("", "a/", "a!/", "A/", "ä/", "a/b/")
    ]


@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
def test_pages_are_all_of_it_each_once_and_in_order(ledger: Ledger, storage: int, limit: int) -> None:
    added = many(storage)
    take_in(ledger, [*added, segment(storage, 1, camera="back")])
    wanted = [one for one in added if any(one.span.overlaps(window) for window in WINDOWS)]
    places = [place_of(one.start, one.path) for one in paged(ledger, storage, limit)]
    assert places == sorted(place_of(one.start, one.path) for one in wanted)


def test_only_what_may_be_offered_is_read(ledger: Ledger, storage: int) -> None:
    good, *others = [segment(storage, second) for second in range(6)]
    changes = ({"state": State.GONE}, {"state": State.OPEN}, {"origin": "b"}, {"marks": int(Mark.UNCERTAIN)})
    take_in(
        ledger, [good, *(msgspec.structs.replace(one, **change) for one, change in zip(others, changes, strict=False))]
    )
    assert [one.path for one in paged(ledger, storage, 2)] == [good.path]


def test_a_page_goes_past_damaged_rows(ledger: Ledger, storage: int) -> None:
    from sqlalchemy import text

    take_in(ledger, [segment(storage, second, length=1) for second in range(10)])
    with ledger.writing() as connection:
        connection.execute(
            text("UPDATE segments SET size = 7 WHERE start_us < :end"), {"end": WINDOWS[0].start + 8 * SECOND}
        )
    assert len(paged(ledger, storage, 2)) == 2
