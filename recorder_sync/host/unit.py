"""The text of the systemd unit: how the service is started, kept alive, held back and fenced in.

Rule: pure. Every directive that is not self-evident has its reason beside it in the unit, because whoever runs the
machine reads it there. Nothing is relaxed without a line that says why.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from recorder_sync.host.places import Places, within
from schema.errors import UsageInvalid

MARK = "# Written by 'recorder-sync service install'. Change it with: systemctl edit {name}"
"""The first line; a unit without it is not ours and is never replaced or removed."""

_HOMES = ("/home", "/root", "/run/user")
_SYSTEM = ("/boot", "/efi", "/etc", "/usr")
"""What `ProtectSystem=full` makes read-only."""

_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108  looked for, not written to


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What the unit depends on. `user`: whom the service runs as; `low`: whether others go first."""

    name: str
    program: Sequence[str]
    config: str
    user: str
    places: Places
    low: bool = True


def unit_text(unit: Unit) -> str:
    """Return the unit file. Raises UsageInvalid for a path that no unit can hold."""
    sections = (
        [MARK.format(name=unit.name)],
        _about(),
        ["[Service]", *_process(unit), "", *_manners(unit), "", *_fence(unit), "", *_system(unit)],
        ["[Install]", "WantedBy=multi-user.target"],
    )
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _about() -> list[str]:
    return [
        "[Unit]",
        "Description=recorder-sync: fills what one video recorder missed from the other's recordings",
        "# Only the order: a network or a disk that is away is what this service reports, no reason not to start.",
        "Wants=network-online.target",
        "After=network-online.target local-fs.target remote-fs.target time-sync.target",
        "# Never give up: a guard that stays down after five crashes guards nothing.",
        "StartLimitIntervalSec=0",
    ]


def _process(unit: Unit) -> list[str]:
    words = " ".join(_word(word) for word in (*unit.program, "run", "-c", unit.config))
    return [
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={words}",
        "# Where a mail password or a webhook's token can stand instead of in the configuration, as NAME=value.",
        f"EnvironmentFile={_path(unit.config.removesuffix('.toml') + '.env')}",
        f"User={unit.user}",
        "# A process that hangs is ended after this and started anew; it continues where it was.",
        "WatchdogSec=30",
        "Restart=on-failure",
        "RestartSec=5",
        "# A configuration that is wrong (2) or missing (3) stays so until somebody changes it.",
        "RestartPreventExitStatus=2 3",
        "TimeoutStopSec=30",
        "# Filled files get the mode of their source; what is ours is for this user and its group.",
        "UMask=0027",
    ]


def _manners(unit: Unit) -> list[str]:
    if not unit.low:
        return ['# fill.priority = "normal": processor and disk are shared evenly with the recorder.']
    return [
        "# Live recording comes first. The weights are a tenth of the usual 100 and count only while others wait;",
        "# IOWeight and I/O priority need a scheduler that honours them (BFQ, or io.cost).",
        "CPUWeight=10",
        "IOWeight=10",
        "Nice=10",
        "IOSchedulingClass=best-effort",
        "IOSchedulingPriority=7",
    ]


def _fence(unit: Unit) -> list[str]:
    """Return what the service may see and write."""
    places = unit.places
    lines: list[str] = []
    if "/" in places.writable:
        lines += [
            "# A storage and its state folder have only / in common. A mount for each would keep a copy from being",
            "# renamed from one to the other, so / stays whole, and only what belongs to the system is read-only.",
            "ProtectSystem=full",
            *(f"ReadWritePaths={_path(folder)}" for folder in places.own if _any_within([folder], _SYSTEM)),
        ]
    else:
        lines += [
            "# Everything is read-only but: each storage together with its state folder (one mount, or no copy could",
            "# be renamed from one to the other), the ledger, side stores and the keys of the link. The -: a disk",
            "# that is away must not keep the service from starting.",
            "ProtectSystem=strict",
            *(f"ReadWritePaths={_path(folder)}" for folder in places.writable),
        ]
    if places.guarded:
        lines += [
            "# The configuration, and recordings of storages that are not filled in place, are not ours to write.",
            *(f"ReadOnlyPaths={_path(path)}" for path in places.guarded),
        ]
    if any(within(home, folder) for home in _HOMES for folder in places.writable):
        lines += ["# Homes are part of what is written.", "ProtectHome=no"]
    elif _any_within(places.all, _HOMES):
        lines += [
            "# Something of the above is in a home: homes can be read, and written where it says so.",
            "ProtectHome=read-only",
        ]
    else:
        lines.append("ProtectHome=yes")
    if _any_within(places.all, _TEMPORARY):
        lines += ["# Something of the above is in /tmp, which would be another one.", "PrivateTmp=no"]
    else:
        lines.append("PrivateTmp=yes")
    return lines


def _system(unit: Unit) -> list[str]:
    """Return what the service may ask of the kernel."""
    lines = ["NoNewPrivileges=yes"]
    if unit.user == "root":
        lines += [
            "# Recordings of several users: read and write theirs, and give each copy to the owner of its folder.",
            "CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER",
        ]
    else:
        lines += ["CapabilityBoundingSet=", "AmbientCapabilities="]
    return [
        *lines,
        "# The link, metrics and alarms; unix sockets for systemd, syslog and a local database.",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "# What services usually need, and nothing that mounts, debugs, loads modules or sets the clock.",
        "SystemCallFilter=@system-service",
        "SystemCallErrorNumber=EPERM",
        "SystemCallArchitectures=native",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "LockPersonality=yes",
        "PrivateDevices=yes",
        "ProtectClock=yes",
        "ProtectControlGroups=yes",
        "ProtectHostname=yes",
        "ProtectKernelLogs=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "ProtectProc=invisible",
        "# Not MemoryDenyWriteExecute: libffi, through which Python calls the C library, may need such memory.",
    ]


def _any_within(paths: Iterable[str], folders: Iterable[str]) -> bool:
    folders = tuple(folders)
    return any(within(path, folder) for path in paths for folder in folders)


def _path(path: str) -> str:
    """Return a path for a list of paths; its absence is no error."""
    return _quoted("-" + path)


def _word(text: str) -> str:
    """Return a word of a command line: a dollar sign would begin a variable."""
    return _quoted(text.replace("$", "$$"))


def _quoted(text: str) -> str:
    """Return text so that systemd reads exactly it: a percent sign would begin a specifier."""
    if not text.isprintable():
        raise UsageInvalid("service install", f"{text!r} holds a letter that no unit can hold")
    text = text.replace("%", "%%")
    if any(letter in text for letter in " \"'\\;"):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text
