"""Scanning with progress on stderr, for every command that wants a current ledger first."""

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from backfill.scanned import ScanOptions, ScanReport
from recorder_sync.app import App, Scanned
from recorder_sync.cli.output import complaints, print_error
from schema.errors import PermissionMissing


def scan_with_progress(app: App, options: ScanOptions | None = None) -> list[Scanned]:
    """Scan every storage, showing how far it is; errors of single storages are said and returned as values."""
    columns = (
        SpinnerColumn(),
        TextColumn("scanning {task.fields[storage]}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[files]:,} new or changed"),
        TimeElapsedColumn(),
    )
    console = complaints()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("scan", total=None, storage="", files=0)

        def tell(report: ScanReport) -> None:
            bars.update(task, storage=report.storage, files=report.added + report.changed)

        scanned = app.scan(options, tell)
    for one in scanned:
        if one.error is not None:
            print_error(one.error)
    return scanned


def worst(app: App, scanned: list[Scanned]) -> int:
    """Return the exit code of the first storage that could not be scanned, or of what could not be read in one, or 0.

    What could not be read counts also where nothing was scanned: the ledger knows of it.
    """
    away = next((one.error.exit_code for one in scanned if one.error is not None), 0)
    return away or (PermissionMissing.exit_code if app.unreadable() else 0)


def failures(scanned: list[Scanned], *, in_full: bool) -> list[str]:
    """Return a sentence for each storage that could not be scanned: what is said of it is what was known before.

    `in_full`: with the reason, which a person has just read in its error.
    """
    return [
        f"not looked at just now: {one.error if in_full else one.storage.title}"
        for one in scanned
        if one.error is not None
    ]
