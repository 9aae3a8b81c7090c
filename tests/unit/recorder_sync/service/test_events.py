"""Alarms from inside the service: whoever sends them is woken when there is something to send, not before."""

from pathlib import Path

import pytest

from recorder_sync.alarms import kinds
from recorder_sync.service.events import Events
from schema.ledger import Ledger
from schema.service import AlarmChannel

CHANNEL = AlarmChannel(name="operator", kind="command", command=["true"])


def test_who_sends_is_woken_when_the_alarm_can_be_read(tmp_path: Path) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        found: list[int] = []

        def woken() -> None:
            with ledger.reading() as connection:
                found.append(len(ledger.outbox.due(connection, "a", "operator", 10**18)))

        events = Events(ledger, "a", [CHANNEL], woken)
        alarm = kinds.server_failed(server="b", observer="a", since=1, at=2, reason="it is")
        with events.writing() as connection:
            events.raise_(connection, alarm)
            assert found == []
        assert found == [1]
        events.tell(kinds.server_back(server="b", observer="a", since=1, at=3))
        assert found == [1, 2]


def test_what_was_rolled_back_wakes_nobody(tmp_path: Path) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        woken: list[bool] = []
        events = Events(ledger, "a", [CHANNEL], lambda: woken.append(True))
        with pytest.raises(ValueError, match="no"), events.writing():
            raise ValueError("no")
        assert woken == []
