"""Where the two hosts are: both on loopback, or each in a network namespace, with a line of a given rate between them.

Rule: namespaces are made for one run, carry its process id in their names, and are deleted with everything in them.
"""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SOURCE_ADDRESS = "10.231.17.1"
DESTINATION_ADDRESS = "10.231.17.2"
_NUMBERS = itertools.count()
_BURST = "64kb"
_QUEUE = "50ms"


@dataclass(frozen=True, slots=True)
class Line:
    """How the destination reaches the source. Commands of either are run with its prefix before them."""

    host: str = "127.0.0.1"
    at_source: tuple[str, ...] = ()
    at_destination: tuple[str, ...] = ()
    device: str = ""
    """The source's interface."""

    def sent(self) -> int:
        """Return the bytes that left the source's interface, with every header; 0 on loopback."""
        if not self.device:
            return 0
        said = subprocess.run(
            [*self.at_source, "cat", f"/sys/class/net/{self.device}/statistics/tx_bytes"],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(said.stdout)


LOOPBACK = Line()


def unable() -> str:
    """Return why there can be no namespaces here, empty if there can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "only root can make network namespaces"
    missing = [tool for tool in ("ip", "tc") if not shutil.which(tool)]
    if missing:
        return f"{', '.join(missing)} of iproute2 is not installed"
    name = f"rsb-{os.getpid()}-try"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"no network namespace can be made here: {tried.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", name], check=False)
    return ""


@contextmanager
def namespaces(rate: str = "") -> Iterator[Line]:
    """Give two namespaces with a cable between them; `rate`: as tc writes it, what the source may send."""
    number = next(_NUMBERS)
    source, destination = (f"rsb-{os.getpid()}-{number}{side}" for side in "ab")
    try:
        for name in (source, destination):
            _do("ip", "netns", "add", name)
            _do("ip", "-n", name, "link", "set", "lo", "up")
        _do(*f"ip -n {source} link add cable type veth peer name cable netns {destination}".split())
        for name, address in ((source, SOURCE_ADDRESS), (destination, DESTINATION_ADDRESS)):
            _do(*f"ip -n {name} address add {address}/24 dev cable".split())
            _do(*f"ip -n {name} link set cable up".split())
        if rate:
            _do(
                *f"tc -n {source} qdisc add dev cable root tbf rate {rate} burst {_BURST} latency {_QUEUE}".split(),
            )
        into = ("ip", "netns", "exec")
        yield Line(SOURCE_ADDRESS, (*into, source), (*into, destination), "cable")
    finally:
        for name in (source, destination):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
