"""What an operator sees before an id changes: the one line that differs, and what each signal says."""

import io
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from recorder_sync.identity.document import read
from recorder_sync.identity.interlock import Reading, Signal, Source
from recorder_sync.identity.view import difference, shown, signals_table
from tests.identities import BEFORE, NEW

HERE = Path(__file__).parent
SIGNALS = [
    Signal(Source.PORTS, Reading.DOWN, "ports nvr-a:7563, nvr-a:9001 are closed"),
    Signal(Source.LINK, Reading.SILENT, "peer nvr-a does not answer: it said nothing for 10 s"),
    Signal(Source.HEARTBEAT, Reading.ALIVE, "nvr-a was heard 3 s ago"),
    Signal(Source.SERVICE, Reading.UNKNOWN, "recorder-sync on nvr-a cannot tell [whether] its recorder runs"),
    Signal(Source.WITNESS, Reading.ALIVE, "the witness ms-1:9000 answers"),
]


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("clone-difference", shown(difference("RecorderConfig.xml", read(BEFORE, "x"), NEW))),
        ("clone-signals", signals_table(SIGNALS)),
    ],
)
def test_it_looks_as_it_did(name: str, view: RenderableType) -> None:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(view)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == (HERE / f"{name}.txt").read_text(encoding="utf-8")
