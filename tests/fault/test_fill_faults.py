"""A source that fails costs one segment and nothing else: it is refused with its reason, and the next run brings it.

What must hold through every fault: no half file is ever seen in the tree, nothing of the recorder's is touched, the
ledger claims nothing that is not there, and what came from a peer is never offered back.
"""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import msgspec
import pytest

from backfill.peer import FolderPeer, Peer
from backfill.progress import BytesMoved, Event, SegmentLanded, SegmentStarted
from backfill.site import Site
from recorder_sync import app
from recorder_sync.cli import fill as fill_command
from schema import documents
from schema.ledger import Ledger
from schema.values import Refusal
from tests import make
from tests.fault.checks import (
    MISSING,
    NEWEST_FIRST,
    ONE_BY_ONE,
    SIZE,
    false_claims,
    fingerprint,
    lost_or_touched,
    not_whole,
    record_both,
    spoil,
    whys,
    with_hole,
)
from tests.faults import FaultyPeer, digest_all

CHUNK = 64 * 1024
READS = 4
"""Of one segment, each of one chunk."""

SECOND_ONE = "." * READS
"""A script that leaves the first segment alone."""

FAULTS = [
    ("z", "SOURCE_CHANGED"),
    ("..z", "SOURCE_CHANGED"),
    ("e", "SOURCE_UNREADABLE"),
    ("...e", "SOURCE_UNREADABLE"),
    ("g", "SOURCE_GONE"),
    (".g", "SOURCE_GONE"),
    ("h", "SOURCE_CHANGED"),
    ("...h", "SOURCE_CHANGED"),
    ("f", "SOURCE_DAMAGED"),
    ("...f", "SOURCE_DAMAGED"),
]


@pytest.fixture
def hole(benches: Callable[[str], AbstractContextManager[make.Bench]]) -> Iterator[make.Bench]:
    """`a` lacks a minute of what `b` has, whose digests are known. Whatever a test does, nothing of theirs changes."""
    with benches(make.config_text("a", "b", head=ONE_BY_ONE)) as bench:
        with_hole(bench)
        digest_all(bench, "b")
        own = fingerprint(bench.root("a"))
        yield bench
        assert lost_or_touched(own, bench.root("a")) == []
        assert not_whole(bench.root("a"), own, bench.root("b")) == []
        for storage in bench.site.of("a"):
            assert false_claims(bench.ledger, storage) == []


@pytest.mark.parametrize(("script", "why"), FAULTS)
def test_what_a_source_cannot_give_is_refused_the_rest_filled_and_the_next_run_brings_it(
    hole: make.Bench, script: str, why: str
) -> None:
    spoil(hole, SECOND_ONE + script)
    result = hole.fill("a")
    assert [(one.path, one.why) for one in result.refused] == [(NEWEST_FIRST[1], Refusal[why])]
    assert NEWEST_FIRST[1] in result.refused[0].detail
    assert [one.path for one in result.landed] == [NEWEST_FIRST[0], *NEWEST_FIRST[2:]]
    assert not (hole.root("a") / NEWEST_FIRST[1]).exists()
    assert ("refused", 85.0, 95.0) in hole.states("a")
    again = hole.fill("a")
    assert ([one.path for one in again.landed], again.refused) == ([NEWEST_FIRST[1]], ())
    hole.scan()
    third = hole.fill("a")
    assert (third.landed, third.refused, third.sent) == ((), (), 0)


@pytest.mark.parametrize(("script", "why"), FAULTS[1::2])
def test_the_command_says_what_was_refused_and_why(
    hole: make.Bench, script: str, why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    letters = iter(SECOND_ONE + script)

    def peers(name: str, site: Site, ledger: Ledger) -> Peer:
        return FaultyPeer(FolderPeer(name, site, ledger), letters)

    monkeypatch.setattr(app, "FolderPeer", peers)
    code, fill = command(hole, capsys)
    assert code == 1
    assert [(one.path, one.why) for one in fill.refusals] == [(NEWEST_FIRST[1], why.lower().replace("_", "-"))]
    assert fill.refusals[0].reason.startswith(Refusal[why])
    assert len(fill.segments) == len(NEWEST_FIRST) - 1
    code, fill = command(hole, capsys)
    assert (code, fill.refusals, [one.path for one in fill.segments]) == (0, [], [NEWEST_FIRST[1]])


def command(bench: make.Bench, capsys: pytest.CaptureFixture[str]) -> tuple[int, documents.FillDocument]:
    """Run `recorder-sync fill --server a --json` here and return its exit code and what it says."""
    config = bench.base / "recorder-sync.toml"
    config.write_text(make.config_text("a", "b", head=ONE_BY_ONE))
    code = fill_command.run(
        config,
        since=None,
        until=None,
        cameras=[],
        servers=["a"],
        dry_run=False,
        bandwidth=None,
        readback=False,
        scan_first=True,
        as_json=True,
    )
    [fill] = msgspec.json.decode(capsys.readouterr().out, type=documents.FillsDocument).fills
    return code, fill


def test_reads_that_give_less_than_was_asked_are_no_fault(hole: make.Bench) -> None:
    spoil(hole, itertools.repeat("c", 50))
    result = hole.fill("a")
    assert (len(result.landed), result.refused, result.sent) == (len(MISSING), (), len(MISSING) * SIZE)


def test_a_source_that_gives_nothing_at_all_leaves_nothing_here(hole: make.Bench) -> None:
    before = fingerprint(hole.root("a"))
    spoil(hole, itertools.repeat("e"))
    result = hole.fill("a")
    assert (result.landed, result.sent) == ((), 0)
    assert whys(result) == ["SOURCE_UNREADABLE"] * len(MISSING)
    assert fingerprint(hole.root("a")) == before


def test_what_was_sent_in_vain_was_sent_too(hole: make.Bench) -> None:
    spoil(hole, SECOND_ONE + "..e")
    result = hole.fill("a")
    assert len(result.landed) == len(MISSING) - 1
    assert result.sent == (len(MISSING) - 1) * SIZE + 2 * CHUNK


def test_a_mixture_of_faults_is_counted_one_by_one(hole: make.Bench) -> None:
    spoil(hole, "e" + "...." + ".g" + "f" + "...." + "..h" + "....")
    result = hole.fill("a")
    assert whys(result) == ["SOURCE_UNREADABLE", "SOURCE_GONE", "SOURCE_DAMAGED", "SOURCE_CHANGED"]
    assert len(result.landed) == 3


def test_after_a_disk_that_failed_once_only_the_rest_is_sent(hole: make.Bench) -> None:
    spoil(hole, SECOND_ONE + "..e")
    hole.fill("a")
    assert hole.fill("a").sent == SIZE - 2 * CHUNK


def test_what_waited_here_is_not_trusted(hole: make.Bench) -> None:
    """A bit of the first chunk flips while the partial waits: that chunk and what follows it are sent again."""
    spoil(hole, SECOND_ONE + "..e")
    hole.fill("a")
    [partial] = (hole.base / "a").rglob("*.part")
    content = bytearray(partial.read_bytes())
    content[100] ^= 1
    partial.write_bytes(content)
    assert hole.fill("a").sent == SIZE


@pytest.mark.parametrize("letter", "zgfh")
def test_a_copy_of_what_cannot_be_trusted_is_dropped(hole: make.Bench, letter: str) -> None:
    spoil(hole, SECOND_ONE + ".." + letter)
    hole.fill("a")
    assert list((hole.base / "a").rglob("*.part")) == []
    assert hole.fill("a").sent == SIZE


def test_no_half_file_is_seen_at_any_moment(hole: make.Bench) -> None:
    seen: list[list[str]] = []
    own = fingerprint(hole.root("a"))

    def look(event: Event) -> None:
        seen.append(not_whole(hole.root("a"), own, hole.root("b")))

    spoil(hole, "..z....e.....f" + "c" * 30)
    hole.fill("a", listener=look)
    hole.fill("a", listener=look)
    assert len(seen) > len(MISSING) * READS
    assert not any(seen)


def started(event: Event, path: str) -> bool:
    """Tell whether a segment is about to be read."""
    return isinstance(event, SegmentStarted) and event.task.source.path == path


def moved(event: Event, path: str) -> bool:
    """Tell whether a block of a segment arrived."""
    return isinstance(event, BytesMoved) and event.task.source.path == path and not event.resumed


def test_retention_takes_a_source_before_its_turn(hole: make.Bench) -> None:
    def retention(event: Event) -> None:
        if started(event, NEWEST_FIRST[0]):
            (hole.root("b") / NEWEST_FIRST[-1]).unlink()

    result = hole.fill("a", listener=retention)
    assert whys(result) == ["SOURCE_GONE"]
    assert len(result.landed) == len(MISSING) - 1
    hole.scan()
    assert hole.fill("a").refused == (), "once the scan knows that it is gone, nobody asks for it"


def test_retention_takes_a_source_while_it_is_read(hole: make.Bench) -> None:
    """Its bytes are still there for who has it open: the copy is whole, and worth having."""

    def retention(event: Event) -> None:
        if moved(event, NEWEST_FIRST[-1]):
            (hole.root("b") / NEWEST_FIRST[-1]).unlink(missing_ok=True)

    good = (hole.root("b") / NEWEST_FIRST[-1]).read_bytes()
    result = hole.fill("a", listener=retention)
    assert result.refused == ()
    assert (hole.root("a") / NEWEST_FIRST[-1]).read_bytes() == good
    make.put(hole.root("b"), NEWEST_FIRST[-1], good, make.T0)  # for the comparison at the end


def test_somebody_writes_to_a_source_while_it_is_read(hole: make.Bench) -> None:
    def write(event: Event) -> None:
        if moved(event, NEWEST_FIRST[2]):
            with open(hole.root("b") / NEWEST_FIRST[2], "r+b") as file:
                file.seek(5000)
                file.write(b"after this was read")

    result = hole.fill("a", listener=write)
    assert whys(result) == ["SOURCE_CHANGED"]
    assert len(result.landed) == len(MISSING) - 1
    hole.scan(full=True)
    again = hole.fill("a")
    assert ([one.path for one in again.landed], again.refused) == ([NEWEST_FIRST[2]], ()), "it came as it is now"
    hole.scan()
    assert hole.fill("a").sent == 0


@pytest.mark.parametrize("size", [0, SIZE // 2, SIZE + 1])
def test_a_source_that_has_another_size_by_its_turn_is_refused(hole: make.Bench, size: int) -> None:
    planned = hole.plan("a")
    os.truncate(hole.root("b") / NEWEST_FIRST[3], size)
    result = hole.fill("a", planned)
    assert whys(result) == ["SOURCE_CHANGED"]


def test_rot_at_the_source_that_left_size_and_time_alone_is_noticed(hole: make.Bench) -> None:
    rotten = hole.root("b") / NEWEST_FIRST[3]
    good, when = rotten.read_bytes(), rotten.stat().st_mtime_ns
    for place in (0, CHUNK, SIZE - 1):
        rotten.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        os.utime(rotten, ns=(when, when))
        result = hole.fill("a")
        assert whys(result) == ["SOURCE_DAMAGED"]
        assert f"at byte {place // CHUNK * CHUNK:,}" in result.refused[0].detail


def test_a_source_that_became_a_link_is_not_followed(hole: make.Bench) -> None:
    planned = hole.plan("a")
    secret = make.put(hole.base, "secret", b"x" * SIZE, make.T0)
    (hole.root("b") / NEWEST_FIRST[3]).unlink()
    (hole.root("b") / NEWEST_FIRST[3]).symlink_to(secret)
    result = hole.fill("a", planned)
    assert whys(result) == ["PATH_REFUSED"]
    assert "symbolic link" in result.refused[0].detail


def test_a_peer_that_is_away_is_said_and_nothing_is_tried(hole: make.Bench) -> None:
    planned = hole.plan("a")
    away = hole.root("b").rename(hole.base / "away")
    result = hole.fill("a", planned)
    assert whys(result) == ["SOURCE_AWAY"] * len(MISSING)
    away.rename(hole.root("b"))
    assert len(hole.fill("a").landed) == len(MISSING)


def test_a_peer_that_goes_away_midway_costs_what_was_not_here_yet(hole: make.Bench) -> None:
    def away(event: Event) -> None:
        if started(event, NEWEST_FIRST[3]):
            hole.root("b").rename(hole.base / "away")

    result = hole.fill("a", listener=away)
    assert whys(result) == ["SOURCE_GONE"] * 4
    assert len(result.landed) == 3
    (hole.base / "away").rename(hole.root("b"))
    again = hole.fill("a")
    assert (len(again.landed), again.refused) == (4, ())


def test_what_came_from_a_peer_is_never_offered_back(hole: make.Bench) -> None:
    """`b` loses the hour by accident and its ledger too: what `a` got from `b` is not `a`'s to give."""
    hole.fill("a")
    hole.scan()
    for second in MISSING:
        (hole.root("b") / make.frigate_path("front", make.T0 + second * 1_000_000)).unlink()
    with hole.ledger.writing() as connection:
        for storage in hole.site.storages:
            hole.ledger.segments.forget_storage(connection, storage.id)
    hole.scan()
    offered = {task.source.path for task in hole.plan("b").tasks}
    assert offered.isdisjoint(NEWEST_FIRST)
    assert ("lost", 40.0, 100.0) in hole.states("b")
    for path in NEWEST_FIRST:
        shutil.copy2(hole.root("a") / path, hole.root("b") / path)  # for the comparison at the end


def test_a_listener_hears_of_everything_that_was_landed(hole: make.Bench) -> None:
    heard: list[str] = []
    spoil(hole, "e")
    result = hole.fill(
        "a", listener=lambda event: heard.append(event.landed.path) if isinstance(event, SegmentLanded) else None
    )
    assert heard == [one.path for one in result.landed] == NEWEST_FIRST[1:]


def test_several_at_once_fare_no_worse(benches: Callable[[str], AbstractContextManager[make.Bench]]) -> None:
    with benches(make.config_text("a", "b")) as bench:
        record_both(bench.root("a"), bench.root("b"))
        bench.scan()
        own = fingerprint(bench.root("a"))
        for script in ("e..z.g", "..h.e", "g"):
            spoil(bench, script)
            result = bench.fill("a")
            assert len(result.refused) == sum(letter != "." for letter in script)
        assert bench.fill("a").refused == ()
        assert not_whole(bench.root("a"), own, bench.root("b")) == []
        assert {state for state, _, _ in bench.states("a")} == {"filled"}
