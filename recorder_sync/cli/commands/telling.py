"""The commands and options around alarms: what was told, and whether the channels work.

Rule: as in the package: what an operator can type, and nothing heavy is imported here.
"""

from typing import Annotated

import typer

from recorder_sync.cli.options import DEFAULT, Config, Json

alarms = typer.Typer(invoke_without_command=True)


@alarms.callback()
def alarms_list(
    context: typer.Context,
    config: Config = DEFAULT,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="Show so many of the latest.")] = 20,
    json: Json = False,
) -> None:
    """Show what operators were told, over which channels, and what has not got through yet.

    The service sends alarms; this command does not. 'alarms test' tries the channels.
    """
    if context.invoked_subcommand is not None:
        for name in context.params:
            source = context.get_parameter_source(name)
            if source is not None and source.name == "COMMANDLINE":
                raise typer.BadParameter(f"write --{name} behind '{context.invoked_subcommand}'")
        return
    from recorder_sync.cli.alarms import run

    raise typer.Exit(run(config, limit=limit, as_json=json))


@alarms.command("test", short_help="Send a test over every channel.")
def alarms_test(
    channel: Annotated[
        list[str] | None, typer.Option("--channel", metavar="NAME", help="Only this channel; may be repeated.")
    ] = None,
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """Send one test alarm over every channel now, past the outbox, and say exactly what each receiver answered.

    The test says that it is one. Exit status 55 if a channel did not take it.
    """
    from recorder_sync.cli.alarms import run_test

    raise typer.Exit(run_test(config, names=channel or [], as_json=json))
