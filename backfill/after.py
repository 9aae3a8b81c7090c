"""What must follow a fill so that the recorder shows the files: a row in its database, or a command of the operator's.

Rule: the files are landed and safe before anything here runs; what fails here loses nothing and is tried again by the
next fill. Each outcome is a sentence in the result.
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
from schema.values import Landed, Segment

_COMMAND_SECONDS = 600


def after_fill(ledger: Ledger, site: Site, server: str, landed: Sequence[Landed]) -> list[str]:
    """Do what each storage of `server` wants after a fill; returns a sentence for each thing done or failed."""
    said: list[str] = []
    for storage in site.of(server):
        here = [one for one in landed if one.storage_id == storage.id]
        try:
            if storage.settings.frigate is not None:
                said.append(_frigate(ledger, site, storage))
            if storage.settings.after_fill and here:
                said.append(_command(storage, storage.settings.after_fill, here))
        except OperatorError as error:
            said.append(str(error))
    return [sentence for sentence in said if sentence]


def _frigate(ledger: Ledger, site: Site, storage: Storage) -> str:
    """Bring Frigate's rows up to everything ever filled here, so that an interrupted fill is made up for."""
    rules = storage.settings.frigate
    assert rules is not None
    with ledger.reading() as connection:
        filled = ledger.segments.filled(connection, storage.id)
    if not filled:
        return ""
    origins = OriginLog(storage.state_folder())
    rows = missing_rows(rules, [_as_frigate_knows(site, storage, origins, segment) for segment in filled])
    if not rows:
        return ""
    if rules.rows == "dry-run":
        return f'{storage.title}: {len(rows):,} rows are missing in Frigate\'s database; rows = "write" adds them'
    return f"{storage.title}: {write_rows(rules, rows):,} rows added to Frigate's database"


def _as_frigate_knows(site: Site, storage: Storage, origins: OriginLog, segment: Segment) -> Filled:
    origin = origins.find(segment.path, segment.start, segment.size, segment.mtime_ns)
    peers = [one for one in site.storages if one.server == segment.origin and one.settings.frigate is not None]
    named = storage.layout.read(segment.path)
    return Filled(
        camera=named.camera if named else segment.camera,
        path=segment.path,
        start=segment.start,
        end=segment.end,
        size=segment.size,
        source_path=origin.source_path if origin else segment.path,
        peer=peers[0].settings.frigate if peers else None,
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
