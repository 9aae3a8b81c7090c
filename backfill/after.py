"""What must follow a fill so that something shows the files: a row in a database, an index beside them, or a command.

Rule: the files are landed and safe before anything here runs, and what fails here loses nothing. Missing rows are tried
again by every next fill; a command is run once for what it was given. Each outcome is a sentence in the result.
"""

import contextlib
import os
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from backfill.layouts.capabilities import Entry, Indexing
from backfill.layouts.frigate_rows import Filled, missing_rows, write_rows
from backfill.origins import OriginLog
from backfill.site import Site
from backfill.storage import Storage, write_durably
from schema.errors import CommandFailed, OperatorError
from schema.ledger import Ledger
from schema.settings import FrigateRules
from schema.values import Landed, Segment

_COMMAND_SECONDS = 600


def after_fill(ledger: Ledger, site: Site, server: str, landed: Sequence[Landed]) -> list[str]:
    """Do what each storage of `server` wants after a fill; returns a sentence for each thing done or failed."""
    said: list[str] = []
    for storage in site.of(server):
        here = [one for one in landed if one.storage_id == storage.id]
        if storage.origin is not None and not storage.remote and isinstance(storage.layout, Indexing):
            said += _said_of(storage, index_beside(ledger, storage, storage.layout))
        if storage.settings.frigate is not None:
            said += _frigate(ledger, site, storage, storage.settings.frigate)
        if storage.settings.after_fill and here:
            try:
                said.append(_command(storage, storage.settings.after_fill, here))
            except OperatorError as error:
                said.append(str(error))
        if here and not storage.settings.after_fill and storage.settings.frigate is None:
            said += _still_to_do(site, storage, len(here))
    return said


class IndexBeside(NamedTuple):
    """What became of the indexes of a side store."""

    written: tuple[str, ...] = ()
    """Those that were others before."""
    segments: int = 0
    """Of how many segments they tell."""
    problem: str = ""
    """Why they are as they were, as a sentence; empty if they are not."""


def index_beside(ledger: Ledger, storage: Storage, layout: Indexing) -> IndexBeside:
    """Let a side store's index tell of exactly what lies there, so that something can read it.

    From the ledger, and not from what landed now: an interrupted fill is made up for, and what was taken away is told
    of no more.
    """
    if not os.path.isdir(storage.root):
        return IndexBeside()
    with ledger.reading() as connection:
        filled = ledger.segments.filled(connection, storage.id)
    try:
        files = layout.index_files(storage.root, (Entry(one.path, one.start, one.end) for one in filled))
        written = [path for path, content in files.items() if _replaced(os.path.join(storage.root, path), content)]
    except OSError as error:
        why = f"{storage.title}: its index could not be written: {error.strerror}; the next fill tries again"
        return IndexBeside(problem=why)
    return IndexBeside(tuple(written), len(filled))


def _said_of(storage: Storage, indexed: IndexBeside) -> list[str]:
    if indexed.problem:
        return [indexed.problem]
    tell = "tells" if len(indexed.written) == 1 else "tell"
    said = f"{storage.title}: {', '.join(indexed.written)} {tell} of {indexed.segments:,} filled"
    return [said] if indexed.written else []


def _replaced(path: str, content: bytes) -> bool:
    """Replace an index of ours whole; returns whether it was another. Raises OSError."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        if file.read() == content:
            return False
    write_durably(path, content)
    return True


def _still_to_do(site: Site, storage: Storage, count: int) -> list[str]:
    """Say what the recorder needs before it shows the files, where nobody configured it: else it may delete them."""
    home = next((site.storage(main) for (main, _), side in site.side.items() if side.id == storage.id), storage)
    traits = home.layout.traits
    beside = home is not storage
    if not traits.after or beside != (traits.fill == "side"):
        return []  # it needs nothing, or the operator chose another place than the layout's
    return [f"{home.title}: the {count:,} filled files still need {traits.after}"]


def _frigate(ledger: Ledger, site: Site, storage: Storage, rules: FrigateRules) -> list[str]:
    """Bring Frigate's rows up to everything ever filled here, so that an interrupted fill is made up for.

    By the server it came from: one whose database is away must not keep the others' rows from being added.
    """
    with ledger.reading() as connection:
        filled = ledger.segments.filled(connection, storage.id)
    said = []
    for server in sorted({segment.origin for segment in filled if segment.origin}):
        peers = [one.settings.frigate for one in site.storages if one.server == server and one.settings.frigate]
        try:
            origins = OriginLog(storage.state_folder())
            theirs = [_as_frigate_knows(storage, origins, one) for one in filled if one.origin == server]
            said.append(_frigate_rows(storage, rules, theirs, peers))
        except OperatorError as error:
            said.append(str(error))
    return [sentence for sentence in said if sentence]


def _frigate_rows(
    storage: Storage, rules: FrigateRules, filled: Sequence[Filled], peers: Sequence[FrigateRules]
) -> str:
    """Add, or only count, the rows that Frigate lacks for what one server gave; returns what was done."""
    rows = missing_rows(rules, filled, peers)
    if not rows:
        return ""
    if rules.rows == "dry-run":
        return f'{storage.title}: {len(rows):,} rows are missing in Frigate\'s database; rows = "write" adds them'
    return f"{storage.title}: {write_rows(rules, rows):,} rows added to Frigate's database"


def _as_frigate_knows(storage: Storage, origins: OriginLog, segment: Segment) -> Filled:
    origin = origins.find(segment.path, segment.start, segment.size, segment.mtime_ns)
    named = storage.layout.read(segment.path)
    return Filled(
        camera=named.camera if named else segment.camera,
        path=segment.path,
        start=segment.start,
        end=segment.end,
        size=segment.size,
        source_path=origin.source_path if origin else segment.path,
    )


def _command(storage: Storage, command: list[str], landed: Sequence[Landed]) -> str:
    """Run the operator's command with the landed paths on its standard input. Raises CommandFailed."""
    paths = "".join(f"{os.path.join(storage.root, one.path)}\n" for one in landed)
    try:
        done = subprocess.run(  # noqa: S603  the operator's own command from the configuration, without a shell
            command, input=paths.encode(), capture_output=True, timeout=_COMMAND_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandFailed("none", f"{command[0]}: {error}") from None
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise CommandFailed(done.returncode, f"{command[0]}: {last[0] if last else 'no message'}")
    return f"{storage.title}: {command[0]} was given {len(landed):,} files"
