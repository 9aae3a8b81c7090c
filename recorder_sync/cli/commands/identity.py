"""The command for recorder identities: what an operator can type.

Rule: as in the whole package: nothing heavy is imported here.
"""

from pathlib import Path
from typing import Annotated

import typer

from recorder_sync.cli.options import DEFAULT, Config, Json


def clone_id(
    config: Config = DEFAULT,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FILE", help="The primary's RecorderConfig.xml, or its id; default as configured."
        ),
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="The RecorderConfig.xml here; default as configured.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Give the recorder here its own id back.")] = False,
    learn: Annotated[bool, typer.Option("--learn", help="Only read the primary's id and keep it.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show the difference and the verdict, and change nothing.")
    ] = False,
    force: Annotated[
        str | None,
        typer.Option(metavar="WORDS", help="Vouch that the primary is off, in the words that --dry-run shows."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Give the recorder here the id of the primary in its RecorderConfig.xml, or with --undo its own id back.

    Refused while the primary may be alive: two recorders must never answer with one id. Only the id's own bytes change;
    the recorder's service is stopped before and started after. Not tried on a real Milestone XProtect recorder. Exit
    status 1 if the recorder here has the id already and the primary lives.
    """
    from recorder_sync.cli.clone_id import Asked, run

    asked = Asked(source=source, target=target, undo=undo, learn=learn, dry_run=dry_run, force=force, yes=yes)
    raise typer.Exit(run(config, asked, as_json=json))
