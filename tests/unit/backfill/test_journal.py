"""Resume never trusts (invariant 7): what a journal claims is read again, and only what proves right is kept.

A restart fetches at most the chunk that was under way, and every damaged one, again - and no other.
"""

import tempfile
from pathlib import Path

import pytest

from backfill.bring import bring
from backfill.gate import Gate
from backfill.journal import Journal, journal_file
from backfill.peer import FolderPeer
from backfill.staging import Partial, Staging
from schema.digests import hasher
from schema.errors import Interrupted
from schema.values import ManifestFile, Task
from tests import make
from tests.faults import FaultyPeer

CHUNK = 64 * 1024
CHUNKS = 6
SIZE = (CHUNKS - 1) * CHUNK + 1000
CONTENT = bytes(number * 31 % 251 for number in range(1000)) * (SIZE // 1000 + 1)
FILE = ManifestFile("", SIZE, 17, 0o644, None)


def digest(content: bytes) -> bytes:
    state = hasher()
    state.update(content)
    return state.digest()


def chunk(number: int) -> bytes:
    return CONTENT[:SIZE][number * CHUNK : (number + 1) * CHUNK]


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    """A partial of three chunks, and a journal that claims them."""
    path = tmp_path / "x.part"
    path.write_bytes(CONTENT[: 3 * CHUNK])
    with journal_file(str(tmp_path / "x.journal")) as fd:
        journal = Journal(fd, FILE, CHUNK)
        for number in range(3):
            journal.append(digest(chunk(number)))
    return path


def kept(partial: Path, file: ManifestFile = FILE, chunk_size: int = CHUNK, gate: Gate | None = None) -> int:
    """Return how many chunks a new run keeps; partial and journal must then hold just these."""
    with partial.open("r+b") as opened:
        path = partial.with_suffix(".journal")
        with journal_file(str(path)) as fd:
            digests, whole = Journal(fd, file, chunk_size).verified(opened.fileno(), hasher(), gate or Gate())
    assert digests == [digest(chunk(number)) for number in range(len(digests))]
    assert whole.digest() == digest(CONTENT[: len(digests) * chunk_size])
    assert partial.stat().st_size == len(digests) * chunk_size
    assert path.stat().st_size == 28 + 16 * len(digests)
    return len(digests)


def test_everything_that_is_right_is_kept(partial: Path) -> None:
    assert kept(partial) == 3
    assert kept(partial) == 3


@pytest.mark.parametrize("damaged", range(3))
def test_from_a_flipped_bit_on_everything_is_fetched_anew(partial: Path, damaged: int) -> None:
    content = bytearray(partial.read_bytes())
    content[damaged * CHUNK + 777] ^= 1
    partial.write_bytes(content)
    assert kept(partial) == damaged


def test_a_partial_that_lost_its_end_keeps_its_whole_chunks(partial: Path) -> None:
    partial.write_bytes(CONTENT[: 2 * CHUNK + 5])
    assert kept(partial) == 2


def test_what_no_journal_claims_is_cut_off(partial: Path) -> None:
    partial.write_bytes(CONTENT[: 4 * CHUNK])
    assert kept(partial) == 3
    partial.with_suffix(".journal").unlink()
    assert kept(partial) == 0


@pytest.mark.parametrize(
    "content", [b"", b"RSJ1", b"junk" * 100, b"RSJ0" + bytes(24) + bytes(48)], ids=["empty", "cut", "junk", "older"]
)
def test_a_journal_of_anything_else_vouches_for_nothing(partial: Path, content: bytes) -> None:
    partial.with_suffix(".journal").write_bytes(content)
    assert kept(partial) == 0


def test_a_torn_last_claim_costs_its_chunk(partial: Path) -> None:
    journal = partial.with_suffix(".journal")
    journal.write_bytes(journal.read_bytes()[:-3])
    assert kept(partial) == 2


def test_claims_beyond_the_end_of_the_file_are_not_read(partial: Path) -> None:
    with partial.with_suffix(".journal").open("ab") as journal:
        journal.write(digest(b"") * 1000)
    assert kept(partial) == 3


@pytest.mark.parametrize(
    "other",
    [ManifestFile("", SIZE + 1, 17, 0o644, None), ManifestFile("", SIZE, 18, 0o644, None)],
    ids=["size", "time"],
)
def test_a_source_that_changed_begins_anew(partial: Path, other: ManifestFile) -> None:
    assert kept(partial, other) == 0


def test_another_chunk_size_begins_anew(partial: Path) -> None:
    assert kept(partial, chunk_size=2 * CHUNK) == 0


def test_a_stop_while_verifying_cuts_nothing(partial: Path) -> None:
    gate = Gate()
    gate.stop()
    journal = journal_file(str(partial.with_suffix(".journal")))
    with pytest.raises(Interrupted), partial.open("r+b") as opened, journal as fd:
        Journal(fd, FILE, CHUNK).verified(opened.fileno(), hasher(), gate)
    assert kept(partial) == 3


@pytest.fixture
def lacking(pair: make.Bench) -> make.Bench:
    """`a` lacks one segment of `b`, of six chunks."""
    make.record(pair.root("b"), "front", make.tens(0, 60), size=SIZE, seed=2)
    make.record(pair.root("a"), "front", [*make.tens(0, 20), *make.tens(30, 60)], seed=1)
    pair.scan()
    return pair


def run(bench: make.Bench, script: str, gate: Gate | None = None) -> tuple[FaultyPeer, Partial]:
    """Try to bring the first planned segment, while reads follow `script`; returns the peer and the partial."""
    task: Task = bench.plan("a").tasks[0]
    peer = FaultyPeer(FolderPeer("b", bench.site, bench.ledger), script)
    storage = bench.site.storage(task.storage_id)
    staging = Staging(storage)
    partial = staging.partial(task)
    bring(task, peer, storage, staging, rules=bench.settings.fill, gate=gate or Gate(), listener=lambda _: None)
    return peer, partial


@pytest.mark.parametrize("reads", range(1, CHUNKS))
def test_a_restart_fetches_only_what_was_not_yet_verified(lacking: make.Bench, reads: int) -> None:
    with pytest.raises(Exception, match="Input/output error"):
        run(lacking, "." * reads + "e")
    peer, partial = run(lacking, "")
    assert list(peer.read.values()) == [SIZE - reads * CHUNK]
    source = lacking.plan("a").tasks[0].source
    assert Path(partial.path).read_bytes() == (lacking.root("b") / source.path).read_bytes()


def test_a_chunk_that_rotted_between_two_runs_is_fetched_again_with_what_follows(lacking: make.Bench) -> None:
    with pytest.raises(Exception, match="Input/output error"):
        run(lacking, "....e")
    waiting = next(Path(lacking.base).rglob("*.part"))
    content = bytearray(waiting.read_bytes())
    assert len(content) == 4 * CHUNK
    content[2 * CHUNK] ^= 0x80
    waiting.write_bytes(content)
    peer, partial = run(lacking, "")
    assert list(peer.read.values()) == [SIZE - 2 * CHUNK]
    source = lacking.plan("a").tasks[0].source
    assert Path(partial.path).read_bytes() == (lacking.root("b") / source.path).read_bytes()


TWO = (ManifestFile("media/block0.blk", 2 * CHUNK, 17, 0o644, None), ManifestFile("pindex.idx", 32, 17, 0o644, None))
"""The files of a segment that is a folder, which share one journal."""


def claimed(fd: int, contents: tuple[bytes, ...]) -> list[int]:
    """Return how many chunks of each file a new run keeps."""
    found, at = [], 0
    for file, content in zip(TWO, contents, strict=True):
        with tempfile.TemporaryFile() as partial:
            partial.write(content)
            partial.flush()
            journal = Journal(fd, file, CHUNK, at)
            found.append(len(journal.verified(partial.fileno(), hasher(), Gate())[0]))
            at = journal.end
    return found


@pytest.mark.parametrize(
    ("damaged", "kept"), [(None, [2, 1]), (0, [0, 0]), (1, [2, 0])], ids=["nothing", "the first", "the second"]
)
def test_files_of_one_folder_share_a_journal_and_what_is_right_is_kept(
    tmp_path: Path, damaged: int | None, kept: list[int]
) -> None:
    contents = [chunk(0) + chunk(1), CONTENT[:32]]
    with journal_file(str(tmp_path / "x.journal")) as fd:
        first = Journal(fd, TWO[0], CHUNK)
        first.append(digest(chunk(0)))
        first.append(digest(chunk(1)))
        Journal(fd, TWO[1], CHUNK, first.end).append(digest(CONTENT[:32]))
    if damaged is not None:
        contents[damaged] = b"\xff" + contents[damaged][1:]
    with journal_file(str(tmp_path / "x.journal")) as fd:
        assert claimed(fd, tuple(contents)) == kept
