"""The report as rich renderables: time lines, gaps, totals, outages, refusals.

Rule: gets values, returns renderables; readable at 80 columns and without colour, because every state has a sign of its
own. Golden tests hold the exact text.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Group, RenderableType
from rich.text import Text

from backfill.report.grid import Grid, Kind, fold
from backfill.report.refused import neighbours_merged, refusals
from backfill.report.timeline import Cell, Timeline, cells
from schema.moments import clock, human_duration, human_size
from schema.spans import SECOND, Span
from schema.values import Cause, FillResult, Gap, GapState, Outage, Plan


@dataclass(frozen=True, slots=True)
class Signs:
    """How a state is drawn: its sign, and its colour where there are colours."""

    own: str = "█"
    filled: str = "▓"
    held_twice: str = "▒"
    fillable: str = "○"
    refused: str = "!"
    lost: str = "\N{MULTIPLICATION SIGN}"
    nothing: str = "·"

    def of(self, cell: Cell) -> str:
        """Return the sign of a cell."""
        return str(getattr(self, cell.name.lower()))


PLAIN = Signs(own="#", filled="+", held_twice="=", fillable="o", refused="!", lost="x", nothing=".")
"""For terminals that cannot show the blocks."""

_STYLES = {
    Cell.OWN: "green",
    Cell.FILLED: "cyan",
    Cell.HELD_TWICE: "blue",
    Cell.FILLABLE: "bold yellow",
    Cell.REFUSED: "bold magenta",
    Cell.LOST: "bold red",
    Cell.NOTHING: "dim",
}
_WORDS = {
    Cell.OWN: "own",
    Cell.FILLED: "filled",
    Cell.HELD_TWICE: "held twice",
    Cell.FILLABLE: "fillable",
    Cell.REFUSED: "refused",
    Cell.LOST: "lost",
    Cell.NOTHING: "nothing",
}
_STATE_CELLS = {
    GapState.FILLABLE: Cell.FILLABLE,
    GapState.FILLED: Cell.FILLED,
    GapState.LOST: Cell.LOST,
    GapState.REFUSED: Cell.REFUSED,
}
ROWS = 40
"""Rows a table shows before it says how many more there are; `--json` has all."""

_BAR_LEAST = 18
"""A bar shorter than this shows little: names then stand above it."""

_SHARE_WIDTH = 8


def number(count: int, thing: str) -> str:
    """Return `1 segment`, `1,234 segments`."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def legend(signs: Signs) -> Text:
    """Return what the signs mean."""
    text = Text()
    for cell in (Cell.OWN, Cell.FILLED, Cell.HELD_TWICE, Cell.FILLABLE, Cell.REFUSED, Cell.LOST, Cell.NOTHING):
        text.append(signs.of(cell), style=_STYLES[cell])
        text.append(f" {_WORDS[cell]}  ")
    text.rstrip()
    return text


def bar(line: Timeline, width: int, signs: Signs) -> Text:
    """Return a time line as `width` signs."""
    text = Text(no_wrap=True)
    for cell in cells(line, width):
        text.append(signs.of(cell), style=_STYLES[cell])
    return text


def timelines(lines: Sequence[Timeline], width: int, signs: Signs) -> RenderableType:
    """Return the time lines of all cameras, one server under the other, fitted to `width` columns."""
    if not lines:
        return Text("No recordings are known yet. Run 'recorder-sync scan'.")
    window = lines[0].window
    camera = max(cell_len(line.camera) for line in lines) + 2
    server = max(cell_len(line.server) for line in lines) + 2
    beside = width - camera - server - _SHARE_WIDTH >= _BAR_LEAST  # else names stand above their bars
    room = max(width - (camera + server if beside else 0) - _SHARE_WIDTH, 10)
    rows: list[Text] = []
    before = ""
    for line in lines:
        held = line.seconds(Cell.OWN) + line.seconds(Cell.FILLED)
        wanted = held + line.seconds(Cell.FILLABLE) + line.seconds(Cell.LOST) + line.seconds(Cell.REFUSED)
        share = f"{_percent(held, wanted)}" if wanted else "-"
        drawn = bar(line, room, signs).append(f"{share:>{_SHARE_WIDTH}}")
        if beside:
            shown = "" if line.camera == before else line.camera
            rows.append(Text(set_cell_size(shown, camera) + set_cell_size(line.server, server)).append_text(drawn))
        else:
            rows += [*(Text(part) for part in fold(f"{line.camera}  {line.server}", width)), drawn]
        before = line.camera
    per_cell = window.length // room if room else 0
    header = Text(
        f"{clock(window.start)} to {clock(window.end)}"
        f" ({human_duration(window.length)}; one sign is {human_duration(per_cell)})"
    )
    return Group(header, *rows, legend(signs))


def _percent(part: float, whole: float) -> str:
    """Return a share that says 100 % only when nothing is missing."""
    share = 100 * part / whole
    return "100 %" if part >= whole else f"{min(share, 99.9):.1f} %"


def totals(lines: Iterable[Timeline]) -> Grid:
    """Return seconds by state of every camera on every server."""
    words = ("own", "filled", "fillable", "lost", "refused", "twice")
    table = Grid([("server", Kind.NAME), ("camera", Kind.NAME), *((word, Kind.AMOUNT) for word in words)], "Totals")
    for line in lines:
        states = (Cell.OWN, Cell.FILLED, Cell.FILLABLE, Cell.LOST, Cell.REFUSED, Cell.HELD_TWICE)
        table.add(line.server, line.camera, *(_amount(line, state) for state in states))
    return table


def _amount(line: Timeline, state: Cell) -> Text:
    seconds = line.seconds(state)
    if not seconds:
        return Text("-", style="dim")
    return Text(human_duration(round(seconds * SECOND)), style=_STYLES[state])


def moment(us: int, window: Span) -> str:
    """Return a moment as short as the window allows: without the date if all of it is on one day."""
    text = clock(us)[:-1]
    return text[11:] if clock(window.start)[:10] == clock(window.end)[:10] else text[5:]


def gaps(found: Sequence[Gap], window: Span, rows: int = ROWS) -> RenderableType:
    """Return the gaps with what became of each and why."""
    if not found:
        return Text("No gaps.", style="green")
    found = neighbours_merged(found)
    table = Grid(
        [
            ("server", Kind.NAME),
            ("camera", Kind.NAME),
            ("from (UTC)", Kind.PLAIN),
            ("length", Kind.AMOUNT),
            ("state", Kind.PLAIN),
            ("why", Kind.TEXT),
        ],
        f"Gaps ({len(found):,})",
    )
    for gap in found[:rows]:
        state = Text(str(gap.state), style=_STYLES[_STATE_CELLS[gap.state]])
        table.add(
            gap.server, gap.camera, moment(gap.span.start, window), human_duration(gap.span.length), state, why(gap)
        )
    return _with_rest(table, len(found) - rows)


def why(gap: Gap) -> str:
    """Return one sentence on a gap: its reason, its outage, or where it came from."""
    said = []
    if gap.state is GapState.FILLED:
        said.append(f"from {gap.peer}")
    if gap.state is GapState.FILLABLE:
        said.append(f"{gap.peer} has it")
    if gap.reason:
        said.append(gap.reason)
    said.append(str(gap.outage.cause) if gap.outage else "unexplained")
    return "; ".join(said)


def outages(found: Sequence[Outage], window: Span, rows: int = ROWS) -> RenderableType:
    """Return the outages with their causes."""
    if not found:
        return Text("No outages are known.")
    table = Grid(
        [
            ("server", Kind.NAME),
            ("from (UTC)", Kind.PLAIN),
            ("length", Kind.AMOUNT),
            ("cause", Kind.PLAIN),
            ("evidence", Kind.TEXT),
        ],
        f"Outages ({len(found):,})",
    )
    for one in found[:rows]:
        table.add(one.server, moment(one.span.start, window), *_extent(one))
    return _with_rest(table, len(found) - rows)


def _extent(outage: Outage) -> tuple[str, str, str]:
    """Return length, cause and evidence. What recordings betray is known only as far as there are recordings."""
    length = human_duration(outage.span.length)
    if outage.over:
        return length, str(outage.cause), outage.evidence
    if outage.cause in (Cause.STORAGE, Cause.SERVER):  # somebody looks, and it goes on
        return f"{length} so far", str(outage.cause), outage.evidence
    return f"at least {length}", str(outage.cause), f"{outage.evidence}, until the last recording"


def plan(server: str, planned: Plan, rows: int = ROWS) -> RenderableType:
    """Return what a fill would do."""
    if not planned.tasks and not planned.refused:
        return Text(f"{server}: nothing to fill.")
    parts: list[RenderableType] = [Text(_plan_sentence(server, planned))]
    if planned.tasks:
        several = len({task.peer for task in planned.tasks}) > 1
        table = Grid(
            [
                ("camera", Kind.NAME),
                ("from (UTC)", Kind.PLAIN),
                ("length", Kind.AMOUNT),
                ("size", Kind.AMOUNT),
                ("peer", Kind.AMOUNT),
                ("closes", Kind.AMOUNT),
                ("to", Kind.TEXT),
            ]
        )
        window = Span(min(task.source.start for task in planned.tasks), max(task.source.end for task in planned.tasks))
        for task in planned.tasks[:rows]:
            source = task.source
            table.add(
                source.camera,
                moment(source.start, window),
                human_duration(source.span.length),
                human_size(source.size),
                task.peer if several else "-",
                human_duration(task.new) if task.new else "in case",
                task.path,
            )
        parts.append(_with_rest(table, len(planned.tasks) - rows))
        if any(not task.new for task in planned.tasks):
            parts.append(Text("in case: closes no gap by its name, and is fetched in case names are late", style="dim"))
    if planned.refused:
        parts.append(refusals(planned.refused))
    return Group(*parts)


def _plan_sentence(server: str, planned: Plan) -> str:
    new = sum(task.new for task in planned.tasks)
    peers = {task.peer for task in planned.tasks}
    peer = f" from {peers.pop()}" if len(peers) == 1 else ""
    return (
        f"{server}: {number(len(planned.tasks), 'segment')}{peer}, {human_size(planned.size)},"
        f" closes {human_duration(new)} of gaps;"
        f" {human_duration(planned.held_twice)} will be held twice, because segments are never cut"
    )


def result(server: str, ended: FillResult) -> Text:
    """Return one sentence on how a fill ended."""
    if not ended.landed and not ended.refused and not ended.stopped:
        return Text(f"{server}: nothing to fill.")
    new = sum(one.task.new for one in ended.landed)
    rate = f" at {human_size(ended.sent / ended.seconds)}/s" if ended.seconds > 0 and ended.sent else ""
    text = Text(
        f"{server}: {number(len(ended.landed), 'segment')} landed, {human_duration(new)} filled,"
        f" {human_size(ended.sent)} moved in {human_duration(round(ended.seconds * SECOND))}{rate}"
    )
    if ended.refused:
        text.append(f"; {len(ended.refused):,} refused", style="magenta")
    if ended.stopped:
        text.append(f"; ended early: {ended.stopped}", style="red")
    return text


def _with_rest(table: Grid, rest: int) -> RenderableType:
    if rest <= 0:
        return table
    return Group(table, Text(f"... and {rest:,} more; --json lists all", style="dim"))
