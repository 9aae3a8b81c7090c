"""A resolver that hangs, as with a name server behind a cable that is out: the service says so, works on, and stops.

Why: a lookup cannot be cut short. Peers, webhooks and log servers have names, and a service that waits for the
resolver when it is stopped is killed by its manager, in the middle of whatever it does.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from tests import make

CONFIG = """
[[peers]]
name = "b"
address = "slow.example:7443"

[link]
listen = "127.0.0.1:{link}"
encryption = "none"
timeout = "1s"

[service]
monitor = "127.0.0.1:{monitor}"
pulse = "500ms"
away = "1s"
reserve = "100 TB"

[[alarms]]
name = "hook"
kind = "webhook"
url = "http://slow.example/"

[[alarms]]
name = "log"
kind = "syslog"
url = "udp://slow.example:514"

[[alarms]]
name = "mail"
kind = "smtp"
server = "slow.example:25"
sender = "a@b.example"
to = ["c@d.example"]
"""
HANGING = """
import os, socket, sys, time
real = socket.getaddrinfo
def hanging(host, *arguments, **named):
    if host != "slow.example":
        return real(host, *arguments, **named)
    with open("asked", "a") as asked:
        asked.write("x")
    time.sleep(600)
socket.getaddrinfo = hanging
sys.argv = ["recorder-sync", "run"]
from recorder_sync.cli import main
main()
"""
PATIENCE = 20.0
"""Seconds that a stop may take on a busy machine; the lookups take ten minutes."""


def test_a_resolver_that_hangs_makes_a_peer_unreachable_and_does_not_delay_a_stop(
    tmp_path: Path, two_ports: tuple[int, int]
) -> None:
    make.record(tmp_path / "a/recordings", "front", [0])
    link, monitor = two_ports
    config = make.config_text("a") + CONFIG.format(link=link, monitor=monitor)
    (tmp_path / "recorder-sync.toml").write_text(config)
    with open(tmp_path / "log", "wb") as log:
        service = subprocess.Popen([sys.executable, "-c", HANGING], cwd=tmp_path, stdout=log, stderr=log)
    try:
        said = ""
        deadline = time.monotonic() + 60
        while "could not be looked up" not in said:
            assert time.monotonic() < deadline and service.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.2)
            with suppress(OSError):
                said = urllib.request.urlopen(f"http://127.0.0.1:{monitor}/status", timeout=5).read().decode()
        time.sleep(3)  # several pulses; the disk is low, so every channel has something to tell
        # One question of the peer's, however often it is asked for, and one of each channel.
        assert 4 <= os.path.getsize(tmp_path / "asked") <= 6
        began = time.monotonic()
        service.send_signal(signal.SIGTERM)
        assert service.wait(PATIENCE) == 0, (tmp_path / "log").read_text()
        assert time.monotonic() - began < PATIENCE
    finally:
        if service.poll() is None:
            service.kill()
            service.wait()


@pytest.fixture
def two_ports() -> tuple[int, int]:
    """Two ports that are free."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]
