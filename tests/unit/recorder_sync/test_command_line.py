"""The command line as a whole: asking for help must cost nothing but Python and its options."""

import subprocess
import sys

import pytest

HEAVY = {"aiohttp", "backfill", "cryptography", "msgspec", "prometheus_client", "sqlalchemy", "structlog", "watchdog"}


@pytest.mark.parametrize(
    "words",
    [["--help"], ["fill", "--help"], ["service", "install", "--help"], ["alarms", "test", "--help"]],
    ids=" ".join,
)
def test_help_imports_no_command_s_work(words: list[str]) -> None:
    code = f"""
import sys
from recorder_sync.cli import main
sys.argv = ["recorder-sync", *{words!r}]
try:
    main()
finally:
    print(*{{name.partition(".")[0] for name in sys.modules}}, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage: recorder-sync" in done.stdout
    loaded = set(done.stderr.split())
    assert "typer" in loaded
    assert loaded & HEAVY == set()
