"""Opening the ledger's database: durable, checked at every connect, and with errors an operator understands.

Rule: SQLite runs in WAL mode **and** with `synchronous=FULL`, and both are read back; `NORMAL` lost 200 of 200
acknowledged commits in a simulated power cut. Write transactions take the lock at BEGIN, so that two processes wait
for each other instead of failing half way.
"""

import os
import sqlite3
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.exc import OperationalError as SqlOperationalError

from schema.errors import (
    DiskFull,
    ExtraMissing,
    LedgerBusy,
    LedgerDamaged,
    LedgerForbidden,
    LedgerForeign,
    LedgerNotDurable,
    LedgerUnreachable,
    OperatorError,
    PermissionMissing,
)

APPLICATION_ID = 0x5253594E
"""`RSYN` in the header of our SQLite files, so that another program's database is never taken for a ledger."""

BUSY_SECONDS = 60
CHECKPOINT_PAGES = 8192
"""Pages of 4 KiB in the write-ahead log before SQLite copies them into the file."""


def connect(url: str) -> Engine:
    """Return an engine for an address, or for the absolute path of a SQLite file.

    Raises LedgerUnreachable, ExtraMissing for an address that cannot work.
    """
    try:
        address = URL.create("sqlite", database=url) if os.path.isabs(url) else make_url(url)
        sqlite = address.get_backend_name() == "sqlite"
        if not sqlite and address.drivername != "postgresql+psycopg":
            raise LedgerUnreachable(_shown(url), "only a file (SQLite) and postgresql+psycopg:// are supported")
        engine = create_engine(address, **(_SQLITE if sqlite else _postgres(address)))
    except (ArgumentError, NoSuchModuleError) as error:
        raise LedgerUnreachable(_shown(url), error) from None
    except ModuleNotFoundError as error:
        raise ExtraMissing(f"the ledger {_shown(url)}", error.name, "postgres") from None
    if sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "handle_error", _translate)
    return engine


_SQLITE: dict[str, Any] = {"paramstyle": "named"}
_ANSWER_WITHIN = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""Seconds after which a database host that lost its power counts as away; it cannot say so itself."""


def _postgres(address: URL) -> dict[str, Any]:
    """Return how to connect to a database server. What the address says of its own wins.

    Connections are tried before they are used: after a restart of the server those of before are dead, all of them.
    """
    within = {**_ANSWER_WITHIN, "tcp_user_timeout": 15_000}
    chosen = {key: value for key, value in within.items() if key not in address.query}
    return {"pool_pre_ping": True, "connect_args": chosen}


def _shown(url: str | URL) -> str:
    """Return the address without its password."""
    try:
        address = make_url(url)
    except ArgumentError:
        return str(url)
    if address.get_backend_name() == "sqlite":
        return address.database or "(memory)"
    return address.render_as_string(hide_password=True)


def shown(engine: Engine) -> str:
    """Return the engine's address as operators know it: a path, or a URL without its password."""
    return _shown(engine.url)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Set and read back what durability rests on."""
    connection.isolation_level = None  # we send BEGIN ourselves: the driver would begin too late
    cursor = connection.cursor()
    where = ""
    try:
        where = cursor.execute("PRAGMA database_list").fetchone()[2]
        cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
        identity = cursor.execute("PRAGMA application_id").fetchone()[0]
        if identity != APPLICATION_ID:
            if cursor.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise LedgerForeign(where, "it is another program's SQLite database")
            cursor.execute(f"PRAGMA application_id={APPLICATION_ID}")
        mode = cursor.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        cursor.execute("PRAGMA synchronous=FULL")
        if mode != "wal" or cursor.execute("PRAGMA synchronous").fetchone()[0] != 2:
            raise LedgerNotDurable(where, f"journal mode is {mode!r}, it must be WAL with synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA cache_size=-65536")
        # Every commit is durable in the log; copying the log into the file less often makes a first scan faster.
        cursor.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    except UnicodeDecodeError as error:  # SQLite's own message quotes what is no text
        raise LedgerDamaged(where, error) from error
    except sqlite3.Error as error:
        raise _sqlite_error(error, where or _path_of(connection)) from error
    finally:
        cursor.close()


def _path_of(connection: sqlite3.Connection) -> str:
    return str(next(iter(connection.execute("SELECT file FROM pragma_database_list")), [""])[0])


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


_DAMAGE = ("malformed", "not a database", "disk I/O", "corrupt", "Could not decode", "unsupported file format")
"""What SQLite and Python's module say of a file whose bytes are not what was written."""


def _sqlite_error(error: BaseException, where: str) -> OperatorError:
    """Name what SQLite reports in the operator's terms."""
    text = str(error)
    if "locked" in text or "busy" in text:
        return LedgerBusy(where, text)
    if "full" in text:
        return DiskFull(where, "the ledger")
    if "readonly" in text or ("unable to open" in text and _forbidden(where)):
        return PermissionMissing("writing the ledger", f"{where}: {text}")
    if any(word in text for word in _DAMAGE):
        return LedgerDamaged(where, text)
    return LedgerUnreachable(where, text)


_COLLISION = ("40001", "40P01", "55P03")
"""PostgreSQL: serialization failure, deadlock, lock not available. The transaction left no trace; try it again."""

_NO_PRIVILEGE = "42501"


def _forbidden(where: str) -> bool:
    """Tell whether the ledger's file, or its folder, into which SQLite writes its log, may not be written."""
    return any(os.path.exists(path) and not os.access(path, os.W_OK) for path in (where, os.path.dirname(where)))


def _translate(context: ExceptionContext) -> BaseException | None:
    """Replace a driver's exception with ours where an operator can act on it; leave defects alone."""
    error = context.original_exception
    if context.is_pre_ping:
        return None  # a dead connection of the pool is replaced by a new one
    where = shown(context.engine) if context.engine else "?"
    if isinstance(error, OperatorError):
        return error
    if isinstance(error, UnicodeDecodeError):
        return LedgerDamaged(where, error)
    if isinstance(error, sqlite3.OperationalError | sqlite3.DatabaseError) and not isinstance(
        error, sqlite3.IntegrityError | sqlite3.ProgrammingError
    ):
        if "no such table" in str(error) or "no such column" in str(error) or "syntax" in str(error):
            return None
        return _sqlite_error(error, where)
    state = getattr(error, "sqlstate", None)
    if state in _COLLISION:
        return LedgerBusy(where, " ".join(str(error).split()))
    if state == _NO_PRIVILEGE:
        return LedgerForbidden(where, " ".join(str(error).split()))
    if isinstance(context.sqlalchemy_exception, SqlOperationalError):
        return LedgerUnreachable(where, " ".join(str(error).split()))
    return None
