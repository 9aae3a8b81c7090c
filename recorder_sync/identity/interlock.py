"""May this recorder be given another's id? And must it give it back?

Rule: pure. Two live recorders must never answer with one id, so the question is whether the other may be alive, and
whatever is not known counts as alive. One signal is never enough: it takes two that do not share a cause, the ports of
the recorder and what recorder-sync beside it says or no longer says. Silence is no proof of anything unless the
operator's configuration says so, and then only while a witness shows that it is not our own network that is silent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Source(StrEnum):
    """Where a signal comes from."""

    SERVICE = "service"
    """The state of the recorder's service, as recorder-sync on its host says."""
    LINK = "link"
    """Whether recorder-sync there answers, and whether it sees recordings grow."""
    HEARTBEAT = "heartbeat"
    """When it was last heard of."""
    PORTS = "ports"
    """The recorder's own TCP ports."""
    WITNESS = "witness"
    """Something else in the network, which shows that ours works."""


class Reading(StrEnum):
    """What a signal says."""

    ALIVE = "alive"
    DOWN = "down"
    """Something that knows says that the recorder does not run."""
    SILENT = "silent"
    """Nothing answers."""
    UNKNOWN = "unknown"
    """It could not be asked, or what it says cannot be relied on."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One look at the other recorder, and the sentence for it."""

    source: Source
    reading: Reading
    said: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the id may be taken, and why, in one sentence."""

    allowed: bool
    said: str
    forced: bool = False


_BESIDE = frozenset({Source.SERVICE, Source.LINK, Source.HEARTBEAT})
"""They share a cause: all three are silent when recorder-sync there, or the way to it, is gone."""


def may_clone(
    server: str, signals: Sequence[Signal], *, silence_is_down: bool = False, forced: bool = False
) -> Verdict:
    """Return whether the id of `server` may be given to another recorder.

    `forced`: the operator vouches that it is off. That stands in for proof; it does not overrule a sign of life.
    """
    lives = must_return(server, signals)
    if lives is not None:
        return Verdict(False, lives)
    against = _against(server, signals, silence_is_down)
    if against is None:
        said = "; ".join(signal.said for signal in signals if signal.source is not Source.WITNESS)
        return Verdict(True, f"the recorder of {server} is down: {said}")
    if forced:
        return Verdict(True, f"the operator vouches that the recorder of {server} is off, although {against}", True)
    return Verdict(False, against)


def _against(server: str, signals: Sequence[Signal], silence_is_down: bool) -> str | None:
    """Return what speaks against it where there is no sign of life; None if nothing does."""
    about = [signal for signal in signals if signal.source is not Source.WITNESS]
    if not about:
        return f"nothing tells whether {server} runs"
    unknown = next((signal for signal in about if signal.reading is Reading.UNKNOWN), None)
    if unknown is not None:
        return unknown.said
    silent = next((signal for signal in about if signal.reading is Reading.SILENT), None)
    if silent is not None and not silence_is_down:
        return f"{silent.said}, and silence proves nothing"
    if silent is not None:
        witness = next((signal for signal in signals if signal.source is Source.WITNESS), None)
        if witness is None or witness.reading is not Reading.ALIVE:
            return f"{silent.said}, and nothing shows that this host's own network works"
    sources = {signal.source for signal in about}
    if Source.PORTS not in sources:
        return f"the ports of the recorder of {server} were not tried, and one signal is not enough"
    if not sources & _BESIDE:
        return f"only the ports of the recorder of {server} were tried, and one signal is not enough"
    return None


def must_return(server: str, signals: Sequence[Signal]) -> str | None:
    """Return why nobody else may answer with the id of `server` now; None if there is no sign that it lives.

    One sign of life is enough: taking an id needs proof, giving it back does not.
    """
    alive = next((one for one in signals if one.reading is Reading.ALIVE and one.source is not Source.WITNESS), None)
    return None if alive is None else f"the recorder of {server} lives: {alive.said}"


def phrase(server: str) -> str:
    """Return what an operator types to take the id although the other may be alive."""
    return f"the recorder of {server} is off"
