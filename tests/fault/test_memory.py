"""Memory stays small whatever is filled: a promise of the documentation, so it is asserted.

Measured is the most that the process itself ever held, as the kernel counted it.
"""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from schema.documents import FillsDocument
from tests import make
from tests.fault.checks import digest

MIB = 2**20
SEGMENTS = 8
SIZE = 64 * MIB
LIMIT = 250 * MIB

MEASURED = """
import sys
from recorder_sync.cli import main

report = sys.argv.pop(1)
try:
    main()
finally:
    with open("/proc/self/status") as status, open(report, "w") as file:
        file.write(next(line for line in status if line.startswith("VmHWM:")).split()[1])
"""
"""Runs the command, and writes down the most memory it had, in KiB."""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
def test_a_fill_of_half_a_gigabyte_needs_less_than_250_mib(tmp_path: Path) -> None:
    end = 10 * SEGMENTS
    make.record(tmp_path / "a/recordings", "front", [0, end - 10])
    theirs = make.record(tmp_path / "b/recordings", "front", range(5, end, 10), seed=2, size=SIZE)
    (tmp_path / "recorder-sync.toml").write_text(make.config_text("a", "b", head='[gaps]\nsettle = "1s"\n'))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "peak", "fill", "--server", "a", "--json"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    [fill] = msgspec.json.decode(done.stdout, type=FillsDocument).fills
    assert fill.sent == SEGMENTS * SIZE
    assert all(
        digest(tmp_path / "a/recordings" / path.relative_to(tmp_path / "b/recordings")) == digest(path)
        for path in theirs
    )
    assert int((tmp_path / "peak").read_text()) * 1024 < LIMIT
