"""The tables that a run prints. Rule: pure; everything comes from the document."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from benchmarks.document import Case, Document, Row


def views(document: Document) -> Iterator[RenderableType]:
    """Yield what to print, in order."""
    if document.quick:
        yield Text("Small sizes: this shows that the benchmarks run; the figures mean nothing.", style="bold")
    yield _machine(document)
    for case in document.cases:
        yield ""
        yield _case(case)
        for row in case.rows:
            if row.note:
                yield Text(f"{row.who}: {row.note}")
        for note in case.notes:
            yield Text(note)
    if document.figures:
        yield ""
        yield _figures(document)
    if document.absent:
        yield ""
        for sentence in document.absent:
            yield Text(f"not measured: {sentence}", style="yellow")
    if not document.quick:
        yield ""
        yield _targets(document)
    proof = "every fill was compared bit by bit with its source, and is the same"
    yield Text(
        proof if document.verified else "A FILL IS NOT WHAT ITS SOURCE IS", style="" if document.verified else "red"
    )


def _machine(document: Document) -> Text:
    machine = document.machine
    tools = ", ".join(f"{tool} {version}" for tool, version in machine.tools.items())
    return Text(
        f"recorder-sync {document.version}, {document.command}, {document.started}, {document.seconds:.0f} s\n"
        f"{machine.system}, {machine.kernel}, {machine.processor}, {machine.cores} cores,"
        f" {machine.memory_mib / 1024:.0f} GiB, load before {machine.load_before},"
        f" a million additions in Python {machine.python_ms:.0f} ms\n"
        f"{machine.file_system} ({machine.mount_options}), Python {machine.python}, SQLite {machine.sqlite},"
        f" xxhash {machine.xxhash}, {tools}"
    )


def _case(case: Case) -> Table:
    about = any(row.resent is not None for row in case.rows)
    table = Table(title=f"{case.name}: {case.title} (median of {case.rounds})", title_justify="left")
    table.add_column("who", no_wrap=True)
    for column in ("as called s", "durable s", "MB/s", "to ours", "cpu s", "peak MiB"):
        table.add_column(column, justify="right")
    if about:
        table.add_column("moved again MiB", justify="right")
    table.add_column("syncs")
    table.add_column("verifies")
    for row in case.rows:
        table.add_row(*_cells(row, about=about))
    return table


def _cells(row: Row, *, about: bool) -> list[str]:
    cells = [
        row.who if row.complete else f"{row.who} (INCOMPLETE)",
        f"{row.seconds:.3f}",
        f"{row.durable:.3f}",
        f"{row.rate:,.0f}",
        "" if row.ratio is None else f"{row.ratio:.2f} x",
        f"{row.cpu:.1f}",
        f"{row.peak_mib:.0f}" if row.peak_mib else "?",
    ]
    if about:
        cells.append("?" if row.resent is None else f"{max(0, row.resent) / 2**20:,.1f}")
    return [*cells, "yes" if row.syncs else "no", row.verifies]


def _figures(document: Document) -> Table:
    table = Table(title="figures", title_justify="left")
    table.add_column("what")
    table.add_column("measured", justify="right", no_wrap=True)
    for figure in document.figures:
        value = f"{figure.value:,.0f}" if figure.value >= 100 else f"{figure.value:.3f}"
        table.add_row(figure.title, f"{value} {figure.unit}".rstrip())
    return table


def _targets(document: Document) -> Table:
    table = Table(title="targets", title_justify="left")
    table.add_column("target")
    table.add_column("wanted", justify="right", no_wrap=True)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("")
    for target in document.targets:
        verdict = Text("met", style="green") if target.met else Text("MISSED", style="bold red")
        table.add_row(target.title, target.wanted, target.measured, verdict)
    return table
