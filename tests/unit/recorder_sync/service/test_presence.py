"""Signs of life: one a minute, whatever the clock does; a service that lives must not look killed."""

from pathlib import Path

import pytest

from backfill.gate import Gate
from recorder_sync.service.live import Live
from recorder_sync.service.presence import Presence
from schema.ledger import Ledger
from schema.spans import HOUR, MINUTE, SECOND
from tests.make import T0


@pytest.mark.parametrize(
    ("passed", "noted"), [(SECOND, False), (MINUTE, True), (-HOUR, True)], ids=["soon", "a minute later", "set back"]
)
def test_a_sign_of_life_is_given_every_minute_also_after_the_clock_was_set_back(
    tmp_path: Path, passed: int, noted: bool
) -> None:
    at = T0
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        presence = Presence(ledger, ["a"], Live(), Gate(), lambda: at)
        presence._look()
        at += passed
        presence._look()
        with ledger.reading() as connection:
            [contact] = ledger.contacts.all(connection)
    assert (contact.seen == at) is noted
