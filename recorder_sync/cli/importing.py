"""`recorder-sync import`: move what was filled into the recorder's own storage, while its service is stopped.

Rule: shows first, asks, then acts; what can go in is decided in `backfill.importing`, how in `recorder_sync.importing`.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from backfill.gate import Gate
from backfill.importing.choose import Choice, Left, Move
from backfill.importing.find import find
from recorder_sync.app import App, now, opened
from recorder_sync.cli import importing_view as view
from recorder_sync.cli.agreeing import agreed
from recorder_sync.cli.output import complaints, print_document, results
from recorder_sync.cli.scanning import scan_with_progress, worst
from recorder_sync.cli.stopping import stopping
from recorder_sync.identity.drivers import driver
from recorder_sync.identity.place import Place
from recorder_sync.importing.importer import Importer, Outcome
from recorder_sync.importing.journal import Entry, check_ended, standing
from recorder_sync.linking import clients, trust_of
from schema.errors import EXIT_DONE, EXIT_FOUND, ImportNotMade, Interrupted, UsageInvalid
from schema.moments import clock, human_size
from schema.settings import Settings
from schema.spans import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the operator asked for."""

    since: str | None
    until: str | None
    cameras: Sequence[str]
    undo: bool
    dry_run: bool
    yes: bool
    scan_first: bool


def run(config: Path, asked: Asked, *, as_json: bool) -> int:
    """Do what was asked; returns the exit code."""
    chosen = bool(asked.since or asked.until or asked.cameras)
    if asked.undo and chosen:
        raise UsageInvalid("--undo", "an import is taken back whole: leave --since, --until and --camera out")
    with opened(config) as app:
        server = _server(app.settings)
        entry = standing(Place(app.settings.identity.folder), server)
        if asked.undo:
            return _undo(app, server, entry, asked, as_json)
        check_ended(entry)
        return _import(app, server, asked, as_json)


@contextmanager
def _importer(app: App, server: str) -> Iterator[Importer]:
    """Give what imports and takes back. Raises ServiceManagerMissing."""
    rules = app.settings.identity
    reached = clients(app.settings, trust_of(app.settings), rules.probe)
    try:
        yield Importer(app, server, driver(rules), reached, now, said=_say)
    finally:
        for client in reached:
            client.close()


def _say(what: str) -> None:
    complaints().print(f"{clock(now())}  {what}", soft_wrap=True)


def _server(settings: Settings) -> str:
    """Return whose recorder is stopped. Raises UsageInvalid."""
    if settings.identity.server is not None:
        return settings.identity.server
    names = [server.name for server in settings.servers]
    if len(names) > 1:
        raise UsageInvalid("import", f"identity.server must say which recorder is stopped: {' or '.join(names)}")
    return names[0]


def _import(app: App, server: str, asked: Asked, as_json: bool) -> int:
    scanned = scan_with_progress(app) if asked.scan_first else []
    question = app.question(since=asked.since, until=asked.until, cameras=asked.cameras)
    window = None
    if question.since is not None or question.until is not None:
        window = Span(question.since or 0, question.until or question.now)
    choice = find(app.ledger, app.site, server, now(), window=window, cameras=frozenset(question.cameras))
    if not as_json:
        _show_choice(choice)
    if asked.dry_run or not choice.moves:
        _ended(server, "planned" if choice.moves else "nothing", choice, as_json)
        return worst(app, scanned) or (EXIT_FOUND if choice.left else EXIT_DONE)
    steps = [
        f"read {len(choice.moves):,} recordings of {server} anew, {human_size(view.size(choice.moves))}",
        f"stop the service {app.settings.identity.service!r}: nothing is recorded here until it is started again",
        f"move them into {', '.join(_roots(app, server, choice.moves))}",
        "set the recorder's own index aside, so that it makes a new one",
        "start the service again, if it runs now",
    ]
    if not agreed(steps, "import", yes=asked.yes):
        _ended(server, "planned", choice, as_json)
        return EXIT_FOUND
    gate = Gate(app.settings.scan.rate)
    try:
        with _importer(app, server) as importer, stopping(gate), _Bar(len(choice.moves)) as bar:
            outcome = importer.run(choice, gate, bar.read)
    except Interrupted:
        complaints().print("nothing was imported, and the service is as it was before", soft_wrap=True)
        raise
    _done(server, "imported", outcome, as_json)
    return EXIT_FOUND if outcome.left or outcome.kept_stopped else EXIT_DONE


def _undo(app: App, server: str, entry: Entry | None, asked: Asked, as_json: bool) -> int:
    if entry is None:
        raise ImportNotMade(server)
    moves = entry.moves
    if not as_json:
        results().print(f"the import of {clock(entry.began)} into the storage of {server}:", soft_wrap=True)
        results().print(view.moves_grid(moves, "To take back"))
    if asked.dry_run:
        _ended(server, "planned", Choice(moves=list(moves)), as_json)
        return EXIT_DONE
    steps = [
        f"stop the service {app.settings.identity.service!r}: nothing is recorded here until it is started again",
        f"move {len(moves):,} recordings back beside {', '.join(_roots(app, server, moves))}",
        "start the service again, if it runs now or was stopped by the import",
    ]
    if not agreed(steps, "import --undo", yes=asked.yes):
        _ended(server, "planned", Choice(moves=list(moves)), as_json)
        return EXIT_FOUND
    with _importer(app, server) as importer, stopping(Gate()):  # nobody asks it: this is short, and is to end
        outcome = importer.undo(entry.began)
    _done(server, "returned", outcome, as_json)
    return EXIT_FOUND if outcome.stayed or outcome.kept_stopped else EXIT_DONE


class _Bar:
    """Progress of reading anew, on stderr."""

    def __init__(self, count: int) -> None:
        console = complaints()
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._count = count
        self._task = self._bars.add_task("reading", total=count)

    def __enter__(self) -> "_Bar":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def read(self, move: Move, count: int) -> None:
        """Take in that one more was read."""
        self._bars.update(self._task, completed=count, description=f"reading {move.segment.camera}")
        if count == self._count:
            self._bars.stop()  # what is said from here on has lines of its own


def _roots(app: App, server: str, moves: Iterable[Move]) -> list[str]:
    names = {move.storage for move in moves}
    return [one.root for one in app.site.storages if one.server == server and one.name in names]


def _show_choice(choice: Choice) -> None:
    if choice.moves:
        results().print(view.moves_grid(choice.moves))
    if choice.left:
        results().print(view.left_grid(choice.left))
    if not choice.moves and not choice.left:
        results().print("Nothing was filled beside the recorder's storage that is not in it already.")


def _ended(server: str, state: str, choice: Choice, as_json: bool) -> None:
    """End without having changed anything."""
    if as_json:
        print_document(view.document(server, state, now(), choice.moves, choice.left))


def _done(server: str, state: str, outcome: Outcome, as_json: bool) -> None:
    stayed = [Left(segment=one.move.segment, side=one.move.side, why=one.why) for one in outcome.stayed]
    left = [*outcome.left, *stayed]
    imported = state == "imported"
    if as_json:
        print_document(view.document(server, state, now(), outcome.moved, left, outcome))
        return
    console = results()
    if left:
        console.print(view.left_grid(left))
    what = "imported into" if imported else "taken out of"
    console.print(
        f"{len(outcome.moved):,} recordings were {what} the storage of {server}; its service is {outcome.service}",
        soft_wrap=True,
    )
    if imported and outcome.moved:
        console.print(view.told(outcome), soft_wrap=True)
    for one in outcome.aside:
        console.print(f"its index files as they were: {one.place}", soft_wrap=True)
    for note in outcome.notes:
        console.print(f"note: {note}", soft_wrap=True)
