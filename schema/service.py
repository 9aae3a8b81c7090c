"""The part of the configuration that the service alone reads: peers, the link to them, its own times, alarms.

Rule: as everywhere in the configuration, every key has its unit and its default, and what is wrong is named here once.
"""

import re
from typing import Literal
from urllib.parse import SplitResult, urlsplit

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
    kind: Literal[
        "webhook",
        "smtp",
        "syslog",
        "command",
        "xprotect-analytics",
        "xprotect-generic",
        "xprotect-alarm",
        "xprotect-event",
    ]
    """How: a JSON document by POST, a mail, a line to a log server, a program that gets it on standard input; to
    Milestone XProtect an analytics event, a generic event, an alarm, or a user-defined event that is triggered."""
    url: str | None = None
    """webhook: where to POST (`${NAME}` is taken from the environment); syslog: `udp://host:514`, `tcp://host:514` or
    `unix:/dev/log`; xprotect-generic: `tcp://host:1235`, or `tcp://` and `udp://host:1234`; xprotect-alarm and
    xprotect-event: the API gateway, such as `https://management.example`."""
    headers: dict[str, str] = {}
    """webhook: headers to add, such as `Authorization`; `${NAME}` is taken from the environment."""
    server: str | None = None
    """smtp: host and port of the mail server; xprotect-analytics: those of the event server, such as
    `management.example:9090`."""
    sender: str | None = None
    """smtp: the address it comes from."""
    to: list[str] = []
    """smtp: the addresses it goes to."""
    user: str | None = None
    """smtp: who logs in, if the server wants that; xprotect-alarm and xprotect-event: a basic user of XProtect."""
    password: str | None = None
    """The password of `user`; `${NAME}` is taken from the environment."""
    starttls: bool = True
    """smtp: whether the connection must be encrypted; on port 465 it is from the first byte."""
    command: list[str] = []
    """command: the program and its arguments."""
    event: str = "recorder-sync"
    """xprotect-analytics: the analytics event of kinds that `events` does not name; xprotect-generic: the words that
    begin the string."""
    events: dict[str, str] = {}
    """xprotect-analytics, xprotect-generic, xprotect-event: what a kind of alarm is called in XProtect, such as
    `{ server-failed = "Pair degraded" }`. xprotect-event triggers these and no others; `test` may be among them."""
    cameras: dict[str, str] = {}
    """xprotect-analytics, xprotect-alarm: the id of a camera in XProtect by its name here; for analytics also its
    address, as `192.0.2.9` or `192.0.2.9,2`."""
    source: str | None = None
    """xprotect-analytics, xprotect-alarm: the camera that stands for alarms about none, and about one that `cameras`
    does not name; xprotect-alarm needs it."""
    data_source: Literal["international", "compatible"] = "international"
    """xprotect-generic: the kind of XProtect's data source: its separator, its letters and its echo."""
    ca: str | None = None
    """xprotect-alarm, xprotect-event: a PEM file with the authorities to trust instead of the system's."""
    only: list[str] = []
    """Kinds of alarms to send; default all, for xprotect-event those in `events`."""
    timeout: Duration = Duration(10 * SECOND)
    """How long one try may take, at most 5 minutes."""


def wants(channel: AlarmChannel, kind: AlarmKind) -> bool:
    """Return whether an alarm of this kind is to be sent over a channel."""
    if channel.kind == "xprotect-event" and kind.value not in channel.events:
        return False
    return not channel.only or kind.value in channel.only


GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
"""How XProtect writes an id."""

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
    unknown = sorted({*channel.only, *channel.events} - {*ALARM_KINDS, *(("test",) if channel.events else ())})
    if unknown:
        return f"there is no kind {unknown[0]!r}; known: {', '.join(ALARM_KINDS)}"
    if not SECOND // 10 <= channel.timeout <= LONGEST_TRY:
        return "timeout must be from 100ms to 5min"
    try:
        url = urlsplit(channel.url or "")
        if channel.kind in ("syslog", "xprotect-generic") and url.scheme in ("udp", "tcp"):
            split_address(url.netloc)
        if channel.kind in ("smtp", "xprotect-analytics") and channel.server:
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
    return _xprotect_problem(channel, url) if channel.kind.startswith("xprotect-") else None


def _xprotect_problem(channel: AlarmChannel, url: SplitResult) -> str | None:
    if not all(name.strip() and name.isprintable() for name in (channel.event, *channel.events.values())):
        return "what is called nothing, or has a line end in its name, cannot be in XProtect"
    if channel.kind == "xprotect-analytics":
        return None if channel.server else 'xprotect-analytics needs server = "management.example:9090"'
    if channel.kind == "xprotect-generic":
        if url.scheme not in ("tcp", "udp"):
            return 'xprotect-generic needs url = "tcp://management.example:1235"'
        if url.scheme == "udp" and channel.data_source != "compatible":
            return 'over UDP only data_source = "compatible" listens'
        return None
    if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment:
        return f'{channel.kind} needs url = "https://management.example", and nothing secret in it'
    if not (channel.user and channel.password):
        return f"{channel.kind} needs user and password"
    if channel.kind == "xprotect-event":
        return None if set(channel.events) - {"test"} else 'xprotect-event needs events = { server-failed = "..." }'
    for one in (channel.source or "", *channel.cameras.values()):
        if not GUID.fullmatch(one):
            return f"xprotect-alarm needs camera ids in source and cameras; {one!r} is none"
    return None
