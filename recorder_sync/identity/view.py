"""What a change of identity looks like: the one line that differs, and what each signal says.

Rule: pure; takes values and returns what rich can show.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from recorder_sync.identity.document import RecorderFile, read, with_id
from recorder_sync.identity.interlock import Reading, Signal

_STYLES = {Reading.ALIVE: "bold red", Reading.UNKNOWN: "yellow", Reading.SILENT: "yellow", Reading.DOWN: "green"}


@dataclass(frozen=True, slots=True)
class Difference:
    """The one line of a file that a change of id changes."""

    path: str
    line: int
    before: str
    after: str


def difference(path: str, document: RecorderFile, new: str) -> Difference:
    """Return what `new` would change. Raises RecorderFileInvalid."""
    changed = read(with_id(document, new, path), path)
    return Difference(path, document.line, document.text_of_line, changed.text_of_line)


def shown(found: Difference) -> RenderableType:
    """Return a difference as a person reads it; nothing else in the file changes."""
    return Group(
        Text(f"{found.path}, line {found.line}; every other byte stays as it is", style="bold"),
        Text(f"- {found.before}", style="red"),
        Text(f"+ {found.after}", style="green"),
    )


def signals_table(signals: Sequence[Signal]) -> RenderableType:
    """Return what was looked at, one line a signal."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for signal in signals:
        # Of a witness an answer is good news.
        style = "green" if signal.source == "witness" and signal.reading is Reading.ALIVE else _STYLES[signal.reading]
        table.add_row(Text(signal.source.value), Text(signal.reading.value, style=style), Text(signal.said))
    return table
