"""From values to the documents that `--json` prints.

Rule: pure; the same values give the same document, in the same order.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from backfill.oddities import sentences, unreadable
from backfill.report.timeline import Cell, Timeline
from backfill.scanned import ScanReport
from backfill.survey import Survey
from schema.documents import (
    CoverageDocument,
    FillDocument,
    GapDocument,
    GapsDocument,
    OutageDocument,
    RefusalDocument,
    ScanDocument,
    SpanDocument,
    TaskDocument,
    TotalDocument,
)
from schema.moments import iso
from schema.spans import SECOND, clip
from schema.values import FillResult, Gap, Oddities, OddKind, Outage, Plan, Refused, Task


def encode(document: msgspec.Struct, *, indented: bool) -> str:
    """Return a document as JSON, on one line unless it is `indented`."""
    text = msgspec.json.encode(document)
    return (msgspec.json.format(text, indent=2) if indented else text).decode()


def outage_document(outage: Outage) -> OutageDocument:
    """Return the document of an outage."""
    return OutageDocument(
        server=outage.server,
        camera=outage.camera,
        start=iso(outage.span.start),
        end=iso(outage.span.end) if outage.over else None,
        seconds=outage.span.seconds,
        cause=str(outage.cause),
        evidence=outage.evidence,
    )


def gap_document(gap: Gap) -> GapDocument:
    """Return the document of a gap."""
    return GapDocument(
        server=gap.server,
        camera=gap.camera,
        start=iso(gap.span.start),
        end=iso(gap.span.end),
        seconds=gap.span.seconds,
        state=gap.state.value,
        reason=gap.reason,
        outage=None if gap.outage is None else outage_document(gap.outage),
        peer=gap.peer,
    )


def refusal_document(refused: Refused) -> RefusalDocument:
    """Return the document of a refusal."""
    return RefusalDocument(
        server=refused.server,
        camera=refused.camera,
        start=iso(refused.span.start),
        end=iso(refused.span.end),
        seconds=refused.span.seconds,
        peer=refused.peer,
        path=refused.path,
        why=refused.why.name.lower().replace("_", "-"),
        reason=refused.sentence,
        size=refused.size,
    )


def total_document(line: Timeline) -> TotalDocument:
    """Return the totals of a time line."""
    return TotalDocument(
        server=line.server,
        camera=line.camera,
        own=line.seconds(Cell.OWN),
        filled=line.seconds(Cell.FILLED),
        fillable=line.seconds(Cell.FILLABLE),
        lost=line.seconds(Cell.LOST),
        refused=line.seconds(Cell.REFUSED),
        held_twice=line.seconds(Cell.HELD_TWICE),
    )


def gaps_document(
    found: Survey, lines: Iterable[Timeline], refusals: Iterable[Refused], notes: Sequence[str] = ()
) -> GapsDocument:
    """Return the document of `gaps`."""
    return GapsDocument(
        generated=iso(found.question.now),
        start=iso(found.window.start),
        end=iso(found.window.end),
        gaps=[gap_document(gap) for gap in found.gaps],
        outages=[outage_document(outage) for outage in found.outages],
        refusals=[refusal_document(refused) for refused in refusals],
        totals=[total_document(line) for line in lines],
        notes=list(notes),
    )


def coverage_document(found: Survey) -> CoverageDocument:
    """Return the document of `coverage`."""
    spans = [
        SpanDocument(
            server=server,
            camera=camera,
            start=iso(span.start),
            end=iso(span.end),
            seconds=span.seconds,
            origin=origin,
        )
        for camera, by_server in found.coverage.items()
        for server, one in by_server.items()
        for origin, covered in (("own", one.own), *one.filled.items())
        for span in clip(covered, found.window)
    ]
    return CoverageDocument(
        generated=iso(found.question.now), start=iso(found.window.start), end=iso(found.window.end), spans=spans
    )


def scan_document(report: ScanReport, odd: Mapping[OddKind, Oddities], digested: int = 0) -> ScanDocument:
    """Return the document of one storage's scan. `odd` is all that is known, not only what this scan listed."""
    foreign = odd.get(OddKind.UNRECOGNISED)
    return ScanDocument(
        storage=report.storage,
        folders=report.folders,
        listed=report.listed,
        added=report.added,
        changed=report.changed,
        open=report.still_open,
        moved=report.moved,
        deleted=report.deleted,
        retired=report.retired,
        repaired=report.repaired,
        digested=digested,
        quarantined=[{"path": path, "reason": reason} for path, reason in report.quarantined],
        skipped=dict(report.skipped),
        notes=[*report.notes, *sentences(report.storage, odd)],
        unreadable=unreadable(odd),
        unrecognised=foreign.number if foreign else 0,
        seconds=round(report.seconds, 3),
    )


def task_document(task: Task) -> TaskDocument:
    """Return the document of a planned segment."""
    return TaskDocument(
        server=task.server,
        camera=task.source.camera,
        start=iso(task.source.start),
        end=iso(task.source.end),
        seconds=task.source.span.seconds,
        peer=task.peer,
        source=task.source.path,
        path=task.path,
        size=task.source.size,
    )


def plan_document(server: str, plan: Plan) -> FillDocument:
    """Return the document of a dry run."""
    return FillDocument(
        server=server,
        dry_run=True,
        segments=[task_document(task) for task in plan.tasks],
        refusals=[refusal_document(refused) for refused in plan.refused],
        size=plan.size,
        sent=0,
        filled_seconds=sum(task.new for task in plan.tasks) / SECOND,
        held_twice_seconds=plan.held_twice / SECOND,
        seconds=0.0,
        stopped="",
        notes=[],
    )


def fill_document(server: str, result: FillResult) -> FillDocument:
    """Return the document of a fill."""
    segments = [
        msgspec.structs.replace(
            task_document(one.task), path=one.path, digest=one.digest.hex(), sent=one.sent, renamed=one.renamed
        )
        for one in result.landed
    ]
    new = sum(one.task.new for one in result.landed)
    return FillDocument(
        server=server,
        dry_run=False,
        segments=segments,
        refusals=[refusal_document(refused) for refused in result.refused],
        size=sum(one.size for one in result.landed),
        sent=result.sent,
        filled_seconds=new / SECOND,
        held_twice_seconds=(sum(one.task.source.span.length for one in result.landed) - new) / SECOND,
        seconds=round(result.seconds, 3),
        stopped=result.stopped,
        notes=list(result.notes),
    )
