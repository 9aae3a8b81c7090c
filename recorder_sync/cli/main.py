"""The command line as a whole: which commands there are, in the order of the help, and how a run of one ends.

Rule: nothing heavy is imported here; `recorder-sync --help` must feel instant.
"""

import os
import sys
from typing import Annotated

import typer

from recorder_sync.cli.commands import beginning, hosting, identity, looking, telling, working
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


app.command(short_help="Show it all on two real recorders.")(beginning.demo)
app.command(short_help="Write a configuration from folders.")(beginning.init)
app.command(short_help="Ask another host to be this one's peer.")(beginning.invite)
app.command(short_help="Become the peer of the host that invited.")(beginning.join)
app.command(short_help="Run the companion service.")(working.run)
app.command(short_help="Bring the ledger up to the storages.")(working.scan)
app.command(short_help="List what is covered, span by span.")(looking.coverage)
app.command(short_help="Show what is missing where, and why.")(looking.gaps)
app.command(short_help="Measure how far two servers' clocks are apart.")(looking.clock)
app.command(short_help="Fetch what is missing.")(working.fill)
app.command(short_help="Look for rot, missing and foreign files.")(working.verify)
app.command(short_help="Show where things stand.")(looking.status)
app.command(short_help="Report on all pairs in a shared ledger.")(looking.fleet)
app.command("import", short_help="Move what was filled into a stopped recorder's storage.")(working.import_)
app.command("clone-id", short_help="Give a failover recorder the primary's id.")(identity.clone_id)
app.command(short_help="Let the service fill nothing for a while.")(hosting.pause)
app.command(short_help="Let the service fill again.")(hosting.resume)
app.add_typer(hosting.service, name="service", short_help="Have the machine start it: install, uninstall, status.")
app.add_typer(telling.alarms, name="alarms", short_help="Show the last alarms, or try the channels.")
app.command(short_help="Examine this host, and say what to do.")(looking.doctor)
app.command(short_help="List the recorders that can be read.")(looking.layouts)


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
