"""Two hosts with a ledger each: whoever looks, from either side, sees both.

What must hold: the service is asked if there is one, and what rests on the ledger alone says so; a peer that goes is
away since its last answer; a watch prints a block for each change and ends with Ctrl-C.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from schema.documents import GapsDocument, StatusDocument
from tests import fleets
from tests.fleets import Host, until

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def hosts(tmp_path: Path) -> list[Host]:
    """`nvr-a`, which lacks a minute of `front`, and `nvr-b`; a ledger each."""
    found = fleets.pairs(tmp_path, "ledger.db", [("pair", "nvr-a", "nvr-b")])
    for number, host in enumerate(found):
        fleets.recorded(host, "front", range(60, 120) if number == 0 else range(0), seed=number)
    return found


def status(cli: Cli, host: Host) -> StatusDocument:
    done = cli("status", "--json", "-c", str(host.config))
    assert done.returncode in (0, 1), done.stderr
    return msgspec.json.decode(done.stdout, type=StatusDocument)


def states(document: StatusDocument) -> dict[str, str]:
    return {one.server: one.state for one in document.servers}


def test_both_sides_are_seen_from_either_host(cli: Cli, hosts: list[Host]) -> None:
    a, b = hosts
    with fleets.running(hosts):
        until(lambda: len(fleets.files(a)) >= 60, "not filled")
        for host in hosts:
            until(lambda host=host: states(status(cli, host)) == {"nvr-a": "up", "nvr-b": "up"}, "not both are up")
            until(lambda host=host: {one.filled for one in status(cli, host).servers} == {60.0, 0.0}, "no news of it")
            seen = status(cli, host)
            assert seen.service is not None and seen.service.server == host.name
            assert [one.here for one in seen.servers] == [True, False], "one's own comes first"
            assert {f"{one.server}/{one.storage}": one.state for one in seen.storages} == {
                f"{host.name}/main": "present",
                f"{seen.servers[1].server}/main": f"at {seen.servers[1].server}",
            }
            assert all(one.age_seconds is not None and one.age_seconds < 60 for one in seen.storages)
            done = cli("gaps", "--json", "-c", str(host.config))
            gaps = msgspec.json.decode(done.stdout, type=GapsDocument)
            assert {(one.server, one.state, one.seconds) for one in gaps.gaps} == {("nvr-a", "filled", 60.0)}
        b.stop()
        until(lambda: states(status(cli, a))["nvr-b"] == "away", "it is not missed")
        away = status(cli, a).servers[1]
        assert (away.recording, away.silent) == ([], []), "what its recorder does now nobody knows"
        assert away.since is not None and away.since == away.last
    alone = status(cli, a)
    assert states(alone) == {"nvr-a": "stopped", "nvr-b": "away"}
    assert (alone.service, alone.service_problem) == (None, "the service here is not running")
    assert cli("status", "-c", str(a.config)).returncode == 1


def test_a_service_that_hangs_keeps_nobody_waiting(cli: Cli, hosts: list[Host]) -> None:
    import socket

    name, _, port = hosts[0].settings.service.monitor.rpartition(":")
    with socket.create_server((name, int(port))):
        seen = status(cli, hosts[0])
    assert "does not answer" in seen.service_problem


def test_the_service_of_another_configuration_is_not_taken_for_this_one(cli: Cli, hosts: list[Host]) -> None:
    a, b = hosts
    text = a.config.read_text().replace(a.settings.service.monitor, b.settings.service.monitor)
    a.config.write_text(text)
    with fleets.running([b]):
        seen = status(cli, a)
    assert seen.service is None
    assert f"answers that of {b.name}" in seen.service_problem


def test_a_watch_prints_a_block_for_each_change_until_it_is_interrupted(tmp_path: Path, hosts: list[Host]) -> None:
    a, b = hosts
    with fleets.running(hosts):
        until(lambda: len(fleets.files(a)) >= 60, "not filled")
        time.sleep(2)
        out = tmp_path / "watched.txt"
        with out.open("w") as file:
            watch = subprocess.Popen(
                [sys.executable, "-m", "recorder_sync", "status", "--watch", "-c", str(a.config)],
                stdout=file,
                env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"},
            )
            until(lambda: out.read_text().count("status at") >= 1, "it shows nothing")
            time.sleep(4)
            before = out.read_text().count("status at")
            b.stop()
            until(lambda: "nvr-b is away since" in out.read_text(), "it does not notice")
            watch.send_signal(signal.SIGINT)
            assert watch.wait(20) == 0
    assert before <= 2, "that time passes is no change"
    assert max(len(line) for line in out.read_text().splitlines()) <= 80
