"""What the standby and the returning primary do next: pure, one sentence for each decision.

Rule: taking an id needs proof that lasts, giving it back needs one sign of life. Times are seconds of a monotonic
clock that come in; no wall clock decides anything. Whoever did not look for a while knows nothing of that while.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from recorder_sync.identity.interlock import Verdict

FLAPS = 3
"""So many take-overs, or tries at one, ..."""
FLAPPING = 15 * 60.0
"""... within so many seconds, and no more are made by itself: something is wrong that changing ids does not cure."""


class Act(StrEnum):
    """What is to be done now."""

    NOTHING = "nothing"
    TAKE = "take"
    """Give the recorder here the primary's id, and start it."""
    RETURN = "return"
    """Give the recorder here its own id back."""
    START = "start"
    """Start the primary's recorder."""


class Phase(StrEnum):
    """Where things stand; a sentence of the same phase says nothing new, only other figures."""

    STANDBY = "standby"
    DOUBT = "doubt"
    """Nothing proves that the primary is down, and nothing shows that it lives."""
    DOWN = "down"
    """It is down, and not yet for long enough."""
    RESTING = "resting"
    FLAPPING = "flapping"
    HOLDING = "holding"
    """The recorder here answers as the primary."""
    CHANGING = "changing"
    """Ids change, or the primary starts."""
    WAITING = "waiting"
    """The primary waits for its id."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and why, in one sentence for operators."""

    act: Act
    phase: Phase
    said: str


def _nothing(phase: Phase, said: str) -> Decision:
    return Decision(Act.NOTHING, phase, said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How long things must last, seconds."""

    down: float
    """The primary must be down for this long, at every look, before its id is taken."""
    settle: float
    """After an id was given back, or could not be taken, nothing is taken for this long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the standby remembers from look to look."""

    looked: float | None = None
    down_since: float | None = None
    rests_since: float | None = None
    """When an id was last given back, or taking it failed."""
    takes: tuple[float, ...] = ()


def standby(
    server: str,
    memory: Memory,
    *,
    holds: bool,
    verdict: Verdict,
    lives: str | None,
    began: float,
    at: float,
    rules: Rules,
) -> tuple[Memory, Decision]:
    """Return what the standby does after one look at the recorder of `server`, and what it remembers.

    Args:
        holds: whether the recorder here has the id of `server`, or half of the steps to it are done.
        verdict: whether that id may be taken, by the signals of this look.
        lives: the sentence of a sign of life; None if there is none.
        began: when this look began, seconds of a clock that only goes forward.
        at: when it ended. A look takes as long as a host that is gone may take to answer.
    """
    unseen = memory.looked is not None and began - memory.looked > rules.down
    down_since = None if unseen or not verdict.allowed else memory.down_since
    memory = replace(memory, looked=at, down_since=down_since)
    if holds and lives is not None:
        return memory, Decision(Act.RETURN, Phase.CHANGING, f"{lives}; its id is given back")
    if holds:
        said = f"the recorder here answers as {server}, which shows no sign of life"
        return memory, _nothing(Phase.HOLDING, said)
    if lives is not None:
        return memory, _nothing(Phase.STANDBY, f"standby: {lives}")
    if not verdict.allowed:
        return memory, _nothing(Phase.DOUBT, f"standby, and nothing is taken over: {verdict.said}")
    if memory.down_since is None:
        memory = replace(memory, down_since=at)
    assert memory.down_since is not None
    if at - memory.down_since < rules.down:
        said = f"{verdict.said}; its id is taken over if that lasts {rules.down:g} s"
        return memory, _nothing(Phase.DOWN, said)
    if resting(memory, at, rules):
        said = f"{verdict.said}; nothing is taken over within {rules.settle:g} s of the last change"
        return memory, _nothing(Phase.RESTING, said)
    recent = tuple(one for one in memory.takes if at - one < FLAPPING)
    if len(recent) >= FLAPS:
        said = (
            f"{verdict.said}; but taking its id over was tried {FLAPS} times within {FLAPPING / 60:.0f} min,"
            " so an operator has to: recorder-sync clone-id"
        )
        return memory, _nothing(Phase.FLAPPING, said)
    decision = Decision(Act.TAKE, Phase.CHANGING, f"{verdict.said}; its id is taken over")
    return replace(memory, takes=(*recent, at)), decision


def resting(memory: Memory, at: float, rules: Rules) -> bool:
    """Tell whether the last change, or the last failure of one, is too near for another."""
    return memory.rests_since is not None and at - memory.rests_since < rules.settle


def rested(memory: Memory, at: float) -> Memory:
    """Return what is remembered after an id was given back, or taking it failed."""
    return replace(memory, rests_since=at, down_since=None)


class Holds(StrEnum):
    """What a peer says of the id of this host's recorder."""

    FREE = "free"
    """Its recorder has another id."""
    TAKEN = "taken"
    SILENT = "silent"
    """It does not answer, or does not tell."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer's answer, and the sentence for it."""

    server: str
    holds: Holds
    said: str = ""


def primary(peers: Sequence[Peer], *, waited: float, alone: float, holds: str = "") -> Decision:
    """Return whether the recorder here may be started with its own id.

    Args:
        holds: the server whose id it has by now; nothing if that is its own.
        waited: seconds since this host asked first.
        alone: after so many seconds a silent peer counts as gone; one that says that it has the id never does.
    """
    if holds:
        said = f"the recorder here waits: it has the id of {holds}, until 'recorder-sync clone-id --undo'"
        return _nothing(Phase.WAITING, said)
    taken = next((one for one in peers if one.holds is Holds.TAKEN), None)
    if taken is not None:
        said = f"the recorder here waits: {taken.server} answers with its id, and is to give it back"
        return _nothing(Phase.WAITING, said)
    silent = next((one for one in peers if one.holds is Holds.SILENT), None)
    if silent is None:
        return Decision(Act.START, Phase.CHANGING, "no peer answers with the id of the recorder here: it is started")
    if waited < alone:
        said = f"the recorder here waits up to {alone:g} s: {silent.server} may have its id: {silent.said}"
        return _nothing(Phase.WAITING, said)
    said = f"{silent.server} did not say for {alone:g} s whether it has the id here: the recorder is started"
    return Decision(Act.START, Phase.CHANGING, said)
