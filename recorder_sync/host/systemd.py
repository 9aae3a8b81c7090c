"""Installing, removing and asking after the systemd unit.

Rule: does what `unit` wrote and nothing it has not shown first. What is not ours is never replaced or removed. The
program `systemctl` is the one door to the manager.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass

from backfill.storage import write_durably
from recorder_sync.host.places import places
from recorder_sync.host.unit import MARK, Unit, unit_text
from schema.errors import (
    PermissionMissing,
    RightsMissing,
    ServiceCommandFailed,
    ServiceForeign,
    ServiceManagerMissing,
    ServiceUnknown,
    UsageInvalid,
)
from schema.settings import Settings

UNITS = "/etc/systemd/system"
RUNNING = "/run/systemd/system"
"""Exists exactly where systemd is the manager: sd_booted(3)."""

_SHOWN = ("LoadState", "UnitFileState", "ActiveState", "SubState", "StatusText", "MainPID", "NRestarts")
_TIMES = ("ActiveEnterTimestamp", "InactiveEnterTimestamp")


@dataclass(frozen=True, slots=True)
class UnitState:
    """What the manager knows of a unit."""

    name: str
    enabled: bool
    state: str
    """Such as `active (running)`."""
    status: str
    """What the service says of itself."""
    pid: int | None
    restarts: int
    since: str

    @property
    def active(self) -> bool:
        """Tell whether it runs."""
        return self.state.startswith(("active", "reloading"))


def prepare(settings: Settings, config: str, name: str, user: str | None) -> Unit:
    """Return what the unit of a configuration is made of; looks at the storages, changes nothing.

    Raises UsageInvalid for a user that does not exist, StorageAway and StagingUnusable for a storage without its place.
    """
    if user is None:
        user = owner(settings)
    else:
        _account(user)
    return Unit(
        name=name,
        program=program(),
        config=config,
        user=user,
        places=places(settings, config),
        low=settings.fill.priority == "low",
    )


def owner(settings: Settings) -> str:
    """Return who owns all the storages; root if they belong to several, or to somebody unknown here."""
    found = {os.stat(one.root).st_uid for server in settings.servers for one in server.storages if _is_there(one.root)}
    return _name(found.pop()) or "root" if len(found) == 1 else "root"


def _is_there(path: str) -> bool:
    return os.path.isdir(path)


def _name(uid: int) -> str:
    """Return what a user is called, nothing if nobody here is that."""
    import pwd  # not on Windows, where this module can be imported all the same

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _account(user: str) -> tuple[int, int]:
    """Return a user's numbers and their group's. Raises UsageInvalid."""
    import pwd

    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise UsageInvalid("--user-name", f"there is no user {user!r} here") from None
    return found.pw_uid, found.pw_gid


def program() -> tuple[str, ...]:
    """Return how this installation is started, with absolute paths."""
    script = os.path.join(sysconfig.get_path("scripts"), "recorder-sync")
    return (script,) if os.access(script, os.X_OK) else (sys.executable, "-m", "recorder_sync")


def unit_path(name: str) -> str:
    """Return where the unit of a service is."""
    return os.path.join(UNITS, f"{name}.service")


def check_manager(what: str) -> None:
    """Raise ServiceManagerMissing unless systemd runs here, and RightsMissing unless we may tell it anything."""
    if not os.path.isdir(RUNNING) or shutil.which("systemctl") is None:
        raise ServiceManagerMissing("systemd", f"there is no {RUNNING}, or no systemctl")
    if os.geteuid() != 0:
        raise RightsMissing(what, "root")


def check_ours(name: str) -> bool:
    """Tell whether our unit of that name is there. Raises ServiceForeign if there is another."""
    try:
        with open(unit_path(name), encoding="utf-8", errors="replace") as file:
            first = file.readline().rstrip("\n")
    except FileNotFoundError:
        return False
    if first != MARK.format(name=name):
        raise ServiceForeign(unit_path(name))
    return True


def steps(unit: Unit) -> list[str]:
    """Return what `install` will do, in words."""
    folders = [folder for folder in unit.places.own if not os.path.isdir(folder)]
    return [
        *(f"make the folder {folder} for {unit.user}" for folder in folders),
        f"write {unit_path(unit.name)}",
        "systemctl daemon-reload",
        f"systemctl enable {unit.name}, so that it starts with the machine",
        f"systemctl restart {unit.name}",
    ]


def doubts(unit: Unit) -> list[str]:
    """Return which folders are there already and belong to somebody else, who may not let the service write."""
    if unit.user == "root":
        return []
    uid, _ = _account(unit.user)
    found = []
    for folder in filter(os.path.isdir, unit.places.own):
        info = os.stat(folder)
        if info.st_uid != uid and not info.st_mode & 0o022:
            other = _name(info.st_uid) or info.st_uid
            found.append(f"{folder} belongs to {other}: the service, as {unit.user}, cannot write there")
    return found


def install(unit: Unit) -> None:
    """Write, enable and start the unit. Doing it again replaces the unit and starts the service anew.

    Raises ServiceManagerMissing, RightsMissing, ServiceForeign, ServiceCommandFailed, PermissionMissing.
    """
    check_manager("installing a service")
    check_ours(unit.name)
    text = unit_text(unit)
    account = _account(unit.user)
    try:
        for folder in unit.places.own:
            _make(folder, account)
        write_durably(unit_path(unit.name), text.encode())
        os.chmod(unit_path(unit.name), 0o644)
    except OSError as error:
        raise PermissionMissing("writing", f"{error.filename}: {error.strerror}") from None
    _systemctl("daemon-reload")
    _systemctl("enable", f"{unit.name}.service")
    _systemctl("restart", f"{unit.name}.service")


def _make(folder: str, account: tuple[int, int]) -> None:
    """Make a folder of ours for the service's user; one that is there stays as it is."""
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        os.mkdir(path, 0o750)
        os.chown(path, *account)


def uninstall(name: str) -> None:
    """Stop the service and remove its unit; ledger, configuration and recordings stay.

    Raises ServiceManagerMissing, RightsMissing, ServiceForeign, ServiceUnknown, ServiceCommandFailed.
    """
    check_manager("removing a service")
    if not check_ours(name):
        raise ServiceUnknown(name)
    _systemctl("disable", "--now", f"{name}.service")
    os.unlink(unit_path(name))
    _systemctl("daemon-reload")


def state(name: str) -> UnitState:
    """Return what systemd knows of the service. Raises ServiceManagerMissing, ServiceUnknown, ServiceCommandFailed."""
    if not os.path.isdir(RUNNING) or shutil.which("systemctl") is None:
        raise ServiceManagerMissing("systemd", f"there is no {RUNNING}, or no systemctl")
    said = _systemctl("show", f"{name}.service", "-p", ",".join((*_SHOWN, *_TIMES)))
    return parse_state(name, said)


def parse_state(name: str, said: str) -> UnitState:
    """Return the state that `systemctl show` printed. Raises ServiceUnknown."""
    found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    if found.get("LoadState") in ("not-found", "", None):
        raise ServiceUnknown(name)
    active = found.get("ActiveState", "")
    pid = found.get("MainPID", "0")
    return UnitState(
        name=name,
        enabled=found.get("UnitFileState") == "enabled",
        state=f"{active} ({found.get('SubState', '')})",
        status=found.get("StatusText", ""),
        pid=int(pid) if pid.isdecimal() and pid != "0" else None,
        restarts=int(found.get("NRestarts") or 0),
        since=found.get(_TIMES[0] if active == "active" else _TIMES[1], ""),
    )


def _systemctl(*arguments: str) -> str:
    """Run systemctl and return what it printed. Raises ServiceCommandFailed."""
    return _run(("systemctl", "--no-pager", "--no-ask-password", *arguments))


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, check=False)  # noqa: S603  our own words
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceCommandFailed(" ".join(command), error) from None
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())
        raise ServiceCommandFailed(" ".join(command), f"status {done.returncode}: {said or 'it said nothing'}")
    return done.stdout
