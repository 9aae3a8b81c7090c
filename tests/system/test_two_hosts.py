"""Two hosts with real recorders, as the guide sets them up, and what a network and a power supply do to them.

The story is that of an operator who pairs two recorders and forgets them. Whatever happens to one host, to its service
or to the cable between - both end with every picture that either recorder wrote, without being asked; each event is
told once; and both say the same of it.

Recorders are the demo's, as Frigate or as MediaMTX; pictures carry their number as a bar code, and are counted
in the files themselves.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from recorder_sync.demo.proof import count, held
from tests.system.hosts import Stage, Station, away, quiet, staged, up
from tests.system.lan import eventually, why_not

pytest.importorskip("av", reason="PyAV is not installed (pip install 'recorder-sync[media]')")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can be made")]

log = logging.getLogger(__name__)

CAMERAS = {"front": 10, "yard": 20}
SEGMENT = 2.0
OUTAGE = 9.0
LATEST = 5
"""Fills that a status tells of."""


@pytest.fixture(params=["mediamtx"])
def stage(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A pair that records as one of the demo's recorders does, watches and is up to date."""
    layout = request.param
    with staged(tmp_path) as made:
        made.film(CAMERAS)
        for station in made.both:
            station.record(made.url, layout, list(CAMERAS), SEGMENT)
        for station in made.both:
            eventually(lambda station=station: len(recorded(station)) >= 2 * len(CAMERAS), 30, "there are recordings")
        made.pair()
        made.run()
        yield made


def recorded(station: Station) -> list[Path]:
    """Return the recordings that are there."""
    return sorted(path for path in station.root.rglob("*.mp4") if ".recorder-sync" not in path.parts)


def finish(stage: Stage) -> None:
    """Let both record on, settle and fill; then stop everything and compare pictures, documents and alarms."""
    time.sleep(2 * SEGMENT + 3)
    quiet(stage, 60)
    check_alarms(stage)
    for station in stage.both:
        station.stop()
    for station in stage.both:  # what was sealed last is part of the account
        assert station.cli("scan").returncode == 0
    check_pictures(stage)
    check_documents(stage)


def check_pictures(stage: Stage) -> None:
    """Check that each host has every picture that either recorded, within what both filmed."""
    roots = {station.name: station.root for station in stage.both}
    after = held(roots, list(CAMERAS))
    for camera in CAMERAS:
        one, other = after[stage.a.name, camera], after[stage.b.name, camera]
        both = range(max(min(one), min(other)), min(max(one), max(other)) + 1)
        missing = {
            "nvr-a": sorted((other - one) & set(both)),
            "nvr-b": sorted((one - other) & set(both)),
        }
        assert missing == {"nvr-a": [], "nvr-b": []}, f"{camera}: {one ^ other}"
    assert all(one.fillable_left == 0 for one in count(after, after))


def check_alarms(stage: Stage) -> None:
    """Check that no event was told twice, and that what began has ended."""
    for station in stage.both:
        keys = Counter(one["key"] for one in station.alarms())
        assert [key for key, times in keys.items() if times > 1] == []
        kinds = Counter(one["kind"] for one in station.alarms())
        assert kinds["server-failed"] == kinds["server-back"]
        assert kinds["fill-started"] == kinds["filled"], station.alarms()


def check_documents(stage: Stage) -> None:
    """Check that both hosts say the same of what was missing, and that it agrees with what was filled."""
    said = {station.name: told(station) for station in stage.both}
    assert said["nvr-a"] == said["nvr-b"]
    for station in stage.both:
        status = station.status()
        filled = {one.server: one.filled for one in status.cameras}
        assert set(filled) == {"nvr-a", "nvr-b"}
        assert all(one.fillable == 0 for one in status.cameras)
        # A status tells of the latest fills only: all of them, unless there were more.
        told_of = [one.landed for one in status.fills if one.landed]
        brought = [event["landed"] for event in station.events("fill.ended") if event["landed"]]
        assert told_of == brought[::-1][: len(told_of)]
        assert len(told_of) == len(brought) or len(status.fills) == LATEST


def told(station: Station) -> set[tuple[str, str, str]]:
    """Return which server lacked which camera, and what became of it, as a host tells it."""
    return {(one.server, one.camera, one.state) for one in station.gaps().gaps if one.seconds > 1}


def first_landing(station: Station) -> None:
    """Wait until something landed since the peer came last, and say how long that took."""

    def landed() -> list[str]:
        came = max(one["timestamp"] for one in station.events("peer.came"))
        return [one["timestamp"] for one in station.events("fill.ended") if one["landed"] and one["timestamp"] > came]

    eventually(landed, 30, f"{station.name} fills")
    came = datetime.fromisoformat(max(one["timestamp"] for one in station.events("peer.came")))
    took = (datetime.fromisoformat(landed()[0]) - came).total_seconds()
    log.info("%s: from the peer's return to the end of the first fill: %.2f s", station.name, took)


def test_after_a_power_cut_a_host_fetches_what_it_missed(stage: Stage) -> None:
    a, b = stage.both
    a.power_off()
    eventually(lambda: b.alarms("server-failed"), 15, "nvr-b tells that nvr-a is gone")
    time.sleep(OUTAGE)
    a.record_again()
    a.run()
    eventually(lambda: b.alarms("server-back"), 15, "nvr-b tells that nvr-a is back")
    first_landing(a)
    finish(stage)
    assert [one["server"] for one in b.alarms("server-failed")] == ["nvr-a"]
    assert a.alarms("server-failed") == []
    assert {one["server"] for one in a.alarms("filled")} == {"nvr-a"}
    assert b.alarms("filled") == []


@pytest.mark.parametrize("stage", ["frigate"], indirect=True)
def test_with_the_cable_out_and_both_recorders_down_in_turn_both_fetch_from_each_other(stage: Stage) -> None:
    a, b = stage.both
    a.host.cable_out()
    a.kill_recorder()
    eventually(lambda: a.alarms("server-failed") and b.alarms("server-failed"), 15, "both miss the other")
    time.sleep(3)
    a.record_again()
    time.sleep(4)
    b.kill_recorder()
    time.sleep(5)
    b.record_again()
    time.sleep(3)
    a.host.cable_in()
    first_landing(a)
    first_landing(b)
    finish(stage)
    for station, other in ((a, "nvr-b"), (b, "nvr-a")):
        assert [one["server"] for one in station.alarms("server-failed")] == [other]
        assert {one["server"] for one in station.alarms("filled")} == {station.name}


def test_a_suspended_service_was_away_for_its_peer_and_blames_nobody(stage: Stage) -> None:
    a, b = stage.both
    b.suspend()
    a.kill_recorder()
    eventually(lambda: away(a), 15, "nvr-a misses the suspended nvr-b")
    time.sleep(5)
    a.record_again()
    time.sleep(3)
    b.wake()
    eventually(lambda: a.alarms("server-back"), 15, "nvr-b is back")
    first_landing(a)
    finish(stage)
    assert len(a.alarms("server-failed")) == 1
    assert b.alarms("server-failed") == []


def test_when_only_one_way_is_cut_both_notice_and_both_recover(stage: Stage) -> None:
    a, b = stage.both
    a.host.unheard_by(b.host)
    b.kill_recorder()
    eventually(lambda: away(a) and away(b), 20, "each misses the other")
    time.sleep(3)
    b.record_again()
    time.sleep(3)
    a.host.heard_by(b.host)
    eventually(lambda: up(a) and up(b), 15, "they hear each other again")
    first_landing(b)
    finish(stage)
    assert [len(one.alarms("server-failed")) for one in stage.both] == [1, 1]
