"""`recorder-sync status --watch`: the status again and again, until Ctrl-C.

Rule: in a terminal a screen that is drawn anew each second; elsewhere one plain block for each change, so that a log of
it can be read. The service is asked every second, the ledger more seldom the more there is in it.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from backfill.report.timeline import Timeline
from backfill.site import build_site
from recorder_sync.app import App, now, opened
from recorder_sync.cli import status
from recorder_sync.cli.asking import live_document
from recorder_sync.cli.gaps import timelines_of
from recorder_sync.cli.output import print_document, print_error, results, signs
from recorder_sync.cli.status_view import view
from schema.documents import LiveDocument, StatusDocument
from schema.errors import EXIT_DONE, OperatorError
from schema.moments import iso

_EVERY = 1.0
_LEDGER_LEAST = 5.0
_SHARE = 20
"""At most one part in so many of the time is spent on reading the ledger."""

Taken = tuple[StatusDocument, list[Timeline]]


def run(config: Path, *, as_json: bool, sleep: Callable[[float], None] = time.sleep) -> int:
    """Watch until Ctrl-C; returns the exit code."""
    with opened(config) as app:
        try:
            console = results()
            if console.is_terminal and not as_json:
                _draw(console, _each_second(app, sleep))
            else:
                _print_changes(console, _each_second(app, sleep), as_json=as_json)
        except KeyboardInterrupt:
            pass
    return EXIT_DONE


def _each_second(app: App, sleep: Callable[[float], None]) -> Iterator[Taken | OperatorError]:
    """Yield the status every second; the error that keeps it from being read, while one does."""
    current: Taken | None = None
    fills: object = None
    due = 0.0
    while True:
        began = time.monotonic()
        live, problem = live_document(app.settings)
        try:
            if current is None or began >= due or _fill_of(live) != fills:
                app = replace(app, site=build_site(app.settings, app.ledger))
                found = app.survey(app.question())
                lines = timelines_of(found)
                current = status.document_of(app, found, lines, live, problem), lines
                fills = _fill_of(live)
                due = began + max(_LEDGER_LEAST, _SHARE * (time.monotonic() - began))
            else:
                current = _renewed(current[0], live, problem), current[1]
            yield current
        except OperatorError as error:
            current = None
            yield error
        sleep(max(0.0, _EVERY - (time.monotonic() - began)))


def _fill_of(live: LiveDocument | None) -> object:
    """Return what tells one fill from the next: when that changes, so does the ledger."""
    return None if live is None or live.fill is None else (live.fill.server, live.fill.segments)


def _renewed(document: StatusDocument, live: LiveDocument | None, problem: str) -> StatusDocument:
    """Return a status with what the service says now."""
    before = document.generated
    servers = [
        msgspec.structs.replace(one, last=iso(now())) if one.last == before and one.here else one
        for one in document.servers
    ]
    return msgspec.structs.replace(
        document, generated=iso(now()), service=live, service_problem=problem, servers=servers
    )


def _draw(console: Console, taken: Iterator[Taken | OperatorError]) -> None:
    """Draw on the whole screen; what was drawn last stays when it ends."""
    last: RenderableType = Text()
    try:
        with Live(console=console, screen=True, auto_refresh=False) as screen:
            for one in taken:
                last = _shown(console, one)
                screen.update(last, refresh=True)
    finally:
        console.print(last)


def _shown(console: Console, taken: Taken | OperatorError) -> RenderableType:
    if isinstance(taken, OperatorError):
        return Text(f"error: {taken}", style="bold red")
    return view(*taken, console.width, signs(console))


def _print_changes(console: Console, taken: Iterator[Taken | OperatorError], *, as_json: bool) -> None:
    """Print a block, or with JSON a document on one line, whenever something is another than before."""
    before: object = None
    for one in taken:
        what = str(one) if isinstance(one, OperatorError) else essence(one[0])
        if what == before:
            continue
        if isinstance(one, OperatorError):
            print_error(one)
        elif as_json:
            print_document(one[0])
            console.file.flush()
        else:
            if before is not None:
                console.print()
            console.print(Text(f"status at {one[0].generated[:19].replace('T', ' ')}Z"))
            console.print(_shown(console, one))
            console.file.flush()
        before = what


def essence(document: StatusDocument) -> object:
    """Return what a change of is news: not how old things are, nor how far a fill is."""
    live = document.service
    return (
        [
            (one.server, one.state, one.since, one.detail, tuple(one.silent), one.gaps, one.scanned_seconds is None)
            for one in document.servers
        ],
        [(one.server, one.storage, one.state) for one in document.storages],
        None if live is None else (live.paused, live.waiting, live.problem, _fill_of(live)),
        document.service_problem,
        document.paused,
        document.refusals,
        [(one.started, one.ended is None) for one in document.fills],
        [
            (one.alarm.key, [(sent.channel, sent.state, sent.error) for sent in one.deliveries])
            for one in document.alarms
        ],
    )
