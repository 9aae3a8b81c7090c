"""`recorder-sync status`: where things stand, from the ledger and from the service that runs here.

Rule: nothing is scanned and nobody but the service of this host is asked, so that it is instant and harmless.
"""

import os
from pathlib import Path

from backfill.oddities import unreadable
from backfill.report.documents import outage_document, total_document
from backfill.report.timeline import Timeline
from backfill.report.views import Signs
from backfill.storage import Storage
from backfill.survey import Survey
from recorder_sync.app import App, now, opened
from recorder_sync.cli.alarms import raised_document
from recorder_sync.cli.asking import live_document
from recorder_sync.cli.gaps import timelines_of
from recorder_sync.cli.output import PAGE_WIDTH, print_document, results, signs, write_page
from recorder_sync.cli.status_view import view
from recorder_sync.servers import servers_of
from recorder_sync.standing import HERE, STOPPED
from schema.documents import CameraDocument, FillRecordDocument, LiveDocument, StatusDocument, StorageDocument
from schema.errors import EXIT_DONE, EXIT_FOUND
from schema.moments import iso
from schema.spans import SECOND
from schema.values import OddKind, State

ALARMS = 5
"""How many of the latest are shown; `recorder-sync alarms` shows more."""


def run(config: Path, *, pages: list[Path], as_json: bool) -> int:
    """Show the status; returns the exit code."""
    with opened(config) as app:
        live, problem = live_document(app.settings)
        found = app.survey(app.question())
        lines = timelines_of(found)
        document = document_of(app, found, lines, live, problem)
        if as_json:
            print_document(document)
        else:
            console = results()
            console.print(view(document, lines, console.width, signs(console)))
        for page in pages:
            write_page(page, "recorder-sync status", view(document, lines, PAGE_WIDTH, Signs()))
        return exit_code(document, silent=bool(app.silent(found)))


def exit_code(document: StatusDocument, *, silent: bool) -> int:
    """Return 1 if anything is open, away or silent. `silent`: a server records nothing any more."""
    open_ = any(one.fillable or one.lost or one.refused for one in document.cameras)
    away = any(one.state.startswith("away") for one in document.storages)
    for one in document.servers:
        away |= one.state not in HERE and (not one.here or one.state != STOPPED)
    silent |= any(one.silent for one in document.servers)
    return EXIT_FOUND if open_ or away or silent else EXIT_DONE


def document_of(
    app: App, found: Survey, lines: list[Timeline], live: LiveDocument | None, problem: str
) -> StatusDocument:
    """Return the document of a survey. `problem`: why the service said nothing."""
    site = app.site
    with app.ledger.reading() as connection:
        fills = app.ledger.history.last_fills(connection, site.servers)
        refusals = app.ledger.history.refusal_count(connection, site.servers)
        alarms = app.ledger.outbox.recent(connection, ALARMS, site.servers)
        paused = app.ledger.contacts.paused(connection, site.local)
    known = servers_of(app.ledger, site, found, lines, live)
    return StatusDocument(
        generated=iso(found.question.now),
        ledger=app.ledger.address,
        storages=[_storage(app, storage) for server in site.servers for storage in site.of(server)],
        cameras=[_camera(found, line, known.recording.get(line.server, {}).get(line.camera)) for line in lines],
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
        servers=known.servers,
        service=live,
        service_problem=problem,
        paused=paused,
        alarms=[raised_document(one) for one in alarms],
    )


def _storage(app: App, storage: Storage) -> StorageDocument:
    with app.ledger.reading() as connection:
        counts = app.ledger.segments.count(connection, storage.id)
    scanned = app.ledger.storage_note(storage.id)[2]
    odd = app.odd(storage)
    number, size = counts.get(State.SEALED, (0, 0))
    free, state = (None, f"at {storage.server}") if storage.remote else _free(storage)
    return StorageDocument(
        server=storage.server,
        storage=storage.name,
        root=storage.root,
        layout=storage.layout.traits.name,
        state=state,
        segments=number,
        size=size,
        quarantined=counts.get(State.QUARANTINED, (0, 0))[0],
        open=counts.get(State.OPEN, (0, 0))[0],
        free=free,
        unreadable=unreadable(odd),
        unrecognised=odd[OddKind.UNRECOGNISED].number if OddKind.UNRECOGNISED in odd else 0,
        age_seconds=(now() - scanned) / SECOND if scanned else None,
    )


def _free(storage: Storage) -> tuple[int | None, str]:
    """Return the free space of a storage that is a folder here, and whether it is there."""
    try:
        info = os.statvfs(storage.root)
    except OSError as error:
        return None, "not used yet" if storage.origin else f"away: {error.strerror}"
    return info.f_bavail * info.f_frsize, "present"


def _camera(found: Survey, line: Timeline, recording: bool | None) -> CameraDocument:
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
        recording=recording,
    )
