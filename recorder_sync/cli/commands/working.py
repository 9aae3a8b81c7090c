"""Commands that do the work: the service, and by hand what it does by itself.

Rule: as in the whole package: what an operator can type, and nothing heavy is imported here.
"""

from pathlib import Path
from typing import Annotated

import typer

from recorder_sync.cli.options import DEFAULT, Cameras, Config, Json, NoScan, Servers, Since, Until


def run(config: Config = DEFAULT) -> None:
    """Watch the storages, keep in touch with the peers, and fill what was missed, until SIGTERM or Ctrl-C.

    Logs go to stderr, as JSON lines where that is no terminal. Metrics, health and the live state are served on this
    host only, at service.monitor.
    """
    from recorder_sync.cli.run import run as serve

    raise typer.Exit(serve(config))


def scan(
    config: Config = DEFAULT,
    full: Annotated[bool, typer.Option("--full", help="Look at every file, not only at changed folders.")] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Set the ledger aside and build a new one from the storages.")
    ] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take a storage's new disk for the right one; forget the old one's files.")
    ] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Take a storage that lost everything for deleted on purpose.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on watching until Ctrl-C.")] = False,
    polling: Annotated[
        bool, typer.Option("--polling", help="With --watch: list the folders instead of kernel events (for shares).")
    ] = False,
    json: Json = False,
) -> None:
    """Bring the ledger up to what the storages hold. The storages are only read.

    An unchanged folder is not listed again, so scanning again costs what changed.
    """
    from recorder_sync.cli.scan import run

    raise typer.Exit(
        run(
            config,
            full=full,
            rebuild=rebuild,
            adopt=adopt,
            accept_loss=accept_loss,
            watch=watch,
            polling=polling,
            as_json=json,
        )
    )


def fill(
    config: Config = DEFAULT,
    since: Since = None,
    until: Until = None,
    camera: Cameras = None,
    server: Servers = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what would be fetched, and fetch nothing.")
    ] = False,
    bandwidth: Annotated[
        str | None, typer.Option(metavar="RATE", help="Limit for this fill, such as '50 MB/s' or '200 Mbit/s'.")
    ] = None,
    readback: Annotated[
        bool, typer.Option("--readback", help="Read every copy back from the disk before it is published.")
    ] = False,
    no_scan: NoScan = False,
    json: Json = False,
) -> None:
    """Fetch what a server lacks and its peer has: verified, durable, never replacing anything.

    Interrupted at any moment, the next run continues. With --since also from before a server's first recording.
    Exit status 1 if something was refused, or with --dry-run would be.
    """
    from recorder_sync.cli.fill import run

    raise typer.Exit(
        run(
            config,
            since=since,
            until=until,
            cameras=camera or [],
            servers=server or [],
            dry_run=dry_run,
            bandwidth=bandwidth,
            readback=readback,
            scan_first=not no_scan,
            as_json=json,
        )
    )


def verify(
    config: Config = DEFAULT,
    since: Since = None,
    until: Until = None,
    camera: Cameras = None,
    server: Servers = None,
    rate: Annotated[str | None, typer.Option(metavar="RATE", help="Limit for reading; default scan.rate.")] = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Fetch damaged filled copies again from the peer; the damaged ones are set aside."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before repairing.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the digests for 'xxhsum -c', one file a storage; read nothing."),
    ] = None,
    json: Json = False,
) -> None:
    """Read recordings again and find rot, missing and foreign files. What a recorder wrote is never touched.

    Segments that have no digest yet get one. Exit status 1 if damage was found.
    """
    from recorder_sync.cli.verify import run

    raise typer.Exit(
        run(
            config,
            since=since,
            until=until,
            cameras=camera or [],
            servers=server or [],
            rate=rate,
            repair=repair,
            yes=yes,
            export_to=export,
            as_json=json,
        )
    )


def import_(
    config: Config = DEFAULT,
    since: Since = None,
    until: Until = None,
    camera: Cameras = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take the latest import out again, or one that was cut off.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what would be moved, and move nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    no_scan: NoScan = False,
    json: Json = False,
) -> None:
    """Move what was filled beside the recorder's storage into it, while the recorder's service is stopped.

    For Milestone XProtect, and not tried on a real one: try it on a copy first. Every recording is read anew and
    compared, then the service is stopped, each is moved by one rename, the recorder's index is set aside so that it
    makes a new one, and the service is started again. What fails is taken back. While it is stopped nothing is
    recorded here. Exit status 1 if something stays where it was, or if the service is left stopped because a peer
    answers with the recorder's id.
    """
    from recorder_sync.cli.importing import Asked, run

    asked = Asked(
        since=since,
        until=until,
        cameras=camera or [],
        undo=undo,
        dry_run=dry_run,
        yes=yes,
        scan_first=not no_scan,
    )
    raise typer.Exit(run(config, asked, as_json=json))
