"""What is kept of the primary, and what is played because it is Windows': the registry, the replacing of files."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from recorder_sync.identity import exchange, guid, registry
from recorder_sync.identity.clone import Result
from recorder_sync.identity.exchange import Windows, load
from recorder_sync.identity.learn import check_not_own, from_file, from_file_within, from_link, tell
from recorder_sync.identity.place import Place
from recorder_sync.identity.registry import VALUE, NoRegistry, WindowsRegistry, follow
from recorder_sync.identity.signals import Beside
from recorder_sync.identity.vault import Vault
from schema.errors import IdentityNotesDamaged, IdentityNotWritten, IdentityUnknown, RecorderFileUnreadable
from schema.identity import IdentityRules
from schema.wire import IdentityMessage, Pulse
from tests.identities import AFTER, BEFORE, NEW, OWN, WANTED, Bench, PlayedWinreg, allowed


def test_what_is_an_id() -> None:
    assert guid.canonical(OWN.upper()) == guid.canonical("{" + OWN + "}") == OWN
    assert guid.same(OWN, OWN.upper())
    for none in ("", OWN[:-1], OWN + "0", "{" + OWN, OWN + "}", "0" * 8 + "-0000-0000-0000-" + "0" * 12, OWN + "\n"):
        assert guid.canonical(none) is None
        assert not guid.same(none, none)


def test_the_primary_s_id_is_kept_and_known_again(tmp_path: Path) -> None:
    vault = Vault(Place(str(tmp_path / "identity")))
    assert vault.known("nvr-a") is None
    assert vault.keep(WANTED)
    assert vault.known("nvr-a") == WANTED
    assert not vault.keep(msgspec.structs.replace(WANTED, id=NEW.upper(), at=9))
    assert vault.keep(msgspec.structs.replace(WANTED, id=OWN))
    assert vault.known("nvr-b") is None


def test_a_damaged_memory_is_no_memory(tmp_path: Path) -> None:
    vault = Vault(Place(str(tmp_path)))
    vault.keep(WANTED)
    note = tmp_path / "primary-nvr-a.json"
    whole = note.read_bytes()
    for damaged in (b"", b"{}", whole[:-20], whole.replace(NEW.encode(), OWN.encode())):
        note.write_bytes(damaged)
        with pytest.raises(IdentityNotesDamaged):
            vault.known("nvr-a")
    assert vault.keep(WANTED)  # what the primary says itself is better
    note.rename(tmp_path / "primary-nvr-b.json")
    with pytest.raises(IdentityNotesDamaged):
        vault.known("nvr-b")


def test_reading_the_primary_s_file(tmp_path: Path) -> None:
    path = tmp_path / "x.xml"
    path.write_bytes(AFTER)
    found = from_file("nvr-a", str(path), 5)
    assert (found.id, found.at, found.source) == (NEW, 5, str(path))
    assert found.digest == exchange.digest(AFTER)
    assert from_file_within("nvr-a", str(path), 5, 5) == found
    with pytest.raises(RecorderFileUnreadable, match="No such file"):
        from_file_within("nvr-a", str(tmp_path / "y.xml"), 5, 5)
    assert check_not_own(found, OWN) is found
    with pytest.raises(IdentityUnknown, match="changed by hand"):
        check_not_own(found, NEW.upper())


def test_a_share_of_a_dead_host_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setattr("recorder_sync.identity.learn.load", lambda _: time.sleep(2) or AFTER)
    with pytest.raises(RecorderFileUnreadable, match=r"nothing came within 0\.1 s"):
        from_file_within("nvr-a", "x", 5, 0.1)


@pytest.mark.parametrize("kind", ["folder", "pipe", "nothing", "zero"])
def test_only_a_file_is_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)  # opening one for reading waits for a writer, if one lets it
    with pytest.raises(RecorderFileUnreadable):
        load(f"{path}\0" if kind == "zero" else str(path))


def test_what_a_peer_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    rules = IdentityRules(config=str(bench.path), folder=bench.place.folder)
    assert tell(IdentityRules()).problem == "identity.config is not set on that host"
    told = tell(rules, lambda _: ("running", ""))
    assert told == IdentityMessage(id=OWN, digest=exchange.digest(BEFORE), service="running")
    bench.cloner().clone(WANTED, allowed)
    told = tell(rules, lambda _: ("stopped", "x"))
    assert (told.id, told.service) == ("", "stopped")
    assert told.problem == "its recorder has the id of nvr-a for now"
    bench.path.write_bytes(b"junk")
    told = tell(rules, lambda _: ("unknown", "x"))
    assert (told.id, told.service) == ("", "unknown")
    assert "no XML" in told.problem


def beside(told: IdentityMessage, *, sure: bool) -> Beside:
    return Beside(lambda: Pulse(now=1, boot="x", storages=[]), lambda: told, sure)


def test_what_is_learnt_over_the_link() -> None:
    told = IdentityMessage(id=NEW, digest="0" * 32)
    assert from_link("nvr-a", beside(told, sure=True), 5).id == NEW
    with pytest.raises(IdentityUnknown, match="without encryption"):
        from_link("nvr-a", beside(told, sure=False), 5)
    with pytest.raises(IdentityUnknown, match="taken"):
        from_link("nvr-a", beside(IdentityMessage(problem="taken"), sure=True), 5)
    with pytest.raises(IdentityUnknown, match="no recorder id"):
        from_link("nvr-a", beside(IdentityMessage(id="{abc}"), sure=True), 5)


def test_the_registry_follows_if_it_has_the_value(tmp_path: Path) -> None:
    played = PlayedWinreg({VALUE: (OWN.upper(), 1)})
    bench = Bench(tmp_path, registry=WindowsRegistry(played))
    outcome = bench.cloner().clone(WANTED, allowed)
    assert played.values == {VALUE: (NEW, 1)}
    assert outcome.notes == (f"registry value {VALUE} (unverified): changed",)
    bench.cloner().undo()
    assert played.values == {VALUE: (OWN, 1)}


@pytest.mark.parametrize(
    ("played", "said"),
    [
        (PlayedWinreg(None), "not there, nothing changed"),
        (PlayedWinreg({}), "not there, nothing changed"),
        (PlayedWinreg({VALUE: (5, 4)}), "not there, nothing changed"),
        (PlayedWinreg({VALUE: ("x", 1)}), "holds 'x', which is neither id, and was left alone"),
        (PlayedWinreg({VALUE: (NEW, 1)}), "has that id already"),
        (PlayedWinreg({VALUE: (OWN, 1)}, writable=False), "could not be changed: Access is denied"),
    ],
)
def test_a_registry_that_is_not_as_recalled_is_left_alone(tmp_path: Path, played: PlayedWinreg, said: str) -> None:
    before = dict(played.values or {})
    bench = Bench(tmp_path, registry=WindowsRegistry(played))
    outcome = bench.cloner().clone(WANTED, allowed)
    assert outcome.result is Result.CLONED
    assert outcome.notes == (f"registry value {VALUE} (unverified): {said}",)
    assert dict(played.values or {}) == before


def test_without_a_registry_nothing_is_said() -> None:
    assert follow(NoRegistry(), OWN, NEW) == ""
    assert isinstance(registry.this_registry(), NoRegistry)


class Kernel:
    """Plays kernel32."""

    def __init__(self, *, works: bool) -> None:
        self.works = works
        self.asked: list[tuple[object, ...]] = []

    def ReplaceFileW(self, *words: Any) -> int:  # noqa: N802
        self.asked.append(words)
        if self.works:
            os.replace(words[1], words[0])
        return int(self.works)


def test_windows_replaces_with_the_rights_of_the_old_file(tmp_path: Path) -> None:
    kernel = Kernel(works=True)
    bench = Bench(tmp_path, system=Windows(kernel))
    bench.cloner().clone(WANTED, allowed)
    assert bench.path.read_bytes() == AFTER
    assert kernel.asked == [(str(bench.path), f"{bench.path}{exchange.BESIDE}", None, 0, None, None)]


def test_windows_that_refuses_leaves_the_file(tmp_path: Path) -> None:
    bench = Bench(tmp_path, system=Windows(Kernel(works=False)))
    with pytest.raises(IdentityNotWritten, match="Windows could not replace it"):
        bench.cloner().clone(WANTED, allowed)
    bench.is_as_before()


def test_the_systems_of_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange.sys, "platform", "win32")
    assert isinstance(exchange.this_system(), Windows)
    monkeypatch.setattr(registry.importlib, "import_module", lambda _: SimpleNamespace())
    assert isinstance(registry.this_registry(), WindowsRegistry)
