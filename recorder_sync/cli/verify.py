"""`recorder-sync verify`: are the recordings still what they were; fetch damaged copies again; export digests."""

import re
from collections.abc import Iterator
from pathlib import Path

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from backfill.gate import Gate
from backfill.repair import Repair
from backfill.report.grid import Grid, Kind
from backfill.report.views import number
from backfill.scanned import ScanOptions
from backfill.storage import Storage
from backfill.verify import Damage, VerifyReport, export, from_scan, verify
from recorder_sync.app import App, now, opened
from recorder_sync.cli.agreeing import confirmed
from recorder_sync.cli.output import complaints, print_document, print_error, results, writing_to
from recorder_sync.cli.progress import FillProgress
from recorder_sync.cli.scanning import scan_with_progress, worst
from recorder_sync.cli.stopping import rate as checked_rate
from recorder_sync.cli.stopping import stopping
from schema.documents import DamageDocument, VerifyDocument
from schema.errors import EXIT_DONE, EXIT_FOUND, EXIT_INTERRUPTED, OperatorError, UsageInvalid
from schema.moments import human_duration, human_size, iso
from schema.spans import SECOND, Span
from schema.values import Segment

_ROWS = 40

_DIGESTS = re.compile(": [0-9a-f]{32} instead of [0-9a-f]{32}")
"""What a person cannot compare; `--json` has it."""


def run(
    config: Path,
    *,
    since: str | None,
    until: str | None,
    cameras: list[str],
    servers: list[str],
    rate: str | None,
    repair: bool,
    yes: bool,
    export_to: Path | None,
    as_json: bool,
) -> int:
    """Verify; returns the exit code."""
    with opened(config) as app:
        question = app.question(since=since, until=until, cameras=cameras, servers=servers)
        storages = [
            storage
            for server in servers or app.site.servers
            for storage in app.site.of(server)
            if Path(storage.root).is_dir() or storage.origin is None
        ]
        if export_to is not None:
            return _export(app, storages, export_to)
        scanned = scan_with_progress(app, ScanOptions(full=True))
        present = [storage for storage in storages if any(one.storage is storage and one.report for one in scanned)]
        window = None
        if question.since is not None or question.until is not None:
            window = Span(question.since or 0, question.until or question.now)
        gate = Gate(checked_rate("--rate", rate) if rate else app.settings.scan.rate)
        with stopping(gate):
            report = _read(app, present, gate, window, frozenset(cameras))
        for one in scanned:
            if one.report is not None and one.storage in present:
                report.damage += from_scan(one.storage, one.report)
        wanted = Repair(app.ledger, app.site, report.damage)
        if repair and not gate.stopped and _agreed(wanted, yes=yes, as_json=as_json):
            _repair(app, wanted, gate)
        if as_json:
            print_document(_document(report, wanted))
        else:
            _show(report, wanted)
        if gate.stopped:
            return EXIT_INTERRUPTED
        left = [one for one in report.damage if one.kind != "foreign" and one.copy not in wanted.repaired]
        return worst(app, scanned) or (EXIT_FOUND if left else EXIT_DONE)


def _read(app: App, storages: list[Storage], gate: Gate, window: Span | None, cameras: frozenset[str]) -> VerifyReport:
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    console = complaints()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("verifying", total=None)

        def tell(segment: Segment, so_far: VerifyReport) -> None:
            bars.update(
                task,
                description=f"verifying: {number(so_far.read, 'segment')}, {human_size(so_far.size)} read;"
                f" {len(so_far.damage)} damaged; {segment.camera}",
            )

        return verify(
            app.ledger,
            storages,
            chunk_size=app.settings.fill.chunk,
            gate=gate,
            window=window,
            cameras=cameras,
            progress=tell,
        )


def _agreed(wanted: Repair, *, yes: bool, as_json: bool) -> bool:
    """Tell whether there is something to repair, and the operator wants it."""
    if not wanted or yes:
        return bool(wanted)
    if as_json or not complaints().is_terminal:
        raise UsageInvalid("--repair", f"{len(wanted):,} copies would be fetched again; add --yes")
    return confirmed(f"Fetch {len(wanted):,} damaged copies again?")


def _repair(app: App, wanted: Repair, stop: Gate) -> None:
    """Fetch again what damaged copies were made from, and let the good copies take their places."""
    gate = Gate(app.settings.fill.bandwidth)
    for server, planned in wanted.plans().items():
        with stopping(gate), FillProgress() as progress:
            try:
                wanted.note(app.fill(planned, server, gate, progress, wanted.make_room))
            except OperatorError as error:
                print_error(error)  # one server's trouble must not keep the other's copies from being repaired
                wanted.failed(server, error)
        if gate.stopped:
            stop.stop()
            break
    for path, place in wanted.aside:
        complaints().print(f"set aside: {path} is now {place}", soft_wrap=True)


def _export(app: App, storages: list[Storage], folder: Path) -> int:
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
    missing_any = False
    for storage in storages:
        path = folder / f"{storage.server}-{storage.name}.xxh128"
        with writing_to(path):
            written, missing = export(app.ledger, storage, str(path))
        missing_any = missing_any or missing > 0
        rest = f"; without a digest: {number(missing, 'segment')}; 'recorder-sync verify' takes them" if missing else ""
        results().print(
            f"{number(written, 'digest')}: cd {storage.root} && xxhsum -c {path.absolute()}{rest}", soft_wrap=True
        )
    return EXIT_FOUND if missing_any else EXIT_DONE


def _document(report: VerifyReport, repair: Repair) -> VerifyDocument:
    return VerifyDocument(
        generated=iso(now()),
        read=report.read,
        size=report.size,
        first_digests=report.first_digests,
        without_digest=report.without_digest,
        damage=[_damage(one, repair) for one in report.damage],
        seconds=round(report.seconds, 3),
        stopped=report.stopped,
    )


def _damage(one: Damage, repair: Repair) -> DamageDocument:
    return DamageDocument(
        server=one.storage.server,
        storage=one.storage.name,
        camera=one.segment.camera if one.segment else None,
        path=one.path,
        kind=one.kind,
        detail=one.detail,
        origin=one.segment.origin if one.segment else None,
        chunks=list(one.chunks),
        repaired=one.copy in repair.repaired,
        not_repaired=repair.why_not.get(one.copy),
    )


def _show(report: VerifyReport, repair: Repair) -> None:
    console = results()
    console.print(
        f"{number(report.read, 'segment')} read, {human_size(report.size)} in"
        f" {human_duration(round(report.seconds * SECOND))}; {report.first_digests:,} got their first digest"
    )
    damaged = [one for one in report.damage if one.kind != "foreign"]
    if not damaged:
        console.print(Text("No damage found.", style="green"))
    if not report.damage:
        return
    table = Grid([("storage", Kind.NAME), ("what", Kind.PLAIN), ("path", Kind.TEXT), ("detail", Kind.TEXT)])
    for one in damaged[:_ROWS]:
        what = f"{one.kind}, repaired" if one.copy in repair.repaired else one.kind
        why_not = repair.why_not.get(one.copy)
        detail = f"{one.detail}; not repaired: {why_not}" if why_not else one.detail
        table.add(one.storage.title, what, one.path, _DIGESTS.sub("", detail))
    for title, path, number_of, why in _foreign(report.damage):
        table.add(title, "foreign", f"{path} and {number_of - 1:,} more" if number_of > 1 else path, why)
    console.print(table)
    if len(damaged) > _ROWS:
        console.print(f"... and {len(damaged) - _ROWS:,} more; --json lists all")
    if any(one.repairable and one.copy not in repair.repaired for one in report.damage):
        console.print("Damaged copies can be fetched again: recorder-sync verify --repair")


def _foreign(damage: list[Damage]) -> Iterator[tuple[str, str, int, str]]:
    """Yield what is no recording by storage and reason: the first path, and how many there are."""
    groups: dict[tuple[str, str], list[Damage]] = {}
    for one in damage:
        if one.kind == "foreign":
            groups.setdefault((one.storage.title, one.detail), []).append(one)
    for (title, why), here in groups.items():
        yield title, here[0].path, len(here), why
