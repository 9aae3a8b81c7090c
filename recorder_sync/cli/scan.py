"""`recorder-sync scan`: bring the ledger up to the storages, once or for as long as it is watched."""

import asyncio
import signal
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from backfill.gate import Gate
from backfill.report import views
from backfill.report.documents import scan_document
from backfill.report.grid import Grid, Kind
from backfill.scanned import ScanOptions, ScanReport
from backfill.storage import Storage
from backfill.watch import Watch
from recorder_sync.app import App, Scanned, now, opened
from recorder_sync.cli.output import complaints, print_document, results
from recorder_sync.cli.scanning import scan_with_progress, worst
from schema.documents import ScanDocument, ScansDocument
from schema.errors import Interrupted
from schema.ledger.ledger import set_aside
from schema.moments import clock, iso

_SHOWN = 12


def run(
    config: Path,
    *,
    full: bool,
    rebuild: bool,
    adopt: bool,
    accept_loss: bool,
    watch: bool,
    polling: bool,
    as_json: bool,
) -> int:
    """Scan; returns the exit code."""

    def prepare(ledger: str) -> None:
        if rebuild:
            aside = set_aside(ledger)
            if aside is not None:
                complaints().print(f"The old ledger is kept as {aside}", soft_wrap=True)

    with opened(config, prepare=prepare) as app:
        if rebuild:
            app.forget()
        options = ScanOptions(full=full, accept_loss=accept_loss, adopt=adopt)
        scanned = scan_with_progress(app, options)
        if as_json:
            print_document(ScansDocument(generated=iso(now()), storages=[_document(app, one) for one in scanned]))
        else:
            results().print(_view([one.report for one in scanned if one.report], app.odd_notes()))
        if watch:
            asyncio.run(_watch(app, polling))
        return worst(app, scanned)


def _document(app: App, one: Scanned) -> ScanDocument:
    if one.report is None:
        return ScanDocument(storage=one.storage.title, error=str(one.error))
    return scan_document(one.report, app.odd(one.storage), one.digested)


def _view(reports: list[ScanReport], notes: list[str]) -> RenderableType:
    words = ("folders", "listed", "new", "changed", "open", "deleted", "retired", "moved")
    table = Grid([("storage", Kind.NAME), *((word, Kind.AMOUNT) for word in words)])
    for one in reports:
        numbers = (
            one.folders,
            one.listed,
            one.added,
            one.changed,
            one.still_open,
            one.deleted,
            one.retired,
            one.moved,
        )
        table.add(one.storage, *(f"{number:,}" if number else "-" for number in numbers))
    parts: list[RenderableType] = [table]
    for one in reports:
        parts += [Text(f"{one.storage}: {sentence}") for sentence in _sentences(one)]
    parts += [Text(f"note: {note}", style="yellow") for note in notes]
    return Group(*parts)


def _sentences(report: ScanReport) -> list[str]:
    """Return what an operator should know of a scan beside its numbers."""
    said = [f"quarantined {path}: {reason}" for path, reason in report.quarantined[:_SHOWN]]
    if len(report.quarantined) > _SHOWN:
        said.append(f"... and {len(report.quarantined) - _SHOWN:,} more quarantined; --json lists all")
    for reason, number in sorted(report.skipped.items()):
        example = next(path for path, why in report.foreign if why == reason)
        said.append(f"{number:,} not taken in: {reason}, such as {example}")
    if report.uncertain:
        said.append(f"of uncertain local time, and so counted for nothing: {views.number(report.uncertain, 'segment')}")
    if report.repaired:
        said.append(f"damaged rows of the ledger, read anew from the storage: {report.repaired:,}")
    if report.rewritten:
        said.append(f"{len(report.rewritten):,} sealed segments were written to, such as {report.rewritten[0]}")
    return said + report.notes


async def _watch(app: App, polling: bool) -> None:
    """Follow the storages until Ctrl-C or SIGTERM."""
    console = complaints()
    console.print("Watching; Ctrl-C ends it.")

    def say(text: str) -> None:
        console.print(f"{clock(now())} {text}", soft_wrap=True)

    gate = Gate(app.settings.scan.rate)

    async def look(storage: Storage, folders: frozenset[str] | None) -> frozenset[str]:
        scanned = await asyncio.to_thread(app.scan_one, storage, ScanOptions(only=folders), digesting=gate)
        report = scanned.report
        if report is None:
            say(str(scanned.error))
            return frozenset()  # it is looked at again on schedule, and when something is heard of it
        if report.added or report.changed or report.deleted or report.retired:
            digested = f", {scanned.digested} digested" if scanned.digested else ""
            say(
                f"{report.storage}: {report.added} new, {report.changed} changed, {report.still_open} open,"
                f" {report.deleted} deleted, {report.retired} retired{digested}"
            )
        for path, reason in report.quarantined:
            say(f"{report.storage}: quarantined {path}: {reason}")
        return frozenset(report.open_in)

    task = asyncio.ensure_future(
        Watch(list(app.site.storages), look, rescan=app.settings.scan.rescan, polling=polling, said=say).run()
    )

    def stop() -> None:
        gate.stop()  # a thread that reads for digests ends too, and the process need not wait for it
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await task
    except (asyncio.CancelledError, Interrupted):
        console.print("Stopped watching.")
