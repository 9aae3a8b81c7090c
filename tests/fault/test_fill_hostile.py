"""A peer that lies, and links that someone plants here: nothing outside the roots is read or written.

What must hold: whatever a peer says of names, sizes and counts, and whatever lies in the way, it costs that segment and
no other; what the recorder here wrote, and all that lies outside, stays as it is.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from backfill import beneath
from backfill.peer import FolderPeer
from backfill.progress import Event, SegmentStarted
from backfill.staging import Staging
from schema.values import Kind, Manifest, ManifestFile, Plan, Segment
from tests import make
from tests.fault.checks import (
    MISSING,
    NEWEST_FIRST,
    ONE_BY_ONE,
    SIZE,
    fingerprint,
    lost_or_touched,
    recordings,
    whys,
    with_hole,
)
from tests.faults import record_table, table_path, with_tables
from tests.unit.backfill.test_beneath import Folding

VICTIM = NEWEST_FIRST[2]
TABLE = {"data.blk": b"a" * 3000, "index.idx": b"b" * 50}

Lie = Callable[[Manifest], Manifest]


@pytest.fixture
def hole(benches: Callable[[str], AbstractContextManager[make.Bench]]) -> Iterator[make.Bench]:
    """`a` lacks a minute of what `b` has; beside them a secret. Neither it nor what `a` recorded ever changes."""
    with benches(make.config_text("a", "b", head=ONE_BY_ONE)) as bench:
        with_hole(bench)
        make.put(bench.base, "outside/secret.mp4", make.mp4(10, SIZE, seed=666), make.T0)
        own, outside = fingerprint(bench.root("a")), fingerprint(bench.base / "outside")
        yield bench
        assert lost_or_touched(own, bench.root("a")) == []
        assert fingerprint(bench.base / "outside") == outside


class Liar(FolderPeer):
    """A peer that says of one segment what it likes."""

    def __init__(self, bench: make.Bench, path: str, lie: Lie) -> None:
        super().__init__("b", bench.site, bench.ledger)
        self._path = path
        self._lie = lie

    def manifest(self, segment: Segment) -> Manifest:
        true = super().manifest(segment)
        return self._lie(true) if segment.path == self._path else true


def first(**changes: object) -> Lie:
    """Return the lie that says something else of a segment's first file."""
    return lambda true: replace(true, files=(replace(true.files[0], **changes), *true.files[1:]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (first(size=SIZE + 1), "SOURCE_CHANGED"),
        (first(size=2**62), "SOURCE_CHANGED"),
        (first(size=-1), "SOURCE_CHANGED"),
        (first(mtime_ns=2**70), "SOURCE_UNREADABLE"),
        (first(mtime_ns=1), "SOURCE_CHANGED"),
        (first(name="../../outside/secret.mp4"), "SOURCE_UNREADABLE"),
        (lambda true: replace(true, files=()), "SOURCE_CHANGED"),
        (lambda true: replace(true, files=true.files * 2), "SOURCE_CHANGED"),
        (lambda true: replace(true, files=true.files * 70_000), "SOURCE_UNREADABLE"),
        (lambda true: replace(true, kind=Kind.FOLDER), "SOURCE_CHANGED"),
        (lambda true: replace(true, mtime_ns=0), "SOURCE_CHANGED"),
    ],
)
def test_a_lie_about_a_file_costs_that_file(hole: make.Bench, lie: Lie, why: str) -> None:
    hole.peers["b"] = Liar(hole, VICTIM, lie)
    result = hole.fill("a")
    assert [(one.path, one.why.name) for one in result.refused] == [(VICTIM, why)]
    assert len(result.landed) == len(MISSING) - 1


@pytest.mark.parametrize(
    "name", ["../climbed", "BASE/climbed", "a/../../../../climbed", "", ".", "a\0b", "data.blk/under"]
)
def test_a_file_of_a_folder_that_would_climb_costs_that_folder(pair: make.Bench, name: str) -> None:
    with_tables(pair)
    for second in (0, 10, 60):
        record_table(pair.root("a"), second, TABLE)
    for second in range(0, 70, 10):
        record_table(pair.root("b"), second, TABLE)
    pair.scan()
    victim = table_path("front", 30)
    name = name.replace("BASE", str(pair.base))
    before = set(files_below(pair.base))

    def lie(true: Manifest) -> Manifest:
        wpair, spare = true.files[0], true.files[1]
        return replace(true, files=(wpair, ManifestFile(name, spare.size, spare.mtime_ns, 0o644)))

    pair.peers["b"] = Liar(pair, victim, lie)
    result = pair.fill("a")
    assert [one.path for one in result.refused] == [victim]
    assert whys(result)[0] in ("PATH_REFUSED", "SOURCE_UNREADABLE")
    assert {one.path for one in result.landed} >= {table_path("front", second) for second in (20, 40, 50)}
    assert not (pair.root("a") / victim).exists()
    ours = {"fill.lock", "identity.json", "2026-11-22.jsonl"}
    landed = tuple(str(pair.root("a") / one.path) for one in result.landed)
    new = set(files_below(pair.base)) - before
    assert [path for path in new if os.path.basename(path) not in ours and not path.startswith(landed)] == []


def files_below(base: Path) -> list[str]:
    """Return every file below `base` but the ledger's, wherever it lies."""
    paths = (os.path.join(folder, name) for folder, _, names in os.walk(base) for name in names)
    return [path for path in paths if not os.path.basename(path).startswith("ledger.db")]


@pytest.mark.parametrize(
    "path", ["../../outside/new.mp4", "/tmp/new.mp4", "2026-11-22/../../../outside/new.mp4", "", "front\0.mp4", "./x"]
)
def test_a_plan_that_climbs_here_is_refused(hole: make.Bench, path: str) -> None:
    planned = hole.plan("a")
    tasks = [replace(task, path=path) if task.source.path == VICTIM else task for task in planned.tasks]
    result = hole.fill("a", Plan(tasks=tuple(tasks)))
    assert [(one.path, one.why.name) for one in result.refused] == [(VICTIM, "PATH_REFUSED")]
    assert len(result.landed) == len(MISSING) - 1


@pytest.mark.parametrize("path", ["../../outside/secret.mp4", "/etc/passwd", "2026-11-22/../../../outside/secret.mp4"])
def test_a_plan_that_climbs_at_the_source_reads_nothing(hole: make.Bench, path: str) -> None:
    [task, *rest] = hole.plan("a").tasks
    climbing = replace(task, source=msgspec.structs.replace(task.source, path=path))
    result = hole.fill("a", Plan(tasks=(climbing, *rest)))
    assert [(one.path, one.why.name) for one in result.refused] == [(path, "PATH_REFUSED")]
    assert len(result.landed) == len(MISSING) - 1


def planted(hole: make.Bench) -> None:
    """Put a link to the outside where the folder of the filled segments would be."""
    folder = hole.root("a") / "2026-11-22/12/front"
    folder.rename(hole.base / "moved")
    folder.symlink_to(hole.base / "outside")


def removed(hole: make.Bench) -> None:
    """Undo `planted`."""
    folder = hole.root("a") / "2026-11-22/12/front"
    folder.unlink()
    (hole.base / "moved").rename(folder)


def test_a_link_in_the_tree_is_not_followed(hole: make.Bench) -> None:
    planned = hole.plan("a")
    planted(hole)
    result = hole.fill("a", planned)
    assert (whys(result), result.landed) == (["PATH_REFUSED"] * len(MISSING), ())
    removed(hole)
    assert len(hole.fill("a").landed) == len(MISSING)


def test_a_link_planted_after_the_bytes_arrived_is_not_followed(hole: make.Bench) -> None:
    def plant(event: Event) -> None:
        if isinstance(event, SegmentStarted) and event.task.source.path == NEWEST_FIRST[0]:
            planted(hole)

    result = hole.fill("a", listener=plant)
    assert (whys(result), result.landed) == (["PATH_REFUSED"] * len(MISSING), ())
    removed(hole)


@pytest.mark.parametrize("how", [os.symlink, os.link])
def test_a_link_in_place_of_a_partial_is_not_written_through(hole: make.Bench, how: Callable[..., None]) -> None:
    """A run that was killed between the two steps of publishing by a link leaves such a hard link itself."""
    own = recordings(hole.root("a"))[0]
    planned = hole.plan("a")
    task = next(task for task in planned.tasks if task.source.path == VICTIM)
    staging = Staging(hole.site.storage(task.storage_id))
    partial = staging.partial(task)
    how(own, partial.path)
    result = hole.fill("a", planned)
    assert set(whys(result)) <= {"WRITE_FAILED"}
    assert not os.path.lexists(partial.path)
    assert len(hole.fill("a").landed) == len(result.refused)


def test_where_case_does_not_count_another_spelling_is_refused(
    hole: make.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next scan would find the copies under a path that no origin record names, and offer them back."""
    planned = hole.plan("a")
    folder = hole.root("a") / "2026-11-22/12/front"
    folder.rename(folder.with_name("Front"))
    monkeypatch.setattr(beneath, "os", Folding())
    result = hole.fill("a", planned)
    assert (whys(result), result.landed) == (["CASE_CLASH"] * len(MISSING), ())
    assert "upper and lower case" in result.refused[0].sentence
    folder.with_name("Front").rename(folder)
