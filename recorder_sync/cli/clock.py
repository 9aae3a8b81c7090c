"""`recorder-sync clock`: how far two servers' clocks are apart, by the pictures that both recorded."""

from pathlib import Path

from rich import box
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from backfill.clocks import Offset
from backfill.keyframes.check import Finding, Side
from backfill.keyframes.known import offsets, remember
from backfill.keyframes.match import Matched
from backfill.keyframes.measure import measure, shared_cameras, together
from backfill.peer import FolderPeer
from backfill.survey import Question
from recorder_sync.app import App, opened
from recorder_sync.cli.output import complaints, print_document, results
from recorder_sync.cli.scanning import scan_with_progress, worst
from schema.documents import CameraClockDocument, ClockDocument, ServerClockDocument
from schema.errors import EXIT_DONE, EXIT_FOUND
from schema.moments import human_duration, iso
from schema.spans import SECOND


def run(
    config: Path, *, since: str | None, until: str | None, cameras: list[str], scan_first: bool, as_json: bool
) -> int:
    """Measure, remember and show; returns the exit code."""
    with opened(config) as app:
        scanned = scan_with_progress(app) if scan_first else []
        question = app.question(since=since, until=until, cameras=cameras)
        findings = _findings(app, question)
        first, *others = app.site.servers
        for other in others:
            mine = [one for one in findings if one.theirs == other]
            if any(isinstance(one.result, Matched) for one in mine):
                # None forgets what was known: cameras that exclude each other speak for a zone or a clock set wrong.
                remember(app.ledger, first, other, together(mine), question.now)
        known = offsets(app.ledger, app.site, question.now)
        limit = app.settings.service.offset
        if as_json:
            print_document(_document(question, first, others, findings, known, limit))
        else:
            _show(first, others, findings, known, limit)
        return worst(app, scanned) or (EXIT_FOUND if any(one.above(limit) for one in known.values()) else EXIT_DONE)


def _findings(app: App, question: Question) -> list[Finding]:
    """Return what each camera says of the first server's clock against each other's."""
    found = app.survey(question)
    first, *others = app.site.servers
    peers = app.peers(first) | {first: FolderPeer(first, app.site, app.ledger)}
    sides = {
        name: Side(peer=peer, storages=[one for one in app.site.of(name) if one.origin is None])
        for name, peer in peers.items()
    }
    columns = (SpinnerColumn(), TextColumn("comparing pictures of {task.description}", markup=False))
    findings = []
    with Progress(*columns, TimeElapsedColumn(), console=complaints(), transient=True) as bars:
        task = bars.add_task("", total=None)
        for other in (name for name in others if name in sides):
            for camera in shared_cameras(found, first, other):
                bars.update(task, description=camera)
                findings.append(measure(found, sides, camera, first, other))
    return findings


def _show(first: str, others: list[str], findings: list[Finding], known: dict[str, Offset], limit: int) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for word in ("camera", "peer"):
        table.add_column(word)
    for word in ("offset", "pictures", "both hold"):
        table.add_column(word, justify="right")
    table.add_column("why not, or what was left out")
    for one in findings:
        result = one.result
        if isinstance(result, Matched):
            said = f"{result.disputed} disagree" if result.disputed else ""
            offset = f"{_signed(result.offset)} ± {result.uncertainty / SECOND:.3f} s"
            table.add_row(one.camera, one.theirs, offset, str(result.matches), human_duration(result.overlap), said)
        else:
            table.add_row(one.camera, one.theirs, "-", "-", "-", result.sentence)
    console = results()
    console.print(table if findings else Text("no camera was recorded by both servers"))
    for other in others:
        console.print(_sentence(first, other, known.get(other), limit))
    for problem in (problem for one in findings for problem in one.problems):
        console.print(Text(f"note: {problem}", style="yellow"))


def _sentence(first: str, other: str, offset: Offset | None, limit: int) -> Text:
    """Return what counts between two servers, in words."""
    if offset is None:
        return Text(f"{other}: of its clock against {first}'s nothing is known that all cameras allow", style="yellow")
    way = "behind" if offset.us <= -500 else "ahead of"
    said = (
        f"{other}: its clock is {abs(offset.us) / SECOND:.3f} s {way} {first}'s,"
        f" give or take {offset.uncertainty / SECOND:.3f} s (by {offset.basis})"
    )
    if offset.above(limit):
        return Text(f"{said}; above the limit of {limit / SECOND:g} s, so filling waits for you", style="bold red")
    said += "" if offset.applied else "; they may well agree, so nothing is moved"
    return Text(f"{said}; {offset.note}" if offset.note else said, style="yellow" if offset.note else "")


def _signed(us: int) -> str:
    return f"{round(us / 1000) / 1000:+.3f}"


def _document(
    question: Question, first: str, others: list[str], findings: list[Finding], known: dict[str, Offset], limit: int
) -> ClockDocument:
    return ClockDocument(
        generated=iso(question.now),
        limit_seconds=limit / SECOND,
        servers=[_server(first, other, known.get(other), limit) for other in others],
        cameras=[_camera(one) for one in findings],
    )


def _server(first: str, other: str, offset: Offset | None, limit: int) -> ServerClockDocument:
    return ServerClockDocument(
        server=first,
        peer=other,
        offset_seconds=None if offset is None else offset.us / SECOND,
        uncertainty_seconds=None if offset is None else offset.uncertainty / SECOND,
        basis=None if offset is None else str(offset.basis),
        above_limit=offset is not None and offset.above(limit),
        note="" if offset is None else offset.note,
    )


def _camera(one: Finding) -> CameraClockDocument:
    result = one.result if isinstance(one.result, Matched) else None
    return CameraClockDocument(
        camera=one.camera,
        server=one.ours,
        peer=one.theirs,
        start=iso(one.window.start),
        end=iso(one.window.end),
        offset_seconds=None if result is None else result.offset / SECOND,
        uncertainty_seconds=None if result is None else result.uncertainty / SECOND,
        matches=0 if result is None else result.matches,
        disputed=0 if result is None else result.disputed,
        overlap_seconds=None if result is None else result.overlap / SECOND,
        reason="" if isinstance(one.result, Matched) else one.result.sentence,
        read=one.read,
        problems=list(one.problems),
    )
