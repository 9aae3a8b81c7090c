"""`recorder-sync status`: where things stand, from the ledger alone."""

import os
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from backfill.oddities import unreadable
from backfill.report import views
from backfill.report.documents import outage_document, total_document
from backfill.report.grid import Grid, Kind
from backfill.report.timeline import Timeline
from backfill.report.views import Signs
from backfill.storage import Storage
from backfill.survey import Survey
from recorder_sync.app import App, now, opened
from recorder_sync.cli.gaps import timelines_of
from recorder_sync.cli.output import PAGE_WIDTH, print_document, results, signs, write_page
from schema.documents import CameraDocument, FillRecordDocument, StatusDocument, StorageDocument
from schema.errors import EXIT_DONE, EXIT_FOUND
from schema.moments import clock, human_duration, human_size, iso
from schema.spans import SECOND
from schema.values import OddKind, State


def run(config: Path, *, pages: list[Path], as_json: bool) -> int:
    """Show the status; returns the exit code."""
    with opened(config) as app:
        found = app.survey(app.question())
        lines = timelines_of(found)
        document = _document(app, found, lines)
        if as_json:
            print_document(document)
        else:
            console = results()
            console.print(_view(document, lines, console.width, signs(console)))
        for page in pages:
            write_page(page, "recorder-sync status", _view(document, lines, PAGE_WIDTH, Signs()))
        troubled = any(one.fillable or one.lost or one.refused for one in document.cameras)
        away = any(one.state != "present" for one in document.storages)
        return EXIT_FOUND if troubled or away or app.silent(found) else EXIT_DONE


def _document(app: App, found: Survey, lines: list[Timeline]) -> StatusDocument:
    with app.ledger.reading() as connection:
        fills = app.ledger.history.last_fills(connection, app.site.servers)
        refusals = app.ledger.history.refusal_count(connection, app.site.servers)
    return StatusDocument(
        generated=iso(found.question.now),
        ledger=app.ledger.address,
        storages=[_storage(app, storage) for server in app.site.servers for storage in app.site.of(server)],
        cameras=[_camera(found, line) for line in lines],
        fills=[
            FillRecordDocument(
                server=one.server,
                started=iso(one.started),
                ended=None if one.ended is None else iso(one.ended),
                landed=one.landed,
                sent=one.size,
                stopped=one.stopped,
            )
            for one in fills
        ],
        outages=[outage_document(one) for one in found.outages],
        refusals=refusals,
        notes=[*([] if lines else [app.nothing(found)]), *app.notes(found)],
    )


def _storage(app: App, storage: Storage) -> StorageDocument:
    with app.ledger.reading() as connection:
        counts = app.ledger.segments.count(connection, storage.id)
    scanned = app.ledger.storage_note(storage.id)[2]
    odd = app.odd(storage)
    number, size = counts.get(State.SEALED, (0, 0))
    try:
        info = os.statvfs(storage.root)
        free, state = info.f_bavail * info.f_frsize, "present"
    except OSError as error:
        free, state = None, f"away: {error.strerror}"
    return StorageDocument(
        server=storage.server,
        storage=storage.name,
        root=storage.root,
        layout=storage.layout.traits.name,
        state="not used yet" if storage.origin and free is None else state,
        segments=number,
        size=size,
        quarantined=counts.get(State.QUARANTINED, (0, 0))[0],
        open=counts.get(State.OPEN, (0, 0))[0],
        free=free,
        unreadable=unreadable(odd),
        unrecognised=odd[OddKind.UNRECOGNISED].number if OddKind.UNRECOGNISED in odd else 0,
        age_seconds=(now() - scanned) / SECOND if scanned else None,
    )


def _camera(found: Survey, line: Timeline) -> CameraDocument:
    own = found.coverage[line.camera][line.server].own
    newest = own[-1].end if own else None
    amounts = total_document(line)
    return CameraDocument(
        server=line.server,
        camera=line.camera,
        newest=None if newest is None else iso(newest),
        silent_seconds=None if newest is None else max(0.0, (found.question.now - newest) / SECOND),
        own=amounts.own,
        filled=amounts.filled,
        fillable=amounts.fillable,
        lost=amounts.lost,
        refused=amounts.refused,
    )


def _view(document: StatusDocument, lines: list[Timeline], width: int, shown: Signs) -> RenderableType:
    parts: list[RenderableType] = [_storages(document)]
    if lines:
        parts += [Text(), views.timelines(lines, width, shown), Text(), _cameras(document)]
    parts.append(Text())
    parts += [Text(sentence) for sentence in _fills(document)]
    if document.refusals:
        one = views.number(document.refusals, "segment")
        parts.append(Text(f"{one} could not be brought over; 'recorder-sync gaps' says why", style="magenta"))
    parts += [Text(f"note: {note}", style="yellow") for note in document.notes]
    return Group(*parts)


def _storages(document: StatusDocument) -> Grid:
    words = ("segments", "size", "odd", "free", "scanned")
    table = Grid(
        [
            ("storage", Kind.NAME),
            ("layout", Kind.PLAIN),
            ("state", Kind.PLAIN),
            *((word, Kind.AMOUNT) for word in words),
        ]
    )
    for one in document.storages:
        scanned = "never" if one.age_seconds is None else f"{human_duration(round(one.age_seconds * SECOND))} ago"
        table.add(
            f"{one.server}/{one.storage}",
            one.layout,
            Text(one.state, style="" if one.state == "present" else "red"),
            f"{one.segments:,}",
            human_size(one.size),
            f"{one.quarantined:,}" if one.quarantined else "-",
            "-" if one.free is None else human_size(one.free),
            scanned,
        )
    return table


def _cameras(document: StatusDocument) -> Grid:
    words = ("newest own", "fillable", "lost", "refused", "filled")
    table = Grid([("camera", Kind.NAME), ("server", Kind.NAME), *((word, Kind.AMOUNT) for word in words)])
    for one in document.cameras:
        age = "-" if one.silent_seconds is None else f"{human_duration(round(one.silent_seconds * SECOND))} ago"
        amounts = (one.fillable, one.lost, one.refused, one.filled)
        shown = [human_duration(round(amount * SECOND)) if amount else "-" for amount in amounts]
        table.add(one.camera, one.server, age, *shown)
    return table


def _fills(document: StatusDocument) -> list[str]:
    said = []
    later: set[str] = set()
    for one in document.fills:
        when = clock_of(one.started)
        if one.ended is not None:
            end = f"{views.number(one.landed, 'segment')}, {human_size(one.sent)}"
        else:  # two fills of one server exclude each other
            end = "was killed" if one.server in later else "was killed or is running"
        later.add(one.server)
        said.append(f"fill of {one.server} at {when}: {end}{'; ' + one.stopped if one.stopped else ''}")
    return said


def clock_of(moment: str) -> str:
    """Return a document's time as tables show it."""
    from schema.moments import parse_moment

    return clock(parse_moment(moment, 0))
