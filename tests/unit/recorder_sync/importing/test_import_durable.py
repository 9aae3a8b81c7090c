"""What a power cut leaves of an import: names are made durable in an order in which nothing is ever nowhere."""

import os
from pathlib import Path

import pytest

from backfill.gate import Gate
from recorder_sync.identity.place import Place
from tests.imports import Desk


def watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that fills with the paths of what is made durable, in that order."""
    synced: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    return synced


def test_names_are_durable_where_things_go_before_they_are_where_they_were(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system need not keep both halves of a rename together: else a cut may leave a table nowhere."""
    synced = watched(monkeypatch)
    at.importer().run(at.choice(), Gate())
    bank, side = str(at.a.bank), str(at.side)
    assert synced.index(bank) < synced.index(side)
    state = next(one for one in at.bench.site.of("a") if one.origin is None).state_folder()
    aside = next(one for one in synced if one.startswith(f"{state}/imports/"))
    assert synced.index(state) < synced.index(f"{state}/imports") < synced.index(aside), "new folders, from above"
    later = synced[synced.index(aside) :]
    assert bank in later


def test_the_folder_of_the_journal_is_durable_in_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = watched(monkeypatch)
    Place(str(tmp_path / "new" / "identity")).make()
    assert synced == [str(tmp_path), str(tmp_path / "new")]
