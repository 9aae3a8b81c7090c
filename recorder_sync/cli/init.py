"""`recorder-sync init`: from folders to a configuration that works at once."""

import contextlib
import json
import os
import time
from pathlib import Path

import msgspec
from rich import box
from rich.table import Table
from rich.text import Text

from backfill.detect import Detected, detect
from recorder_sync.cli.output import print_document, results
from schema.errors import FileExistsAlready
from schema.settings import parse, zone_problem


class DetectedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One recognised server."""

    server: str
    root: str
    layout: str
    zone: str
    cameras: list[str]
    files: int
    others: int
    notes: list[str]


class InitDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync init --json`."""

    config: str
    servers: list[DetectedDocument]


def run(folders: list[Path], config: Path, *, force: bool, as_json: bool) -> int:
    """Detect and write; returns the exit code."""
    documents = write(config, folders, force=force)
    if as_json:
        print_document(InitDocument(config=str(config), servers=documents))
    else:
        show(config, documents)
    return 0


def write(
    config: Path, folders: list[Path], *, names: list[str] | None = None, more: str = "", force: bool = False
) -> list[DetectedDocument]:
    """Look at `folders` and write a configuration, with `more` at its end; returns what was recognised."""
    if config.exists() and not force:
        raise FileExistsAlready(config)
    zone = machine_zone()
    found = [detect(str(folder), zone) for folder in folders]
    names = names or server_names(folders)
    text = configuration(names, found) + more
    parse(text.encode(), config)  # what we write must be what we read; raises ConfigInvalid
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(text, encoding="utf-8")
    return [
        DetectedDocument(
            server=name,
            root=one.root,
            layout=one.layout,
            zone=one.zone,
            cameras=list(one.cameras),
            files=one.files,
            others=one.others,
            notes=[*one.notes],
        )
        for name, one in zip(names, found, strict=True)
    ]


def machine_zone() -> str:
    """Return the IANA name of this machine's zone; UTC if it does not say."""
    candidates = [os.environ.get("TZ", "").lstrip(":")]
    with contextlib.suppress(OSError):
        candidates.append(Path("/etc/timezone").read_text(encoding="utf-8").strip())
    link = os.path.realpath("/etc/localtime")
    if "zoneinfo/" in link:
        candidates.append(link.rpartition("zoneinfo/")[2])
    for name in candidates:
        if name and zone_problem(name) is None:
            return name
    return "UTC" if time.timezone == 0 else f"Etc/GMT{time.timezone // 3600:+d}"


def server_names(folders: list[Path]) -> list[str]:
    """Return a plain, unique name for each folder, from its own or its parents' names."""
    usual = {"recordings", "videos", "media", "data", "output", "storage"}
    names: list[str] = []
    for number, folder in enumerate(folders, 1):
        parts = [part for part in folder.absolute().parts[1:] if part.lower() not in usual]
        name = "".join(letter if letter.isalnum() or letter in "_.-" else "-" for letter in parts[-1]) if parts else ""
        name = name.lstrip(".-") or f"server-{number}"
        names.append(name)
    if len(set(names)) < len(names):
        names = [f"{name}-{number}" for number, name in enumerate(names, 1)]
    return names


def configuration(names: list[str], found: list[Detected]) -> str:
    """Return the text of a configuration for the detected servers."""
    lines = [
        "# Written by 'recorder-sync init'. Every key: docs/reference/configuration.md",
        'ledger = "recorder-sync.db"',
        "",
        "[gaps]",
        'policy = "always"      # or "outages": fill only what an outage explains (recording on motion)',
        "",
        "[fill]",
        'reserve = "2 GB"       # free space that filling never touches',
        '# bandwidth = "50 MB/s"',
    ]
    for name, one in zip(names, found, strict=True):
        lines += [
            "",
            "[[servers]]",
            f"name = {json.dumps(name)}",
            f"# cameras: {', '.join(one.cameras[:20])}{' ...' if len(one.cameras) > 20 else ''}",
            "",
            "[[servers.storages]]",
            f"root = {json.dumps(one.root)}",
            f'layout = "{one.layout}"',
            f'zone = "{one.zone}"',
            '# retention = "10d"    # how long this recorder keeps recordings',
        ]
        lines += [f"# note: {note}" for note in one.notes]
    return "\n".join(lines) + "\n"


def show(config: Path, documents: list[DetectedDocument]) -> None:
    console = results()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for word in ("server", "layout", "zone"):
        table.add_column(word, no_wrap=True)
    table.add_column("cameras", overflow="fold")
    table.add_column("root", overflow="fold")
    for one in documents:
        table.add_row(one.server, one.layout, one.zone, ", ".join(one.cameras), one.root)
    console.print(table)
    for one in documents:
        for note in one.notes:
            console.print(Text(f"note: {one.server}: {note}", style="yellow"))
        if one.others:
            console.print(Text(f"note: {one.server}: {one.others:,} media files have other names", style="yellow"))
    if len(documents) < 2:
        text = "one server alone has no peer to fill from; name a folder for each, or pair two hosts with --address"
        console.print(Text(f"note: {text}", style="yellow"))
    console.print(f"Wrote {config}. Next: recorder-sync gaps", soft_wrap=True)
