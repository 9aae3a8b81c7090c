"""The part of the configuration that says with which identity a recorder answers, and who may take whose.

Rule: as everywhere in the configuration, every key has its unit and its default, and what is wrong is named here once.
"""

import re
from collections.abc import Collection
from typing import Literal

from schema.service import split_address
from schema.spans import MINUTE, SECOND
from schema.units import NAME, Duration, Strict

SERVICE = "Milestone XProtect Recording Server"
"""What the vendor's documentation calls the recorder's Windows service."""


class IdentityRules(Strict, frozen=True):
    """The identity of a Milestone XProtect recorder: this host's file, and whose id it may be given."""

    config: str | None = None
    """This host's `RecorderConfig.xml`. Without it this host tells no id and takes none."""
    service: str = SERVICE
    """What the recorder's service is called here; it is stopped while the id changes or recordings are imported."""
    server: str | None = None
    """Which of the servers here that recorder is; needed where several are configured."""
    manager: Literal["auto", "systemd", "windows", "supervisord", "command"] = "auto"
    """Who stops and starts it; `auto` takes the machine's own: Windows services or systemd."""
    commands: dict[str, list[str]] = {}
    """For a recorder on another machine, with manager = "command": programs with their arguments for `state`, `stop`
    and `start`. `state` ends with 0 while it runs, 3 once it is stopped, 75 between the two, 4 if there is none,
    anything else if that is not known; the others with 0 if it was asked to."""
    supervisor: str | None = None
    """supervisord: where it answers, `unix:/run/supervisor.sock` or `http://127.0.0.1:9001`."""
    folder: str = "identity"
    """Where the primary's id, the journal and the copies of changed files are kept."""
    primary: str | None = None
    """The server whose id this host's recorder may take over; only the standby host sets it."""
    primary_config: str | None = None
    """Where the primary's `RecorderConfig.xml` can be read, on Windows also `\\\\server\\share\\...`; default: its
    recorder-sync is asked over the link."""
    ports: list[str] = []
    """TCP ports of the primary's recorder, such as `nvr-a:7563`; it counts as stopped only if each refuses."""
    witness: str | None = None
    """An address that answers whenever this host's network works, such as the management server's; see `silence`."""
    silence: Literal["alive", "down"] = "alive"
    """What a primary counts as that does not answer at all; `down` needs two independent signals and the witness."""
    probe: Duration = Duration(2 * SECOND)
    """How long a port may take to answer."""
    wait: Duration = Duration(2 * MINUTE)
    """How long the recorder's service may take to stop, and to start."""
    refresh: Duration = Duration(MINUTE)
    """How often the service reads the primary's id and keeps it."""
    failover: Literal["none", "identity"] = "none"
    """`identity`: the service takes the primary's id over by itself while that is down, and gives it back."""
    look: Duration = Duration(SECOND // 2)
    """How often the service looks whether the primary lives, with failover."""
    down: Duration = Duration(5 * SECOND)
    """How long the primary must be down, at every look, before its id is taken over."""
    settle: Duration = Duration(30 * SECOND)
    """After an id was given back, or could not be taken, nothing is taken over for this long."""
    start: bool = False
    """On the primary, whose recorder must not start with the machine: the service starts it once nobody else answers
    with its id."""
    alone: Duration = Duration(5 * MINUTE)
    """How long that start waits for a peer that does not answer."""


_NAME = re.compile(NAME)


def identity_problem(rules: IdentityRules, own: Collection[str], peers: Collection[str]) -> str | None:
    """Return what is wrong with `[identity]`; `own` and `peers` are the names of servers."""
    if not rules.service.strip():
        return "identity.service must not be empty"
    if rules.server is not None and rules.server not in own:
        return f"identity.server {rules.server!r} is none of the servers here: {', '.join(sorted(own))}"
    if (rules.manager == "supervisord") != (rules.supervisor is not None):
        return 'identity.supervisor and manager = "supervisord" go together'
    if (rules.manager == "command") != bool(rules.commands):
        return 'identity.commands and manager = "command" go together'
    if rules.commands and (set(rules.commands) != {"state", "stop", "start"} or not all(rules.commands.values())):
        return "identity.commands must have state, stop and start, each a program with its arguments"
    if rules.supervisor is not None and not rules.supervisor.startswith(("unix:/", "http://")):
        return f"identity.supervisor {rules.supervisor!r} is no address such as 'unix:/run/supervisor.sock'"
    least_lengths = (
        ("probe", SECOND // 10),
        ("look", SECOND // 10),
        ("wait", SECOND),
        ("refresh", SECOND),
        ("down", SECOND),
        ("settle", SECOND),
        ("alone", SECOND),
    )
    for key, least in least_lengths:
        if getattr(rules, key) < least:
            return f"identity.{key} must be at least {'100ms' if least < SECOND else '1s'}"
    try:
        for address in (*rules.ports, *([rules.witness] if rules.witness else [])):
            split_address(address)
    except ValueError as error:
        return f"identity: {error}"
    if rules.silence == "down" and not rules.witness:
        return 'identity.silence = "down" needs identity.witness: without it a broken cable here looks the same'
    return _primary_problem(rules, own, peers) or _failover_problem(rules)


def _failover_problem(rules: IdentityRules) -> str | None:
    if rules.failover == "identity":
        missing = next((key for key in ("primary", "config", "ports") if not getattr(rules, key)), None)
        if missing is not None:
            return f'identity.failover = "identity" needs identity.{missing}'
    if rules.start and rules.primary is not None:
        return "identity.start is for the primary itself, and identity.primary says that this host is a standby"
    if rules.start and rules.config is None:
        return "identity.start needs identity.config"
    return None


def _primary_problem(rules: IdentityRules, own: Collection[str], peers: Collection[str]) -> str | None:
    if rules.primary is None:
        given = next((key for key in ("primary_config", "ports", "witness") if getattr(rules, key)), None)
        return f"identity.{given} is of no use without identity.primary" if given else None
    if not _NAME.fullmatch(rules.primary):
        return f"identity.primary {rules.primary!r} is not plain letters, digits, dots, dashes and underscores"
    if rules.primary in own and len(own) == 1:
        return f"identity.primary {rules.primary!r} is this server itself"
    if rules.primary not in peers and rules.primary_config is None:
        return f"identity.primary {rules.primary!r} is no peer, and identity.primary_config is not set"
    if rules.config is not None and rules.config == rules.primary_config:
        return "identity.config and identity.primary_config are one file"
    return None
