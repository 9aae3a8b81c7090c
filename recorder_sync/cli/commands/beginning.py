"""Commands to begin with: see it work, write a configuration, become another host's peer.

Rule: as in the whole package: what an operator can type, and nothing heavy is imported here.
"""

from pathlib import Path
from typing import Annotated

import typer

from recorder_sync.cli.options import DEFAULT, Config, Json


def demo(
    layout: Annotated[str, typer.Option(help="How the demo's recorders write: frigate or mediamtx.")] = "frigate",
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Leave recordings, ledger and logs in this new folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Show the whole product in about a minute and a half: two real recorders, an outage, the fill, the proof.

    Two cameras film, two independent recorder processes record them, one is killed and comes back, for some seconds
    both are down. Then the gaps are found and filled, and every picture is counted. Exit status 0 only if all that
    could come back is back. Needs the 'media' extra (PyAV).
    """
    from recorder_sync.cli.demo import run

    raise typer.Exit(run(layout, keep, as_json=json))


def init(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER", readable=False, help="One folder for each recording server.")
    ],
    config: Config = DEFAULT,
    zone: Annotated[
        str | None, typer.Option("--zone", metavar="NAME", help="The IANA zone of names in local time.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing configuration.")] = False,
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST", help="Pair with another host: where it reaches this one, such as 192.0.2.5."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --address: what this server is called.")
    ] = None,
    json: Json = False,
) -> None:
    """Look at recording folders, recognise recorder, cameras and time zone, and write a configuration that works.

    The folders are only read. Then: recorder-sync gaps. With --address, on the first of two hosts with one folder each:
    also prints the one command that makes the other host its peer, and waits until it was run there.
    """
    from recorder_sync.cli.init import run

    if address is None:
        raise typer.Exit(run(folders, config, force=force, as_json=json, zone=zone))
    from recorder_sync.cli.pairing import begin

    raise typer.Exit(begin(folders, config, name=name, address=address, force=force, zone=zone))


def invite(
    address: Annotated[
        str, typer.Option(metavar="HOST", help="Where the other host reaches this one, such as 192.0.2.5.")
    ],
    config: Config = DEFAULT,
) -> None:
    """Print the command that makes another host this one's peer, and wait until it was run there.

    As 'init --address' does, for a host that has a configuration already. The service must not be running meanwhile.
    """
    from recorder_sync.cli.pairing import invite as run

    raise typer.Exit(run(config, address))


def join(
    invitation: Annotated[str, typer.Argument(help="What the inviting host printed; good once, for 15 minutes.")],
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="Where this host's recorder writes, if not configured yet.")
    ] = None,
    config: Config = DEFAULT,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What this server is called; default by folder.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST", help="Where the other host reaches this one; default as it sees this one."),
    ] = None,
) -> None:
    """Exchange identities with the host that printed the invitation, and write this host's configuration.

    Nothing is copied by hand. Then, on both hosts: recorder-sync run.
    """
    from recorder_sync.cli.pairing import join as run

    raise typer.Exit(run(invitation, folder, config, name=name, address=address))
