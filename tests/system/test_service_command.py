"""`recorder-sync service`, `pause` and `resume` as an operator types them, on a machine without a service manager."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder_sync.cli.pause import note
from schema.ledger import Ledger
from schema.moments import parse_moment
from tests import make

Cli = Callable[..., subprocess.CompletedProcess[str]]

without_systemd = pytest.mark.skipif(os.path.isdir("/run/systemd/system"), reason="systemd runs here")


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    (tmp_path / "a/recordings").mkdir(parents=True)
    config = tmp_path / "recorder-sync.toml"
    config.write_text(make.config_text("a"))
    return config


def paused(folder: Path) -> str:
    with Ledger.open(f"sqlite:///{folder}/ledger.db") as ledger, ledger.reading() as connection:
        return ledger.contacts.paused(connection, ["a"])


def test_the_unit_can_be_looked_at_without_rights_and_without_changing_anything(cli: Cli, configured: Path) -> None:
    before = sorted(configured.parent.rglob("*"))
    done = cli("service", "install", "--print", "--name", "nvr")
    assert done.returncode == 0
    assert done.stdout.startswith("# Written by 'recorder-sync service install'. Change it with: systemctl edit nvr\n")
    assert f" run -c {configured}\n" in done.stdout
    assert f"ReadWritePaths=-{configured.parent}\n" in done.stdout
    assert sorted(configured.parent.rglob("*")) == before


@without_systemd
@pytest.mark.parametrize("words", [["install", "--yes"], ["uninstall", "--yes"], ["status"], ["status", "--json"]])
def test_where_there_is_no_systemd_a_sentence_says_so(cli: Cli, configured: Path, words: list[str]) -> None:
    done = cli("service", *words)
    assert (done.returncode, done.stdout) == (54, "")
    assert "systemd is not at work here" in done.stderr


@pytest.mark.parametrize("name", ["../x", "a b", "", "-x", "a/b"])
def test_a_name_that_would_be_another_file_is_refused(cli: Cli, configured: Path, name: str) -> None:
    for words in (["install", "--print"], ["uninstall", "--yes"], ["status"]):
        done = cli("service", *words, f"--name={name}")
        assert (done.returncode, done.stdout) == (2, "")


def test_a_storage_that_is_away_is_said_before_a_unit_is_made_for_it(cli: Cli, configured: Path) -> None:
    (configured.parent / "a/recordings").rmdir()
    done = cli("service", "install", "--print")
    assert (done.returncode, done.stdout) == (10, "")


def test_a_pause_is_kept_with_who_and_why_until_it_is_resumed(cli: Cli, configured: Path) -> None:
    done = cli("pause", "new switch", env={"SUDO_USER": "ann"})
    assert done.returncode == 0
    kept = paused(configured.parent)
    assert kept in done.stdout
    assert kept.startswith("since 20") and " by ann@" in kept and kept.endswith(": new switch")

    again = cli("pause", "another reason")
    assert (again.returncode, paused(configured.parent)) == (0, kept), "who paused first is who is asked"
    assert kept in again.stdout

    ended = cli("resume")
    assert ended.returncode == 0
    assert kept in ended.stdout
    assert paused(configured.parent) == ""
    assert "was not paused" in cli("resume").stdout


def test_what_is_kept_of_a_pause_is_one_line() -> None:
    at = parse_moment("2026-11-22T10:00:00Z", 0)
    assert note("ann@nvr-a", at, " new\n switch ") == "since 2026-11-22 10:00:00Z by ann@nvr-a: new switch"
    assert note("ann@nvr-a", at, "") == "since 2026-11-22 10:00:00Z by ann@nvr-a"
    assert len(note("ann@nvr-a", at, "x" * 5000)) < 1024


def test_status_as_json_is_one_document(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from recorder_sync.cli import service
    from recorder_sync.host import systemd

    state = systemd.parse_state(
        "nvr", "LoadState=loaded\nUnitFileState=disabled\nActiveState=failed\nSubState=failed\nMainPID=0\nNRestarts=7\n"
    )
    monkeypatch.setattr(systemd, "state", lambda name: state)
    assert service.run_status(name="nvr", as_json=True) == 1
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "name": "nvr",
        "active": False,
        "enabled": False,
        "state": "failed (failed)",
        "status": "",
        "pid": None,
        "restarts": 7,
        "since": "",
    }
