"""Two hosts whose link and services are broken again and again while they fill, with recordings that are made up.

What must hold however often it breaks: every file is its source's byte for byte, nothing lands twice, and nothing
passes the wire twice but the chunk of each segment that was on its way (docs/design/0004-data-path.md). Bytes are
counted by the wire.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from schema.spans import SECOND
from tests import make
from tests.fault.checks import digests
from tests.system.hosts import Stage, Station, dice, quiet, staged
from tests.system.lan import eventually, why_not
from tests.system.wiretap import Sent, Wiretap, check_again, twice

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can be made")]

log = logging.getLogger(__name__)

CHUNK = 128 * 1024
STREAMS = 4
"""Segments on their way at once, unless a test says otherwise."""
TALK = 128 * 1024
"""Bytes of questions, lists and digests that may pass for each kill: who starts anew asks for the list of all again."""
PATIENCE = 90
"""Seconds: a peer that dies between handshake and answer is taken for one that refuses, and is left for a minute."""
MIDST = 0.85
"""Share of kills that wait until recordings are passing; the others also hit what comes before."""
LENGTH = 10


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Two hosts without a recorder."""
    with staged(tmp_path) as made:
        yield made


def begun(last: int) -> int:
    """Return when the first of recordings began of which number `last` ended half an hour ago, seconds.

    Asked once for both hosts: a clock that goes on to the next ten seconds in between would move one against the other.
    """
    return int(time.time() // 10 * 10 - 1800 - LENGTH * (last + 1))


def record(station: Station, numbers: list[int], *, sizes: tuple[int, ...], begin: int) -> dict[int, str]:
    """Write recordings as Frigate would have, one after the other, the first of which began at `begin`.

    Those of nvr-b begin five seconds later, so that they are told from those of nvr-a. Returns the paths by number.
    """
    paths: dict[int, str] = {}
    late, seed = (5, 2) if station.name == "nvr-b" else (0, 1)
    for number in numbers:
        start = begin + late + number * LENGTH
        content = make.mp4(LENGTH, sizes[number % len(sizes)], seed * 1_000_003 + start)
        paths[number] = make.frigate_path("front", start * SECOND)
        make.put(station.root, paths[number], content, (start + LENGTH) * SECOND)
    return paths


def with_hole(stage: Stage, segments: int, *sizes: int) -> None:
    """Let nvr-b have so many recordings that nvr-a lacks, of these sizes in turn."""
    begin = begun(segments + 1)
    record(stage.b, list(range(segments + 2)), sizes=sizes, begin=begin)
    record(stage.a, [0, segments + 1], sizes=(3000,), begin=begin)


def missing(stage: Stage) -> list[str]:
    """Return what nvr-b has and nvr-a has not, by path."""
    return sorted(digests(stage.b.root).keys() - digests(stage.a.root).keys())


def check_filled(here: Station, before: dict[str, bytes], lacked: dict[str, bytes]) -> None:
    """Check that a host holds what it did, and what it lacked, bit for bit, and nothing else."""
    assert digests(here.root) == before | lacked
    assert not list(here.folder.rglob("*.part"))


def check_passed(wire: Wiretap, source: Station, lacked: Iterable[str]) -> list[Sent]:
    """Check that all of what was lacked passed the wire, and nothing else."""
    sent = wire.sent()
    reached: dict[str, int] = {}
    for one in sent:
        reached[one.path] = max(reached.get(one.path, 0), one.end)
    assert reached == {path: (source.root / path).stat().st_size for path in lacked}
    return sent


def test_a_link_that_is_cut_again_and_again_sends_no_more_than_a_chunk_of_each_segment_twice(stage: Stage) -> None:
    with_hole(stage, 6, 2 * 2**20)
    own, lacked = digests(stage.a.root), digests(stage.b.root)
    stage.pair(fill=f'chunk = "{CHUNK >> 10} KiB"')
    breaks: list[float] = []
    with Wiretap(stage.a, stage.b, rate=2 * 10**6) as wire:
        stage.run()
        for _ in range(3):
            eventually(lambda: stage.a.live().get("fill") or not missing(stage), 30, "it fills")
            time.sleep(1.0)
            stage.b.host.cable_out()
            breaks.append(time.monotonic())
            time.sleep(3.5)
            stage.b.host.cable_in()
        assert missing(stage), "it was filled before the last cut"
        eventually(lambda: not missing(stage), 60, "everything is here")
        quiet(stage, 20)
        assert check_again(check_passed(wire, stage.b, lacked), breaks, STREAMS, CHUNK) > 0
    check_filled(stage.a, own, lacked)
    ended = stage.a.events("fill.ended")
    assert sum(one["refused"] for one in ended) == 0
    assert sum(one["landed"] for one in ended) == len(lacked)
    assert [key for key, times in Counter(one["key"] for one in stage.a.alarms()).items() if times > 1] == []


def test_over_a_slow_link_both_fill_from_each_other_at_once_and_each_byte_passes_once(stage: Stage) -> None:
    """Both are behind, each lacks what the other has, and the line is so slow that a question waits for recordings."""
    sizes, last = (400_000, 50_000), 12
    begin = begun(last)
    a = record(stage.a, [0, *range(6, last + 1)], sizes=sizes, begin=begin)
    b = record(stage.b, [*range(7), last], sizes=sizes, begin=begin)
    before = [digests(station.root) for station in stage.both]
    # Whole recordings, and none that brings nothing: number 6 lies within what the other has.
    of_b = {b[number]: before[1][b[number]] for number in [*range(6), last]}
    of_a = {a[number]: before[0][a[number]] for number in range(7, last + 1)}
    stage.pair()
    for station in stage.both:
        station.host.limit("3mbit")
        text = station.config.read_text()
        station.config.write_text(text.replace('away = "3s"', 'away = "10s"'))  # as it is unless a test is in a hurry
    with Wiretap(stage.a, stage.b) as to_a, Wiretap(stage.b, stage.a) as to_b:
        stage.run()
        eventually(lambda: all(station.alarms("filled") for station in stage.both), 60, "both filled")
        quiet(stage, 30)
        passed = [check_passed(to_a, stage.b, of_b), check_passed(to_b, stage.a, of_a)]
    assert [twice(sent) for sent in passed] == [[], []]
    one, other = ((min(one.began for one in sent), max(one.ended for one in sent)) for sent in passed)
    assert min(one[1], other[1]) - max(one[0], other[0]) > 0.5, "one after the other"
    check_filled(stage.a, before[0], of_b)
    check_filled(stage.b, before[1], of_a)
    for station in stage.both:
        kinds = Counter(one["kind"] for one in station.alarms())
        assert not kinds["server-failed"], "slow is not away"
        assert kinds["filled"] == kinds["fill-started"] >= 1


@pytest.mark.parametrize(("kills", "streams", "segments"), [(100, STREAMS, 90), (30, 1, 30)])
def test_killed_at_random_on_either_side_a_kill_costs_a_chunk_of_each_segment_on_its_way(
    stage: Stage, kills: int, streams: int, segments: int
) -> None:
    """With one segment at a time that is one chunk for a kill, to the word."""
    chance = dice(20261124 + streams)
    with_hole(stage, segments, 2 * 2**20, 2 * 2**20, CHUNK - 7000)
    own, lacked = digests(stage.a.root), digests(stage.b.root)
    stage.pair(fill=f'chunk = "{CHUNK >> 10} KiB"\nin_flight = {streams}')
    breaks: list[float] = []
    killed: Counter[str] = Counter()
    with Wiretap(stage.a, stage.b, rate=3 * 10**6) as wire:
        stage.run()
        for _ in range(kills):
            victim = chance.choice(stage.both)
            if chance.random() < MIDST:
                before = wire.passed()
                eventually(lambda before=before: wire.passed() > before + CHUNK, PATIENCE, "it fills", every=0.01)
            time.sleep(chance.uniform(0, 0.5))
            victim.kill_service()
            breaks.append(time.monotonic())  # it is over when it is dead
            killed[victim.name] += 1
            victim.start()
        left, other = len(missing(stage)), wire.other()
        wire.full_speed()
        eventually(lambda: not missing(stage), 120, "everything is here")
        quiet(stage, 30)
        sent = check_passed(wire, stage.b, lacked)
    again = check_again(sent, breaks, streams, CHUNK)
    hit = {sum(at < one.ended for at in breaks) for one in sent if one.end < one.size}
    log.warning("%s, %d hit a transfer, %d left: %s bytes passed again", killed, len(hit), left, again)
    log.warning("%s bytes that are of no recording", other)
    assert again <= kills * streams * CHUNK
    assert other <= kills * TALK
    check_filled(stage.a, own, lacked)
    assert left, "it was filled before the last kill"
    assert min(killed.values()) > kills / 4
    assert len(hit) > kills / 3, "most kills hit nothing"
