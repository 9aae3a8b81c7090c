"""The ledger's contract, on SQLite and on PostgreSQL: what is taken in comes out again, or not at all.

Every test runs on both; PostgreSQL's skip where there is no server program.
"""

import multiprocessing
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import event, make_url, text

from schema.digests import hasher
from schema.errors import LedgerForbidden
from schema.ledger import Connection, Held, Ledger
from schema.ledger.coverage import BUCKET
from schema.ledger.folders import FolderChange
from schema.ledger.manifests import FileManifest, digest_of
from schema.ledger.segments import Landing
from schema.spans import SECOND, Run, Span, runs
from schema.values import Cause, FillResult, Kind, Mark, Outage, Refusal, Refused, Segment, State, Task

T0 = 1_795_348_800 * SECOND
JOINT = SECOND


def segment(storage: int, second: float, *, length: float = 10, camera: str = "front", **more: object) -> Segment:
    start = T0 + round(second * SECOND)
    path = more.pop("path", f"{camera}/{round(second * 1000):012d}.mp4")
    return Segment(
        storage_id=storage,
        camera=camera,
        path=str(path),
        start=start,
        end=start + round(length * SECOND),
        size=1000,
        mtime_ns=start * 1000,
        inode=round(second * 1000),
        **more,  # type: ignore[arg-type]
    )


def take_in(ledger: Ledger, added: Sequence[Segment]) -> None:
    """Take in new segments as a scan would: by folder."""
    folders: dict[str, FolderChange] = {}
    for one in added:
        folder = one.path.rpartition("/")[0]
        folders.setdefault(folder, FolderChange(folder, 5, settled=True)).added.append(one)
    with ledger.writing() as connection:
        ledger.segments.apply(connection, added[0].storage_id, list(folders.values()))


def everything(ledger: Ledger, storage: int, state: State = State.SEALED) -> list[Segment]:
    with ledger.reading() as connection:
        rows = ledger.segments.after(connection, storage, state, 0, batch=100_000)
    assert all(one is not None for _, one in rows)
    return [msgspec.structs.replace(one, id=0) for _, one in rows if one]


def find(ledger: Ledger, storage: int, path: str) -> Segment | None:
    with ledger.reading() as connection:
        return ledger.segments.by_path(connection, storage, path)


def manifest(content: bytes = b"x", name: str = "") -> FileManifest:
    state = hasher()
    state.update(content)
    return FileManifest(name, len(content), state.digest(), 65536, ())


@pytest.fixture
def storage(ledger: Ledger) -> int:
    return ledger.storage_id("a", "main")


def test_what_was_taken_in_comes_out_as_it_was(ledger: Ledger, storage: int) -> None:
    added = [
        segment(storage, 0),
        segment(storage, 10, digest=b"d" * 16, origin="b", marks=3, reason="why"),
        segment(storage, 20, state=State.QUARANTINED, reason="cut short"),
        segment(storage, 30, kind=Kind.FOLDER, path="front/table"),
        segment(storage, -60 * 365 * 86_400, camera="1966"),
        segment(storage, 40, camera='it\'s "50 %" Ünïcode 🎥/sub', path="a b/%s/;DROP TABLE segments;--/🎥.mp4"),
    ]
    take_in(ledger, added)
    assert sorted(everything(ledger, storage), key=lambda one: one.path) == sorted(
        (one for one in added if one.state is State.SEALED), key=lambda one: one.path
    )
    assert everything(ledger, storage, State.QUARANTINED) == [added[2]]
    assert find(ledger, storage, "nothing/here.mp4") is None


def test_ids_of_storages_are_kept_and_differ(ledger: Ledger, storage: int) -> None:
    assert ledger.storage_id("a", "main") == storage
    assert len({storage, ledger.storage_id("a", "other"), ledger.storage_id("b", "main")}) == 3


def test_a_transaction_that_breaks_off_leaves_no_trace(ledger: Ledger, storage: int) -> None:
    with pytest.raises(ZeroDivisionError), ledger.writing() as connection:
        change = FolderChange("new", 1, settled=True, added=[segment(storage, 0, camera="new", path="new/1.mp4")])
        ledger.segments.apply(connection, storage, [change])
        raise ZeroDivisionError
    assert everything(ledger, storage) == []
    with ledger.reading() as connection:
        assert ledger.folders.known(connection, storage) == {}
        assert ledger.names.all_cameras(connection) == []
    take_in(ledger, [segment(storage, 0, camera="new", path="new/1.mp4")])  # the cache of names was rolled back too
    assert len(everything(ledger, storage)) == 1


def test_a_scan_does_not_undo_what_a_fill_committed_a_moment_ago(ledger: Ledger, storage: int) -> None:
    landed = segment(storage, 0, digest=b"d" * 16, origin="b")
    with ledger.writing() as connection:
        ledger.segments.land(connection, [Landing(landed)])
    take_in(ledger, [segment(storage, 0)])
    assert everything(ledger, storage) == [landed]


def test_landing_twice_is_landing_once(ledger: Ledger, storage: int) -> None:
    files = (manifest(b"one", "a"), manifest(b"two", "b"))
    landing = Landing(segment(storage, 0, kind=Kind.FOLDER, origin="b", digest=digest_of(files)), files)
    for _ in range(2):
        with ledger.writing() as connection:
            ledger.segments.land(connection, [landing])
    assert everything(ledger, storage) == [landing.segment]
    found = find(ledger, storage, landing.segment.path)
    assert found is not None
    with ledger.reading() as connection:
        assert ledger.segments.manifest(connection, found) == files
        assert [one.path for one in ledger.segments.filled(connection, storage)] == [found.path]


def test_digests_are_not_given_to_a_segment_that_changed_meanwhile(ledger: Ledger, storage: int) -> None:
    take_in(ledger, [segment(storage, 0), segment(storage, 10)])
    one, other = (find(ledger, storage, segment(storage, second).path) for second in (0, 10))
    assert one and other
    changed = msgspec.structs.replace(one, size=2000, mtime_ns=one.mtime_ns + 1)
    with ledger.writing() as connection:
        ledger.segments.apply(connection, storage, [FolderChange("front", 6, settled=True, changed=[changed])])
        ledger.segments.set_digests(connection, [(one, [manifest()]), (other, [manifest()])])
    assert [found.digest for found in everything(ledger, storage)] == [None, manifest().digest]


def test_a_window_gives_what_overlaps_it_and_nothing_else(ledger: Ledger, storage: int) -> None:
    added = [segment(storage, second) for second in range(0, 100, 10)] + [segment(storage, 5, length=7200, path="long")]
    take_in(ledger, [*added, segment(storage, 50, camera="yard"), segment(storage, 50, state=State.OPEN, path="open")])
    for start, end in ((0, 100), (10, 20), (15, 15.5), (19.999999, 20.000001), (95, 300), (7204, 7300), (7205, 7300)):
        span = Span(T0 + round(start * SECOND), T0 + round(end * SECOND))
        with ledger.reading() as connection:
            found = ledger.segments.window(connection, storage, "front", span)
        assert sorted(one.path for one in found) == sorted(one.path for one in added if one.span.overlaps(span))
        assert [one.start for one in found] == sorted(one.start for one in found)


def test_segments_with_a_mark_are_counted_by_storage_if_they_count(ledger: Ledger, storage: int) -> None:
    other = ledger.storage_id("b", "main")
    both, doubt = Mark.ENCRYPTED | Mark.SUSPECT, int(Mark.UNCERTAIN)
    take_in(ledger, [segment(storage, n * 10, marks=m) for n, m in enumerate((0, doubt, Mark.ENCRYPTED, both))])
    take_in(ledger, [segment(storage, 900, marks=int(Mark.ENCRYPTED), state=State.OPEN, camera="yard")])
    take_in(ledger, [segment(other, 0, marks=int(Mark.ENCRYPTED))])
    with ledger.reading() as connection:
        marked = [ledger.segments.marked(connection, one, Mark.ENCRYPTED) for one in (storage, other)]
        assert marked == [2, 1]
        assert ledger.segments.marked(connection, storage, Mark.UNCLOSED) == 0


def test_a_forgotten_storage_is_empty_and_the_others_are_not(ledger: Ledger, storage: int) -> None:
    other = ledger.storage_id("b", "main")
    take_in(ledger, [segment(storage, 0)])
    take_in(ledger, [segment(other, 0)])
    ledger.note_storage(storage, identity="x", rules="y", scanned_us=5)
    with ledger.writing() as connection:
        ledger.segments.forget_storage(connection, storage)
    assert everything(ledger, storage) == []
    assert len(everything(ledger, other)) == 1
    assert ledger.held(storage, JOINT) == {}
    assert ledger.storage_note(storage) == ("x", "", 0), "which disk it is on is still known"


def expected(found: Sequence[Segment]) -> dict[str, list[Run]]:
    cameras: dict[str, list[tuple[int, int, int]]] = {}
    for one in found:
        if one.state is State.SEALED and one.origin is None:
            cameras.setdefault(one.camera, []).append((one.start, one.end, one.start))
    return {camera: runs(rows, JOINT) for camera, rows in sorted(cameras.items())}


@pytest.mark.parametrize("seed", range(4))
def test_coverage_is_always_what_the_segments_say(ledger: Ledger, storage: int, seed: int) -> None:
    """Against direct computation, after every one of many changes, around the borders of its pieces."""
    chance = random.Random(seed)
    border = BUCKET / SECOND - (T0 % BUCKET) / SECOND
    known: dict[str, Segment] = {}
    number = 0
    for _ in range(40):
        what = chance.choice(["add", "add", "add", "change", "remove", "bury", "land"])
        if what in ("add", "land") or not known:
            fresh = []
            for _ in range(chance.randint(1, 6)):
                number += 1
                second = chance.choice([border, 2 * border, 0]) + chance.randint(-60, 60)
                length = chance.choice([0.5, 10, 60, 6 * 3600])
                camera = chance.choice(["front", "yard"])
                origin = "b" if what == "land" else None
                one = segment(
                    storage, second, length=length, camera=camera, path=f"{camera}/{number}.mp4", origin=origin
                )
                fresh.append(one)
            if what == "land":
                with ledger.writing() as connection:
                    ledger.segments.land(connection, [Landing(one) for one in fresh])
            else:
                take_in(ledger, fresh)
            known |= {one.path: one for one in fresh}
        else:
            path = chance.choice(sorted(known))
            before = find(ledger, storage, path)
            assert before is not None
            with ledger.writing() as connection:
                if what == "change":
                    start = before.start + chance.randint(-3600, 3600) * SECOND
                    after = msgspec.structs.replace(before, start=start, end=start + 10 * SECOND)
                    folder = path.rpartition("/")[0]
                    change = FolderChange(folder, 6, settled=True, changed=[after])
                    ledger.segments.apply(connection, storage, [change])
                    known[path] = after
                elif what == "remove":
                    ledger.segments.remove(connection, storage, [before.id])
                    del known[path]
                else:
                    ledger.segments.bury(connection, storage, [before], "gone")
                    known[path] = msgspec.structs.replace(before, state=State.GONE)
        if chance.random() < 0.7:
            continue  # several changes between two looks, too
        held = ledger.held(storage, JOINT)
        assert {camera: one.own for camera, one in held.items() if one.own} == expected(list(known.values()))
    held = ledger.held(storage, JOINT)
    assert {camera: one.own for camera, one in held.items() if one.own} == expected(list(known.values()))
    assert ledger.held(storage, JOINT) == held, "and the same again, now from what was kept"


def test_a_window_of_coverage_is_what_the_whole_says_of_it(ledger: Ledger, storage: int) -> None:
    hours = [*range(24), *range(30, 48)]
    take_in(ledger, [segment(storage, hour * 3600, length=3600, path=f"front/{hour}") for hour in hours])
    whole = ledger.held(storage, JOINT)["front"].own
    for start, end in ((0, 1), (10, 40), (23, 31), (47, 60)):
        window = Span(T0 + start * 3600 * SECOND, T0 + end * 3600 * SECOND)
        part = ledger.held(storage, JOINT, window)["front"].own
        clip = [(max(r.start, window.start), min(r.end, window.end)) for r in part if r.end > window.start < r.end]
        wanted = [(max(r.start, window.start), min(r.end, window.end)) for r in whole]
        assert [c for c in clip if c[0] < c[1]] == [w for w in wanted if w[0] < w[1]]


def test_outages_open_once_and_close_once(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        for at in (10, 20):
            ledger.history.outage_began(connection, "a", Cause.STORAGE, at, "unplugged")
        ledger.history.outage_began(connection, "b", Cause.STORAGE, 15, "too")
    with ledger.reading() as connection:
        found = ledger.history.outages(connection, None, 50)
    assert [(one.server, one.span, one.over) for one in found] == [
        ("a", Span(10, 50), False),
        ("b", Span(15, 50), False),
    ]
    with ledger.writing() as connection:
        for at in (30, 40):
            ledger.history.outage_ended(connection, "a", Cause.STORAGE, at)
    with ledger.reading() as connection:
        found = ledger.history.outages(connection, Span(0, 16), 50)
        assert ledger.history.outages(connection, Span(0, 10), 50) == []
    assert [(one.server, one.span, one.over) for one in found] == [
        ("a", Span(10, 30), True),
        ("b", Span(15, 50), False),
    ]


def test_a_refusal_stands_until_its_source_is_tried_again(ledger: Ledger) -> None:
    refused = Refused(
        server="a", camera="front", span=Span(10, 20), peer="b", path="x.mp4", why=Refusal.NO_SPACE, detail="x" * 5000
    )
    with ledger.writing() as connection:
        ledger.history.refuse(connection, [refused], 1)
        ledger.history.refuse(connection, [refused], 2)
    with ledger.reading() as connection:
        [found] = ledger.history.refusals(connection)
        assert ledger.history.refusals(connection, Span(20, 30)) == []
    assert (found.why, found.span, found.detail) == (Refusal.NO_SPACE, Span(10, 20), "x" * 1024)
    source = segment(1, 0, path="x.mp4")
    with ledger.writing() as connection:
        ledger.history.clear_refusals(
            connection, "a", [Task(server="a", peer="b", source=source, storage_id=1, path="x.mp4", new=1)]
        )
    with ledger.reading() as connection:
        assert ledger.history.refusals(connection) == []


def test_a_fill_that_was_killed_never_ends(ledger: Ledger) -> None:
    result = FillResult(landed=(), refused=(), sent=5, seconds=1.0, stopped="stopped on request", notes=())
    with ledger.writing() as connection:
        first = ledger.history.fill_began(connection, "a", 10)
        second = ledger.history.fill_began(connection, "a", 20)
        ledger.history.fill_ended(connection, second, 30, result)
    with ledger.reading() as connection:
        found = ledger.history.last_fills(connection, ["a"])
    assert first != second
    assert [(one.started, one.ended, one.size, one.stopped) for one in found] == [
        (20, 30, 5, "stopped on request"),
        (10, None, 0, ""),
    ]


def test_a_fill_that_goes_on_is_one_fill_and_is_under_way_meanwhile(ledger: Ledger) -> None:
    part = FillResult(landed=(), refused=(), sent=5, seconds=1.0, stopped="peer b: gone", notes=())
    with ledger.writing() as connection:
        assert ledger.history.fill_goes_on(connection, "a", 10) is None
        first = ledger.history.fill_began(connection, "a", 10)
        ledger.history.fill_began(connection, "b", 10)
        ledger.history.fill_ended(connection, first, 20, part)
        assert ledger.history.fill_goes_on(connection, "a", 10) == first
        assert [one.ended for one in ledger.history.last_fills(connection, ["a"])] == [None]
        ledger.history.fill_ended(connection, first, 30, FillResult(sent=7))
        [found] = ledger.history.last_fills(connection, ["a"])
    assert (found.started, found.ended, found.size, found.stopped) == (10, 30, 12, "")


@pytest.mark.parametrize(
    "change",
    ["start_us = start_us + 8", "size = size - 1", "origin_id = 1", "marks = 4", "camera_id = 2", "name = 'y'"],
)
def test_a_changed_value_is_noticed_and_never_used(ledger: Ledger, storage: int, change: str) -> None:
    take_in(ledger, [segment(storage, 0), segment(storage, 20, camera="yard")])
    path = segment(storage, 0).path
    with ledger.writing() as connection:
        connection.execute(text(f"UPDATE segments SET {change} WHERE inode = 0"))
    with ledger.reading() as connection:
        found = [one for _, one in ledger.segments.after(connection, storage, State.SEALED, 0)]
        assert found[0] is None
        assert found[1] is not None
        assert ledger.segments.window(connection, storage, "front", Span(T0, T0 + 100 * SECOND)) == []
        assert ledger.segments.by_path(connection, storage, path) is None
        folder = ledger.folders.known(connection, storage)["front"]
        good, damaged = ledger.segments.in_folder(connection, folder.id)
    assert (good, len(damaged)) == ({}, 1)


@pytest.mark.parametrize("table", ["cameras", "folders"])
def test_damage_to_a_name_is_noticed_in_every_row_that_depends_on_it(ledger: Ledger, storage: int, table: str) -> None:
    take_in(ledger, [segment(storage, 0)])
    column = "path" if table == "folders" else "name"
    with ledger.writing() as connection:
        connection.execute(text(f"UPDATE {table} SET {column} = 'frond'"))
    with ledger.reading() as connection:
        assert [one for _, one in ledger.segments.after(connection, storage, State.SEALED, 0)] == [None]


def test_damaged_coverage_is_computed_anew(ledger: Ledger, storage: int) -> None:
    take_in(ledger, [segment(storage, second) for second in range(0, 100, 10)])
    before = ledger.held(storage, JOINT)
    with ledger.writing() as connection:
        connection.execute(text("UPDATE coverage SET checksum = checksum + 1"))
    assert ledger.held(storage, JOINT) == before


def _write(url: str, number: int, ready: Barrier) -> None:
    ready.wait(60)
    with Ledger.open(url) as ledger:
        storage = ledger.storage_id(f"server-{number % 2}", "main")
        for second in range(20):
            one = segment(storage, second * 10, camera=f"cam-{number}", path=f"{number}/{second}.mp4")
            take_in(ledger, [one])


def test_processes_share_a_fresh_ledger(ledger_url: str) -> None:
    """All open it at once, one makes its tables, and everything that each wrote is there."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(4)
    workers = [context.Process(target=_write, args=(ledger_url, number, ready)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * 4
    with Ledger.open(ledger_url) as ledger:
        stored = [everything(ledger, ledger.storage_id(server, "main")) for server in ("server-0", "server-1")]
    assert [len(found) for found in stored] == [40, 40]


def test_threads_share_a_ledger(ledger: Ledger, storage: int) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for second in range(20):
                take_in(ledger, [segment(storage, second * 10, camera=f"cam-{number}", path=f"{number}/{second}.mp4")])
                ledger.held(storage, JOINT)
        except BaseException as error:  # noqa: BLE001  told below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(everything(ledger, storage)) == 80


def chunked(content: bytes) -> tuple[FileManifest, ...]:
    """Return the digests of a file of two chunks."""
    whole = hasher()
    whole.update(content)
    half = len(content) // 2
    chunks = []
    for part in (content[:half], content[half:]):
        state = hasher()
        state.update(part)
        chunks.append(state.digest())
    return (FileManifest("", len(content), whole.digest(), half, tuple(chunks)),)


def whole(files: tuple[FileManifest, ...]) -> tuple[FileManifest, ...]:
    """Return the digest of a file without its chunks."""
    return tuple(FileManifest(file.name, file.size, file.digest, 0, ()) for file in files)


def kept(ledger: Ledger, storage: int, path: str) -> tuple[FileManifest, ...]:
    found = find(ledger, storage, path)
    assert found is not None
    with ledger.reading() as connection:
        return ledger.segments.manifest(connection, found)


def digest(ledger: Ledger, storage: int, path: str, files: tuple[FileManifest, ...]) -> Segment:
    """Give a segment its digests; returns the row as it was before."""
    found = find(ledger, storage, path)
    assert found is not None
    with ledger.writing() as connection:
        ledger.segments.set_digests(connection, [(found, files)])
    return found


def rewrite(ledger: Ledger, row: Segment) -> None:
    """Tell the ledger that a scan found other content under that name."""
    other = msgspec.structs.replace(row, mtime_ns=row.mtime_ns + 1, digest=None)
    with ledger.writing() as connection:
        change = FolderChange(row.path.rpartition("/")[0], 5, settled=True, changed=[other])
        ledger.segments.apply(connection, row.storage_id, [change])


OLD, NEW = chunked(b"o" * 1000), chunked(b"n" * 1000)


@pytest.mark.parametrize("again", [NEW, whole(NEW)], ids=["chunks", "one chunk"])
def test_digests_of_content_that_was_rewritten_are_never_given_again(
    ledger: Ledger, storage: int, again: tuple[FileManifest, ...]
) -> None:
    one = segment(storage, 0)
    take_in(ledger, [one])
    digest(ledger, storage, one.path, OLD)
    assert kept(ledger, storage, one.path) == OLD
    row = find(ledger, storage, one.path)
    assert row is not None
    rewrite(ledger, row)
    assert kept(ledger, storage, one.path) == ()
    digest(ledger, storage, one.path, again)
    assert kept(ledger, storage, one.path) == again


@pytest.mark.parametrize("files", [NEW, whole(NEW)], ids=["chunks", "one chunk"])
def test_digests_of_what_was_under_a_landed_ones_name_are_gone(
    ledger: Ledger, storage: int, files: tuple[FileManifest, ...]
) -> None:
    one = segment(storage, 0)
    take_in(ledger, [one])
    digest(ledger, storage, one.path, OLD)
    landed = msgspec.structs.replace(one, digest=files[0].digest, origin="b")
    with ledger.writing() as connection:
        ledger.segments.land(connection, [Landing(landed, files)])
    assert kept(ledger, storage, one.path) == files


def test_chunks_taken_of_a_segment_that_changed_meanwhile_are_left_out(ledger: Ledger, storage: int) -> None:
    one = segment(storage, 0)
    take_in(ledger, [one])
    stale = digest(ledger, storage, one.path, OLD)
    row = find(ledger, storage, one.path)
    assert row is not None
    rewrite(ledger, row)
    digest(ledger, storage, one.path, NEW)
    with ledger.writing() as connection:
        ledger.segments.set_digests(connection, [(stale, OLD)])
    assert kept(ledger, storage, one.path) == NEW


def test_chunks_that_do_not_add_up_to_the_rows_digest_are_not_used(ledger: Ledger, storage: int) -> None:
    one = segment(storage, 0)
    take_in(ledger, [one])
    digest(ledger, storage, one.path, OLD)
    row = find(ledger, storage, one.path)
    assert row is not None
    other = msgspec.structs.replace(row, digest=NEW[0].digest)
    with ledger.writing() as connection:  # as an earlier release left it
        ledger.segments.apply(connection, storage, [FolderChange("front", 5, settled=True, changed=[other])])
    assert kept(ledger, storage, one.path) == whole(NEW)


def test_a_few_folders_are_found_with_what_lies_below_them(ledger: Ledger, storage: int) -> None:
    paths = ["", "a", "a/b", "a/b/c", "a-b", "a.b/c", "a0", "ab", "b/a", "b", "ä/b", "A/b"]
    with ledger.writing() as connection:
        changes = [FolderChange(path, 5, settled=True) for path in paths]
        ledger.segments.apply(connection, storage, changes)
    with ledger.reading() as connection:
        everything = ledger.folders.known(connection, storage)
        assert set(everything) == set(paths)

        def near(*at: str) -> set[str]:
            found = ledger.folders.known(connection, storage, at)
            assert all(everything[path] == folder for path, folder in found.items())
            return set(found)

        assert near("a") == {"a", "a/b", "a/b/c"}
        assert near("a/b", "b") == {"a/b", "a/b/c", "b", "b/a"}
        assert near("ä", "a.b", "nowhere") == {"ä/b", "a.b/c"}
        assert near("") == set(paths)
        assert near() == set()


def test_a_few_folders_of_many_are_found_by_the_index(tmp_path: Path) -> None:
    asked: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, values: object, *_: object) -> None:
        asked.append((statement, values))

    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger, ledger.reading() as connection:
        event.listen(connection, "before_cursor_execute", note)
        ledger.folders.known(connection, 1, ["2026-11-22/12/front", "2026-11-22/12/yard"])
        event.remove(connection, "before_cursor_execute", note)
        assert len(asked) == 3
        for statement, values in asked:
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values):  # type: ignore[arg-type]
                assert "SEARCH" in row[3] and "path" in row[3]


@pytest.fixture
def other(ledger: Ledger, ledger_url: str) -> Iterator[Ledger]:
    """The same ledger, as another process has it open."""
    with Ledger.open(ledger_url) as opened:
        yield opened


def test_coverage_computed_beside_an_open_change_is_what_the_change_leaves(
    ledger: Ledger, other: Ledger, storage: int
) -> None:
    """Whoever computes a bucket while it is being changed waits for the change; its mark must not come too early."""
    landed = segment(storage, 10, origin="b")

    def beside(change: Callable[[Connection], None]) -> Held:
        """Look from the other connection while `change` is not committed yet, and again when it is."""
        looking = threading.Thread(target=other.held, args=(storage, JOINT))
        with ledger.writing() as connection:
            change(connection)
            looking.start()
            looking.join(0.3)
        looking.join(60)
        return other.held(storage, JOINT)["front"]

    take_in(ledger, [segment(storage, 0)])
    held = beside(lambda connection: ledger.segments.land(connection, [Landing(landed)]))
    assert [(run.start, run.end) for run in held.filled.get("b", [])] == [landed.span]
    buried = find(ledger, storage, segment(storage, 0).path)
    assert buried is not None
    take_in(ledger, [segment(storage, 20)])
    held = beside(lambda connection: ledger.segments.bury(connection, storage, [buried], "deleted"))
    assert [run.start for run in held.own] == [segment(storage, 20).start]
    assert [run.start for run in held.gone] == [buried.start]


def test_two_that_add_the_same_names_in_another_order_do_not_wait_for_each_other(ledger: Ledger, other: Ledger) -> None:
    errors: list[BaseException] = []
    begun = threading.Event()

    def backwards() -> None:
        try:
            with other.writing() as connection:
                begun.set()
                for name in "yx":
                    other.names.camera_id(connection, name)
        except BaseException as error:  # noqa: BLE001  told below
            errors.append(error)

    thread = threading.Thread(target=backwards)
    with ledger.writing() as connection:
        ledger.names.camera_id(connection, "x")
        thread.start()
        begun.wait(0.5)
        thread.join(0.2)
        ledger.names.camera_id(connection, "y")
    thread.join(60)
    assert errors == []


def test_scans_and_surveys_at_once_neither_collide_nor_disagree(ledger: Ledger, other: Ledger, storage: int) -> None:
    cameras = [f"cam-{number}" for number in range(12)]
    random.Random(1).shuffle(cameras)
    stop = time.monotonic() + 3
    errors: list[BaseException] = []
    added: list[Segment] = []

    def scans() -> None:
        number = 0
        while time.monotonic() < stop:
            number += 1
            hour = number % 8 * 3600
            fresh = [segment(storage, hour, camera=camera, path=f"{camera}/{number}.mp4") for camera in cameras]
            take_in(ledger, fresh)
            added.extend(fresh)

    def surveys() -> None:
        while time.monotonic() < stop:
            other.held(storage, JOINT)

    def noted(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  told below
            errors.append(error)

    threads = [threading.Thread(target=noted, args=(work,)) for work in (scans, surveys, surveys)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert {camera: one.own for camera, one in other.held(storage, JOINT).items()} == expected(added)


def test_a_user_without_rights_is_told_so(postgres_url: str) -> None:
    with Ledger.open(postgres_url) as ledger, ledger.writing() as connection:
        connection.execute(text("DROP ROLE IF EXISTS weak"))
        connection.execute(text("CREATE ROLE weak LOGIN"))
    try:
        weak = make_url(postgres_url).set(username="weak").render_as_string()
        with pytest.raises(LedgerForbidden, match="permission denied"), Ledger.open(weak) as opened:
            opened.storage_id("a", "main")
    finally:
        with Ledger.open(postgres_url) as ledger, ledger.writing() as connection:
            connection.execute(text("DROP ROLE weak"))


def test_an_outage_of_one_storage_is_not_ended_by_another(ledger: Ledger, storage: int) -> None:
    other = ledger.storage_id("a", "events")
    with ledger.writing() as connection:
        ledger.history.outage_began(connection, "a", Cause.STORAGE, 10, "unplugged", storage_id=storage)
        ledger.history.outage_began(connection, "a", Cause.STORAGE, 15, "unplugged too", storage_id=other)
        ledger.history.outage_ended(connection, "a", Cause.STORAGE, 20, storage_id=other)
        ledger.history.outage_began(connection, "a", Cause.STORAGE, 25, "still", storage_id=storage)
    with ledger.reading() as connection:
        found = ledger.history.outages(connection, None, 50)
    assert [(one.span, one.over) for one in found] == [(Span(10, 50), False), (Span(15, 20), True)]


@pytest.mark.parametrize(
    "change",
    [
        "outages SET cause = 'storage awax'",
        "outages SET start_us = start_us - 8",
        "fills SET landed = landed + 1",
        "refusals SET why = 'NO_SPACF'",
        "refusals SET end_us = end_us + 8",
    ],
)
def test_a_damaged_row_of_history_is_left_out_and_counted(ledger: Ledger, change: str) -> None:
    refused = Refused(server="a", camera="front", span=Span(1, 2), peer="b", path="p", why=Refusal.NO_SPACE)
    with ledger.writing() as connection:
        ledger.history.outage_began(connection, "a", Cause.STORAGE, 10, "unplugged")
        ledger.history.fill_ended(connection, ledger.history.fill_began(connection, "a", 1), 2, FillResult())
        ledger.history.refuse(connection, [refused], 1)
        assert ledger.history.damaged(connection) == 0
        connection.execute(text(f"UPDATE {change}"))
        ledger.history.outage_ended(connection, "a", Cause.STORAGE, 30)
    with ledger.reading() as connection:
        left = {
            "outages": len(ledger.history.outages(connection, None, 50)),
            "fills": len(ledger.history.last_fills(connection, ["a"])),
            "refusals": len(ledger.history.refusals(connection)),
        }
        assert ledger.history.damaged(connection) == 1
    assert left == {table: int(not change.startswith(table)) for table in left}


def test_a_storage_is_called_what_two_long_names_make_of_it(ledger: Ledger) -> None:
    name = f"{'s' * 63} from {'a' * 63}/{'b' * 63}"
    assert ledger.storage_id("a", name) == ledger.storage_id("a", name)


def test_what_a_peer_once_heard_of_an_outage_does_not_open_it_again(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        ledger.history.outage_began(connection, "b", Cause.SERVER, 10, "no answer", observer="a")
        ledger.history.outage_ended(connection, "b", Cause.SERVER, 20, observer="a")
        echo = Outage(server="b", camera=None, span=Span(10, 99), cause=Cause.SERVER, evidence="no answer", over=False)
        ledger.history.outage_told(connection, echo, "a")
        ledger.history.outage_told(connection, replace(echo, span=Span(40, 99)), "c")
    with ledger.reading() as connection:
        found = ledger.history.outages(connection, None, 100)
    assert [(one.span, one.over) for one in found] == [(Span(10, 20), True), (Span(40, 100), False)]


def test_which_storages_are_away_is_known_with_since_when(ledger: Ledger, storage: int) -> None:
    with ledger.writing() as connection:
        ledger.history.outage_began(connection, "a", Cause.STORAGE, 10, "unplugged", storage_id=storage)
        ledger.history.outage_began(connection, "a", Cause.RECORDER, 12, "silent")
    with ledger.reading() as connection:
        assert ledger.history.storages_away(connection, "a") == {storage: 10}
        assert ledger.history.storages_away(connection, "b") == {}


def test_what_is_kept_of_a_ledger_is_read_again_after_any_commit(ledger: Ledger, other: Ledger) -> None:
    kept = ledger.unchanged()

    def paused() -> object:
        return kept.get("a", lambda connection: ledger.contacts.paused(connection, ["a"]))

    assert paused() == ""
    for one, said in ((other, "one"), (ledger, "two"), (other, "")):
        with one.writing() as connection:
            one.contacts.pause(connection, ["a"], said)
        assert (paused(), paused()) == (said, said)
