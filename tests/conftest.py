"""Fixtures shared by all tests: a pair of servers, ledgers on SQLite and PostgreSQL, and what this machine lacks."""

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from schema.ledger import Ledger
from tests import make
from tests.databases import Postgres


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[make.Bench]:
    """Two servers `a` and `b` with empty storages in Frigate's layout."""
    with make.bench(tmp_path, make.config_text("a", "b")) as bench:
        yield bench


@pytest.fixture
def benches(tmp_path: Path) -> Callable[[str], AbstractContextManager[make.Bench]]:
    """Make a bench from a configuration text, in this test's folder."""
    return lambda config: make.bench(tmp_path, config)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server that tests share; skips where there is none."""
    given = os.environ.get("RECORDER_SYNC_TEST_POSTGRES")
    if given:
        yield given
        return
    server = Postgres()
    try:
        server.start()
        yield server.url
    finally:
        server.remove()


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A running PostgreSQL server that this test may stop and start."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """The address of a fresh, empty database."""
    from sqlalchemy import create_engine, make_url, text

    name = f"t{uuid.uuid4().hex[:16]}"
    admin = create_engine(postgres, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(postgres).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a fresh ledger: conformance tests run on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """A fresh ledger on either database."""
    with Ledger.open(ledger_url) as opened:
        yield opened


@pytest.fixture
def cli(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `recorder-sync` as a user would, in this test's folder."""
    import sys

    def run(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100", "TZ": "UTC", **more.pop("env", {})}  # type: ignore[dict-item]
        return subprocess.run(
            [sys.executable, "-m", "recorder_sync", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=more.pop("timeout", 120),
            check=False,
            **more,  # type: ignore[call-overload]
        )

    return run
