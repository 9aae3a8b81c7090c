"""What a service sees of its own server is told once, whoever restarts meanwhile, and once the ledger has it."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backfill.site import build_site
from recorder_sync.app import App
from recorder_sync.service.events import Events
from recorder_sync.service.live import Live
from recorder_sync.service.watching import Watching
from schema.errors import LedgerUnreachable
from schema.ledger import Ledger
from schema.settings import parse
from schema.spans import DAY, MINUTE
from tests import make

ALARMS = """[[alarms]]
name = "x"
kind = "command"
command = ["/bin/true"]
"""


class Stage:
    """The service's look at one server, which can be restarted."""

    def __init__(self, base: Path) -> None:
        self.base = base
        make.record(base / "a/recordings", "front", [0])
        self.settings = parse((make.config_text("a") + ALARMS).encode(), base / "a.toml")
        self.ledger = Ledger.open(self.settings.ledger)
        self.app = App(self.settings, self.ledger, build_site(self.settings, self.ledger))
        self.storage = self.app.site.storages[0]
        self.at = make.T0
        self.restart()

    def restart(self) -> None:
        """Forget everything but the ledger."""
        self.live = Live()
        self.watching = Watching(
            lambda: self.app,
            self.settings,
            "a",
            self.live,
            Events(self.ledger, "a", self.settings.alarms, lambda: None),
            now=lambda: self.at,
            changed=lambda urgent: None,
        )

    def look(self) -> None:
        """Scan, a minute later."""
        self.at += MINUTE
        asyncio.run(self.watching._look(self.storage, None))

    def unplug(self) -> None:
        """Take the storage away."""
        (self.base / "a/recordings").rename(self.base / "elsewhere")

    def plug(self) -> None:
        """Bring it back."""
        (self.base / "elsewhere").rename(self.base / "a/recordings")

    def alarms(self) -> list[str]:
        """Return the kinds of alarms raised, the first first."""
        with self.ledger.reading() as connection:
            return [one.alarm.kind.value for one in reversed(self.ledger.outbox.recent(connection))]

    def absent(self) -> set[str]:
        """Return what peers are told to be away."""
        return set(self.live.now().absent.get("a", frozenset()))

    def break_ledger(self) -> Callable[[], None]:
        """Let no transaction be written from now on; the result makes it whole."""
        real = self.ledger.writing

        def broken() -> Any:
            raise LedgerUnreachable("pg", "down")

        self.ledger.writing = broken  # type: ignore[method-assign]
        return lambda: setattr(self.ledger, "writing", real)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.ledger.close()


def test_a_storage_that_is_away_over_a_restart_is_one_alarm_and_its_return_another(stage: Stage) -> None:
    stage.look()
    stage.unplug()
    stage.look()
    assert stage.absent() == {"main"}
    stage.restart()
    stage.look()
    assert (stage.alarms(), stage.absent()) == (["storage-away"], {"main"})
    stage.restart()
    stage.plug()
    stage.look()
    assert (stage.alarms(), stage.absent()) == (["storage-away", "storage-back"], set())
    stage.restart()
    stage.look()
    assert stage.alarms() == ["storage-away", "storage-back"]


def test_a_return_that_somebody_else_noted_while_the_service_was_down_is_told(stage: Stage) -> None:
    stage.look()
    stage.unplug()
    stage.look()
    stage.plug()
    stage.app.scan()
    assert stage.alarms() == ["storage-away"]
    for _ in range(2):
        stage.restart()
        stage.look()
        assert stage.alarms() == ["storage-away", "storage-back"]


def test_an_absence_that_no_service_saw_is_not_told_as_a_return(stage: Stage) -> None:
    stage.app.scan()
    stage.unplug()
    stage.app.scan()
    stage.plug()
    stage.app.scan()
    stage.look()
    assert stage.alarms() == []


def test_an_absence_that_could_not_be_written_is_told_later_and_ends_nothing(stage: Stage) -> None:
    stage.look()
    stage.unplug()
    scanned = stage.app.scan()[0]
    back = stage.break_ledger()
    stage.watching._scan = lambda storage, options: scanned  # type: ignore[method-assign]
    stage.look()
    back()
    assert stage.alarms() == []
    stage.look()
    assert stage.alarms() == ["storage-away"]


def test_a_disk_that_stays_low_is_told_once_a_day(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [0]
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=free[0], f_frsize=1))
    for _ in range(3):
        stage.watching._look_at_disks()
    assert stage.alarms() == ["disk-low"]
    stage.at += DAY
    for _ in range(3):
        stage.watching._look_at_disks()
    assert stage.alarms() == ["disk-low", "disk-low"]


def test_a_silence_that_could_not_be_written_is_told_later(stage: Stage) -> None:
    stage.look()
    stage.at = make.T0 + 60 * MINUTE
    back = stage.break_ledger()
    with pytest.raises(LedgerUnreachable):
        stage.watching._observe()
    back()
    stage.watching._observe()
    assert "recorder-silent" in stage.alarms()


def test_what_is_away_of_one_server_says_nothing_of_another(stage: Stage) -> None:
    stage.live.away("b", ["other"])
    stage.look()
    stage.unplug()
    stage.look()
    assert stage.absent() == {"main"}
    assert stage.live.now().absent["b"] == {"other"}


def test_a_ledger_that_is_away_at_the_start_is_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder_sync.service.watching._LOOK_EVERY", 0.01)
    stage.look()
    stage.unplug()
    stage.look()
    stage.restart()
    real, tries = stage.ledger.reading, []

    def broken() -> Any:
        tries.append(1)
        if len(tries) < 3:
            raise LedgerUnreachable("pg", "down")
        return real()

    stage.ledger.reading = broken  # type: ignore[method-assign]
    asyncio.run(stage.watching._take_up())
    assert stage.absent() == {"main"}
