"""Looking at another recorder: a closed port is told from a silent one, and what a peer says from what it does not."""

import errno
import socket
from collections.abc import Callable, Iterator

import pytest

from recorder_sync.identity import signals
from recorder_sync.identity.interlock import Reading, Signal, Source, may_clone
from recorder_sync.identity.signals import Beside, heartbeat, knock, link, observe, ports
from schema.errors import OperatorError, PeerInvalid, PeerRefused, PeerUnreachable
from schema.identity import IdentityRules
from schema.ledger.contacts import Contact
from schema.spans import SECOND
from schema.units import Duration
from schema.values import Reach
from schema.wire import CameraState, IdentityMessage, Pulse

NOW = 1_795_348_800 * SECOND


@pytest.fixture
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def mute() -> Iterator[str]:
    """A port whose host takes no more connections: nothing comes back."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        address = server.getsockname()
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(address)
            waiting.append(one)
        yield f"127.0.0.1:{address[1]}"
        for one in waiting:
            one.close()


def test_ports(listening: str, closed: str, mute: str) -> None:
    assert knock(listening, 1) == (Reading.ALIVE, f"{listening} answers")
    assert knock(closed, 1) == (Reading.DOWN, f"{closed} is closed")
    assert knock(mute, 0.3) == (Reading.SILENT, f"{mute} did not answer for 0.3 s")
    assert ports([closed, listening], 1).reading is Reading.ALIVE
    assert ports([closed, mute], 0.3).reading is Reading.SILENT
    both = ports([closed, closed], 1)
    assert (both.reading, both.said) == (Reading.DOWN, f"ports {closed}, {closed} are closed")


@pytest.mark.parametrize(
    ("error", "reading"),
    [
        (socket.gaierror(-2, "Name or service not known"), Reading.UNKNOWN),
        (OSError(errno.EHOSTUNREACH, "No route to host"), Reading.SILENT),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), Reading.UNKNOWN),
        (OSError(errno.EMFILE, "Too many open files"), Reading.UNKNOWN),
        (PermissionError(errno.EPERM, "Operation not permitted"), Reading.UNKNOWN),
    ],
)
def test_what_may_be_our_own_fault_is_unknown(
    error: OSError, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(signals.socket, "create_connection", fail)
    assert knock("nvr-a:7563", 1)[0] is reading


def pulse(*recording: bool) -> Pulse:
    cameras = [CameraState(camera=f"cam-{number}", newest=NOW, recording=one) for number, one in enumerate(recording)]
    return Pulse(now=NOW, boot="x", storages=[], cameras=cameras)


def beside(
    told: IdentityMessage | OperatorError, said: Pulse | OperatorError | None = None, *, sure: bool = True
) -> Beside:
    def give(what: object) -> Callable[[], object]:
        def get() -> object:
            if isinstance(what, OperatorError):
                raise what
            return what

        return get

    return Beside(give(said or pulse()), give(told), sure)  # type: ignore[arg-type]


def readings(found: list[Signal]) -> dict[Source, Reading]:
    return {one.source: one.reading for one in found}


def look(one: Beside, contact: Contact | None = None) -> dict[Source, Reading]:
    return readings(link("nvr-a", one, contact, lambda: NOW))


STOPPED, RUNNING = IdentityMessage(service="stopped"), IdentityMessage(service="running")


def test_what_the_service_beside_it_says() -> None:
    assert look(beside(RUNNING)) == {Source.SERVICE: Reading.ALIVE}
    assert look(beside(STOPPED)) == {Source.SERVICE: Reading.DOWN, Source.LINK: Reading.DOWN}
    assert look(beside(IdentityMessage())) == {Source.SERVICE: Reading.UNKNOWN}
    recording = pulse(False, True)
    assert look(beside(IdentityMessage(), recording)) == {Source.SERVICE: Reading.UNKNOWN, Source.LINK: Reading.ALIVE}
    # Cameras count as recorded for a while after the last file: the service's own word is newer.
    assert look(beside(STOPPED, recording))[Source.LINK] is Reading.DOWN


def test_over_a_link_without_encryption_stopped_is_no_proof_but_running_is() -> None:
    assert look(beside(STOPPED, sure=False)) == {Source.SERVICE: Reading.UNKNOWN}
    assert look(beside(RUNNING, sure=False)) == {Source.SERVICE: Reading.ALIVE}
    assert look(beside(STOPPED, pulse(True), sure=False))[Source.LINK] is Reading.ALIVE


def test_a_peer_of_an_older_release_cannot_tell() -> None:
    assert look(beside(PeerInvalid("nvr-a", "it answered with status 404"))) == {Source.SERVICE: Reading.UNKNOWN}


def test_who_does_not_answer_is_silent_and_who_answers_wrongly_is_unknown() -> None:
    away = beside(STOPPED, PeerUnreachable("nvr-a", "x"))
    contact = Contact(observer="b", server="nvr-a", state=Reach.AWAY, since=0, seen=NOW - 35 * SECOND)
    assert look(away, contact) == {Source.LINK: Reading.SILENT, Source.HEARTBEAT: Reading.SILENT}
    assert look(away) == {Source.LINK: Reading.SILENT, Source.HEARTBEAT: Reading.UNKNOWN}
    assert look(beside(STOPPED, PeerRefused("nvr-a", "x"))) == {Source.LINK: Reading.UNKNOWN}


@pytest.mark.parametrize(
    ("ago", "reading"),
    [(0, Reading.ALIVE), (9, Reading.ALIVE), (11, Reading.SILENT), (-5, Reading.ALIVE), (-100_000, Reading.ALIVE)],
)
def test_heartbeat(ago: int, reading: Reading) -> None:
    contact = Contact(observer="b", server="nvr-a", state=Reach.AWAY, since=0, seen=NOW - ago * SECOND)
    assert heartbeat("nvr-a", contact, NOW).reading is reading
    never = Contact(observer="b", server="nvr-a", state=Reach.UNKNOWN, since=0)
    assert heartbeat("nvr-a", never, NOW).reading is Reading.UNKNOWN


def test_everything_together(closed: str, listening: str) -> None:
    rules = IdentityRules(ports=[closed], witness=listening, probe=Duration(SECOND))
    found = observe("nvr-a", rules, beside(STOPPED), None, lambda: NOW)
    assert readings(found) == {
        Source.PORTS: Reading.DOWN,
        Source.SERVICE: Reading.DOWN,
        Source.LINK: Reading.DOWN,
        Source.WITNESS: Reading.ALIVE,
    }
    assert may_clone("nvr-a", found).allowed
    closed_witness = IdentityRules(ports=[closed], witness=closed, probe=Duration(SECOND))
    assert observe("nvr-a", closed_witness, None, None, lambda: NOW)[-1].reading is Reading.ALIVE
    assert observe("nvr-a", IdentityRules(), None, None, lambda: NOW) == []


def test_a_witness_that_is_silent(mute: str) -> None:
    rules = IdentityRules(witness=mute, probe=Duration(SECOND // 5))
    assert observe("nvr-a", rules, None, None, lambda: NOW)[-1].reading is Reading.SILENT
