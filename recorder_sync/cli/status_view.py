"""The status as an operator reads it at three in the morning: what is wrong first, then the numbers.

Rule: gets documents, returns renderables; readable at 80 columns and without colour. Golden tests hold the exact text.
"""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from backfill.report import views
from backfill.report.grid import Cell, Grid, Kind
from backfill.report.timeline import Timeline
from backfill.report.views import Signs
from schema.documents import DeliveryDocument, LiveFillDocument, RaisedDocument, ServerDocument, StatusDocument
from schema.moments import clock, human_duration, human_size, parse_moment
from schema.spans import SECOND

_STATE_STYLES = {"up": "green", "standby": "yellow", "away": "bold red", "refused": "bold red"}


def view(document: StatusDocument, lines: list[Timeline], width: int, shown: Signs) -> RenderableType:
    """Return the whole status, fitted to `width` columns."""
    parts: list[RenderableType] = [servers(document.servers, document.generated), *details(document.servers)]
    parts += [*_doing(document), Text(), _storages(document)]
    if lines:
        parts += [Text(), views.timelines(lines, width, shown), Text(), _cameras(document)]
    parts.append(Text())
    parts += [Text(sentence) for sentence in _fills(document)]
    if document.refusals:
        one = views.number(document.refusals, "segment")
        parts.append(Text(f"{one} could not be brought over; 'recorder-sync gaps' says why", style="magenta"))
    if document.alarms:
        parts += [Text(), _alarms(document.alarms)]
    parts += [Text(f"note: {note}", style="yellow") for note in document.notes]
    return Group(*parts)


def servers(found: Sequence[ServerDocument], generated: str, name: str = "server") -> Grid:
    """Return a line for every server; `seen` and `scanned` are how long ago."""
    now = _us(generated)
    table = Grid(
        [
            (name, Kind.NAME),
            ("state", Kind.PLAIN),
            ("for", Kind.AMOUNT),
            ("seen", Kind.AMOUNT),
            ("records", Kind.AMOUNT),
            ("clock", Kind.AMOUNT),
            ("scanned", Kind.AMOUNT),
            ("open gaps", Kind.AMOUNT),
        ]
    )
    for one in found:
        seen = "-" if one.last is None or one.last == generated else _about(now - _us(one.last))
        table.add(
            one.server,
            Text(_word(one), style=_STATE_STYLES.get(one.state, "")),
            "-" if one.since is None else _about(now - _us(one.since)),
            seen,
            _recorded(one),
            _offset(one),
            "-" if one.scanned_seconds is None else _about(round(one.scanned_seconds * SECOND)),
            f"{one.gaps:,}" if one.gaps else "-",
        )
    return table


def _about(us: int) -> str:
    """Return a length of time in one unit: in a line of a table more says less."""
    number, unit, *_ = human_duration(max(0, us)).split()
    return f"{round(float(number))} {unit}"


def _word(one: ServerDocument) -> str:
    return "no service" if one.state == "stopped" else one.state


def _recorded(one: ServerDocument) -> Cell:
    """Return `4 of 5` cameras, `-` where nothing is known."""
    known = len(one.recording) + len(one.silent)
    if not known:
        return "-"
    return Text(f"{len(one.recording)} of {known}", style="bold red" if one.silent else "")


def _offset(one: ServerDocument) -> str:
    return "-" if one.offset is None else f"{one.offset:+.3f} s"


def details(found: Sequence[ServerDocument]) -> list[Text]:
    """Return what does not fit a table: why, since when, which cameras."""
    said = []
    for one in found:
        if one.state in ("away", "refused") and one.since is not None:
            said.append(Text(f"{one.server} is {one.state} since {clock(_us(one.since))}: {one.detail}", style="red"))
        elif one.detail:
            word = "fills nothing, " if one.state == "standby" else ""
            said.append(Text(f"{one.server}: {word}{one.detail}", style="yellow"))
        if one.silent:
            said.append(Text(f"{one.server} does not record {', '.join(one.silent)}", style="red"))
        if one.basis is not None and one.offset is not None and abs(one.offset) > (one.offset_error or 0):
            error = f"{one.offset_error or 0:.3f} s"
            said.append(Text(f"clock of {one.server}: {one.offset:+.3f} s, give or take {error} (by {one.basis})"))
    return said


def _doing(document: StatusDocument) -> list[Text]:
    """Return what the service here is doing, and why it does nothing more."""
    live = document.service
    if live is None:
        told = [document.service_problem]
        if any(not one.here for one in document.servers):
            told = [f"{document.service_problem}: other servers are shown as the ledger last heard of them"]
        if document.paused:
            told.append(f"filling is paused {document.paused}")
        return [Text(sentence, style="yellow") for sentence in told if sentence]
    said = [Text(live.role)] if live.role else []
    if live.fill is not None:
        said.append(Text(filling(live.fill), style="cyan"))
    if live.waiting and not live.paused:
        said.append(Text(f"nothing is filled now: {live.waiting}", style="yellow"))
    return said


def filling(fill: LiveFillDocument) -> str:
    """Return the fill under way as a sentence."""
    left = "" if fill.left is None else f", {human_duration(round(fill.left * SECOND))} left"
    refused = f", {fill.refused:,} refused" if fill.refused else ""
    return (
        f"filling {fill.server}: {fill.landed:,} of {views.number(fill.segments, 'segment')}{refused},"
        f" {human_size(fill.moved)} of {human_size(fill.size)} at {human_size(fill.rate)}/s{left}"
    )


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
        elsewhere = one.state.startswith("at ") and not one.segments  # a copy of coverage knows no segments
        table.add(
            f"{one.server}/{one.storage}",
            one.layout,
            Text(one.state, style="red" if one.state.startswith("away") else ""),
            "-" if elsewhere else f"{one.segments:,}",
            "-" if elsewhere else human_size(one.size),
            f"{one.quarantined:,}" if one.quarantined else "-",
            "-" if one.free is None else human_size(one.free),
            "never" if one.age_seconds is None else _ago(one.age_seconds),
        )
    return table


def _cameras(document: StatusDocument) -> Grid:
    words = ("newest own", "fillable", "lost", "refused", "filled")
    table = Grid(
        [
            ("camera", Kind.NAME),
            ("server", Kind.NAME),
            ("recorder", Kind.AMOUNT),
            *((word, Kind.AMOUNT) for word in words),
        ]
    )
    for one in document.cameras:
        age = "-" if one.silent_seconds is None else _ago(one.silent_seconds)
        amounts = (one.fillable, one.lost, one.refused, one.filled)
        shown = [human_duration(round(amount * SECOND)) if amount else "-" for amount in amounts]
        records: Cell = "-" if one.recording is None else "records" if one.recording else Text("silent", style="red")
        table.add(one.camera, one.server, records, age, *shown)
    return table


def _fills(document: StatusDocument) -> list[str]:
    said = []
    later: set[str] = set()
    under_way = None if document.service is None or document.service.fill is None else document.service.fill.server
    for one in document.fills:
        when = clock(_us(one.started))
        if one.ended is not None:
            end = f"{views.number(one.landed, 'segment')}, {human_size(one.sent)}"
        elif one.server in later:  # two fills of one server exclude each other
            end = "was killed"
        else:
            end = "is running" if one.server == under_way else "was killed or is running"
        later.add(one.server)
        said.append(f"fill of {one.server} at {when}: {end}{'; ' + one.stopped if one.stopped else ''}")
    return said


def _alarms(found: Sequence[RaisedDocument]) -> Grid:
    table = Grid([("noticed", Kind.PLAIN), ("alarm", Kind.TEXT), ("told", Kind.TEXT)])
    for one in found:
        told = "; ".join(_told(sent) for sent in one.deliveries) or "nobody"
        table.add(clock(_us(one.alarm.at)), one.alarm.text, told)
    return table


def _told(sent: DeliveryDocument) -> str:
    """Return `mail`, or why that channel does not have it yet."""
    if sent.state == "delivered":
        return sent.channel
    if sent.state == "expired":
        return f"{sent.channel}: given up"
    return f"{sent.channel}: {sent.error or 'under way'}" if sent.attempts else f"{sent.channel}: waits"


def _ago(seconds: float) -> str:
    return f"{human_duration(round(max(0.0, seconds) * SECOND))} ago"


def _us(moment: str) -> int:
    return parse_moment(moment, 0)
