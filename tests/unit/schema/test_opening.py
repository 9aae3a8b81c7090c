"""Opening a ledger: durable or not at all, and whatever is wrong with it is a sentence with its own exit code.

`synchronous=NORMAL` lost every acknowledged commit of a simulated power cut: what SQLite was told is read back.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, event, text

from schema.errors import (
    LedgerBusy,
    LedgerDamaged,
    LedgerForeign,
    LedgerNewer,
    LedgerNotDurable,
    LedgerReplaced,
    LedgerUnreachable,
    OperatorError,
)
from schema.ledger import Ledger, engine
from schema.ledger.ledger import set_aside
from schema.migrations import HEAD
from schema.tables import metadata


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A ledger that was made and closed."""
    path = tmp_path / "ledger.db"
    with Ledger.open(f"sqlite:///{path}") as ledger:
        ledger.storage_id("a", "main")
    return path


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def refused(path: Path, kind: type[OperatorError]) -> str:
    """Return what is said when the ledger at `path` is opened and used; nothing may be changed."""
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(kind) as caught, Ledger.open(f"sqlite:///{path}") as ledger:
        ledger.storage_id("a", "main")
    assert caught.value.hint
    if path.is_file():
        assert path.read_bytes() == before
    return str(caught.value)


def test_every_connection_is_durable(file: Path) -> None:
    with Ledger.open(f"sqlite:///{file}") as ledger, ledger.reading() as one, ledger.reading() as other:
        for connection in (one, other):
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
            assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
            assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_a_ledger_that_cannot_be_durable_is_not_used() -> None:
    with pytest.raises(LedgerNotDurable, match="journal mode is 'memory'"):
        Ledger.open("sqlite://")


def test_a_setting_that_does_not_take_is_noticed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = sqlite3.connect

    class Careless(sqlite3.Cursor):
        def execute(self, statement: str, *more: object) -> sqlite3.Cursor:
            return super().execute(statement.replace("synchronous=FULL", "synchronous=NORMAL"), *more)

    class Connection(sqlite3.Connection):
        def cursor(self, *_: object) -> sqlite3.Cursor:  # type: ignore[override]
            return Careless(self)

    monkeypatch.setattr(sqlite3.dbapi2, "connect", lambda *a, **k: real(*a, **{**k, "factory": Connection}))
    with pytest.raises(LedgerNotDurable):
        Ledger.open(f"sqlite:///{file}")


def test_a_ledger_of_a_newer_release_is_not_touched(file: Path) -> None:
    change(file, "UPDATE alembic_version SET version_num = '9999'")
    assert "9999" in refused(file, LedgerNewer)


def test_a_ledger_without_its_revision_is_damaged(file: Path) -> None:
    change(file, "DELETE FROM alembic_version")
    assert "revision" in refused(file, LedgerDamaged)


def test_another_programs_database_is_not_taken_for_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "frigate.db"
    change(path, "CREATE TABLE recordings (path TEXT)")
    assert "another program's" in refused(path, LedgerForeign)


@pytest.mark.parametrize(
    "content",
    [b"[servers]\nname = 'x'\n" * 100, b"SQLite format 3\0" + os.urandom(4080)],
    ids=["text", "rotten header"],
)
def test_a_file_that_is_no_database_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    refused(path, OperatorError)


def test_a_ledger_in_no_folder_is_said(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "nowhere/ledger.db", LedgerUnreachable)


def test_a_folder_in_place_of_the_ledger_is_said(tmp_path: Path) -> None:
    refused(tmp_path, LedgerUnreachable)


@pytest.mark.parametrize("url", ["nonsense", "oracle+cx://x/y", "postgresql+psycopg://test@127.0.0.1:9/none"])
def test_an_address_that_leads_nowhere_is_said_without_a_password(url: str) -> None:
    with pytest.raises(OperatorError) as caught:
        Ledger.open(url.replace("test@", "test:secret@"))
    assert "secret" not in str(caught.value)
    assert caught.value.hint


def test_a_ledger_that_stays_locked_is_said(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with (
            Ledger.open(f"sqlite:///{file}") as ledger,
            pytest.raises(LedgerBusy),
            ledger.writing() as connection,
        ):
            connection.execute(text("UPDATE servers SET name = 'x'"))
        holder.execute("ROLLBACK")


def test_the_revision_stated_is_the_newest_one() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    import schema.migrations

    config = Config()
    config.set_main_option("script_location", str(Path(schema.migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_what_the_revisions_build_is_what_the_tables_say(ledger: Ledger) -> None:
    """Upgraded equals fresh: on both databases, with types, defaults, indices and constraints."""
    with ledger.reading() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": connection.dialect.name != "sqlite"}
        )
        assert compare_metadata(context, metadata) == []


def test_what_the_revisions_build_in_sqlite_is_to_the_letter_what_the_tables_say(file: Path, tmp_path: Path) -> None:
    fresh = create_engine(f"sqlite:///{tmp_path}/fresh.db")
    metadata.create_all(fresh)
    fresh.dispose()

    def shape(path: Path) -> dict[str, list[tuple[object, ...]]]:
        with closing(sqlite3.connect(path)) as connection:
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {
                name: [
                    *connection.execute(f"PRAGMA table_info({name})").fetchall(),
                    *sorted(connection.execute(f"PRAGMA foreign_key_list({name})").fetchall()),
                    *sorted(row[1:3] for row in connection.execute(f"PRAGMA index_list({name})")),
                ]
                for name in sorted(names)
                if name != "alembic_version"
            }

    assert shape(file) == shape(tmp_path / "fresh.db")


def test_a_current_ledger_is_opened_without_loading_the_migrations(file: Path) -> None:
    """It would take a third of a second of every command."""
    import subprocess
    import sys

    program = (
        "import sys; from schema.ledger import Ledger; Ledger.open(sys.argv[1]).close();"
        " sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program, f"sqlite:///{file}"], check=False).returncode == 0


def test_a_ledger_set_aside_is_kept_whole_under_a_new_name(file: Path) -> None:
    content = file.read_bytes()
    first = set_aside(f"sqlite:///{file}")
    assert first is not None and first.read_bytes() == content
    assert not file.exists()
    with Ledger.open(f"sqlite:///{file}"):
        pass
    second = set_aside(f"sqlite:///{file}")
    assert second not in (None, first)
    assert set_aside(f"sqlite:///{file}") is None


def test_a_window_query_does_not_read_the_archive(file: Path) -> None:
    asked: list[str] = []
    with Ledger.open(f"sqlite:///{file}") as ledger, ledger.reading() as connection:

        @event.listens_for(connection, "before_cursor_execute")
        def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
            asked.append(statement)

        from schema.spans import Span

        ledger.segments.window(connection, 1, "front", Span(0, 10))
        query = next(statement for statement in asked if "segments" in statement and "start_us" in statement)
        parameters = dict.fromkeys(("storage", "camera", "first", "start", "end", "state_1"), 1)
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", parameters).fetchall()
    plan = [str(row[3]) for row in rows]
    assert any("SEARCH segments USING INDEX ix_segments_storage_id_camera_id_start_us" in step for step in plan), plan
    assert not any("SCAN segments" in step for step in plan), plan


def test_a_path_is_taken_to_the_letter(tmp_path: Path) -> None:
    folder = tmp_path / "what?now#1 %20"
    folder.mkdir()
    with Ledger.open(str(folder / "l.db")) as ledger:
        assert ledger.address == str(folder / "l.db")
        ledger.storage_id("a", "main")
    assert (folder / "l.db").exists()
    assert set_aside(str(folder / "l.db")) == folder / "l.db.damaged-1"


def test_a_ledger_that_was_set_aside_is_not_written_to(file: Path) -> None:
    """A watch that runs on while the ledger is rebuilt would fill a file that nobody reads."""
    with Ledger.open(f"sqlite:///{file}") as watching:
        aside = set_aside(f"sqlite:///{file}")
        with pytest.raises(LedgerReplaced):
            watching.storage_id("a", "main")
        with Ledger.open(f"sqlite:///{file}") as fresh, pytest.raises(LedgerReplaced):
            assert fresh.storage_id("a", "main")
            watching.storage_id("a", "main")
    assert aside is not None and aside.exists()
