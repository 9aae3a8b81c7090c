"""The report's exact text, at 80 columns and without colour: what an operator reads at three in the morning.

The golden files are documentation too. After a change on purpose: UPDATE_GOLDEN=1 pytest tests/golden; read the diff.
"""

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, Group, RenderableType
from rich.text import Text

from backfill.gaps import Coverage
from backfill.report import views
from backfill.report.grid import Grid, Kind
from backfill.report.refused import refusals
from backfill.report.timeline import timeline
from backfill.report.views import PLAIN, Signs
from schema.spans import HOUR, SECOND, Span
from schema.values import (
    Cause,
    FillResult,
    Gap,
    GapState,
    Landed,
    Outage,
    Plan,
    Refusal,
    Refused,
    Segment,
    Task,
)
from tests.make import T0

GOLDEN = Path(__file__).parent


def span(start: float, end: float) -> Span:
    return Span(T0 + round(start * SECOND), T0 + round(end * SECOND))


OUTAGE = Outage(
    server="nvr-a",
    camera=None,
    span=span(600, 2400),
    cause=Cause.RECORDER,
    evidence="no camera of nvr-a recorded for 30 min",
)
RUNNING = Outage(
    server="nvr-b",
    camera="yard",
    span=span(3400, 3600),
    cause=Cause.CAMERA,
    evidence="yard was silent on nvr-b for 3 min 20 s while others recorded",
    over=False,
)
GAPS = [
    Gap(server="nvr-a", camera="front", span=span(600, 1500), state=GapState.FILLED, outage=OUTAGE, peer="nvr-b"),
    Gap(server="nvr-a", camera="front", span=span(1500, 1800), state=GapState.FILLABLE, outage=OUTAGE, peer="nvr-b"),
    Gap(
        server="nvr-a",
        camera="front",
        span=span(1800, 2100),
        state=GapState.REFUSED,
        reason=str(Refusal.SOURCE_DAMAGED),
        outage=OUTAGE,
        peer="nvr-b",
    ),
    Gap(
        server="nvr-a",
        camera="front",
        span=span(2100, 2400),
        state=GapState.LOST,
        reason="no server has it; nvr-b was away too",
        outage=OUTAGE,
    ),
    Gap(
        server="nvr-b",
        camera="front",
        span=span(2100, 2400),
        state=GapState.LOST,
        reason="no server has it; nvr-a was away too",
    ),
]
FRONT = {
    "nvr-a": Coverage(own=[span(0, 600), span(2400, 3600)], filled={"nvr-b": [span(540, 1500)]}),
    "nvr-b": Coverage(own=[span(30, 2100), span(2400, 3600)]),
}
WINDOW = span(0, 3600)
LONG = [
    replace(gap, server=f"{gap.server}.recorders.example", camera=f"front_garage_{way}_entrance")
    for gap in GAPS
    for way in ("north", "south")
]
LONG_COVERAGE = Coverage(own=[span(0, 600), span(2400, 3600)])
LONG_LINES = [
    timeline(server, camera, LONG_COVERAGE, LONG, WINDOW)
    for server, camera in sorted({(gap.server, gap.camera) for gap in LONG})
]
PIECES = [
    replace(GAPS[2], span=span(start, start + 10), reason=f"{Refusal.SOURCE_AWAY} (storage b is away {start})")
    for start in range(1800, 2100, 10)
]
LINES = [timeline(server, "front", coverage, GAPS, WINDOW) for server, coverage in FRONT.items()]


def segment(start: float, end: float, path: str) -> Segment:
    when = span(start, end)
    size = 2_345_678
    return Segment(
        storage_id=2, camera="front", path=path, start=when.start, end=when.end, size=size, mtime_ns=0, inode=1
    )


TASK = Task(
    server="nvr-a",
    peer="nvr-b",
    source=segment(1490, 1500, "2026-11-22/12/front/24.50.mp4"),
    storage_id=1,
    path="2026-11-22/12/front/24.50.mp4",
    new=8 * SECOND,
)
REFUSED = Refused(
    server="nvr-a",
    camera="front",
    span=span(1800, 2100),
    peer="nvr-b",
    path="2026-11-22/12/front/30.00.mp4",
    why=Refusal.SOURCE_DAMAGED,
    detail="chunk 3 differs",
    size=2_345_678,
)
AWAY = replace(
    REFUSED,
    server="nvr-b",
    peer="nvr-a",
    why=Refusal.SOURCE_AWAY,
    detail="storage nvr-a/main is away: /srv/nvr-a/recordings does not exist",
)
LANDED = Landed(task=TASK, path=TASK.path, storage_id=1, digest=b"\0" * 16, size=2_345_678, sent=2_345_678)

CASES: dict[str, RenderableType] = {
    "timelines": views.timelines(LINES, 80, Signs()),
    "timelines-plain": views.timelines(LINES, 80, PLAIN),
    "timelines-narrow": views.timelines(LINES, 40, PLAIN),
    "totals": views.totals(LINES),
    "names-that-are-long": Group(
        views.timelines(LONG_LINES, 80, Signs()), Text(), views.totals(LONG_LINES), Text(), views.gaps(LONG, WINDOW)
    ),
    "gaps-refused-as-one": views.gaps([*GAPS[:2], *PIECES, *GAPS[3:]], WINDOW),
    "gaps": views.gaps(GAPS, WINDOW),
    "gaps-over-midnight": views.gaps(GAPS[:1], Span(WINDOW.start, WINDOW.end + 24 * HOUR)),
    "gaps-none": views.gaps([], WINDOW),
    "gaps-many": views.gaps(GAPS * 3, WINDOW, rows=2),
    "outages": views.outages([OUTAGE, RUNNING], WINDOW),
    "refusals": refusals([REFUSED, replace(REFUSED, path="2026-11-22/12/front/31.00.mp4"), AWAY]),
    "plan": views.plan("nvr-a", Plan(tasks=(TASK, replace(TASK, new=0)), refused=(REFUSED,))),
    "plan-nothing": views.plan("nvr-a", Plan()),
    "result": Group(
        views.result("nvr-a", FillResult(landed=(LANDED,), refused=(REFUSED,), sent=2_345_678, seconds=2.0)),
        views.result("nvr-b", FillResult()),
        views.result("nvr-a", FillResult(refused=(REFUSED,), stopped="stopped on request", seconds=1.0)),
    ),
    "no-recordings": views.timelines([], 80, Signs()),
}


def text_of(renderable: RenderableType, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False, markup=False)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


@pytest.mark.parametrize("name", CASES)
def test_the_report_reads_exactly_so(name: str) -> None:
    path = GOLDEN / f"{name}.txt"
    text = text_of(CASES[name], 40 if name.endswith("narrow") else 80)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_no_line_is_wider_than_the_terminal(name: str) -> None:
    width = 40 if name.endswith("narrow") else 80
    assert all(len(line) <= width for line in text_of(CASES[name], width).splitlines())


def test_every_state_can_be_told_without_colour() -> None:
    for signs in (Signs(), PLAIN):
        shown = [getattr(signs, name) for name in signs.__dataclass_fields__]
        assert len(set(shown)) == len(shown)
        assert all(len(sign) == 1 for sign in shown)
    assert all(ord(getattr(PLAIN, name)) < 128 for name in PLAIN.__dataclass_fields__)


def test_a_gap_of_a_second_shows_in_the_bar_of_a_week() -> None:
    week = Span(T0, T0 + 7 * 24 * HOUR)
    gap = Gap(server="a", camera="x", span=span(1000, 1001), state=GapState.LOST)
    line = timeline("a", "x", Coverage(own=[week]), [gap], week)
    assert "x" in str(views.bar(line, 60, PLAIN))


def test_an_operator_never_reads_100_percent_when_something_is_missing() -> None:
    gap = Gap(server="a", camera="x", span=span(0, 0.001), state=GapState.FILLABLE, peer="b")
    line = timeline("a", "x", Coverage(own=[span(0.001, 86_400)]), [gap], span(0, 86_400))
    assert "99.9 %" in text_of(views.timelines([line], 80, PLAIN))


def test_markup_in_names_is_shown_and_not_obeyed() -> None:
    odd = Gap(server="a", camera="[red]x[/red]", span=span(0, 10), state=GapState.FILLABLE, peer="b")
    assert "[red]x[/red]" in text_of(Group(views.gaps([odd], WINDOW), Text()))


@pytest.mark.parametrize("width", range(8, 120, 7))
def test_no_name_loses_a_letter_however_narrow_the_terminal(width: int) -> None:
    grid = Grid([("server", Kind.NAME), ("camera", Kind.NAME), ("length", Kind.AMOUNT), ("to", Kind.TEXT)])
    grid.add("recorder-of-the-north", "front_garage_north", "3 h", "2026-11-22/12/front_garage_north/24.50.mp4")
    text = text_of(grid, width)
    letters = "".join(text.split())
    for word in ("recorder-of-the-north", "front_garage_north", "2026-11-22/12/front_garage_north/24.50.mp4"):
        assert word in letters, text
    assert all(len(line) <= width for line in text.splitlines())
    if width > 45:
        assert "front_garage_north" in text.split()


def test_a_column_without_a_word_is_left_out() -> None:
    grid = Grid([("server", Kind.NAME), ("lost", Kind.AMOUNT), ("own", Kind.AMOUNT)])
    grid.add("a", "-", "1 h")
    assert text_of(grid) == "server  own\n───────────\na       1 h\n"
