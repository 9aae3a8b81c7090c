"""What systemd hears, on a real datagram socket; and that nothing is ever held up by telling it."""

import os
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recorder_sync.host.notify import Notifier, watchdog_interval

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="systemd's sockets are unix sockets")


class Manager:
    """The receiving end."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(2)

    def heard(self) -> list[str]:
        return self.socket.recv(4096).decode().split("\n")


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@recorder-sync-test-{uuid.uuid4()}"
    found = Manager(address)
    yield found
    found.socket.close()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda one: one.ready(), ["READY=1"]),
        (lambda one: one.ready("2 storages"), ["READY=1", "STATUS=2 storages"]),
        (lambda one: one.status("filling: 3 of 7"), ["STATUS=filling: 3 of 7"]),
        (lambda one: one.reloading(), ["RELOADING=1", "MONOTONIC_USEC=5000000"]),
        (lambda one: one.stopping("letting go"), ["STOPPING=1", "STATUS=letting go"]),
        (lambda one: one.alive(), ["WATCHDOG=1"]),
    ],
    ids=["ready", "ready with status", "status", "reloading", "stopping", "alive"],
)
def test_each_message_is_one_datagram_as_the_manager_wants_it(
    manager: Manager, call: Callable[[Notifier], bool], message: list[str]
) -> None:
    assert call(Notifier(manager.address, clock=lambda: 5_000_000_999))
    assert manager.heard() == message


def test_a_status_of_several_lines_cannot_say_anything_else(manager: Manager) -> None:
    Notifier(manager.address).status("peer says:\nMAINPID=1\n\tgone")
    assert manager.heard() == ["STATUS=peer says: MAINPID=1 gone"]


def test_children_do_not_inherit_the_address(manager: Manager) -> None:
    environ = {"NOTIFY_SOCKET": manager.address, "PATH": "/bin"}
    notifier = Notifier.from_environment(environ)
    assert environ == {"PATH": "/bin"}
    assert notifier.listening
    assert notifier.ready()
    assert manager.heard() == ["READY=1"]


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_without_a_manager_nothing_happens(environ: dict[str, str]) -> None:
    notifier = Notifier.from_environment(environ)
    assert not notifier.listening
    assert not notifier.ready()


def test_a_manager_that_is_gone_is_no_reason_to_fail(tmp_path: Path) -> None:
    assert not Notifier(str(tmp_path / "nobody")).alive()
    assert not Notifier("/" + "x" * 200).alive()


def test_a_manager_that_does_not_read_holds_nobody_up(manager: Manager) -> None:
    notifier = Notifier(manager.address)
    sent = [notifier.alive() for _ in range(2000)]
    assert sent[0] and not sent[-1]


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"}, 15.0),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0", "WATCHDOG_PID": "42"}, None),
        ({"WATCHDOG_USEC": "soon", "WATCHDOG_PID": "42"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_wants_a_sign_in_half_its_time_from_the_process_it_means(
    environ: dict[str, str], interval: float | None
) -> None:
    assert watchdog_interval(environ, 42) == interval


def test_the_watchdog_means_this_process_by_its_own_number() -> None:
    assert watchdog_interval({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())}) == 1.0
