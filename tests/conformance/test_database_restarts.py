"""A ledger on PostgreSQL whose server is restarted: what was committed is there, and nobody reconnects by hand."""

import pytest

from schema.errors import LedgerUnreachable
from schema.ledger import Ledger
from tests.databases import Postgres


def put(ledger: Ledger, value: str) -> None:
    with ledger.writing() as connection:
        ledger.contacts.put(connection, "x", value)


def get(ledger: Ledger) -> str:
    with ledger.reading() as connection:
        return ledger.contacts.get(connection, "x")


def test_while_the_server_is_away_it_is_said_so(own_postgres: Postgres) -> None:
    with Ledger.open(own_postgres.url) as ledger:
        put(ledger, "before")
        own_postgres.stop()
        for _ in range(3):
            with pytest.raises(LedgerUnreachable):
                get(ledger)
            with pytest.raises(LedgerUnreachable):
                put(ledger, "meanwhile")
        own_postgres.start()
        assert get(ledger) == "before"


@pytest.mark.parametrize("at_once", [False, True], ids=["shut down", "crashed"])
def test_a_restart_between_two_transactions_is_not_noticed(own_postgres: Postgres, at_once: bool) -> None:
    with Ledger.open(own_postgres.url) as ledger:
        with ledger.reading() as first, ledger.reading() as second:  # two connections in the pool
            assert first is not second
        put(ledger, "before")
        own_postgres.stop(at_once=at_once)
        own_postgres.start()
        assert [get(ledger), get(ledger)] == ["before", "before"]
        put(ledger, "after")
        assert get(ledger) == "after"


def test_a_transaction_that_is_cut_leaves_no_trace(own_postgres: Postgres) -> None:
    with Ledger.open(own_postgres.url) as ledger:
        put(ledger, "before")
        with pytest.raises(LedgerUnreachable), ledger.writing() as connection:
            ledger.contacts.put(connection, "x", "half")
            own_postgres.stop(at_once=True)
            ledger.contacts.put(connection, "x", "whole")
        own_postgres.start()
        assert get(ledger) == "before"
