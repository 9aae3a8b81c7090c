"""`recorder-sync init`: from folders to a configuration that works at once."""

import contextlib
import json
import os
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.text import Text

from backfill.detect import Detected, detect
from backfill.report.grid import Grid, Kind
from recorder_sync.cli.output import print_document, results, writing_to
from schema.errors import ConfigInvalid, FileExistsAlready, NothingToDetect, UsageInvalid
from schema.settings import OWN, parse, zone_problem

_LONGEST = 48
"""Letters of a server's name that come from a folder's; a number may follow."""
_LISTED = 20
"""Cameras that are named in one line at most."""


class DetectedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One recognised server."""

    server: str
    root: str
    layout: str
    zone: str
    cameras: list[str]
    files: int
    others: int
    other: str
    notes: list[str]


class InitDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync init --json`."""

    config: str
    servers: list[DetectedDocument]


def run(folders: list[Path], config: Path, *, force: bool, as_json: bool, zone: str | None = None) -> int:
    """Detect and write; returns the exit code. `zone` is what the operator says of names in local time."""
    documents = write(config, folders, force=force, zone=zone)
    if as_json:
        print_document(InitDocument(config=str(config), servers=documents))
    else:
        show(config, documents)
    return 0


def write(
    config: Path,
    folders: list[Path],
    *,
    names: list[str] | None = None,
    more: str = "",
    force: bool = False,
    zone: str | None = None,
) -> list[DetectedDocument]:
    """Look at `folders` and write a configuration, with `more` at its end; returns what was recognised."""
    if config.exists() and not force:
        raise FileExistsAlready(config)
    for number, folder in enumerate(folders):
        if os.path.realpath(folder) in map(os.path.realpath, folders[:number]):
            raise UsageInvalid("FOLDER", f"{folder} is the same folder twice; name one folder for each server")
    problem = zone_problem(zone) if zone is not None else None
    if problem:
        raise ConfigInvalid("for --zone", problem)
    found = [detect(str(folder), machine_zone(), zone) for folder in folders]
    for one in found:
        if not _is_text(one.root):
            raise NothingToDetect(ascii(one.root), "its path is not UTF-8, which no configuration can hold")
    names = names or server_names(folders)
    text = configuration(names, found) + more
    parse(text.encode(), config)  # what we write must be what we read; raises ConfigInvalid
    with writing_to(config):
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
            other=one.other,
            notes=[*one.notes, *alone],
        )
        for name, one, alone in zip(names, found, unmatched(found), strict=True)
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
    usual = {"recordings", "videos", "media", "data", "output", "storage", "mediadatabase"}
    paths = [[part for part in folder.absolute().parts[1:] if part.lower() not in usual] for folder in folders]
    while len(paths) > 1 and all(paths) and len({parts[-1] for parts in paths}) == 1:
        paths = [parts[:-1] for parts in paths]  # what all are called alike tells nobody apart
    names: list[str] = []
    for number, parts in enumerate(paths, 1):
        names.append(_plain(parts[-1]) if parts and _plain(parts[-1]) not in ("", OWN) else f"server-{number}")
    if len(set(names)) < len(names):
        names = [f"{name}-{number}" for number, name in enumerate(names, 1)]
    return names


def _plain(name: str) -> str:
    """Return what of a folder's name can be a server's: letters without their accents, digits, `_`, `.` and `-`."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_.]+", "-", letters).strip(".-")[:_LONGEST]


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def quoted(text: str) -> str:
    """Return a TOML string. JSON's escapes for letters beyond 16 bits are none of TOML's, so letters stay letters."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


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
    shared = shared_names(found)
    for name, one in zip(names, found, strict=True):
        lines += [
            "",
            "[[servers]]",
            f"name = {quoted(name)}",
            f"# cameras: {_listed(one.cameras)}",
            *_cameras(one, shared),
            "",
            "[[servers.storages]]",
            f"root = {quoted(one.root)}",
            f'layout = "{one.layout}"',
            *_options(one),
            f'zone = "{one.zone}"',
            '# retention = "10d"    # how long this recorder keeps recordings',
        ]
        lines += [f"# note: {' '.join(note.split())}" for note in one.notes]
        lines += ["", *(f"# {line}" for line in one.hint.splitlines())] if one.hint else []
    return "\n".join(lines) + "\n"


def shared_names(found: list[Detected]) -> dict[str, str]:
    """Return what each camera is to be called that its recorder has a name for: by its own name there.

    What two recorders call differently is one camera if its own name is the same in both: the first one's word counts.
    A name that two cameras of one recorder would have is none: they keep their own.
    """
    called: dict[str, str] = {}
    for one in found:
        called = {**one.named, **called}
    twice = {
        said for one in found for said, number in Counter(called[camera] for camera in one.named).items() if number > 1
    }
    return {camera: said for camera, said in called.items() if said not in twice}


def unmatched(found: list[Detected]) -> list[list[str]]:
    """Return for each server a note of its cameras that no other has, if others have such cameras as well.

    Then one camera may be called differently on two servers, and only a person can tell.
    """
    shared = shared_names(found)
    called = []
    for one in found:
        plain = set(one.cameras) - set(one.named.values())
        called.append(plain | {shared.get(camera, camera) for camera in one.named})
    alone = [names.difference(*called[:at], *called[at + 1 :]) for at, names in enumerate(called)]
    if sum(map(bool, alone)) < 2:
        return [[] for _ in found]
    said = "no other server has {}; if another calls that camera differently, give it one name on both"
    return [[said.format(_listed(sorted(names)))] if names else [] for names in alone]


def _listed(cameras: Sequence[str]) -> str:
    return ", ".join(cameras[:_LISTED]) + (" ..." if len(cameras) > _LISTED else "")


def _cameras(one: Detected, shared: dict[str, str]) -> list[str]:
    """Return the table that tells a server's cameras by what people call them, if its recorder says it."""
    lines = [f"{quoted(camera)} = {quoted(shared[camera])}" for camera in sorted(one.named) if camera in shared]
    about = "# what the recorder calls its cameras; a camera must be called the same on every server"
    return ["", "[servers.cameras]", about, *lines] if lines else []


def _options(one: Detected) -> list[str]:
    options = ", ".join(f"{key} = {quoted(value)}" for key, value in sorted(one.options.items()))
    return [f"options = {{ {options} }}"] if options else []


def show(config: Path, documents: list[DetectedDocument], *, pairing: bool = False) -> None:
    """Print what was recognised and, unless this is the beginning of `pairing`, what to do next."""
    console = results()
    table = Grid(
        [
            ("server", Kind.NAME),
            ("layout", Kind.PLAIN),
            ("zone", Kind.PLAIN),
            ("cameras", Kind.TEXT),
            ("root", Kind.TEXT),
        ]
    )
    for one in documents:
        table.add(one.server, one.layout, one.zone, ", ".join(one.cameras), one.root)
    console.print(table)
    for one in documents:
        for note in one.notes:
            console.print(Text(f"note: {one.server}: {note}", style="yellow"))
        if one.others:
            what = f"{one.others:,} media files have" if one.others > 1 else "1 media file has"
            said = f"note: {one.server}: {what} other names and will not be read, such as {one.other}"
            console.print(Text(said, style="yellow"), soft_wrap=True)
    if pairing:
        console.print(f"Wrote {config}.\n", soft_wrap=True)
        return
    if len(documents) < 2:
        text = "one server alone has no peer to fill from; name a folder for each, or pair two hosts with --address"
        console.print(Text(f"note: {text}", style="yellow"))
    console.print(f"Wrote {config}. Next: recorder-sync gaps", soft_wrap=True)
