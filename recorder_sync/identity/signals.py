"""Looking whether another recorder lives: its ports, what recorder-sync beside it says, when that was last heard.

Rule: decides nothing; every look becomes a `Signal` with one sentence. A port counts as closed only if its host says
so: one that does not answer is silent, and a name that is not found is unknown.
"""

import errno
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from recorder_sync.identity.interlock import Reading, Signal, Source
from schema.errors import OperatorError, PeerUnreachable
from schema.identity import IdentityRules
from schema.ledger.contacts import Contact
from schema.moments import clock, human_duration
from schema.service import split_address
from schema.spans import SECOND
from schema.wire import IdentityMessage, Pulse

_FRESH = 10 * SECOND
"""Somebody who was heard this lately may only have missed one question."""

_ORDER = (Reading.ALIVE, Reading.UNKNOWN, Reading.SILENT, Reading.DOWN)
"""Of several ports the first of these counts."""


@dataclass(frozen=True, slots=True)
class Beside:
    """How recorder-sync beside the other recorder is asked. `sure`: who answers had to prove who it is."""

    pulse: Callable[[], Pulse]
    identity: Callable[[], IdentityMessage]
    sure: bool


def observe(
    server: str, rules: IdentityRules, beside: Beside | None, contact: Contact | None, now: Callable[[], int]
) -> list[Signal]:
    """Return what can be told of the recorder of `server`, the witness last.

    Args:
        contact: how the service here last heard of it; None if it never did, or if none runs here.
    """
    timeout = rules.probe / SECOND
    signals = []
    if rules.ports:
        signals.append(ports(rules.ports, timeout))
    if beside is not None:
        signals += link(server, beside, contact, now)
    if rules.witness is not None:
        reading, said = knock(rules.witness, timeout)
        # A closed port is an answer, too: the way there works.
        answers = reading in (Reading.ALIVE, Reading.DOWN)
        signals.append(Signal(Source.WITNESS, Reading.ALIVE if answers else Reading.SILENT, f"the witness {said}"))
    return signals


def ports(addresses: Sequence[str], timeout: float) -> Signal:
    """Return what the recorder's ports say together."""
    with ThreadPoolExecutor(max_workers=min(len(addresses), 8)) as pool:
        found = list(pool.map(lambda address: knock(address, timeout), addresses))
    reading, said = min(found, key=lambda one: _ORDER.index(one[0]))
    if reading is Reading.DOWN and len(found) > 1:
        said = f"ports {', '.join(addresses)} are closed"
    return Signal(Source.PORTS, reading, said)


def knock(address: str, timeout: float) -> tuple[Reading, str]:
    """Try to connect; returns what that says, and the sentence for it."""
    try:
        socket.create_connection(split_address(address), timeout).close()
    except ConnectionRefusedError:
        return Reading.DOWN, f"{address} is closed"
    except TimeoutError:
        return Reading.SILENT, f"{address} did not answer for {timeout:g} s"
    except socket.gaierror:
        return Reading.UNKNOWN, f"the name of {address} is not found"
    except OSError as error:
        # That a host of our own network does not answer is told so; any other reason may well be ours.
        silent = error.errno in (errno.EHOSTUNREACH, errno.EHOSTDOWN)
        return Reading.SILENT if silent else Reading.UNKNOWN, f"{address} cannot be reached: {error.strerror or error}"
    return Reading.ALIVE, f"{address} answers"


def link(server: str, beside: Beside, contact: Contact | None, now: Callable[[], int]) -> list[Signal]:
    """Return what recorder-sync on the other host says, or when it was last heard if it says nothing."""
    try:
        pulse = beside.pulse()
    except PeerUnreachable as error:
        silent = Signal(Source.LINK, Reading.SILENT, str(error))
        return [silent, heartbeat(server, contact, now())]
    except OperatorError as error:  # it answers, but is not to be relied on
        return [Signal(Source.LINK, Reading.UNKNOWN, str(error))]
    recording = [one.camera for one in pulse.cameras if one.recording]
    try:
        told = beside.identity()
    except OperatorError as error:
        service = Signal(Source.SERVICE, Reading.UNKNOWN, f"{server} did not say whether its recorder runs: {error}")
    else:
        service = _service(server, told, beside.sure)
    if service.reading is Reading.DOWN:
        # Cameras count as recorded for some time after the last file; the service's own state is newer.
        return [service, Signal(Source.LINK, Reading.DOWN, f"recorder-sync on {server} answers and says so itself")]
    if recording:
        said = f"recorder-sync on {server} sees {len(recording)} of its cameras being recorded"
        return [service, Signal(Source.LINK, Reading.ALIVE, said)]
    return [service]


def _service(server: str, told: IdentityMessage, sure: bool) -> Signal:
    if told.waits:
        said = f"recorder-sync on {server} starts the recorder as soon as its id is free"
        return Signal(Source.SERVICE, Reading.ALIVE, said)
    if told.service == "running":
        return Signal(Source.SERVICE, Reading.ALIVE, f"the recorder's service runs on {server}")
    if told.service == "stopped" and sure:
        return Signal(Source.SERVICE, Reading.DOWN, f"the recorder's service is stopped on {server}")
    if told.service == "stopped":
        said = f"{server} is said to have stopped its recorder, over a link without encryption: anybody could say so"
        return Signal(Source.SERVICE, Reading.UNKNOWN, said)
    why = f": {told.problem}" if told.problem else ""
    return Signal(
        Source.SERVICE, Reading.UNKNOWN, f"recorder-sync on {server} cannot tell whether its recorder runs{why}"
    )


def heartbeat(server: str, contact: Contact | None, now: int) -> Signal:
    """Return what it means when recorder-sync on the other host was last heard."""
    if contact is None or not contact.seen:
        return Signal(Source.HEARTBEAT, Reading.UNKNOWN, f"recorder-sync here never heard of {server}")
    ago = now - contact.seen
    if ago < _FRESH:  # also one from the future: a clock that was set back proves nothing
        return Signal(Source.HEARTBEAT, Reading.ALIVE, f"{server} was heard {max(0.0, ago / SECOND):.0f} s ago")
    said = f"{server} was last heard at {clock(contact.seen)}, {human_duration(ago)} ago"
    return Signal(Source.HEARTBEAT, Reading.SILENT, said)
