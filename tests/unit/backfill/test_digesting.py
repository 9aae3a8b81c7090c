"""Digests of what is here already: of that very file, unchanged while it was read, and kept in the ledger only then."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import xxhash

from backfill.digesting import take, take_fresh
from backfill.gate import Gate
from schema.errors import Interrupted, SourceChanged, SourceGone, SourceUnreadable
from schema.ledger.manifests import digest_of
from schema.values import Segment
from tests import make
from tests.faults import record_table, table_path, with_tables
from tests.unit.backfill.test_verify import grow, link, put_another, write_into

CHUNK = 64 * 1024
PATH = make.frigate_path("front", make.T0)


def row(bench: make.Bench, path: str = PATH) -> Segment:
    with bench.ledger.reading() as connection:
        found = bench.ledger.segments.by_path(connection, bench.site.storages[0].id, path)
    assert found is not None
    return found


def recorded(bench: make.Bench, size: int) -> Path:
    [path] = make.record(bench.root("a"), "front", [0], size=size)
    bench.scan()
    return path


@pytest.mark.parametrize("size", [2000, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 700_000])
@pytest.mark.parametrize("from_disk", [False, True])
def test_a_digest_is_what_xxhash_says_of_the_file_and_of_each_chunk(
    pair: make.Bench, size: int, from_disk: bool
) -> None:
    content = recorded(pair, size).read_bytes()
    [file] = take(pair.site.storages[0], row(pair), CHUNK, Gate(), from_disk=from_disk)
    assert (file.name, file.size, file.digest) == ("", size, xxhash.xxh3_128_digest(content))
    pieces = [content[at : at + CHUNK] for at in range(0, size, CHUNK)]
    assert list(file.chunks) == ([xxhash.xxh3_128_digest(piece) for piece in pieces] if len(pieces) > 1 else [])


def test_a_folder_has_a_digest_of_each_file(pair: make.Bench) -> None:
    with_tables(pair)
    files = {"data.blk": b"a" * 3000, "below/index.idx": b"b" * 50}
    record_table(pair.root("a"), 0, files)
    pair.scan()
    segment = row(pair, table_path("front", 0))
    taken = take(pair.site.storages[0], segment, CHUNK, Gate())
    assert {file.name: file.digest for file in taken} == {
        name: xxhash.xxh3_128_digest(content) for name, content in files.items()
    }
    assert digest_of(taken) == digest_of(tuple(reversed(taken)))


@pytest.mark.parametrize("how", [put_another, write_into, grow, link])
def test_what_is_not_that_file_any_more_is_not_digested(pair: make.Bench, how: Callable[[Path], None]) -> None:
    path = recorded(pair, 3 * CHUNK)
    segment = row(pair)
    how(path)
    with pytest.raises(SourceChanged):
        take(pair.site.storages[0], segment, CHUNK, Gate())
    assert take_fresh(pair.ledger, pair.site.storages[0], [PATH], CHUNK, Gate()) == 0
    assert row(pair).digest is None


class Meddling(Gate):
    """A gate that does something before each block."""

    def __init__(self, do: Callable[[], object]) -> None:
        super().__init__()
        self._do = do

    def take(self, count: int) -> None:
        self._do()


@pytest.mark.parametrize("how", [write_into, grow, lambda path: os.truncate(path, CHUNK)])
def test_what_changes_while_it_is_read_is_not_digested(pair: make.Bench, how: Callable[[Path], None]) -> None:
    path = recorded(pair, 3 * CHUNK)
    with pytest.raises(SourceChanged):
        take(pair.site.storages[0], row(pair), CHUNK, Meddling(lambda: how(path)))


def test_what_is_gone_is_said_to_be(pair: make.Bench) -> None:
    path = recorded(pair, 2000)
    path.unlink()
    with pytest.raises(SourceGone):
        take(pair.site.storages[0], row(pair), CHUNK, Gate())
    path.parent.rmdir()
    path.parent.write_bytes(b"a file in place of its folder")
    with pytest.raises((SourceGone, SourceChanged)):
        take(pair.site.storages[0], row(pair), CHUNK, Gate())


def test_a_disk_that_fails_is_said_to_fail(pair: make.Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(pair, 2000)

    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(SourceUnreadable, match="Input/output error"):
        take(pair.site.storages[0], row(pair), CHUNK, Gate())


def test_a_stop_is_heard_within_a_file(pair: make.Bench) -> None:
    recorded(pair, 3 * CHUNK)
    gate = Gate()
    gate.stop()
    with pytest.raises(Interrupted):
        take(pair.site.storages[0], row(pair), CHUNK, gate)


def test_fresh_segments_get_theirs_once(pair: make.Bench) -> None:
    content = recorded(pair, 2000).read_bytes()
    storage = pair.site.storages[0]
    assert take_fresh(pair.ledger, storage, [PATH, "2026-11-22/12/front/59.59.mp4"], CHUNK, Gate()) == 1
    assert row(pair).digest == xxhash.xxh3_128_digest(content)
    assert take_fresh(pair.ledger, storage, [PATH], CHUNK, Gate()) == 0
