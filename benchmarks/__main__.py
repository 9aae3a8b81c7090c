"""`python -m benchmarks`: run everything or one part, print the tables, write the JSON, clean up.

Exit status: 0 all well, 1 a target missed (full runs only) or a fill not the same as its source, 2 wrong usage.
"""

import argparse
import datetime
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
from rich.console import Console

from benchmarks import machine
from benchmarks.document import Document
from benchmarks.peers import OURS, TOOLS
from benchmarks.report import views
from benchmarks.sizes import FULL, QUICK
from benchmarks.suite import DEFAULT, PARTS, Suite
from benchmarks.targets import judge
from recorder_sync.version import __version__

_ROOM = 12 * 10**9
_ROOM_QUICK = 500 * 10**6
_SPARE = 8 * 10**9
"""What a bank leaves free for its recorder, beside what is written."""
_WIDTH = 150


def main() -> int:
    """Run what was asked; returns the exit status."""
    given = _arguments()
    sizes = QUICK if given.quick else FULL
    if given.blocks:
        sizes = replace(sizes, tables=replace(sizes.tables, blocks=given.blocks))
    began = time.monotonic()
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    complaints = Console(stderr=True)
    with _folder(given.dir, keep=given.keep) as folder:
        room = _ROOM_QUICK if given.quick else _ROOM
        if "tables" in (given.only or ()):
            room = max(room, _SPARE + 2 * sizes.tables.lost_bytes)
        if shutil.disk_usage(folder).free < room:
            complaints.print(f"there must be {room / 1e9:.1f} GB free below {folder.parent}; choose another with --dir")
            return 2
        facts = machine.facts(folder, TOOLS)
        with _progress(complaints) as say:
            suite = Suite(folder, sizes, given.rounds or sizes.rounds, keep=given.keep, say=say)
            suite.run(given.only or DEFAULT)
    document = Document(
        command=_command(given),
        version=__version__,
        quick=given.quick,
        started=started,
        seconds=time.monotonic() - began,
        machine=facts,
        absent=suite.absent,
        cases=suite.cases,
        figures=suite.figures,
        targets=judge(suite.cases, suite.figures),
        verified=all(row.complete for case in suite.cases for row in case.rows if row.who.startswith(OURS)),
    )
    if given.json:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    for view in views(document):
        console.print(view)
    missed = not given.quick and any(not target.met for target in document.targets)
    return 1 if missed or not document.verified else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: only shows that it runs")
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part; repeatable")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of a recovery case at most (default 7)")
    parser.add_argument("--blocks", type=int, metavar="N", help="block files of a missing table (default 1)")
    parser.add_argument("--keep", action="store_true", help="leave the recordings and ledgers where they are")
    parser.add_argument("--dir", type=Path, metavar="DIR", help="work in a new folder below DIR")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON, with the machine's facts")
    given = parser.parse_args()
    if given.rounds is not None and given.rounds < 1:
        parser.error("--rounds must be at least 1")
    if given.blocks is not None and given.blocks < 1:
        parser.error("--blocks must be at least 1")
    return given


def _command(given: argparse.Namespace) -> str:
    """Return how this run was called, without the paths of this machine."""
    words = ["python -m benchmarks"]
    words += ["--quick"] if given.quick else []
    words += [f"--only {part}" for part in given.only or ()]
    words += [f"--rounds {given.rounds}"] if given.rounds else []
    words += [f"--blocks {given.blocks}"] if given.blocks else []
    return " ".join(words)


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str], None]]:
    """Give a way to say what is being done: one changing line in a terminal, a line each with the time elsewhere."""
    if not console.is_terminal:
        began = time.monotonic()
        yield lambda what: console.print(f"{time.monotonic() - began:6.1f} s  {what}", highlight=False)
        return
    with console.status("preparing") as status:
        yield status.update


@contextmanager
def _folder(below: Path | None, *, keep: bool) -> Iterator[Path]:
    """Give a new folder that is gone afterwards, also after SIGTERM and Ctrl-C, unless it is to be kept."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    folder = Path(tempfile.mkdtemp(prefix="recorder-sync-benchmarks-", dir=below)).resolve()
    try:
        yield folder
    finally:
        if keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
