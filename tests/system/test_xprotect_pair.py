"""Two simulated XProtect recorders as a pair: one dies, comes back, and is filled beside its bank from the other.

The story: both record two cameras, in tables that they close at different minutes. One is killed in the middle of a
table, stays away for three hours and returns. Then every second of its absence is covered, by whole tables that are bit
for bit the other recorder's, under an index in the measured shape; and its own bank is as it was, to the byte.
The recorders are stand-ins made from measured facts (docs/guide/xprotect.md): no XProtect was here.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backfill.after import after_fill
from backfill.gate import Gate
from backfill.layouts.xprotect import layout as xprotect_layout
from backfill.layouts.xprotect.cache import tables
from backfill.verify import verify
from schema.spans import HOUR, MINUTE, SECOND, Span
from schema.values import Mark, Refusal
from tests import make
from tests.links import Pair, linked
from tests.make import T0
from tests.xprotect import BANK, FRONT, YARD, Recorder

Cli = Callable[..., subprocess.CompletedProcess[str]]

CAMERAS = {FRONT: "Shoe Store", YARD: "Yard & gate"}
DIED, BACK, NOW = 2 * HOUR + 20 * MINUTE, 5 * HOUR + 15 * MINUTE, 9 * HOUR


def record(a: Path, b: Path, start: int, **more: object) -> tuple[Recorder, Recorder]:
    """Let both recorders record for nine hours from `start`; the first dies and comes back."""
    one = Recorder(a, dict(CAMERAS), seed=1, **more)  # type: ignore[arg-type]
    other = Recorder(b, dict(CAMERAS), seed=2, **more)  # type: ignore[arg-type]
    for device in CAMERAS:
        for at in range(-40 * MINUTE, NOW, HOUR):  # the other closes at twenty past
            other.record(device, start + at, start + min(at + HOUR, NOW))
            other.close(device)
        one.hours(device, start, 2)
        one.record(device, start + 2 * HOUR, start + DIED)
    one.kill()
    one.start(start + BACK)
    for device in CAMERAS:
        one.record(device, start + BACK, start + 6 * HOUR)
        one.close(device)
        one.hours(device, start + 6 * HOUR, 3)
    return one, other


def side(pair: Pair) -> Path:
    """Return where `a` keeps what `b` gave it."""
    [store] = [one for one in pair.a.site.side.values() if one.server == "a"]
    return Path(store.root)


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(xprotect_layout, "_RECORDER_SPARE", 1_000_000)
    with linked(tmp_path, layout="xprotect") as pair:
        yield pair


def test_what_the_dead_recorder_missed_comes_over_the_link_and_is_verified(pair: Pair) -> None:
    record(pair.a.root("a"), pair.b.root("b"), T0)
    pair.b.scan()
    pair.a.scan()
    bank, theirs = make.tree(pair.a.root("a")), make.tree(pair.b.root("b"))
    pair.follow()
    found = [(gap.camera, gap.span) for gap in pair.a.survey().gaps if gap.server == "a"]
    lost = Span(T0 + DIED, T0 + BACK)
    assert sorted(found) == sorted((device, lost) for device in CAMERAS)
    result = pair.a.fill("a")
    assert not result.refused and not result.stopped
    # Closed at twenty past: three whole tables reach from 02:20 to 05:20.
    assert len(result.landed) == 3 * len(CAMERAS)
    after_fill(pair.a.ledger, pair.a.site, "a", result.landed)
    assert make.tree(pair.a.root("a")) == bank, "not a byte of the bank"
    brought = {path: content for path, content in make.tree(side(pair)).items() if path != "cache.xml"}
    assert brought and brought == {path: theirs[path] for path in brought}
    told = tables((side(pair) / "cache.xml").read_bytes())
    assert set(told) == {path.split("/")[0] for path in brought}
    assert {one.description for one in told.values()} == set(CAMERAS.values())
    report = verify(pair.a.ledger, list(pair.a.site.side.values()), chunk_size=65536, gate=Gate())
    assert (report.damage, report.read) == ([], 3 * len(CAMERAS))
    pair.a.scan(full=True)
    assert {str(gap.state) for gap in pair.a.survey().gaps if gap.server == "a"} == {"filled"}
    assert pair.a.fill("a").sent == 0


def test_an_encrypted_table_is_known_as_such_across_the_link(tmp_path: Path) -> None:
    with linked(tmp_path, layout="xprotect") as pair:
        record(pair.a.root("a"), pair.b.root("b"), T0, encrypted=True)
        pair.b.scan()
        pair.a.scan()
        pair.follow()
        result = pair.a.fill("a")
        assert (result.sent, result.landed) == (0, ())
        assert {one.why for one in result.refused} == {Refusal.ENCRYPTED}
        storage = pair.a.site.remote[0]
        [offered, *_] = pair.peer().segments(storage, {FRONT: [Span(T0, T0 + HOUR)]})[FRONT]
        assert offered.marks == Mark.ENCRYPTED


def test_an_operator_gets_there_with_the_command_line_alone(cli: Cli, tmp_path: Path) -> None:
    if shutil.disk_usage(tmp_path).free < 8 * 10**9:
        pytest.skip("XProtect deletes when less than 5 GB are free, so nothing is filled here")
    start = (int(time.time()) - 24 * 3600) // 3600 * 3600 * SECOND
    for server in ("nvr-a", "nvr-b"):
        (tmp_path / server).mkdir()
    record(tmp_path / "nvr-a" / BANK, tmp_path / "nvr-b" / BANK, start)
    os.environ.pop("RECORDER_SYNC_CONFIG", None)
    done = cli("init", "nvr-a", "nvr-b")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "recorder-sync.toml").read_text()
    assert 'layout = "xprotect"' in text and 'options = { banks = "several" }' in text
    assert f'"{FRONT}" = "Shoe Store"' in text
    gaps = cli("gaps", "--json")
    found = [gap for gap in json.loads(gaps.stdout)["gaps"] if gap["server"] == "nvr-a"]
    assert gaps.returncode == 1
    assert {(gap["camera"], gap["state"]) for gap in found} == {(one, "fillable") for one in CAMERAS.values()}
    filled = cli("fill")
    assert filled.returncode == 0, filled.stderr
    assert "cache.xml tells of 6 filled" in filled.stdout + filled.stderr
    verified = cli("verify")
    assert verified.returncode == 0, verified.stdout
    after = [gap for gap in json.loads(cli("gaps", "--json").stdout)["gaps"] if gap["server"] == "nvr-a"]
    assert {gap["state"] for gap in after} == {"filled"}
