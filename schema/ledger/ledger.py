"""The ledger as the rest of the product sees it: open it, read in one transaction, write in one transaction.

Rule: nothing here holds a connection between calls, so threads and processes share a ledger freely. The one exception
hears of commits, and neither reads nor writes.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, select, text, update

from schema.errors import LedgerDamaged, LedgerReplaced, LedgerUnreachable
from schema.ledger.alarms import Outbox
from schema.ledger.allowance import Allowance
from schema.ledger.contacts import Contacts
from schema.ledger.coverage import CoverageBook, Held
from schema.ledger.engine import connect, shown
from schema.ledger.folders import FolderBook
from schema.ledger.history import History
from schema.ledger.migrate import ensure_current
from schema.ledger.mirror import MirrorBook
from schema.ledger.names import Names
from schema.ledger.oddities import OddityBook
from schema.ledger.segments import SegmentBook
from schema.ledger.unchanged import Commits, Unchanged
from schema.ledger.unsealed import being_written, longest
from schema.spans import Span
from schema.tables import storages
from schema.values import Segment


class Ledger:
    """One database with its books. Make one with `Ledger.open`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._file = _file_of(engine)
        self._commits = Commits(engine)
        self.names = Names()
        self.folders = FolderBook()
        self.segments = SegmentBook(self.names, self.folders)
        self.coverage = CoverageBook(self.names)
        self.history = History(self.names)
        self.contacts = Contacts(self.names)
        self.allowance = Allowance(self.names, self.contacts)
        self.mirror = MirrorBook(self.names, self.coverage, self.allowance)
        self.outbox = Outbox(self.names)
        self.oddities = OddityBook()

    @classmethod
    def open(cls, url: str) -> "Ledger":
        """Open the ledger at `url`, creating or upgrading it.

        Raises LedgerUnreachable, LedgerForeign, LedgerNewer, LedgerDamaged, LedgerNotDurable, ExtraMissing.
        """
        engine = connect(url)
        if engine.dialect.name == "sqlite" and engine.url.database:
            folder = Path(engine.url.database).parent
            if not folder.is_dir():
                raise LedgerUnreachable(engine.url.database, f"folder {folder} does not exist")
        ensure_current(engine)
        return cls(engine)

    def close(self) -> None:
        """Close every connection."""
        self._commits.close()
        self._engine.dispose()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        """Where it is, without a password."""
        return shown(self._engine)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a transaction that sees one state of the ledger, and writes nothing."""
        # SQLite's transactions see one state by themselves; PostgreSQL's want to be told.
        options = {} if self._engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        with self._engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a transaction that is durable when this block ends, or leaves no trace if it raises.

        Raises LedgerReplaced if the file was set aside since it was opened: what is written to it nobody would read.
        """
        with self._engine.connect().execution_options(write=True) as connection:
            try:
                with connection.begin():
                    self._check_in_place()
                    yield connection
            except BaseException:
                self.names.rolled_back(connection)
                raise
            self.names.committed(connection)

    def unchanged(self) -> Unchanged[Any]:
        """Return a keeper of what is read often and seldom changes."""
        return Unchanged(self._committed, self._read)

    def _read(self, read: Callable[[Connection], Any]) -> Any:
        with self.reading() as connection:
            return read(connection)

    def _committed(self) -> int | None:
        """Return a number that is another after every commit, None where nobody tells."""
        if self._file is None or _file_of(self._engine) != self._file:
            return None
        return self._commits.number()

    def _check_in_place(self) -> None:
        if _file_of(self._engine) != self._file:
            raise LedgerReplaced(self.address)

    def storage_id(self, server: str, name: str) -> int:
        """Return the id of a storage, adding it if it is new."""
        with self.writing() as connection:
            return self.names.storage_id(connection, server, name)

    def held(self, storage_id: int, joint: int, window: Span | None = None) -> dict[str, Held]:
        """Return what a storage holds of each camera; see `CoverageBook.read`."""
        joint = int(joint)  # a subclass that the configuration made cannot be encoded
        with self.reading() as connection:
            kept = self.coverage.kept(connection, storage_id, joint, window)
        if kept is not None:
            return kept
        with self.writing() as connection:
            return self.coverage.read(connection, storage_id, joint, window)

    def being_written(self, storage_id: int) -> list[Segment]:
        """Return what the last scan of a storage saw being written."""
        with self.reading() as connection:
            return being_written(connection, storage_id)

    def longest(self, storage_id: int) -> int:
        """Return the length of the longest segment ever seen on a storage, microseconds; 0 if there was none."""
        with self.reading() as connection:
            return longest(connection, storage_id)

    def storage_note(self, storage_id: int) -> tuple[str, str, int]:
        """Return a storage's identity, rules and the time of its last scan; empty and 0 if it was never scanned."""
        with self.reading() as connection:
            row = connection.execute(
                select(storages.c.identity, storages.c.rules, storages.c.scanned_us).where(storages.c.id == storage_id)
            ).one()
            return row[0], row[1], row[2]

    def note_storage(
        self,
        storage_id: int,
        *,
        identity: str | None = None,
        rules: str | None = None,
        scanned_us: int | None = None,
    ) -> None:
        """Keep what a scan learned of a storage; None leaves a value as it is."""
        new = {"identity": identity, "rules": rules, "scanned_us": scanned_us}
        values = {key: value for key, value in new.items() if value is not None}
        with self.writing() as connection:
            connection.execute(update(storages).where(storages.c.id == storage_id).values(values))

    def check(self) -> None:
        """Read the whole database for structural damage. Raises LedgerDamaged. Takes seconds a gigabyte."""
        if self._engine.dialect.name != "sqlite":
            return
        with self.reading() as connection:
            answers = [row[0] for row in connection.execute(text("PRAGMA integrity_check(5)"))]
        if answers != ["ok"]:
            raise LedgerDamaged(self.address, "; ".join(answers))


def _file_of(engine: Engine) -> tuple[int, int] | None:
    """Return which file a SQLite ledger is now, by device and inode; None for what is no file, or is gone."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    try:
        info = os.stat(engine.url.database)
    except FileNotFoundError:
        return None
    return info.st_dev, info.st_ino


def set_aside(url: str) -> Path | None:
    """Rename a SQLite ledger so that a fresh one can be built; returns where it went, None if there was none.

    Nothing is deleted. A database server's ledger is not touched: its administrator restores it.
    """
    engine = connect(url)
    database = engine.url.database
    if engine.dialect.name != "sqlite" or not database or not Path(database).exists():
        return None
    number = 1
    while (aside := Path(f"{database}.damaged-{number}")).exists():
        number += 1
    for ending in ("", "-wal", "-shm"):
        if Path(database + ending).exists():
            os.replace(database + ending, str(aside) + ending)
    return aside
