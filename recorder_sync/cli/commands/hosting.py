"""The commands and options for the service on its host: pause, resume, and what the service manager does.

Rule: as in the whole package: what an operator can type, and nothing heavy is imported here.
"""

from typing import Annotated

import typer

from recorder_sync.cli.options import DEFAULT, Config, Json


def pause(
    reason: Annotated[str, typer.Argument(metavar="[REASON]", help="The reason; shown with the status.")] = "",
    config: Config = DEFAULT,
) -> None:
    """Let the service fill nothing until 'recorder-sync resume'. Recording, scanning and alarms go on.

    What is under way waits where it is. The pause is kept in the ledger, with who wanted it, and holds over restarts.
    """
    from recorder_sync.cli.pause import run_pause

    raise typer.Exit(run_pause(config, reason))


def resume(config: Config = DEFAULT) -> None:
    """End the pause that 'recorder-sync pause' began."""
    from recorder_sync.cli.pause import run_resume

    raise typer.Exit(run_resume(config))


service = typer.Typer(
    help="Make this machine start recorder-sync by itself: a systemd unit, or a Windows service.", no_args_is_help=True
)
ServiceName = Annotated[str, typer.Option("--name", metavar="NAME", help="What the service is called.")]


@service.command("install", short_help="Install, enable and start the service.")
def service_install(
    config: Config = DEFAULT,
    name: ServiceName = "recorder-sync",
    user_name: Annotated[
        str | None,
        typer.Option(metavar="USER", help="Whom the service runs as; default who owns the storages, else root."),
    ] = None,
    show: Annotated[bool, typer.Option("--print", help="Only show the unit; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Install, enable and start the service for this configuration. Says first what it will do. Needs root.

    On Linux a systemd unit that may write only where this configuration says; run it again after changing folders.
    """
    from recorder_sync.cli.service import run_install

    raise typer.Exit(run_install(config, name=name, user=user_name, show=show, yes=yes))


@service.command("uninstall", short_help="Stop and remove the service.")
def service_uninstall(
    name: ServiceName = "recorder-sync",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Stop and remove the service. Configuration, ledger, keys and recordings stay. Needs root."""
    from recorder_sync.cli.service import run_uninstall

    raise typer.Exit(run_uninstall(name=name, yes=yes))


@service.command("status", short_help="Show whether the service runs.")
def service_status(name: ServiceName = "recorder-sync", json: Json = False) -> None:
    """Show what the machine's service manager knows of the service. Exit status 0 only if it runs."""
    from recorder_sync.cli.service import run_status

    raise typer.Exit(run_status(name=name, as_json=json))
