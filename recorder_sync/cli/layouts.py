"""`recorder-sync layouts`: which recorders can be read, and how each is filled."""

import msgspec
from rich import box
from rich.table import Table

from backfill.layouts import Traits, available
from backfill.layouts.registry import layout_class
from recorder_sync.cli.output import print_document, results
from schema.settings import StorageSettings, TemplateRules


class LayoutDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One layout. `fill`: whether filled files may go into the recorder's tree or only to the side."""

    name: str
    title: str
    summary: str
    fill: str
    after: str
    local_names: bool


class LayoutsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync layouts --json`."""

    layouts: list[LayoutDocument]


def run(*, as_json: bool) -> int:
    """List the layouts; returns the exit code."""
    traits = [_traits(name) for name in available()]
    if as_json:
        documents = [
            LayoutDocument(
                name=one.name,
                title=one.title,
                summary=one.summary,
                fill=one.fill,
                after=one.after or "nothing",
                local_names=one.local,
            )
            for one in traits
        ]
        print_document(LayoutsDocument(layouts=documents))
        return 0
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_lines=False)
    table.add_column("layout", no_wrap=True)
    table.add_column("recorder and its files", overflow="fold")
    table.add_column("fills go", no_wrap=True)
    table.add_column("must follow a fill", overflow="fold")
    for one in traits:
        where = "into the tree" if one.fill == "tree" else "to the side"
        table.add_row(one.name, f"{one.title}. {one.summary}", where, one.after or "nothing")
    results().print(table)
    return 0


def _traits(name: str) -> Traits:
    template = TemplateRules(pattern="{camera}/%Y-%m-%d/%H-%M-%S.mp4") if name == "template" else None
    return layout_class(name).from_settings(StorageSettings(root="/", layout=name, template=template)).traits
