"""A recorder with filled tables beside its bank, on a disk that need not have room for a real one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import recorder_sync.importing.importer as importing
from backfill.layouts.xprotect import layout as xprotect_layout
from tests import imports
from tests.identities import BEFORE
from tests.imports import Desk, desk


@pytest.fixture(autouse=True)
def _small_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xprotect_layout, "_RECORDER_SPARE", 1_000_000)
    monkeypatch.setattr(importing, "_INDEXED", 0.0)


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as found:
        yield found


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Give a recorder with an id, which a peer may take over."""
    (tmp_path / "RecorderConfig.xml").write_bytes(BEFORE)
    monkeypatch.setattr(imports, "CONFIG", imports.CONFIG + 'config = "RecorderConfig.xml"\n')
    with desk(tmp_path) as found:
        yield found
