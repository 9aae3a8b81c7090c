"""The commands and their options: what an operator can type. The work is in the module of each command.

Rule: nothing heavy is imported here; `recorder-sync --help` must feel instant.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from recorder_sync.cli import hosting, identity
from recorder_sync.cli.options import DEFAULT, Cameras, Config, Json, NoScan, Servers, Since, Until
from recorder_sync.version import __version__

app = typer.Typer(
    name="recorder-sync",
    help="Find the holes in one video recorder's recordings, fill them from the other's, and prove it bit for bit.",
    epilog="Exit status: 0 done, 1 gaps or damage found, 2 wrong usage or configuration, 130 interrupted; the others"
    " are listed in docs/reference/exit-codes.md.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"recorder-sync {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Accept the options that stand before a command."""


@app.command(short_help="Show it all on two real recorders.")
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


@app.command(short_help="Write a configuration from folders.")
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


@app.command(short_help="Ask another host to be this one's peer.")
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


@app.command(short_help="Become the peer of the host that invited.")
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


@app.command(short_help="Run the companion service.")
def run(config: Config = DEFAULT) -> None:
    """Watch the storages, keep in touch with the peers, and fill what was missed, until SIGTERM or Ctrl-C.

    Logs go to stderr, as JSON lines where that is no terminal. Metrics, health and the live state are served on this
    host only, at service.monitor.
    """
    from recorder_sync.cli.run import run as serve

    raise typer.Exit(serve(config))


@app.command(short_help="Bring the ledger up to the storages.")
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


@app.command(short_help="List what is covered, span by span.")
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


@app.command(short_help="Show what is missing where, and why.")
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


@app.command(short_help="Measure how far two servers' clocks are apart.")
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


@app.command(short_help="Fetch what is missing.")
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


@app.command(short_help="Look for rot, missing and foreign files.")
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


@app.command(short_help="Show where things stand.")
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


@app.command(short_help="Report on all pairs in a shared ledger.")
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


app.command("clone-id", short_help="Give a failover recorder the primary's id.")(identity.clone_id)
app.command(short_help="Let the service fill nothing for a while.")(hosting.pause)
app.command(short_help="Let the service fill again.")(hosting.resume)
app.add_typer(hosting.service, name="service", short_help="Have the machine start it: install, uninstall, status.")


@app.command(short_help="Show the last alarms, or try the channels.")
def alarms(
    config: Config = DEFAULT,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="Show so many of the latest.")] = 20,
    test: Annotated[
        bool, typer.Option("--test", help="Send a test alarm over every channel now, and say how each answered.")
    ] = False,
    json: Json = False,
) -> None:
    """Show what operators were told, over which channels, and what has not got through yet.

    With --test the exit status is 55 if a channel did not take it. The service sends alarms; this command does not.
    """
    from recorder_sync.cli.alarms import run

    raise typer.Exit(run(config, limit=limit, test=test, as_json=json))


@app.command(short_help="List the recorders that can be read.")
def layouts(json: Json = False) -> None:
    """List the recorders whose files can be read, and how each is filled."""
    from recorder_sync.cli.layouts import run

    raise typer.Exit(run(as_json=json))


def main() -> None:
    """Run the command line; turns what an operator can act on into a sentence and an exit status.

    Whatever else goes wrong is a defect, and its exit status must not be mistaken for one that means gaps.
    """
    from schema.errors import EXIT_CRASHED, EXIT_INTERRUPTED, OperatorError, OutputFailed

    try:
        _run()
    except OperatorError as error:
        from recorder_sync.cli.output import print_error

        print_error(error)
        if isinstance(error, OutputFailed):
            _drop_stdout()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        _drop_stdout()
        sys.exit(0)
    except Exception:  # noqa: BLE001  the last net: whatever it is, it must not end with 1
        import traceback

        traceback.print_exc()
        sys.stderr.write("error: this is a defect of recorder-sync; please report it with what is above\n")
        sys.exit(EXIT_CRASHED)


def _run() -> None:
    """Run the command, and write what it printed while an error can still be said. Raises OutputFailed."""
    from schema.errors import OutputFailed

    try:
        app()
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputFailed("the standard output", error.strerror) from None


def _drop_stdout() -> None:
    """Let nothing more be written to stdout, where Python would try again at its end and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
