"""Whether an id may be taken: whatever is not known counts as alive, and one signal is never enough."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from recorder_sync.identity.interlock import Reading, Signal, Source, may_clone, must_return, phrase

READINGS = list(Reading)
SOURCES = [Source.SERVICE, Source.LINK, Source.HEARTBEAT, Source.PORTS]


def signal(source: Source, reading: Reading) -> Signal:
    return Signal(source, reading, f"{source} says {reading}")


def down(*sources: Source) -> list[Signal]:
    return [signal(source, Reading.DOWN) for source in sources]


def silent(*sources: Source) -> list[Signal]:
    return [signal(source, Reading.SILENT) for source in sources]


WITNESS = signal(Source.WITNESS, Reading.ALIVE)
signals = st.lists(st.builds(signal, st.sampled_from(list(Source)), st.sampled_from(READINGS)), max_size=6)


def test_two_that_share_no_cause_and_say_down() -> None:
    verdict = may_clone("a", down(Source.PORTS, Source.SERVICE))
    assert verdict.allowed
    assert verdict.said == "the recorder of a is down: ports says down; service says down"


def test_one_is_not_enough() -> None:
    assert "nothing tells" in may_clone("a", []).said
    assert "nothing tells" in may_clone("a", [WITNESS]).said
    assert "one signal is not enough" in may_clone("a", down(Source.PORTS)).said
    assert "one signal is not enough" in may_clone("a", down(Source.SERVICE, Source.LINK)).said
    assert not may_clone("a", down(Source.PORTS)).allowed
    assert not may_clone("a", down(Source.SERVICE, Source.LINK, Source.HEARTBEAT)).allowed


def test_silence_proves_nothing_unless_it_was_said_to() -> None:
    nobody = silent(Source.PORTS, Source.LINK, Source.HEARTBEAT)
    assert may_clone("a", nobody).said == "ports says silent, and silence proves nothing"
    assert not may_clone("a", [*nobody, WITNESS]).allowed
    assert "own network" in may_clone("a", nobody, silence_is_down=True).said
    lost = signal(Source.WITNESS, Reading.SILENT)
    assert not may_clone("a", [*nobody, lost], silence_is_down=True).allowed
    assert may_clone("a", [*nobody, WITNESS], silence_is_down=True).allowed
    assert not may_clone("a", [*silent(Source.PORTS), WITNESS], silence_is_down=True).allowed


def test_words_stand_in_for_proof_but_not_against_a_sign_of_life() -> None:
    for found in ([], silent(Source.PORTS), down(Source.PORTS), [signal(Source.LINK, Reading.UNKNOWN)]):
        verdict = may_clone("a", found, forced=True)
        assert verdict.allowed
        assert verdict.forced
        assert "the operator vouches" in verdict.said
    alive = [*down(Source.SERVICE), signal(Source.PORTS, Reading.ALIVE)]
    verdict = may_clone("a", alive, forced=True)
    assert (verdict.allowed, verdict.said) == (False, "the recorder of a lives: ports says alive")
    proven = may_clone("a", down(Source.PORTS, Source.SERVICE), forced=True)
    assert (proven.allowed, proven.forced) == (True, False)


@given(signals, st.booleans(), st.booleans())
def test_no_id_is_taken_from_who_shows_a_sign_of_life(found: list[Signal], silence: bool, forced: bool) -> None:
    lives = any(one.reading is Reading.ALIVE and one.source is not Source.WITNESS for one in found)
    verdict = may_clone("a", found, silence_is_down=silence, forced=forced)
    assert not (lives and verdict.allowed)
    assert (must_return("a", found) is not None) == lives
    assert verdict.said


@given(signals, st.booleans())
def test_more_doubt_never_allows_more(found: list[Signal], silence: bool) -> None:
    if may_clone("a", found, silence_is_down=silence).allowed:
        return
    for reading in (Reading.ALIVE, Reading.UNKNOWN, Reading.SILENT):
        for number, one in enumerate(found):
            if one.source is Source.WITNESS:
                continue
            worse = [*found[:number], signal(one.source, reading), *found[number + 1 :]]
            assert reading is not Reading.ALIVE or not may_clone("a", worse, silence_is_down=silence).allowed
            if reading is Reading.UNKNOWN:
                assert not may_clone("a", worse, silence_is_down=silence).allowed


def test_every_combination_of_two_is_judged_as_the_rule_says() -> None:
    for (one, first), (two, second) in itertools.product(itertools.product(SOURCES, READINGS), repeat=2):
        allowed = may_clone("a", [signal(one, first), signal(two, second)]).allowed
        assert allowed == (first is second is Reading.DOWN and (one is Source.PORTS) != (two is Source.PORTS))


def test_the_words_name_the_server() -> None:
    assert phrase("nvr-a") == "the recorder of nvr-a is off"
