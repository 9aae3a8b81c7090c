"""When the service starts the primary's recorder, and with whose id it never does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import recorder_sync.roles.primary as primary
from recorder_sync.roles.primary import Primary
from schema.errors import IdentityBusy
from schema.identity import IdentityRules
from schema.wire import IdentityMessage
from tests.identities import NEW, OWN, WANTED, Bench, allowed
from tests.imports import Peer


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    found = Bench(tmp_path)
    found.driver.stop()
    found.driver.log.clear()
    monkeypatch.setattr(primary, "driver", lambda _: found.driver)
    return found


def looking(bench: Bench, *answers: IdentityMessage) -> tuple[Primary, list[str]]:
    said: list[str] = []
    rules = IdentityRules(config=str(bench.path), folder=bench.place.folder, start=True)
    clients: Any = [Peer(*answers)]
    return Primary(rules, clients, said.append), said


def test_started_once_nobody_answers_with_its_id(bench: Bench) -> None:
    role, said = looking(bench, IdentityMessage(holds=OWN), IdentityMessage(id=NEW))
    assert not role.look() and role.waits and "nvr-x answers with its id" in said[-1]
    assert role.look() and not role.waits and said[-1] == ""
    assert bench.driver.log == ["start with OWN"]


def test_never_with_anothers_id(bench: Bench) -> None:
    """Somebody gave it another's id by hand, and it has it still."""
    bench.cloner().clone(WANTED, allowed)
    role, said = looking(bench, IdentityMessage(id=NEW))
    assert not role.look()
    assert "has the id of nvr-a" in said[-1] and "clone-id --undo" in said[-1]
    assert bench.driver.log == []
    bench.cloner().undo()
    assert role.look() and bench.driver.log == ["start with OWN"]


def test_never_with_anothers_id_that_it_got_while_peers_were_asked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., Any] = primary._asked
    monkeypatch.setattr(primary, "_asked", lambda *of: (bench.cloner().clone(WANTED, allowed), real(*of))[1])
    role, _ = looking(bench, IdentityMessage(id=NEW))
    assert not role.look() and bench.driver.log == []


def test_not_while_an_import_has_it_stopped(bench: Bench) -> None:
    role, said = looking(bench, IdentityMessage(id=NEW))
    with bench.place.locked():
        assert not role.look() and str(IdentityBusy(bench.place.folder)) in said[-1]
        assert bench.driver.log == []
    assert role.look()
