"""`recorder-sync fill`: bring over what is missing, with live progress."""

from pathlib import Path

from rich.text import Text

from backfill.gate import Gate
from backfill.report import refused, views
from backfill.report.documents import fill_document, plan_document
from backfill.survey import Survey
from recorder_sync.app import App, now, opened
from recorder_sync.cli.output import print_document, print_error, results
from recorder_sync.cli.progress import FillProgress
from recorder_sync.cli.scanning import scan_with_progress, worst
from recorder_sync.cli.stopping import rate, stopping
from schema.documents import FillDocument, FillsDocument
from schema.errors import EXIT_DONE, EXIT_FOUND, EXIT_INTERRUPTED, OperatorError
from schema.moments import iso
from schema.values import FillResult, Plan


def run(
    config: Path,
    *,
    since: str | None,
    until: str | None,
    cameras: list[str],
    servers: list[str],
    dry_run: bool,
    bandwidth: str | None,
    readback: bool,
    scan_first: bool,
    as_json: bool,
) -> int:
    """Fill every asked server; returns the exit code."""
    changes: dict[str, object] = {}
    if bandwidth is not None:
        changes["bandwidth"] = rate("--bandwidth", bandwidth)
    if readback:
        changes["readback"] = True
    with opened(config) as configured:
        app = configured.with_fill(**changes)
        for server in servers:
            app.site.check_server(server)
        scanned = scan_with_progress(app) if scan_first else []
        found = app.survey(app.question(since=since, until=until, cameras=cameras))
        wanted = servers or list(app.site.local)
        if dry_run:
            documents, code = _show_plans(app, found, wanted, as_json)
        else:
            said = {str(one.error) for one in scanned if one.error is not None}
            documents, code = _fill(app, found, wanted, as_json, said)
        if as_json:
            print_document(FillsDocument(generated=iso(now()), fills=documents, notes=app.odd_notes()))
        else:
            for note in app.odd_notes():
                results().print(Text(f"note: {note}", style="yellow"), soft_wrap=True)
        return code if code == EXIT_INTERRUPTED else worst(app, scanned) or code


def _show_plans(app: App, found: Survey, servers: list[str], as_json: bool) -> tuple[list[FillDocument], int]:
    plans: list[tuple[str, Plan]] = [(server, app.plan(found, server)) for server in servers]
    if not as_json:
        for server, planned in plans:
            results().print(views.plan(server, planned))
    left_out = any(planned.refused for _, planned in plans)
    return [plan_document(server, planned) for server, planned in plans], EXIT_FOUND if left_out else EXIT_DONE


def _fill(app: App, found: Survey, servers: list[str], as_json: bool, said: set[str]) -> tuple[list[FillDocument], int]:
    """Fill the servers, one after the other; `said` are the errors that the scan has told already."""
    gate = Gate(app.settings.fill.bandwidth)
    documents: list[FillDocument] = []
    code = EXIT_DONE
    with stopping(gate):
        for server in servers:
            planned = app.plan(found, server)
            try:
                with FillProgress() as progress:
                    result = app.fill(planned, server, gate, progress)
            except OperatorError as error:  # one server's trouble must not keep the other from being filled
                if str(error) not in said:
                    print_error(error)
                code = error.exit_code
                continue
            documents.append(fill_document(server, result))
            if not as_json:
                _show(server, result)
            if gate.stopped:
                return documents, EXIT_INTERRUPTED
            if result.refused or result.stopped:
                code = code or EXIT_FOUND
    return documents, code


def _show(server: str, result: FillResult) -> None:
    console = results()
    console.print(views.result(server, result), soft_wrap=True)
    if result.refused:
        console.print(refused.refusals(result.refused))
    for note in result.notes:
        console.print(note, soft_wrap=True)
