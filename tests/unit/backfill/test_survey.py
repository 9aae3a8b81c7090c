"""The survey over made-up sites: from when to when something can be missing, and what deleting and retention leave."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from backfill.scan import scan
from recorder_sync.app import App
from schema.spans import SECOND
from tests import make

Benches = Callable[[str], AbstractContextManager[make.Bench]]

TWO_STORAGES = make.CONFIG + "".join(
    f"""
[[servers]]
name = "{name}"
[[servers.storages]]
name = "main"
root = "{name}/main"
layout = "frigate"
{{more}}
[[servers.storages]]
name = "events"
root = "{name}/events"
layout = "frigate"
{{most}}
"""
    for name in "ab"
)


def take_by_retention(root: Path, until: float) -> None:
    """Delete what was recorded before `until` seconds after T0."""
    for file in root.rglob("*.mp4"):
        if os.stat(file).st_mtime <= make.T0 / SECOND + until:
            file.unlink()


def open_states(bench: make.Bench, server: str, camera: str = "front") -> list[tuple[str, float, float]]:
    return [one for one in bench.states(server, camera) if one[0] != "filled"]


def test_what_retention_took_is_no_gap_because_a_side_store_has_older_recordings(benches: Benches) -> None:
    with benches(make.config_text("a", "b", more='fill = "side"')) as bench:
        make.record(bench.root("a"), "front", [*make.tens(0, 100), *make.tens(200, 3000)], seed=1)
        make.record(bench.root("b"), "front", make.tens(0, 3000), seed=2)
        bench.scan()
        assert bench.fill("a").landed
        bench.scan()
        take_by_retention(bench.root("a"), 2000)
        bench.scan()
        assert open_states(bench, "a") == []
        assert bench.plan("a").tasks == ()


def test_what_retention_took_on_one_storage_is_no_gap_while_another_keeps_older_ones(benches: Benches) -> None:
    with benches(TWO_STORAGES.format(more="", most="")) as bench:
        for number, name in enumerate("ab"):
            make.record(bench.base / name / "main", "front", make.tens(100, 3000), seed=number)
            make.record(bench.base / name / "events", "front", make.tens(0, 100), seed=number + 5)
        bench.scan()
        take_by_retention(bench.base / "a" / "main", 2000)
        bench.scan()
        assert open_states(bench, "a") == []
        bench.scan()
        assert bench.plan("a").tasks == (), "and the tombstones are still there after the next scan"


def test_what_the_shorter_retention_took_on_every_server_is_not_called_lost(benches: Benches) -> None:
    config = TWO_STORAGES.format(more='retention = "1h"', most='retention = "10h"')
    with benches(config) as bench:
        for number, name in enumerate("ab"):
            make.record(bench.base / name / "main", "front", make.tens(20_000, 24_000), seed=number)
            make.record(bench.base / name / "events", "front", [0, 6000], seed=number + 5)
        bench.now = make.T0 + 25_000 * SECOND
        bench.scan()
        assert "lost" not in [state for state, _, _ in bench.states("a")]


CAREFUL = make.config_text("a", "b", head=make.CONFIG.replace('settle = "1s"', 'settle = "120s"'))


def test_what_came_after_the_last_scan_is_not_missing(benches: Benches) -> None:
    """The recorder here recorded all along; only its storage could not be read, and that is said."""
    with benches(CAREFUL) as bench:
        for server, seed in (("a", 1), ("b", 2)):
            make.record(bench.root(server), "front", make.tens(0, 5000), seed=seed)
        bench.now = make.T0 + 5100 * SECOND
        bench.scan()
        make.record(bench.root("b"), "front", make.tens(5000, 9000), seed=2)
        bench.now = make.T0 + 9100 * SECOND
        scan(bench.ledger, bench.site.storages[1], now=bench.clock)
        assert bench.states("a") == []
        assert bench.plan("a").tasks == ()
        found = bench.survey()
        [note] = found.read.notes
        assert note.startswith("a/main was not readable since 2026-11-22 13:25")
        assert found.outages == [], "nor was the recorder away"
        scan(bench.ledger, bench.site.storages[0], now=bench.clock)
        assert bench.states("a") == [("fillable", 5000, 8980)], "now it is known that it is missing"
        assert bench.survey().read.notes == ()


def test_what_a_peer_may_hold_unread_is_not_called_lost(benches: Benches) -> None:
    with benches(CAREFUL) as bench:
        for server, seed in (("a", 1), ("b", 2)):
            make.record(bench.root(server), "front", make.tens(0, 5000), seed=seed)
        bench.now = make.T0 + 5100 * SECOND
        bench.scan()
        make.record(bench.root("a"), "front", [*make.tens(5000, 6000), *make.tens(7000, 9000)], seed=1)
        bench.now = make.T0 + 9100 * SECOND
        scan(bench.ledger, bench.site.storages[0], now=bench.clock)
        assert bench.states("a") == []
        assert any(note.startswith("b/main was not readable") for note in bench.survey().read.notes)
        scan(bench.ledger, bench.site.storages[1], now=bench.clock)
        assert bench.states("a") == [("lost", 6000, 7000)]


def test_what_was_fetched_and_then_deleted_by_hand_is_not_fetched_again(pair: make.Bench) -> None:
    make.record(pair.root("a"), "front", [*make.tens(0, 100), *make.tens(300, 600)], seed=1)
    make.record(pair.root("b"), "front", [*make.tens(0, 100), *make.tens(160, 600)], seed=2)
    pair.scan()
    assert pair.fill("a").landed
    pair.scan()
    for second in (160, 170):
        (pair.root("a") / make.frigate_path("front", make.T0 + second * SECOND)).unlink()
    pair.scan()
    assert pair.plan("a").tasks == ()


def test_an_outage_is_the_same_whatever_is_asked_for(pair: make.Bench) -> None:
    """One camera was silent while another recorded; a long silence begins before the window that is asked about."""
    make.record(pair.root("a"), "front", [*make.tens(0, 100), *make.tens(60_000, 60_100)], seed=1)
    make.record(pair.root("a"), "yard", make.tens(0, 60_100), length=10, seed=3)
    for camera in ("front", "yard"):
        make.record(pair.root("b"), camera, make.tens(0, 60_100), seed=2)
    pair.scan()
    [gap] = pair.survey().gaps
    assert gap.outage is not None
    assert gap.outage.evidence == "front was silent on a for 16 h 38 min while others recorded"
    assert [one.outage for one in pair.survey(cameras=["front"]).gaps] == [gap.outage]
    since, until = make.T0 + 30_000 * SECOND, make.T0 + 40_000 * SECOND
    for question in ({"since": since}, {"until": until}, {"since": since, "until": until, "cameras": ["front"]}):
        found = pair.survey(**question)
        assert [one.outage for one in found.gaps] == [gap.outage], question
        assert found.outages == [gap.outage], question
    assert pair.survey(until=make.T0 + 50 * SECOND).outages == []


def test_a_recorder_that_records_on_motion_was_away_if_its_peers_recordings_say_so(benches: Benches) -> None:
    config = make.config_text("a", "b", head=make.CONFIG.replace("[gaps]", '[gaps]\npolicy = "outages"'))
    with benches(config) as bench:
        make.record(bench.root("a"), "front", [*make.tens(0, 100), *make.tens(4000, 4100)], seed=1)
        make.record(bench.root("a"), "yard", [0, 4000], seed=1)
        make.record(bench.root("b"), "front", [*make.tens(0, 100), 700, 2000, *make.tens(4000, 4100)], seed=2)
        bench.scan()
        assert bench.states("a") == [("fillable", 700, 710), ("fillable", 2000, 2010)]
        make.record(bench.root("a"), "yard", [1500], seed=1)
        bench.scan()
        assert [one[0] for one in bench.states("a")] == ["refused", "refused"], "it was there, and saw nothing"


def test_a_camera_that_is_called_what_another_is_mapped_to_is_not_taken_for_it(benches: Benches) -> None:
    config = make.config_text("a", "b").replace('name = "a"\n', 'name = "a"\ncameras = { front = "garden" }\n', 1)
    with benches(config) as bench:
        make.record(bench.root("a"), "front", make.tens(0, 100), seed=1)
        make.record(bench.root("a"), "garden", make.tens(100, 600), seed=3)
        make.record(bench.root("b"), "garden", make.tens(0, 600), seed=2)
        bench.scan()
        assert bench.states("a", "garden") == [("fillable", 100, 600)]
        found = bench.survey()
        assert sorted(found.coverage) == ["garden", "garden@a"]
        [note] = [one for one in App(bench.settings, bench.ledger, bench.site).notes(found) if "two cameras" in one]
        assert "'front'" in note and "'garden@a'" in note
        storage = bench.site.storages[0]
        for own in ("front", "garden", "yard"):
            assert storage.own_camera(storage.shared_channel(own)) == own
