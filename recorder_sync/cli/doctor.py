"""`recorder-sync doctor`: whether this host has what it needs, and what to do.

Rule: looks and changes nothing; what is wrong is said with what to do about it.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from backfill.report.grid import Grid, Kind
from recorder_sync.app import now, opened
from recorder_sync.cli.asking import live_document
from recorder_sync.cli.output import print_document, results
from recorder_sync.doctor.examine import examine
from recorder_sync.doctor.findings import Finding, Verdict, count
from schema.documents import DoctorDocument, FindingDocument
from schema.errors import EXIT_DONE, EXIT_FOUND
from schema.moments import iso

_STYLES = {Verdict.OK: "green", Verdict.UNKNOWN: "dim", Verdict.WARNING: "yellow", Verdict.PROBLEM: "bold red"}


def run(config: Path, *, as_json: bool) -> int:
    """Examine this host; returns the exit code: 1 if there is a problem."""
    with opened(config) as app:
        _, problem = live_document(app.settings)
        findings = list(examine(app, now=now, service_problem=problem, environment=os.environ))
    if as_json:
        print_document(document_of(findings, now()))
    else:
        results().print(view(findings))
    return EXIT_FOUND if count(findings, Verdict.PROBLEM) else EXIT_DONE


def document_of(findings: Sequence[Finding], at: int) -> DoctorDocument:
    """Return the document of an examination that was made `at`, microseconds UTC."""
    return DoctorDocument(
        generated=iso(at),
        findings=[
            FindingDocument(area=one.area, subject=one.subject, verdict=one.verdict.value, says=one.says, do=one.do)
            for one in findings
        ],
        problems=count(findings, Verdict.PROBLEM),
        warnings=count(findings, Verdict.WARNING),
        unknown=count(findings, Verdict.UNKNOWN),
    )


def view(findings: Sequence[Finding]) -> RenderableType:
    """Return the report: every finding, then what to do in order of need, then the sum in one sentence."""
    table = Grid([("", Kind.PLAIN), ("of", Kind.PLAIN), ("what", Kind.NAME), ("finding", Kind.TEXT)])
    for one in findings:
        table.add(Text(one.verdict.value, style=_STYLES[one.verdict]), one.area, one.subject, one.says)
    needed = [one for verdict in (Verdict.PROBLEM, Verdict.WARNING) for one in findings if one.verdict is verdict]
    needed += [one for one in findings if one.verdict is Verdict.UNKNOWN and one.do]
    steps = Grid([("", Kind.PLAIN), ("what", Kind.NAME), ("what to do", Kind.TEXT)])
    for one in needed:
        steps.add(Text(one.verdict.value, style=_STYLES[one.verdict]), f"{one.area} {one.subject}", one.do)
    below: list[RenderableType] = [Text(), steps] if needed else []
    return Group(table, *below, Text(), Text(sentence(findings)))


def sentence(findings: Sequence[Finding]) -> str:
    """Return the sum in words."""
    words = [
        f"{number:,} {name}{'s' if plural and number != 1 else ''}"
        for verdict, name, plural in (
            (Verdict.PROBLEM, "problem", True),
            (Verdict.WARNING, "warning", True),
            (Verdict.UNKNOWN, "unknown", False),
        )
        if (number := count(findings, verdict))
    ]
    return f"{len(findings):,} things were looked at: {', '.join(words) or 'all is well'}"
