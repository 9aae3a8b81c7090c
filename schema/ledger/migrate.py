"""Bringing a ledger to this release's tables, or refusing to.

Rule: a ledger from a newer release is never touched; an older one is upgraded in one transaction, so that it is either
the old or the new one.
"""

from pathlib import Path

from sqlalchemy import Engine, inspect, text

from schema.errors import LedgerDamaged, LedgerForeign, LedgerNewer
from schema.ledger.engine import APPLICATION_ID, shown
from schema.migrations import HEAD

_SCRIPTS = Path(__file__).parent.parent / "migrations"


def ensure_current(engine: Engine) -> None:
    """Create the tables in an empty database, upgrade older ones. Raises LedgerNewer, LedgerForeign, LedgerDamaged."""
    with engine.connect() as connection:
        tables = set(inspect(connection).get_table_names())
        found = None
        if "alembic_version" in tables:
            rows = connection.execute(text("SELECT version_num FROM alembic_version")).all()
            found = rows[0][0] if len(rows) == 1 else ""
    if found == HEAD:
        return
    if tables and found is None:
        raise LedgerForeign(shown(engine), f"it has other tables: {', '.join(sorted(tables)[:5])}")
    _upgrade(engine, found)


def _upgrade(engine: Engine, found: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found == "":
        raise LedgerDamaged(shown(engine), "its revision is missing")
    if found is not None and found not in known:
        raise LedgerNewer(shown(engine), found)
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            # As SQLite's BEGIN IMMEDIATE does: of several that start at once, one makes the tables.
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": APPLICATION_ID})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
