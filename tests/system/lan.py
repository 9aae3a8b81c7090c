"""A network of our own for tests: a switch and hosts, each in a network namespace, with cables that can be pulled.

Rule: nothing of the machine's own network is touched; even the switch is in a namespace. Whatever a test leaves behind
is gone when the block ends, processes first; what a killed test run left behind goes when the next one begins.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

_PREFIX = "rslan"
_STEP = 15.0
"""Seconds that a command of the network's own may take."""
_NOBODY = "02:00:00:00:00:99"
"""A hardware address that no host has: what is sent there is lost without a word."""


def why_not() -> str:
    """Return why no network can be made here, empty if it can."""
    if os.geteuid() != 0:
        return "needs root: network namespaces"
    missing = [tool for tool in ("ip", "tc", "nsenter") if shutil.which(tool) is None]
    if missing:
        return f"{missing[0]} is not installed (apt-get install iproute2 util-linux)"
    name = f"{_PREFIX}-{os.getpid()}-probe"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, timeout=_STEP, check=False)
    if tried.returncode:
        return f"no network namespace can be made: {tried.stderr.strip()}"
    links = subprocess.run(
        ["ip", "-n", name, "link", "add", "br0", "type", "bridge"],
        capture_output=True,
        text=True,
        timeout=_STEP,
        check=False,
    )
    _ip("netns", "del", name)
    return f"no bridge can be made: {links.stderr.strip()}" if links.returncode else ""


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=_STEP, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr.strip()}"
    return done.stdout


class VirtualHost:
    """One host: a namespace with one cable to the switch."""

    def __init__(self, name: str, address: str, namespace: str, switch: str, port: str) -> None:
        self.name = name
        self.address = address
        self._namespace = namespace
        self._switch = switch
        self._port = port
        self._processes: list[subprocess.Popen[Any]] = []

    def inside(self, *command: str) -> list[str]:
        """Return how `command` is run on this host; the process is the command's own, with its id."""
        return ["nsenter", f"--net=/run/netns/{self._namespace}", *command]

    def run(self, *command: str, timeout: float = 60, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command on this host to its end."""
        return subprocess.run(
            self.inside(*command), capture_output=True, text=True, timeout=timeout, check=False, **more
        )

    def start(self, *command: str, **more: Any) -> subprocess.Popen[Any]:
        """Start a command on this host; it is killed with the network at the latest."""
        process = subprocess.Popen(self.inside(*command), **more)
        self._processes.append(process)
        return process

    def cable_out(self) -> None:
        """Pull the cable: neither end has a carrier."""
        _ip("-n", self._switch, "link", "set", self._port, "down")

    def cable_in(self) -> None:
        """Put it back."""
        _ip("-n", self._switch, "link", "set", self._port, "up")

    def unheard_by(self, other: "VirtualHost") -> None:
        """Let nothing that this host sends reach `other`; what `other` sends still arrives here."""
        _ip("-n", self._namespace, "neigh", "replace", other.address, "lladdr", _NOBODY, "dev", "eth0")

    def heard_by(self, other: "VirtualHost") -> None:
        """Let it be heard again."""
        _ip("-n", self._namespace, "neigh", "del", other.address, "dev", "eth0")

    def limit(self, rate: str) -> None:
        """Let this host send at most `rate`, such as `8mbit`."""
        shape = ["root", "tbf", "rate", rate, "burst", "32kb", "latency", "400ms"]
        done = self.run("tc", "qdisc", "replace", "dev", "eth0", *shape)
        assert done.returncode == 0, done.stderr

    def no_limit(self) -> None:
        """Take the limit away."""
        done = self.run("tc", "qdisc", "del", "dev", "eth0", "root")
        assert done.returncode == 0, done.stderr

    def sent(self) -> int:
        """Return how many bytes went out of this host so far, headers and all."""
        (link,) = json.loads(_ip("-n", self._namespace, "-j", "-s", "link", "show", "eth0"))
        return int(link["stats64"]["tx"]["bytes"])

    def end_processes(self) -> None:
        """Kill what was started here and still runs."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        self._processes.clear()


class VirtualLAN:
    """A switch, and the hosts that are added to it. Leaving the block takes all of it away."""

    def __init__(self) -> None:
        self._token = f"{_PREFIX}-{os.getpid()}-{secrets.token_hex(3)}"
        self._switch = f"{self._token}-switch"
        self._namespaces: list[str] = []
        self.hosts: list[VirtualHost] = []

    def __enter__(self) -> Self:
        _sweep()
        try:
            self._namespace(self._switch)
            _ip("-n", self._switch, "link", "add", "br0", "type", "bridge")
            _ip("-n", self._switch, "link", "set", "br0", "up")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def host(self, name: str) -> VirtualHost:
        """Add a host; its address follows from how many there are."""
        number = len(self.hosts) + 1
        namespace, port, address = f"{self._token}-{name}", f"port{number}", f"192.0.2.{number}"
        self._namespace(namespace)
        _ip("-n", self._switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _ip("-n", self._switch, "link", "set", port, "master", "br0", "up")
        _ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", namespace, "link", "set", "eth0", "up")
        host = VirtualHost(name, address, namespace, self._switch, port)
        self.hosts.append(host)
        return host

    def close(self) -> None:
        """End every process and take the network away; says at the end what could not be."""
        problems = []
        for step in (*(host.end_processes for host in self.hosts), *map(_deleting, self._namespaces)):
            try:
                step()
            except Exception as error:  # noqa: BLE001  the rest must go all the same
                problems.append(str(error))
        self.hosts.clear()
        self._namespaces.clear()
        assert not problems, problems

    def _namespace(self, name: str) -> None:
        _ip("netns", "add", name)
        self._namespaces.append(name)
        _ip("-n", name, "link", "set", "lo", "up")


def _deleting(name: str) -> Callable[[], str]:
    return lambda: _ip("netns", "del", name)


def _sweep() -> None:
    """Take away the networks of test runs that no longer exist."""
    for line in _ip("netns", "list").splitlines():
        found = re.match(rf"({_PREFIX}-(\d+)-\S+)", line)
        if found and not os.path.exists(f"/proc/{found[2]}"):
            with contextlib.suppress(AssertionError):  # somebody else's sweep was quicker
                _ip("netns", "del", found[1])


def eventually(true: Callable[[], object], seconds: float, what: str, every: float = 0.1) -> None:
    """Wait until something is true, at most so long."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(every)
