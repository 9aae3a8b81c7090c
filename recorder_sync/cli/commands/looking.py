"""Commands that show: what is covered and missing, how things stand, what was told, what can be read.

Rule: as in the whole package: what an operator can type, and nothing heavy is imported here.
"""

from pathlib import Path
from typing import Annotated

import typer

from recorder_sync.cli.options import DEFAULT, Cameras, Config, Json, NoScan, Servers, Since, Until


def coverage(
    config: Config = DEFAULT,
    since: Since = None,
    until: Until = None,
    camera: Cameras = None,
    no_scan: NoScan = False,
    json: Json = False,
) -> None:
    """List what each server holds of each camera: its own recordings and filled ones, span by span."""
    from recorder_sync.cli.gaps import run_coverage

    raise typer.Exit(
        run_coverage(config, since=since, until=until, cameras=camera or [], scan_first=not no_scan, as_json=json)
    )


def gaps(
    config: Config = DEFAULT,
    since: Since = None,
    until: Until = None,
    camera: Cameras = None,
    server: Servers = None,
    no_scan: NoScan = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the report as an HTML page.")] = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the report as an SVG picture.")] = None,
    json: Json = False,
) -> None:
    """Show per camera what is own, filled, fillable, lost or refused, and why.

    Exit status 1 if anything is fillable, refused or lost in the asked time.
    """
    from recorder_sync.cli.gaps import run_gaps

    raise typer.Exit(
        run_gaps(
            config,
            since=since,
            until=until,
            cameras=camera or [],
            servers=server or [],
            scan_first=not no_scan,
            pages=[path for path in (html, svg) if path],
            as_json=json,
        )
    )


def clock(
    config: Config = DEFAULT,
    since: Since = None,
    until: Until = None,
    camera: Cameras = None,
    no_scan: NoScan = False,
    json: Json = False,
) -> None:
    """Measure how far servers' clocks are apart, by the coded key frames that both recorded of a camera.

    Reads the newest seconds that both hold, or with --since and --until those of that time; what is found is used for
    gaps and fills of the next 24 hours. Says why where nothing can be told: pictures that repeat, a recorder that
    re-encodes, no time in common. Exit status 1 if a difference is above 'service.offset'. Needs the 'media' extra.
    """
    from recorder_sync.cli.clock import run

    raise typer.Exit(run(config, since=since, until=until, cameras=camera or [], scan_first=not no_scan, as_json=json))


def status(
    config: Config = DEFAULT,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the report as an HTML page.")] = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the report as an SVG picture.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it anew each second until Ctrl-C; without a terminal, each change.")
    ] = False,
    json: Json = False,
) -> None:
    """Show both servers, what the service is doing, storages, cameras, open gaps, the last fills and alarms.

    From the ledger and the service that runs here; nothing is scanned. Exit status 1 if a gap is open, a server or
    storage is away, or a camera is silent.
    """
    if watch:
        from recorder_sync.cli.watching import run as run_watch

        raise typer.Exit(run_watch(config, as_json=json))
    from recorder_sync.cli.status import run

    raise typer.Exit(run(config, pages=[path for path in (html, svg) if path], as_json=json))


def fleet(
    config: Config = DEFAULT,
    ledger: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="The ledger, where there is no configuration: a file or an address."),
    ] = None,
    since: Since = None,
    until: Until = None,
    json: Json = False,
) -> None:
    """Report on every pair whose services share this ledger, from the ledger alone: one line a server, and totals.

    Any host's configuration will do, or --ledger without one. Nothing is scanned and nobody is asked. Exit status 1 if
    a gap is open, or a server is neither up nor standby.
    """
    from recorder_sync.cli.fleet import run

    raise typer.Exit(run(config, ledger=ledger, since=since, until=until, as_json=json))


def doctor(config: Config = DEFAULT, json: Json = False) -> None:
    """Examine this host: folders, rights, space, clock, ledger, peers, service, alarms; say what to do where it lacks.

    Looks and changes nothing. Run it as the account of the service: rights are those of who asks. Exit status 1 if
    there is a problem; warnings do not count.
    """
    from recorder_sync.cli.doctor import run

    raise typer.Exit(run(config, as_json=json))


def layouts(json: Json = False) -> None:
    """List the recorders whose files can be read, and how each is filled."""
    from recorder_sync.cli.layouts import run

    raise typer.Exit(run(as_json=json))
