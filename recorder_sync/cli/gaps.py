"""`recorder-sync gaps` and `coverage`: what is there, what is missing, and why."""

from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from backfill.report import refused, views
from backfill.report.documents import coverage_document, gaps_document
from backfill.report.grid import Grid, Kind
from backfill.report.timeline import Timeline, timeline
from backfill.report.views import Signs
from backfill.survey import Survey
from recorder_sync.app import opened
from recorder_sync.cli.output import PAGE_WIDTH, print_document, results, signs, write_page
from recorder_sync.cli.scanning import failures, scan_with_progress, worst
from schema.errors import EXIT_DONE, EXIT_FOUND
from schema.moments import clock, human_duration
from schema.spans import clip
from schema.values import GapState, Refused

_OPEN = (GapState.FILLABLE, GapState.REFUSED, GapState.LOST)


def run_gaps(
    config: Path,
    *,
    since: str | None,
    until: str | None,
    cameras: list[str],
    servers: list[str],
    scan_first: bool,
    pages: list[Path],
    as_json: bool,
) -> int:
    """Report the gaps; returns the exit code."""
    with opened(config) as app:
        scanned = scan_with_progress(app) if scan_first else []
        found = app.survey(app.question(since=since, until=until, cameras=cameras, servers=servers))
        notes = failures(scanned, in_full=as_json) + app.notes(found)
        lines = timelines_of(found)
        refusals = app.refusals(found.window)
        if not lines:
            notes = [app.nothing(found), *notes]
        if as_json:
            print_document(gaps_document(found, lines, refusals, notes))
        else:
            console = results()
            console.print(report(found, lines, refusals, notes, console.width, signs(console)))
        for page in pages:
            write_page(page, "recorder-sync gaps", report(found, lines, refusals, notes, PAGE_WIDTH, Signs()))
        if trouble := worst(app, scanned):
            return trouble
        missing = any(gap.state in _OPEN for gap in found.gaps)
        return EXIT_FOUND if missing or app.silent(found) else EXIT_DONE


def timelines_of(found: Survey) -> list[Timeline]:
    """Return the time lines of a survey, by camera, then by server."""
    return [
        timeline(server, camera, by_server[server], found.gaps, found.window)
        for camera, by_server in found.coverage.items()
        for server in found.question.servers or found.servers
        if server in by_server
    ]


def report(
    found: Survey, lines: list[Timeline], refusals: list[Refused], notes: list[str], width: int, shown: Signs
) -> RenderableType:
    """Return the whole report."""
    parts: list[RenderableType] = []
    if lines:
        parts += [views.timelines(lines, width, shown), Text()]
        parts += [views.totals(lines), Text(), views.gaps(found.gaps, found.window), Text()]
        parts.append(views.outages(found.outages, found.window))
    if refusals:
        parts += [Text(), refused.refusals(refusals)]
    parts += [Text(f"note: {note}", style="yellow") for note in notes]
    return Group(*parts)


def run_coverage(
    config: Path, *, since: str | None, until: str | None, cameras: list[str], scan_first: bool, as_json: bool
) -> int:
    """List what is covered; returns the exit code."""
    with opened(config) as app:
        scanned = scan_with_progress(app) if scan_first else []
        found = app.survey(app.question(since=since, until=until, cameras=cameras))
        if as_json:
            print_document(coverage_document(found))
        else:
            results().print(_spans(found))
        return worst(app, scanned)


def _spans(found: Survey) -> Grid:
    table = Grid(
        [
            ("camera", Kind.NAME),
            ("server", Kind.NAME),
            ("from (UTC)", Kind.PLAIN),
            ("to (UTC)", Kind.PLAIN),
            ("length", Kind.AMOUNT),
            ("origin", Kind.TEXT),
        ]
    )
    for camera, by_server in found.coverage.items():
        for server, one in by_server.items():
            spans = [(span, "own") for span in clip(one.own, found.window)]
            for origin, filled in one.filled.items():
                spans += [(span, f"from {origin}") for span in clip(filled, found.window)]
            for span, origin in sorted(spans):
                length = human_duration(span.length)
                table.add(camera, server, clock(span.start)[:-1], clock(span.end)[:-1], length, origin)
    return table
