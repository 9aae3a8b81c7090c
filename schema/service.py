"""The part of the configuration that the service alone reads: peers, the link to them, its own times, alarms.

Rule: as everywhere in the configuration, every key has its unit and its default, and what is wrong is named here once.
"""

import re
from typing import Literal
from urllib.parse import urlsplit

from schema.spans import HOUR, MINUTE, SECOND
from schema.units import Duration, Rate, Size, Strict
from schema.values import AlarmKind


class PeerSettings(Strict, frozen=True):
    """A server on another host, reached through its own recorder-sync service."""

    name: str
    """What that server is called, as its own configuration says."""
    address: str
    """Host and port of its service, such as `nvr-b.example:7443`."""


class Link(Strict, frozen=True):
    """How this host's service talks to its peers."""

    listen: str = "0.0.0.0:7443"
    """Address and port on which peers are answered."""
    folder: str = "link"
    """Where this host's keys and its peers' certificates are; readable by the service alone."""
    encryption: Literal["tls", "none"] = "tls"
    """`none` is for a closed network only: anybody there can read recordings and can pretend to be a peer."""
    bandwidth: Rate | None = None
    """Upper limit for what is sent to all peers together; default none."""
    timeout: Duration = Duration(10 * SECOND)
    """How long a peer may say nothing, or take nothing of what is sent to it, before it is given up."""


class Service(Strict, frozen=True):
    """How `recorder-sync run` works."""

    monitor: str = "127.0.0.1:7480"
    """Where metrics, health and the live status are, for this host only."""
    reconcile: Duration = Duration(HOUR)
    """How often to look for gaps although nothing happened: an outage can be missed."""
    pulse: Duration = Duration(2 * SECOND)
    """How often each peer is asked whether it is there and has anything new."""
    away: Duration = Duration(10 * SECOND)
    """A peer that has not answered for this long is away."""
    silent: Duration | None = None
    """A camera without a new recording for this long is silent; default three segment lengths, at least 60 s."""
    offset: Duration = Duration(2 * SECOND)
    """Above this difference between two servers' clocks nothing is filled until the operator says so."""
    zone: str = "UTC"
    """IANA zone of `fill.windows`."""
    reserve: Size = Size(5 * 10**9)
    """Below this much free space at a storage an alarm is raised."""


ALARM_KINDS = tuple(kind.value for kind in AlarmKind if kind is not AlarmKind.TEST)
"""What `only` may name; a test goes to every channel."""

LONGEST_TRY = 5 * MINUTE
"""No channel may take longer: a delivery that was taken and not heard of again would wait for as long."""


class AlarmChannel(Strict, frozen=True):
    """Where alarms are sent."""

    name: str
    """What this channel is called; each alarm is delivered once to each."""
    kind: Literal["webhook", "smtp", "syslog", "command"]
    """How: a JSON document by POST, a mail, a line to a log server, or a program that gets it on standard input."""
    url: str | None = None
    """webhook: where to POST (`${NAME}` is taken from the environment); syslog: `udp://host:514`, `tcp://host:514` or
    `unix:/dev/log`."""
    headers: dict[str, str] = {}
    """webhook: headers to add, such as `Authorization`; `${NAME}` is taken from the environment."""
    server: str | None = None
    """smtp: host and port of the mail server."""
    sender: str | None = None
    """smtp: the address it comes from."""
    to: list[str] = []
    """smtp: the addresses it goes to."""
    user: str | None = None
    """smtp: who logs in, if the server wants that."""
    password: str | None = None
    """smtp: the password; `${NAME}` is taken from the environment."""
    starttls: bool = True
    """smtp: whether the connection must be encrypted; on port 465 it is from the first byte."""
    command: list[str] = []
    """command: the program and its arguments."""
    only: list[str] = []
    """Kinds of alarms to send; default all."""
    timeout: Duration = Duration(10 * SECOND)
    """How long one try may take, at most 5 minutes."""


_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.*-]+):(\d{1,5})")
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]|24):([0-5]\d)")


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[v6]:port`. Raises ValueError."""
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found[1]) < 65_536:
        raise ValueError(f"{address!r} is no address such as 'nvr-b.example:7443' or '[fd00::2]:7443'")
    return address.rpartition(":")[0].strip("[]"), int(found[1])


def parse_window(text: str) -> tuple[int, int]:
    """Return begin and end of a daily window as microseconds since midnight; it goes over midnight if end <= begin.

    Raises ValueError.
    """
    found = _WINDOW.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no window such as '22:00-06:00'")
    hours = [int(part) for part in found.groups()]
    return hours[0] * HOUR + hours[1] * MINUTE, min(hours[2] * HOUR + hours[3] * MINUTE, 24 * HOUR)


def link_problem(peers: list[PeerSettings], link: Link, service: Service) -> str | None:
    """Return what is wrong with how peers are reached."""
    try:
        split_address(link.listen)
        split_address(service.monitor)
        for peer in peers:
            split_address(peer.address)
    except ValueError as error:
        return str(error)
    if service.pulse < SECOND // 10:
        return "service.pulse must be at least 100 ms"
    if service.away < 2 * service.pulse:
        return "service.away must be at least twice service.pulse"
    if service.reconcile < MINUTE:
        return "service.reconcile must be at least 1m"
    if link.timeout < SECOND:
        return "link.timeout must be at least 1s"
    return None


def alarm_problem(channels: list[AlarmChannel]) -> str | None:
    """Return what is wrong with where alarms are sent."""
    names = [channel.name for channel in channels]
    for channel in channels:
        if not channel.name or len(channel.name) > 64 or names.count(channel.name) > 1:
            return f"alarm channel {channel.name!r}: its name must be its own, and not longer than 64 letters"
        problem = _channel_problem(channel)
        if problem:
            return f"alarm channel {channel.name!r}: {problem}"
    return None


def _channel_problem(channel: AlarmChannel) -> str | None:
    unknown = sorted(set(channel.only) - set(ALARM_KINDS))
    if unknown:
        return f"there is no kind {unknown[0]!r}; known: {', '.join(ALARM_KINDS)}"
    if not SECOND // 10 <= channel.timeout <= LONGEST_TRY:
        return "timeout must be from 100ms to 5min"
    try:
        url = urlsplit(channel.url or "")
        if channel.kind == "syslog" and url.scheme in ("udp", "tcp"):
            split_address(url.netloc)
        if channel.kind == "smtp" and channel.server:
            split_address(channel.server)
    except ValueError as error:
        return str(error)
    scheme = url.scheme
    if channel.kind == "webhook" and scheme not in ("http", "https"):
        return 'a webhook needs url = "https://..."'
    if channel.kind == "syslog" and (scheme not in ("udp", "tcp", "unix") or (scheme == "unix" and not url.path)):
        return 'syslog needs url = "udp://host:514", "tcp://host:514" or "unix:/dev/log"'
    if channel.kind == "smtp" and not (channel.server and channel.sender and channel.to):
        return "smtp needs server, sender and to"
    if channel.kind == "command" and not channel.command:
        return 'command needs command = ["/path/to/program"]'
    return None
