"""`recorder-sync service`: make the operating system start it, keep it alive and fence it in."""

import re
import sys
from pathlib import Path

from recorder_sync.cli.agreeing import agreed
from recorder_sync.cli.output import print_document, results
from schema.documents import ServiceDocument
from schema.errors import EXIT_DONE, EXIT_FOUND, UsageInvalid
from schema.settings import load

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")


def run_install(config: Path, *, name: str, user: str | None, show: bool, yes: bool) -> int:
    """Install the service, or only show the unit; returns the exit code."""
    _check_name(name)
    config = config.absolute()
    settings = load(config)
    if sys.platform == "win32":
        return _install_on_windows(config, name=name, user=user, show=show, yes=yes)
    from recorder_sync.host import systemd
    from recorder_sync.host.unit import unit_text

    unit = systemd.prepare(settings, str(config), name, user)
    text = unit_text(unit)
    if show:
        sys.stdout.write(text)
        return EXIT_DONE
    systemd.check_manager("installing a service")
    systemd.check_ours(name)
    doubts = [f"look at this first: {doubt}" for doubt in systemd.doubts(unit)]
    if not agreed([*systemd.steps(unit), *doubts], "service install", yes=yes):
        return EXIT_FOUND
    systemd.install(unit)
    results().print(
        f"{name} is installed and started, as {unit.user}. See: recorder-sync service status", soft_wrap=True
    )
    return EXIT_DONE


def _install_on_windows(config: Path, *, name: str, user: str | None, show: bool, yes: bool) -> int:
    from recorder_sync.host import windows

    if show:
        raise UsageInvalid("--print", "there is no unit file on Windows")
    steps = [
        f"install the Windows service {name} for {config}, running as {user or 'LocalSystem'}",
        "start it with the machine, and anew five seconds after it failed",
        "start it now",
    ]
    if not agreed(steps, "service install", yes=yes):
        return EXIT_FOUND
    windows.install(name, config, user)
    results().print(f"{name} is installed and started. See: recorder-sync service status", soft_wrap=True)
    return EXIT_DONE


def run_uninstall(*, name: str, yes: bool) -> int:
    """Stop and remove the service; returns the exit code."""
    _check_name(name)
    steps = [f"stop {name} and remove it", "leave configuration, ledger, keys and recordings as they are"]
    if sys.platform == "win32":
        from recorder_sync.host import windows

        windows.state(name)
        if not agreed(steps, "service uninstall", yes=yes):
            return EXIT_FOUND
        windows.uninstall(name)
    else:
        from recorder_sync.host import systemd

        systemd.check_manager("removing a service")
        systemd.check_ours(name)
        if not agreed(steps, "service uninstall", yes=yes):
            return EXIT_FOUND
        systemd.uninstall(name)
    results().print(f"{name} is removed", soft_wrap=True)
    return EXIT_DONE


def run_status(*, name: str, as_json: bool) -> int:
    """Show what the service manager knows; returns the exit code: 0 if the service runs."""
    _check_name(name)
    document = _state(name)
    if as_json:
        print_document(document)
    else:
        console = results()
        console.print(
            f"{name}: {document.state}{', not started with the machine' if document.enabled is False else ''}"
        )
        if document.since:
            console.print(f"since {document.since}", soft_wrap=True)
        if document.pid is not None:
            console.print(f"process {document.pid}, started anew {document.restarts} times by the service manager")
        if document.status:
            console.print(f"it says: {document.status}", soft_wrap=True)
    return EXIT_DONE if document.active else EXIT_FOUND


def _state(name: str) -> ServiceDocument:
    if sys.platform == "win32":
        from recorder_sync.host import windows

        state = windows.state(name)
        return ServiceDocument(name=name, active=state.startswith("active"), enabled=None, state=state)
    from recorder_sync.host import systemd

    found = systemd.state(name)
    return ServiceDocument(
        name=name,
        active=found.active,
        enabled=found.enabled,
        state=found.state,
        status=found.status,
        pid=found.pid,
        restarts=found.restarts,
        since=found.since,
    )


def _check_name(name: str) -> None:
    """Raise UsageInvalid for a name that a service manager would take for something else."""
    if not _NAME.fullmatch(name):
        raise UsageInvalid("--name", f"{name!r} is not plain letters, digits, dots, dashes and underscores")
