"""The walk-through for an XProtect pair, typed as it stands: every command of the page, in its order.

The recorders are simulated, rec-a as a process under supervisord, and `ssh` is a program that asks that one. Paths
below `/mnt` lie in the test's folder; nothing else of the page is changed.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfill.layouts.xprotect.cache import tables
from recorder_sync.identity.drivers import State, Supervisord
from schema.settings import load
from schema.spans import HOUR, MINUTE, SECOND
from tests import make
from tests.supervised import ended, supervisord
from tests.system.lan import eventually
from tests.xprotect import BANK, FRONT, YARD, Recorder

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/guide/xprotect-pair.md"
FOUND = ("init", "doctor", "fill", "import", "verify", "status")

SSH = """#!{python}
# Plays ssh to rec-a, with the script of the page on it.
import sys
from recorder_sync.identity.drivers import State, Supervisord
assert sys.argv[1:3] == ["rec-a", "powershell"] and sys.argv[-2].endswith("service.ps1"), sys.argv
service = Supervisord("recorder", 20, "unix:{socket}")
if sys.argv[-1] == "state":
    sys.exit({{State.RUNNING: 0, State.STOPPED: 3, State.CHANGING: 75}}[service.state()])
getattr(service, sys.argv[-1])()
"""


def page(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield kind and text of each block that is to be typed, with the mounts in `folder`."""
    text = PAGE.read_text(encoding="utf-8").replace("/mnt/", f"{folder}/mnt/")
    text = re.sub(r"<!-- not run: .*? -->\n```.*?^```$", "", text, flags=re.M | re.S)
    yield from re.findall(r"^```(sh|toml)\n(.*?)^```$", text, re.M | re.S)


def record(folder: Path) -> None:
    """Let both recorders record for ten hours that ended six hours ago; rec-a was dead for three of them."""
    start = (int(time.time()) - 16 * 3600) // 3600 * 3600 * SECOND
    cameras = {FRONT: "Shoe Store", YARD: "Yard & gate"}
    a = Recorder(folder / "mnt/rec-a/MediaDatabase" / BANK, cameras, seed=1)
    b = Recorder(folder / "mnt/rec-b/MediaDatabase" / BANK, cameras, seed=2)
    for device in cameras:
        b.hours(device, start - 20 * MINUTE, 10)
        a.hours(device, start, 3)
        a.hours(device, start + 6 * HOUR, 4)


def test_the_walk_through_as_it_stands(tmp_path: Path) -> None:
    if shutil.disk_usage(tmp_path).free < 8 * 10**9:
        pytest.skip("XProtect deletes when less than 5 GB are free, so nothing is filled here")
    record(tmp_path)
    bank = tmp_path / "mnt/rec-a/MediaDatabase" / BANK
    before = {path for path in make.tree(bank) if "_LOCAL_" in path}
    (tmp_path / "bin").mkdir()
    (tmp_path / "pair").mkdir()
    ssh = tmp_path / "bin/ssh"
    ssh.write_text(SSH.format(python=sys.executable, socket=tmp_path / "s"))
    ssh.chmod(0o755)
    process = supervisord(
        tmp_path,
        f"""
        [program:recorder]
        command={sys.executable} -m tests.xprotect_service {bank} {FRONT}
        directory={ROOT}
        startsecs=1
        """,
    )
    path = f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "NO_COLOR": "1", "COLUMNS": "100", "TZ": "UTC"}
    environment.pop("RECORDER_SYNC_CONFIG", None)
    said: dict[str, list[str]] = {}
    try:
        service = Supervisord("recorder", 20, f"unix:{tmp_path / 's'}")
        eventually(lambda: (tmp_path / "s").exists() and service.state() is State.RUNNING, 30, "the recorder runs")
        config = tmp_path / "pair/recorder-sync.toml"
        for kind, block in page(tmp_path):
            if kind == "toml":
                config.write_text(config.read_text() + "\n" + block)
                continue
            for line in block.splitlines():
                done = subprocess.run(
                    line.split(), cwd=tmp_path / "pair", env=environment, capture_output=True, text=True, check=False
                )
                assert done.returncode in (0, 1), f"{line}: {done.stdout}{done.stderr}"
                said.setdefault(line.split()[1], []).append(done.stdout)
            if line.endswith("import --yes"):
                assert len(tables((bank / "cache.xml").read_bytes())) == 22
        assert set(FOUND) < set(said), "the page still shows them"
        assert [server.name for server in load(config).servers] == ["rec-a", "rec-b"]
        assert "fillable" in said["gaps"][0] and "filled" in said["gaps"][1]
        assert "No damage found" in said["verify"][0]
        assert "imported into" in said["import"][1] and "taken out of" in said["import"][2]
        assert {path for path in make.tree(bank) if "_LOCAL_" in path} == before, "taken back at the end of the page"
        assert service.state() is State.RUNNING
    finally:
        ended(process)
