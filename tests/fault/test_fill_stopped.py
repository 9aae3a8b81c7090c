"""Ctrl-C, and the SIGTERM of a service manager, to the real command in the middle of a fill.

What must hold: it ends soon, says what was done and that it was stopped, leaves nothing half, and the next run
continues where it was.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import msgspec
import pytest

from schema.documents import FillDocument, FillsDocument
from schema.errors import EXIT_INTERRUPTED
from tests import make
from tests.fault.checks import (
    MISSING,
    NEWEST_FIRST,
    SIZE,
    Fingerprint,
    claims,
    false_claims,
    fingerprint,
    lost_or_touched,
    not_whole,
    recordings,
    with_hole,
)

Cli = Callable[..., subprocess.CompletedProcess[str]]

SLOW = "700 kB/s"
"""Four segments under way at once then land after a good second, the rest nearly a second later."""


@pytest.fixture
def hole(benches: Callable[[str], AbstractContextManager[make.Bench]]) -> Iterator[make.Bench]:
    """`a` lacks a minute of what `b` has, and a configuration that says so."""
    config = make.config_text("a", "b")
    with benches(config) as bench:
        (bench.base / "recorder-sync.toml").write_text(config)
        yield with_hole(bench)


def stopped(bench: make.Bench, how: list[signal.Signals], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Start a slow fill, stop it once a segment has landed and others are under way, and return how it ended."""
    own = len(recordings(bench.root("a")))
    with subprocess.Popen(
        [sys.executable, "-m", "recorder_sync", "fill", "--server", "a", "--bandwidth", SLOW, *arguments],
        cwd=bench.base,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while len(recordings(bench.root("a"))) == own or not list((bench.base / "a").rglob("*.part")):
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.01)
            for number in how:
                process.send_signal(number)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def check(bench: make.Bench, own: Fingerprint) -> None:
    assert lost_or_touched(own, bench.root("a")) == []
    assert not_whole(bench.root("a"), own, bench.root("b")) == []
    assert false_claims(bench.ledger, bench.site.storages[0]) == []


@pytest.mark.parametrize("how", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT, signal.SIGTERM]])
def test_a_stopped_fill_says_what_was_done_and_the_next_one_continues(
    hole: make.Bench, cli: Cli, how: list[signal.Signals]
) -> None:
    own = fingerprint(hole.root("a"))
    done = stopped(hole, how, "--json")
    assert (done.returncode, "Traceback" in done.stderr) == (EXIT_INTERRUPTED, False), done.stderr
    fill = decoded(done)
    assert fill.stopped == "stopped on request"
    assert 1 <= len(fill.segments) < len(MISSING)
    assert fill.refusals == [], "what was not reached was not refused"
    assert {one.path for one in fill.segments} == set(fingerprint(hole.root("a"))) - set(own)
    assert {one.path for one in claims(hole.ledger, hole.site.storages[0])} == set(fingerprint(hole.root("a")))
    check(hole, own)
    waiting = sum(partial.stat().st_size for partial in (hole.base / "a").rglob("*.part"))
    rest = cli("fill", "--server", "a", "--json")
    assert rest.returncode == 0, rest.stderr
    continued = decoded(rest)
    assert {one.path for one in (*fill.segments, *continued.segments)} == set(NEWEST_FIRST)
    assert continued.sent <= len(continued.segments) * SIZE - waiting + 4 * 64 * 1024, "a chunk of each under way"
    check(hole, own)


def decoded(done: "subprocess.CompletedProcess[str]") -> FillDocument:
    [fill] = msgspec.json.decode(done.stdout, type=FillsDocument).fills
    return fill


def test_the_operator_reads_that_it_was_stopped(hole: make.Bench) -> None:
    done = stopped(hole, [signal.SIGINT])
    assert done.returncode == EXIT_INTERRUPTED
    assert "stopped on request" in done.stdout
    assert done.stdout.startswith("a: ")


def test_once_stopped_the_other_servers_are_not_begun(hole: make.Bench) -> None:
    """`b` lacks what `a` recorded last; Ctrl-C means all of it."""
    before = fingerprint(hole.root("b"))
    done = stopped(hole, [signal.SIGINT], "--server", "b", "--json")
    assert done.returncode == EXIT_INTERRUPTED
    assert fingerprint(hole.root("b")) == before
