"""Bringing a segment that is a folder: every folder in it is durable and the recorder's, however deep."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from backfill import bring
from tests import make
from tests.fault.checks import ONE_BY_ONE
from tests.faults import as_root, record_table, table_path, with_tables

DEEP = {"x/y/z.blk": b"1" * 3000}
BROUGHT = table_path("front", 30)


@pytest.fixture
def tables(benches: Callable[[str], AbstractContextManager[make.Bench]]) -> Iterator[make.Bench]:
    """`a` lacks tables that `b` has, whose only file lies two folders deep."""
    with benches(make.config_text("a", "b", head=ONE_BY_ONE)) as bench:
        with_tables(bench)
        for second in (0, 10, 60):
            record_table(bench.root("a"), second, DEEP)
        for second in range(0, 70, 10):
            record_table(bench.root("b"), second, DEEP)
        bench.scan()
        yield bench


def test_every_folder_on_the_way_to_a_file_is_made_durable_the_deepest_first(
    tables: make.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = bring.sync_folder

    def note(path: str) -> None:
        synced.append(path.partition(".part")[2])
        real(path)

    monkeypatch.setattr(bring, "sync_folder", note)
    assert BROUGHT in [one.path for one in tables.fill("a").landed]
    assert synced[:3] == ["/x/y", "/x", ""]


@as_root
def test_every_folder_has_the_owner_that_the_recorders_have(tables: make.Bench) -> None:
    for folder, _, _ in os.walk(tables.root("a")):
        os.chown(folder, 1234, 1234)
    tables.fill("a")
    brought = tables.root("a") / BROUGHT
    assert make.tree(brought) == DEEP
    owners = {path: path.stat().st_uid for path in (brought, *brought.rglob("*"))}
    assert owners == dict.fromkeys([brought, brought / "x", brought / "x/y", Path(brought, "x/y/z.blk")], 1234)
