"""The service tells of an import that was cut off, once; not of one that is under way, ended or was taken back."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from recorder_sync.identity.place import Place
from recorder_sync.importing.journal import NAME, Entry, Journal, Step, problems
from recorder_sync.service.events import Events
from recorder_sync.service.imports import Imports
from schema.ledger import Ledger
from schema.service import AlarmChannel
from schema.spans import SECOND
from tests.make import T0

ENTRY = Entry(step=Step.BEGAN, at=T0, began=T0, server="a", was_running=True)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(str(tmp_path / "ledger.db")) as found:
        yield found


def told(ledger: Ledger) -> list[str]:
    with ledger.reading() as connection:
        return [one.alarm.text for one in ledger.outbox.recent(connection, 9, ["a"])]


def imports(folder: Path, ledger: Ledger) -> Imports:
    channels = [AlarmChannel(name="log", kind="syslog", url="udp://127.0.0.1:9")]
    return Imports(str(folder), ["a"], Events(ledger, "a", channels, lambda: None), lambda: T0 + 9 * SECOND)


def test_one_that_was_cut_off_is_told_once(tmp_path: Path, ledger: Ledger) -> None:
    place = Place(str(tmp_path / "identity"))
    looking = imports(tmp_path / "identity", ledger)
    looking.look()
    assert told(ledger) == []
    Journal(place).note(ENTRY)
    for _ in range(2):
        looking.look()
        imports(tmp_path / "identity", ledger).look()
    [text] = told(ledger)
    assert "import --undo" in text and "a that began at 2026-11-22" in text
    assert len(problems(place.folder, ["a", "b"])) == 1


@pytest.mark.parametrize("step", [Step.DONE, Step.RETURNED])
def test_one_that_ended_is_not(tmp_path: Path, ledger: Ledger, step: Step) -> None:
    place = Place(str(tmp_path / "identity"))
    Journal(place).note(ENTRY)
    Journal(place).note(msgspec.structs.replace(ENTRY, step=step))
    imports(tmp_path / "identity", ledger).look()
    assert told(ledger) == [] and problems(place.folder, ["a"]) == []


def test_one_that_is_under_way_is_not(tmp_path: Path, ledger: Ledger) -> None:
    place = Place(str(tmp_path / "identity"))
    Journal(place).note(ENTRY)
    with place.locked():
        imports(tmp_path / "identity", ledger).look()
        assert told(ledger) == [] and problems(place.folder, ["a"]) == []
    imports(tmp_path / "identity", ledger).look()
    assert len(told(ledger)) == 1


def test_a_damaged_journal_ends_nothing(tmp_path: Path, ledger: Ledger) -> None:
    place = Place(str(tmp_path / "identity"))
    place.make()
    Path(place.path(NAME)).write_bytes(b"damaged\n")
    imports(tmp_path / "identity", ledger).look()
    assert told(ledger) == [] and "damaged" in problems(place.folder, ["a"])[0][0]
