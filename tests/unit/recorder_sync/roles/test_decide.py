"""Who answers as whom: an id is taken only after proof that lasted, and given back at the first sign of life."""

from hypothesis import given
from hypothesis import strategies as st

from recorder_sync.identity.interlock import Verdict
from recorder_sync.roles.decide import (
    FLAPPING,
    FLAPS,
    Act,
    Decision,
    Holds,
    Memory,
    Peer,
    Phase,
    Rules,
    primary,
    rested,
    standby,
)

RULES = Rules(down=5.0, settle=30.0)
DOWN = Verdict(True, "the recorder of a is down: its ports are closed")
DOUBT = Verdict(False, "its ports did not answer, and silence proves nothing")
ALIVE = Verdict(False, "its ports answer")
LIVES = "the recorder of a lives: its ports answer"


def look(memory: Memory, at: float, verdict: Verdict, *, holds: bool = False) -> tuple[Memory, Decision]:
    lives = LIVES if verdict is ALIVE else None
    return standby("a", memory, holds=holds, verdict=verdict, lives=lives, began=at, at=at, rules=RULES)


def looks(memory: Memory, times: list[float], verdict: Verdict) -> tuple[Memory, list[Act]]:
    acts = []
    for at in times:
        memory, decision = look(memory, at, verdict)
        acts.append(decision.act)
    return memory, acts


def halves(start: float, end: float) -> list[float]:
    return [start + step / 2 for step in range(int((end - start) * 2) + 1)]


def test_an_id_is_taken_once_the_primary_was_down_at_every_look_for_long_enough() -> None:
    _, acts = looks(Memory(), halves(100, 105), DOWN)
    assert acts == [Act.NOTHING] * 10 + [Act.TAKE]


def test_one_look_with_a_doubt_begins_the_wait_anew() -> None:
    memory, _ = looks(Memory(), halves(100, 104.5), DOWN)
    memory, decision = look(memory, 105, DOUBT)
    assert (decision.act, decision.phase) == (Act.NOTHING, Phase.DOUBT)
    assert DOUBT.said in decision.said
    _, acts = looks(memory, halves(105.5, 110.5), DOWN)
    assert acts == [Act.NOTHING] * 10 + [Act.TAKE]


def test_whoever_was_suspended_does_not_count_the_time_in_which_it_did_not_look() -> None:
    memory, _ = look(Memory(), 100, DOWN)
    _, decision = look(memory, 100 + RULES.down + 0.1, DOWN)
    assert decision.act is Act.NOTHING


def test_what_was_taken_is_given_back_at_the_first_sign_of_life_and_not_before() -> None:
    memory, decision = look(Memory(), 100, DOUBT, holds=True)
    assert decision.act is Act.NOTHING
    memory, decision = look(memory, 100.5, ALIVE, holds=True)
    assert decision == Decision(Act.RETURN, Phase.CHANGING, f"{LIVES}; its id is given back")


def test_after_giving_back_nothing_is_taken_for_a_while() -> None:
    memory = rested(Memory(), 100)
    _, acts = looks(memory, halves(100, 130), DOWN)
    assert Act.TAKE not in acts[:-1]
    assert acts[-1] is Act.TAKE


def test_a_primary_that_flaps_is_left_to_an_operator() -> None:
    memory = Memory(takes=tuple(float(number) for number in range(FLAPS)))
    memory, _ = looks(memory, halves(100, 104.5), DOWN)
    memory, decision = look(memory, 105, DOWN)
    assert decision.act is Act.NOTHING
    assert "clone-id" in decision.said
    _, acts = looks(memory, halves(FLAPPING + 1, FLAPPING + 7), DOWN)
    assert acts[-1] is Act.TAKE


def test_a_look_that_takes_long_is_no_time_without_a_look() -> None:
    memory = Memory()
    for began in (100.0, 110.0):
        given = {"holds": False, "verdict": DOWN, "lives": None, "rules": RULES}
        memory, decision = standby("a", memory, began=began, at=began + 9.5, **given)  # type: ignore[arg-type]
    assert decision.act is Act.TAKE


@given(st.lists(st.tuples(st.floats(0.1, 20), st.sampled_from([DOWN, DOUBT, ALIVE])), max_size=60))
def test_an_id_is_never_taken_without_unbroken_proof(steps: list[tuple[float, Verdict]]) -> None:
    memory, at = Memory(), 0.0
    seen: list[tuple[float, Verdict]] = []
    for passed, verdict in steps:
        at += passed
        seen.append((at, verdict))
        memory, decision = look(memory, at, verdict)
        if decision.act is not Act.TAKE:
            continue
        proof = at
        for when, said in reversed(seen):
            if said is not DOWN or proof - when > RULES.down:
                break
            proof = when
        assert at - proof >= RULES.down
        memory = rested(memory, at)


def peers(*holds: Holds) -> list[Peer]:
    return [Peer(f"peer-{number}", one, "it does not answer") for number, one in enumerate(holds)]


def test_a_primary_starts_its_recorder_once_nobody_answers_with_its_id() -> None:
    assert primary([], waited=0, alone=300).act is Act.START
    assert primary(peers(Holds.FREE, Holds.FREE), waited=0, alone=300).act is Act.START
    assert primary(peers(Holds.FREE, Holds.TAKEN), waited=10_000, alone=300).act is Act.NOTHING
    assert primary(peers(Holds.SILENT, Holds.TAKEN), waited=10_000, alone=300).act is Act.NOTHING


def test_a_silent_peer_is_waited_for_and_not_for_ever() -> None:
    waiting = primary(peers(Holds.FREE, Holds.SILENT), waited=299.9, alone=300)
    assert waiting.act is Act.NOTHING
    assert "peer-1" in waiting.said
    assert primary(peers(Holds.FREE, Holds.SILENT), waited=300, alone=300).act is Act.START
