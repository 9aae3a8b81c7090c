"""`recorder-sync import` as an operator uses it: a real supervisord, a simulated recorder that writes while it runs.

What must hold: nothing moves while the recorder writes, it runs again in the end whatever happens, every table is bit
for bit what was fetched, and after a kill the operator is told what to do and that works.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backfill.layouts.xprotect.cache import tables
from recorder_sync.identity.drivers import State, Supervisord
from schema.spans import HOUR, SECOND
from tests import make
from tests.supervised import ended, supervisord
from tests.system.lan import eventually
from tests.xprotect import BANK, FRONT, Recorder

Cli = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
LOST = (2, 3)


class Pair:
    """Two recorders' folders in one configuration; the first one's recorder runs under supervisord."""

    def __init__(self, base: Path, cli: Cli) -> None:
        self.base = base
        self.cli = cli
        self.bank = base / "nvr-a" / BANK
        start = (int(time.time()) - 24 * 3600) // 3600 * 3600 * SECOND
        own, other = Recorder(self.bank, seed=1), Recorder(base / "nvr-b" / BANK, seed=2)
        other.hours(FRONT, start, 6)
        for hour in range(6):
            if hour not in LOST:
                own.hours(FRONT, start + hour * HOUR, 1)
        self.service = Supervisord("recorder", 20, f"unix:{base}/s")
        self.process = supervisord(
            base,
            f"""
            [program:recorder]
            command={sys.executable} -m tests.xprotect_service {self.bank} {FRONT}
            directory={ROOT}
            startsecs=1
            [program:other]
            command={sys.executable} -c "import time; time.sleep(1000)"
            startsecs=0
            """,
        )
        eventually(lambda: (base / "s").exists() and self.service.state() is State.RUNNING, 30, "the recorder runs")
        assert cli("init", "nvr-a", "nvr-b").returncode == 0
        path = base / "recorder-sync.toml"
        path.write_text(
            path.read_text() + f'\n[identity]\nserver = "nvr-a"\nservice = "recorder"\nmanager = "supervisord"\n'
            f'supervisor = "unix:{base}/s"\nwait = "20s"\n'
        )
        filled = cli("fill", "--server", "nvr-a")
        assert filled.returncode == 0, filled.stderr

    @property
    def side(self) -> Path:
        [found] = self.base.glob(f".recorder-sync/nvr-a/side/nvr-b/*/{BANK}")
        return found

    def own(self) -> dict[str, bytes]:
        """Return all closed tables of the bank."""
        return {path: held for path, held in make.tree(self.bank).items() if "_LOCAL_" in path}

    def state(self) -> State:
        return self.service.state()


@pytest.fixture
def pair(tmp_path: Path, cli: Cli) -> Iterator[Pair]:
    if shutil.disk_usage(tmp_path).free < 8 * 10**9:
        pytest.skip("XProtect deletes when less than 5 GB are free, so nothing is filled here")
    os.environ.pop("RECORDER_SYNC_CONFIG", None)
    found = Pair(tmp_path, cli)
    try:
        yield found
    finally:
        ended(found.process)


def test_shown_agreed_imported_and_taken_back(pair: Pair) -> None:
    own, brought = pair.own(), {path: held for path, held in make.tree(pair.side).items() if path != "cache.xml"}
    shown = pair.cli("import", "--dry-run")
    assert shown.returncode == 0 and "To import (2)" in shown.stdout and "Shoe Store" in shown.stdout
    unasked = pair.cli("import")
    assert unasked.returncode == 2 and "add --yes" in unasked.stderr and pair.own() == own
    done = pair.cli("import", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["state"], document["service"], document["told"]) == ("imported", "running", 2)
    assert pair.own() == own | brought
    assert set(tables((pair.bank / "cache.xml").read_bytes())) == {path.split("/")[0] for path in own | brought}
    gaps = json.loads(pair.cli("gaps", "--json").stdout)["gaps"]
    assert {gap["state"] for gap in gaps if gap["server"] == "nvr-a" and gap["camera"] == "Shoe Store"} == {"filled"}
    assert pair.cli("verify", "--server", "nvr-a").returncode == 0
    again = pair.cli("import", "--yes")
    assert again.returncode == 0 and "Nothing was filled" in again.stdout
    back = pair.cli("import", "--undo", "--yes")
    assert back.returncode == 0 and "To take back (2)" in back.stdout, back.stderr
    assert "2 recordings were taken out" in back.stdout
    assert pair.own() == own and pair.state() is State.RUNNING
    assert {path: held for path, held in make.tree(pair.side).items() if path != "cache.xml"} == brought
    nothing = pair.cli("import", "--undo", "--yes")
    assert nothing.returncode == 94


def test_killed_while_the_recorder_is_stopped(pair: Pair) -> None:
    own = pair.own()
    command = [sys.executable, "-m", "recorder_sync", "import", "--yes"]
    process = subprocess.Popen(command, cwd=pair.base, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: pair.state() is State.STOPPED, 60, "the import stops the recorder")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert pair.state() is State.STOPPED
    again = pair.cli("import", "--yes")
    assert again.returncode == 92 and "import --undo" in again.stderr
    assert "cut off" in pair.cli("status").stdout
    assert pair.cli("doctor").returncode == 1
    back = pair.cli("import", "--undo", "--yes")
    assert back.returncode == 0, back.stderr
    assert pair.own() == own and pair.state() is State.RUNNING
    assert "cut off" not in pair.cli("status").stdout


def test_ctrl_c_while_the_recorder_is_stopped(pair: Pair) -> None:
    own = pair.own()
    command = [sys.executable, "-m", "recorder_sync", "import", "--yes"]
    process = subprocess.Popen(command, cwd=pair.base, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    eventually(lambda: pair.state() is State.STOPPED, 60, "the import stops the recorder")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130 and "nothing was imported" in said, said
    assert pair.own() == own and pair.state() is State.RUNNING
    assert "cut off" not in pair.cli("status").stdout
    assert pair.cli("import", "--yes").returncode == 0
    process = subprocess.Popen([*command[:-1], "--undo", "--yes"], cwd=pair.base, stdout=subprocess.DEVNULL)
    eventually(lambda: pair.state() is State.STOPPED, 60, "undoing stops the recorder")
    process.send_signal(signal.SIGINT)
    assert process.wait() == 0, "it is not left half-way"
    assert pair.own() == own and pair.state() is State.RUNNING


def test_a_service_that_is_not_that_recorder_s(pair: Pair) -> None:
    """The configured service stops, and the bank is written all the same: nothing is moved."""
    config = pair.base / "recorder-sync.toml"
    config.write_text(config.read_text().replace('service = "recorder"', 'service = "other"'))
    own = pair.own()
    done = pair.cli("import", "--yes")
    assert done.returncode == 91 and "is written to although" in done.stderr, done.stderr
    assert pair.own() == own and pair.state() is State.RUNNING
