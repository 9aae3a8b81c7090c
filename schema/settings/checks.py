"""What is wrong with settings although every key has the right shape.

Rule: each check returns the problem in words, or None; no folder that is named is looked at.
"""

import difflib
import os
import re
from zoneinfo import ZoneInfo

from schema.identity import identity_problem
from schema.service import alarm_problem, link_problem, parse_window
from schema.settings.keys import ServerSettings, Settings
from schema.spans import SECOND
from schema.units import NAME

OWN = "own"
"""What reports say instead of a server's name of what the recorder here wrote."""

IGNORED = ".recorder-sync"
"""A folder of this name in a root is the one place there where our notes may lie: recorders and scans ignore it."""

_NAME = re.compile(NAME)


def name_problem(name: str) -> str | None:
    """Return why nothing can be called `name`, or None."""
    if _NAME.fullmatch(name):
        return None
    return f"name {name!r} is not plain letters, digits, dots, dashes and underscores"


def zone_problem(zone: str) -> str | None:
    """Return why `zone` is not an IANA zone this machine knows, or None."""
    try:
        ZoneInfo(zone)
    except Exception:  # noqa: BLE001  zoneinfo raises six kinds for a bad name; each means the same here
        from zoneinfo import available_timezones

        # Only places: an abbreviation such as EST is a zone without daylight saving, and hardly what was meant.
        places = {name.casefold(): name for name in available_timezones() if "/" in name or name == "UTC"}
        near = difflib.get_close_matches(zone.casefold(), places, n=1)
        guess = f"; did you mean {places[near[0]]!r}?" if near else ""
        return f"zone {zone!r} is not a known IANA zone{guess}"
    return None


def problem_of(settings: Settings) -> str | None:
    """Return the first thing that is wrong although every key has the right shape."""
    fill = settings.fill
    if fill.chunk & (fill.chunk - 1) or not 2**16 <= fill.chunk <= 2**30:
        return "fill.chunk must be a power of two from 64 KiB to 1 GiB"
    if not 1 <= fill.in_flight <= 64:
        return f"fill.in_flight must be from 1 to 64, not {fill.in_flight}"
    if settings.scan.rescan < SECOND:
        return "scan.rescan must be at least 1s"
    if not settings.servers:
        return "there is no server; add a [[servers]] table for each"
    names = [server.name for server in settings.servers]
    for name in names:
        problem = name_problem(name)
        if problem:
            return f"server {problem}"
        if name == OWN:
            return f"no server can be called {OWN!r}: reports say it of what a recorder wrote itself"
        if names.count(name) > 1:
            return f"two servers are called {name!r}"
    for server in settings.servers:
        problem = _server_problem(server)
        if problem:
            return f"server {server.name!r}: {problem}"
    return _nested(settings) or _service_problem(settings)


def _service_problem(settings: Settings) -> str | None:
    """Return what is wrong with what only the service reads."""
    ours = [server.name for server in settings.servers]
    theirs = [peer.name for peer in settings.peers]
    for name in theirs:
        if name_problem(name) or name == OWN:
            return f"peer name {name!r} is not plain letters, digits, dots, dashes and underscores"
        if name in ours or theirs.count(name) > 1:
            return f"two servers are called {name!r}"
    try:
        for window in settings.fill.windows:
            parse_window(window)
    except ValueError as error:
        return f"fill.windows: {error}"
    return (
        zone_problem(settings.service.zone)
        or link_problem(settings.peers, settings.link, settings.service)
        or alarm_problem(settings.alarms)
        or identity_problem(settings.identity, ours, theirs)
    )


def _server_problem(server: ServerSettings) -> str | None:
    """Return what is wrong with one server by itself."""
    if not server.storages:
        return "it has no storage; add a [[servers.storages]] table"
    names = [storage.name for storage in server.storages]
    for storage in server.storages:
        problem = name_problem(storage.name)
        if problem:
            return f"storage {problem}"
        if names.count(storage.name) > 1:
            return f"two storages are called {storage.name!r}"
        problem = zone_problem(storage.zone)
        if problem:
            return f"storage {storage.name!r}: {problem}"
        if (storage.layout == "template") != (storage.template is not None):
            return f'storage {storage.name!r}: layout = "template" and a [template] table go together'
    shared = list(server.cameras.values())
    twice = next((name for name in shared if shared.count(name) > 1), None)
    return f"two cameras are both mapped to {twice!r}" if twice else None


def _nested(settings: Settings) -> str | None:
    """Return which folders must not lie in one another but do: one recorder's files, or ours, would count as another's.

    Links are not followed: nothing here looks at the disk.
    """
    servers = settings.servers
    roots: list[tuple[str, str]] = []
    states: list[str] = []
    for server in servers:
        for storage in server.storages:
            title = f"server {server.name!r}: storage {storage.name!r}:"
            for other, owner in roots:
                if _inside(storage.root, other) or _inside(other, storage.root):
                    return f"{title} root {storage.root} and {other} of server {owner!r} lie in one another"
            roots.append((storage.root, server.name))
    for server in servers:
        for storage in server.storages:
            title = f"server {server.name!r}: storage {storage.name!r}:"
            for key, folder in (("side", storage.side), ("state", storage.state)):
                for root, owner in roots:
                    ignored = key == "state" and folder == os.path.join(root, IGNORED) and root == storage.root
                    if folder and not ignored and (_inside(folder, root) or _inside(root, folder)):
                        return f"{title} {key} {folder} and root {root} of server {owner!r} lie in one another"
            if storage.state in states:
                return f"{title} another storage has the state {storage.state}, too"
            states += [storage.state] if storage.state else []
    for root, owner in roots:
        if "://" not in settings.ledger and _inside(settings.ledger, root):
            return f"ledger {settings.ledger} lies in root {root} of server {owner!r}"
    return None


def _inside(path: str, folder: str) -> bool:
    """Tell whether an absolute path is `folder` or lies in it."""
    try:
        return os.path.commonpath((path, folder)) == folder
    except ValueError:
        return False  # on different drives or shares of Windows
