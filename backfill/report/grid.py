"""Tables that fit the terminal without losing a letter: names stay whole, columns that say nothing are left out.

Rule: nothing is ever cut. A table first drops columns in which every cell is `-`, then folds its texts at spaces and
slashes, then puts names on a line of their own above their rows, and at last texts on lines of their own below.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

Cell = str | Text

_GAP = 2
"""Columns between two cells."""

_TEXT_LEAST = 20
"""A text is not folded to less than this, unless it is shorter by itself."""

_INDENT = "  "


class Kind(Enum):
    """How a column behaves when there is little room."""

    NAME = auto()
    """Never folded; moves to a line of its own."""
    PLAIN = auto()
    """Never folded."""
    AMOUNT = auto()
    """Never folded, flush right, left out where every cell is `-`."""
    TEXT = auto()
    """Folded at spaces and slashes."""


@dataclass(slots=True)
class Grid:
    """A table: its columns as (title, kind), then its rows. Printed by rich at whatever width there is."""

    columns: Sequence[tuple[str, Kind]]
    title: str = ""
    rows: list[tuple[Cell, ...]] = field(default_factory=list)

    def add(self, *cells: Cell) -> None:
        """Add a row."""
        self.rows.append(cells)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines of the table, none wider than there is room."""
        if self.title:
            yield Text(self.title, style="bold")
        room = options.max_width
        shown = [at for at, (_, kind) in enumerate(self.columns) if kind is not Kind.AMOUNT or self._says(at)]
        names = [at for at in shown if self.columns[at][1] is Kind.NAME]
        texts = [at for at in shown if self.columns[at][1] is Kind.TEXT]
        apart: list[int] = []
        below: list[int] = []
        if not self._fits(shown, texts, room):
            apart = names
            shown = [at for at in shown if at not in apart]
            if not self._fits(shown, texts, room - len(_INDENT)):
                below = texts
                shown = [at for at in shown if at not in below]
        indent = _INDENT if apart else ""
        widths = self._widths(shown, room - len(indent))
        yield from self._header(shown, widths, indent, "-" if options.ascii_only else "─")
        heading = ""
        for row in self.rows:
            above = "  ".join(_plain(row[at]) for at in apart)
            if above != heading:
                heading = above
                yield from (Text(line, style="bold") for line in fold(above, room))
            yield from _row([(row[at], self.columns[at][1], widths[at]) for at in shown], indent)
            for at in below:
                deep = indent + _INDENT
                yield from (
                    Text(deep + line, style=_style(row[at])) for line in fold(_plain(row[at]), room - len(deep))
                )

    def _says(self, at: int) -> bool:
        """Tell whether any cell of a column holds more than a dash."""
        return not self.rows or any(_plain(row[at]) != "-" for row in self.rows)

    def _natural(self, at: int) -> int:
        return max(cell_len(self.columns[at][0]), *(cell_len(_plain(row[at])) for row in self.rows), 0)

    def _fits(self, shown: Sequence[int], texts: Sequence[int], room: int) -> bool:
        least = sum(min(self._natural(at), _TEXT_LEAST) if at in texts else self._natural(at) for at in shown)
        return least + _GAP * (len(shown) - 1) <= room

    def _widths(self, shown: Sequence[int], room: int) -> dict[int, int]:
        """Return how wide each column is: texts share what the others leave."""
        widths = {at: self._natural(at) for at in shown if self.columns[at][1] is not Kind.TEXT}
        left = room - sum(widths.values()) - _GAP * (len(shown) - 1)
        texts = sorted((at for at in shown if at not in widths), key=self._natural)
        for done, at in enumerate(texts):
            widths[at] = max(1, min(self._natural(at), left // (len(texts) - done)))
            left -= widths[at]
        return widths

    def _header(self, shown: Sequence[int], widths: dict[int, int], indent: str, sign: str) -> Iterator[Text]:
        if shown:
            titles: list[tuple[Cell, Kind, int]] = [(*self.columns[at], widths[at]) for at in shown]
            yield from _row(titles, indent)
            yield Text(indent + sign * (sum(widths.values()) + _GAP * (len(shown) - 1)), style="dim")


def _row(cells: Sequence[tuple[Cell, Kind, int]], indent: str) -> Iterator[Text]:
    """Yield the lines of one row."""
    columns = [fold(_plain(cell), width) for cell, _, width in cells]
    for number in range(max((len(lines) for lines in columns), default=0)):
        line = Text(indent)
        for at, ((cell, kind, width), lines) in enumerate(zip(cells, columns, strict=True)):
            part = lines[number] if number < len(lines) else ""
            space = " " * (width - cell_len(part))
            line.append(" " * _GAP if at else "")
            line.append(space if kind is Kind.AMOUNT else "")
            line.append(part, style=_style(cell))
            line.append("" if kind is Kind.AMOUNT else space)
        line.rstrip()
        yield line


def fold(text: str, width: int) -> list[str]:
    """Return `text` as lines of at most `width` columns, broken at spaces, or in words too long for one at slashes."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(joined) <= width:
            lines[-1] = joined
            continue
        if not lines[-1]:
            lines.pop()
        lines += _pieces(word, width)
    return lines


def _pieces(word: str, width: int) -> list[str]:
    pieces = [""]
    for part in word.replace("/", "/\0").split("\0"):
        if cell_len(pieces[-1] + part) <= width:
            pieces[-1] += part
        else:
            if not pieces[-1]:
                pieces.pop()
            pieces += chop_cells(part, width)
    return pieces


def _plain(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell.plain


def _style(cell: Cell) -> str:
    return "" if isinstance(cell, str) else str(cell.style)
