"""How a server stands by what was written of it: who lives says so, and what is old is not shown as if it were new."""

import pytest

from recorder_sync.standing import FRESH, Standing, from_ledger
from schema.ledger.contacts import Contact
from schema.spans import MINUTE
from schema.values import Reach

NOW = 1_000 * MINUTE


def contact(observer: str, state: Reach, *, ago: int = 0, since: int = 100, detail: str = "") -> Contact:
    seen = 0 if state is Reach.AWAY and not ago else NOW - ago
    return Contact(observer=observer, server="b", state=state, since=since * MINUTE, seen=seen, detail=detail)


def stands(*contacts: Contact) -> Standing:
    return from_ledger("b", contacts, NOW)


def test_who_says_of_itself_that_it_lives_lives_whoever_cannot_reach_it() -> None:
    found = stands(contact("b", Reach.UP), contact("a", Reach.AWAY, ago=9 * MINUTE, detail="no route"))
    assert (found.state, found.since, found.last) == ("up", 100 * MINUTE, NOW)
    assert found.detail == "a cannot reach it since 1970-01-01 01:40:00Z: no route"


@pytest.mark.parametrize("state", [Reach.UP, Reach.STANDBY])
def test_a_sign_of_life_is_believed_as_long_as_they_are_apart_thrice(state: Reach) -> None:
    assert stands(contact("b", state, ago=FRESH)).state == state.value
    late = stands(contact("b", state, ago=FRESH + 1))
    assert (late.state, late.last) == ("unknown", NOW - FRESH - 1)


def test_a_peer_that_just_heard_it_is_enough() -> None:
    assert stands(contact("a", Reach.STANDBY, ago=MINUTE, detail="new disk")).state == "standby"


def test_what_a_peer_saw_long_ago_is_not_known_any_more() -> None:
    found = stands(contact("a", Reach.UP, ago=60 * MINUTE))
    assert (found.state, found.detail) == ("unknown", "a saw it up then, and has not looked since")


def test_a_dead_service_that_its_peer_misses_is_away_since_its_last_answer() -> None:
    found = stands(contact("b", Reach.UP, ago=60 * MINUTE), contact("a", Reach.AWAY, ago=61 * MINUTE, since=940))
    assert (found.state, found.since, found.last) == ("away", 940 * MINUTE, NOW - 60 * MINUTE)


def test_one_that_said_good_bye_was_stopped() -> None:
    goodbye = contact("b", Reach.UNKNOWN, ago=5 * MINUTE, since=995, detail="its service was stopped")
    assert stands(goodbye, contact("a", Reach.AWAY, ago=6 * MINUTE)).state == "stopped"
    assert stands(goodbye, contact("a", Reach.UP, ago=MINUTE)).state == "up", "it was heard after that"


def test_of_whom_nobody_ever_heard_nothing_is_known() -> None:
    assert stands() == Standing(server="b", state="unknown")
