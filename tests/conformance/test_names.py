"""Ids are shared between threads once they are committed, and not before."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from schema.ledger import Ledger


class Failed(Exception):
    """What ends a transaction here."""


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    kept = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/ledger.db" if kept else request.getfixturevalue("postgres_url")
    with Ledger.open(url) as opened:
        yield opened


def test_what_is_not_committed_is_known_to_nobody_else(ledger: Ledger) -> None:
    found: list[dict[str, int]] = []

    def look() -> None:
        with ledger.reading() as connection:
            found.append(ledger.names.servers(connection))
            found.append({"camera": ledger.names.known_camera_id(connection, "front")})

    with pytest.raises(Failed), ledger.writing() as connection:
        ledger.names.server_id(connection, "a")
        ledger.names.camera_id(connection, "front")
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        raise Failed
    assert found == [{}, {"camera": 0}]


def test_an_id_that_was_rolled_back_is_given_anew_to_whoever_asks(ledger: Ledger) -> None:
    with pytest.raises(Failed), ledger.writing() as connection:
        ledger.names.server_id(connection, "a")
        ledger.names.storage_id(connection, "a", "main")
        raise Failed
    with ledger.writing() as connection:
        ident = ledger.names.server_id(connection, "b")
        assert ledger.names.server(connection, ident) == "b"
        storage = ledger.names.storage_id(connection, "a", "main")
    with ledger.reading() as connection:
        assert ledger.names.servers(connection).keys() == {"a", "b"}
        assert connection.execute(text("SELECT id FROM storages")).scalars().all() == [storage]


def test_one_transaction_that_fails_takes_nothing_from_another(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        ident = ledger.names.server_id(connection, "a")
    with pytest.raises(Failed), ledger.writing() as connection:
        raise Failed
    with ledger.reading() as connection:
        assert ledger.names.server(connection, ident) == "a"


def test_a_database_host_that_says_nothing_is_not_waited_for_without_end(postgres_url: str) -> None:
    def chosen(url: str) -> dict[str, str]:
        with Ledger.open(url) as ledger, ledger.reading() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            return dict(driver.info.get_parameters())

    wanted = {"connect_timeout": "5", "keepalives_idle": "10", "tcp_user_timeout": "15000"}
    assert wanted.items() <= chosen(postgres_url).items()
    assert chosen(f"{postgres_url}&connect_timeout=9")["connect_timeout"] == "9"
