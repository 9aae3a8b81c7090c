"""What must follow a fill so that the recorder shows the files: a row in its database, or a command of the operator's.

Rule: the files are landed and safe before anything here runs, and what fails here loses nothing. Missing rows are tried
again by every next fill; a command is run once for what it was given. Each outcome is a sentence in the result.
"""

import os
import subprocess
from collections.abc import Sequence

from backfill.layouts.frigate_rows import Filled, missing_rows, write_rows
from backfill.origins import OriginLog
from backfill.site import Site
from backfill.storage import Storage
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
