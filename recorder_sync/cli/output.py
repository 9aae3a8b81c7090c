"""Where the command line writes: results on stdout, progress and complaints on stderr.

Rule: `NO_COLOR` and a pipe are respected; with `--json` stdout holds the document and nothing else.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console, RenderableType
from rich.text import Text

from backfill.report.documents import encode
from backfill.report.views import PLAIN, Signs
from schema.errors import OperatorError, OutputFailed, hint_of

PAGE_WIDTH = 110
"""Columns of a report that is written as a page."""


@contextlib.contextmanager
def writing_to(target: Path | str) -> Iterator[None]:
    """Name what could not be written. Raises OutputFailed for any OSError in this block but a reader that left."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputFailed(target, error.strerror or error) from None


def results() -> Console:
    """Return the console for results. Names of cameras and files are shown as they are, never obeyed as markup."""
    return _Results(highlight=False, markup=False, emoji=False)


class _Results(Console):
    """A console that says so when its output cannot be written, as to a file on a full disk."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print. Raises OutputFailed."""
        with writing_to("the standard output"):
            super().print(*objects, **options)


def complaints() -> Console:
    """Return the console for progress and errors."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def signs(console: Console) -> Signs:
    """Return the signs that `console` can show."""
    return PLAIN if console.options.ascii_only or os.environ.get("TERM") == "dumb" else Signs()


def print_document(document: msgspec.Struct) -> None:
    """Print the one document of a command with `--json`: laid out for a person, on one line for a program."""
    with writing_to("the standard output"):
        sys.stdout.write(encode(document, indented=sys.stdout.isatty()) + "\n")


def print_error(error: OperatorError) -> None:
    """Say what went wrong and what to do."""
    console = complaints()
    console.print(Text.assemble(("error:", "bold red"), f" {error}"), soft_wrap=True)
    hint = hint_of(error)
    if hint:
        console.print(Text(f"       {hint}", style="dim"), soft_wrap=True)


def write_page(path: Path, title: str, page: RenderableType, width: int = PAGE_WIDTH) -> None:
    """Write a report as a page: HTML or SVG by the file's ending."""
    console = Console(
        record=True,
        width=width,
        file=io.StringIO(),
        force_terminal=True,
        legacy_windows=False,
        markup=False,
        emoji=False,
    )
    console.print(page)
    if path.suffix.lower() == ".svg":
        text = console.export_svg(title=title, code_format=_SVG)
    else:
        text = console.export_html(inline_styles=True, code_format=_HTML.replace("{title}", title))
    with writing_to(path):
        path.write_text(text, encoding="utf-8")


_HTML = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<title>{title}</title>
<style>
body {{ color: {foreground}; background-color: {background}; margin: 1.5em; }}
pre {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; line-height: 1.25; }}
</style>
</head>
<body>
<pre><code>{code}</code></pre>
</body>
</html>
"""
"""Like rich's own page, without anything fetched from elsewhere."""

_SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
    <style>
    .{unique_id}-matrix {{
        font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
        font-size: {char_height}px;
        line-height: {line_height}px;
        font-variant-east-asian: full-width;
    }}
    .{unique_id}-title {{
        font-size: 18px;
        font-weight: bold;
        font-family: system-ui, sans-serif;
    }}
    {styles}
    </style>
    <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
    </defs>
    {chrome}
    <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
    </g>
</svg>
"""
"""Like rich's own picture, without a font fetched from elsewhere."""
