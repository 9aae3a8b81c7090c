"""Whether a peer is there: two failures and patience before it is away; an outage begins where it began."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder_sync.service.contact import Seen, answered, failed, is_here, next_pulse
from schema.spans import SECOND
from schema.values import Reach

AWAY = 10.0
START = 1_000 * SECOND


def seen(state: Reach = Reach.UP, heard: float = 0.0, last: int = START) -> Seen:
    return Seen(state=state, since=START, last=last, heard=heard)


def silent(one: Seen, clock: float, *, refused: bool = False) -> Seen:
    return failed(one, refused=refused, detail="x", now=START + round(clock * SECOND), clock=clock, away=AWAY)


def test_one_lost_answer_is_nothing() -> None:
    assert silent(seen(), 60).state is Reach.UP


def test_two_lost_answers_within_patience_are_nothing() -> None:
    assert silent(silent(seen(), 2), 4).state is Reach.UP


def test_a_service_that_was_suspended_itself_does_not_call_its_peer_away() -> None:
    """The clock went on while it stood still: one late failure must not be enough."""
    woken = silent(seen(), 3600)
    assert woken.state is Reach.UP
    assert answered(woken, paused="", now=START + 3601 * SECOND, clock=3601).state is Reach.UP


def test_an_outage_begins_with_the_last_answer() -> None:
    gone = silent(silent(seen(), 6), 12)
    assert (gone.state, gone.since) == (Reach.AWAY, START)


def test_who_never_answered_is_away_since_now() -> None:
    never = seen(Reach.UNKNOWN, last=0)
    assert silent(silent(never, 6), 12).since == START + 12 * SECOND


def test_an_answer_ends_it_and_a_pause_is_told() -> None:
    gone = silent(silent(seen(), 6), 12)
    back = answered(gone, paused="", now=START + 20 * SECOND, clock=20)
    assert (back.state, back.since, back.failures) == (Reach.UP, START + 20 * SECOND, 0)
    standby = answered(back, paused="maintenance", now=START + 30 * SECOND, clock=30)
    assert (standby.state, standby.detail) == (Reach.STANDBY, "maintenance")


def test_somebody_else_who_answers_is_no_silence() -> None:
    stranger = silent(silent(seen(), 6, refused=True), 12, refused=True)
    assert stranger.state is Reach.REFUSED
    assert silent(stranger, 14).since == stranger.since, "it is one outage, whatever it looks like"


def test_who_is_away_is_asked_more_often() -> None:
    assert next_pulse(seen(), 2.0) == 2.0
    assert next_pulse(replace(seen(), failures=1), 2.0) == 0.5
    assert next_pulse(seen(Reach.AWAY), 2.0) == 0.5


@given(st.lists(st.tuples(st.booleans(), st.floats(0.1, 30)), max_size=40))
def test_whatever_happens_a_peer_is_away_only_after_patience_without_an_answer(story: list[tuple[bool, float]]) -> None:
    one, clock, last = seen(), 0.0, 0.0
    for answers, passed in story:
        clock += passed
        if answers:
            one, last = answered(one, paused="", now=START, clock=clock), clock
        else:
            one = silent(one, clock)
        if not is_here(one.state):
            assert clock - last >= AWAY


@pytest.mark.parametrize("state", list(Reach))
def test_only_who_answers_can_be_asked_for_recordings(state: Reach) -> None:
    assert is_here(state) == (state in (Reach.UP, Reach.STANDBY))
