"""Both recorders dead: neither lacks what the other has, so nothing is a gap, and yet somebody must be woken.

What must hold: an empty window is not an empty ledger; a server that records nothing any more is said and counts.
"""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from backfill.silence import silent
from schema import documents
from tests import make

Cli = Callable[..., subprocess.CompletedProcess[str]]


def record(base: Path, server: str, ago: float, policy: str = "always") -> None:
    """Record five minutes of `front` that end `ago` seconds before now."""
    last = time.time() - make.T0 / 1_000_000 - ago
    make.record(base / server / "recordings", "front", [last - 10 * number for number in range(1, 31)])
    text = make.config_text("a", "b").replace("[gaps]", f'[gaps]\npolicy = "{policy}"')
    (base / "recorder-sync.toml").write_text(text)


def gaps(cli: Cli, *arguments: str) -> tuple[int, documents.GapsDocument]:
    done = cli("gaps", "--json", *arguments)
    return done.returncode, msgspec.json.decode(done.stdout, type=documents.GapsDocument)


@pytest.fixture
def dead(tmp_path: Path) -> Path:
    for server in ("a", "b"):
        record(tmp_path, server, 180_000)
    return tmp_path


def test_two_dead_recorders_are_said(cli: Cli, dead: Path) -> None:
    code, found = gaps(cli)
    assert (code, found.gaps) == (1, [])
    assert found.notes[:2] == [
        f"{server} records nothing any more: its newest recording is 2 d 2 h old" for server in ("a", "b")
    ]
    assert cli("status").returncode == 1
    assert "a records nothing any more" in cli("status").stdout


def test_an_empty_window_is_no_empty_ledger(cli: Cli, dead: Path) -> None:
    code, found = gaps(cli, "--since", "3h")
    assert code == 1
    assert found.notes[0].startswith("Nothing was recorded from ")
    assert "the newest of a is 2 d 2 h old" in found.notes[0]
    assert "never scanned" not in cli("gaps", "--since", "3h").stdout
    assert found.end == found.generated, "a window without an end runs to now"


def test_a_ledger_that_never_saw_a_scan_says_so(cli: Cli, dead: Path) -> None:
    assert "no storage was ever scanned" in cli("gaps", "--no-scan").stdout


def test_storages_without_recordings_say_so(cli: Cli, dead: Path) -> None:
    for path in dead.rglob("*.mp4"):
        path.unlink()
    assert "the storages hold none that could be read" in " ".join(cli("gaps").stdout.split())


@pytest.mark.parametrize(("policy", "ago"), [("outages", 180_000), ("always", 30)])
def test_lawful_silence_is_none(cli: Cli, tmp_path: Path, policy: str, ago: float) -> None:
    for server in ("a", "b"):
        record(tmp_path, server, ago, policy)
    code, found = gaps(cli)
    assert (code, found.notes) == (0, [])


def test_who_asks_of_the_past_is_not_told_of_now(cli: Cli, dead: Path) -> None:
    assert gaps(cli, "--until", "1h")[0] == 0


def test_one_living_server_does_not_hide_the_other() -> None:
    assert silent(("a", "b", "new"), {"a": 100, "b": 900}, 1000, 120) == {"a": 900}
