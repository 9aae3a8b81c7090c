"""What was read of the ledger and is still so: read again only when somebody committed something.

Rule: SQLite itself tells that a commit happened, of this process as well as of another, to a connection that never
writes. Who does not tell - a database server, a file that was set aside - is read every time. What depends on the time
of asking is not for here.
"""

import sqlite3
import threading
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.pool import PoolProxiedConnection

_T = TypeVar("_T")


class Commits:
    """Tells when something was committed to a SQLite file, by a connection of its own; for any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._connection: PoolProxiedConnection | None = None

    def number(self) -> int | None:
        """Return a number that is another after every commit, None if SQLite cannot tell; takes a few microseconds.

        Raises the ledger's errors if it cannot be opened.
        """
        with self._lock:
            if self._connection is None:
                self._connection = self._engine.raw_connection()
                self._connection.detach()  # kept for good: to a connection that writes, its own commits are no news
            try:
                cursor = self._connection.cursor()
                cursor.execute("PRAGMA data_version")
                found: Any = cursor.fetchone()
                cursor.close()
            except sqlite3.Error:  # whoever reads is told what it is
                self._close()
                return None
            return int(found[0])

    def close(self) -> None:
        """Close its connection."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Unchanged(Generic[_T]):
    """What was read of a ledger, by what was asked; for any thread.

    Args:
        number: returns the same while nothing is committed, None if nobody can tell.
        reading: reads what is asked for, in a transaction of its own.
    """

    def __init__(
        self, number: Callable[[], object | None], reading: Callable[[Callable[[Connection], _T]], _T]
    ) -> None:
        self._number = number
        self._reading = reading
        self._at: object | None = None
        self._known: dict[Hashable, _T] = {}
        self._lock = threading.Lock()

    def get(self, asked: Hashable, read: Callable[[Connection], _T]) -> _T:
        """Return what `read` returns, which follows from `asked` and the ledger alone; called only if it may be new.

        Raises the ledger's errors.
        """
        number = self._number()  # before reading: what is committed meanwhile makes it old, not new
        with self._lock:
            if number is None or number != self._at:
                self._known.clear()
                self._at = number
            elif asked in self._known:
                return self._known[asked]
        found = self._reading(read)
        with self._lock:
            if number is not None and number == self._at:
                self._known[asked] = found
        return found
