"""What cannot be read is not lost: a folder without permission, a file without, names that are nobody's.

The story: a disk is mounted with the wrong owner, the other server's recordings of a camera cannot be read, and the
report called them lost for good. What must hold: whoever reads of a loss reads of that folder too, in every command.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from schema import documents
from tests import make

Run = Callable[..., subprocess.CompletedProcess[str]]

FRONT = "b/recordings/2026-11-22/12/front"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `recorder-sync` as a user for whom permissions count: root reads everything."""
    before = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*before, sys.executable, "-m", "recorder_sync", *arguments],
            cwd=tmp_path,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "80"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """Two servers; `a` lacks a minute that lies in a folder of `b` which cannot be read."""
    make.record(tmp_path / "a/recordings", "front", [*make.tens(0, 60), *make.tens(120, 300)], seed=1)
    make.record(tmp_path / "b/recordings", "front", make.tens(0, 300), seed=2)
    (tmp_path / "recorder-sync.toml").write_text(make.config_text("a", "b"))
    folder = tmp_path / FRONT
    folder.chmod(0)
    yield folder
    folder.chmod(0o755)


def plain(text: str) -> str:
    return " ".join(text.split())


def test_a_folder_that_cannot_be_read_is_said_wherever_something_is_called_lost(run: Run, closed: Path) -> None:
    said = "b/main: 1 folder could not be read (2026-11-22/12/front: Permission denied); what is called lost may lie"
    for command in (["gaps"], ["scan"], ["fill"], ["gaps", "--no-scan"]):
        done = run(*command)
        assert done.returncode == 15, command
        assert said in plain(done.stdout), command
    assert said in plain(run("status").stdout)
    gaps = msgspec.json.decode(run("gaps", "--json").stdout, type=documents.GapsDocument)
    assert any(said in note for note in gaps.notes)
    fills = msgspec.json.decode(run("fill", "--json").stdout, type=documents.FillsDocument)
    assert any(said in note for note in fills.notes)
    status = msgspec.json.decode(run("status", "--json").stdout, type=documents.StatusDocument)
    assert [one.unreadable for one in status.storages] == [0, 1]
    closed.chmod(0o755)
    assert run("fill").returncode == 0
    assert "could not be read" not in run("gaps").stdout


def test_a_file_that_cannot_be_read_is_said_too(run: Run, closed: Path) -> None:
    closed.chmod(0o755)
    (closed / "01.00.mp4").chmod(0)
    done = run("scan", "--json")
    assert done.returncode == 15
    [b] = [one for one in msgspec.json.decode(done.stdout, type=documents.ScansDocument).storages if one.unreadable]
    assert b.storage == "b/main"
    assert "1 file could not be read (2026-11-22/12/front/01.00.mp4: Permission denied)" in b.notes[0]


def test_a_folder_of_the_file_system_is_no_recording(run: Run, closed: Path) -> None:
    closed.chmod(0o755)
    (closed.parent / "lost+found").mkdir(mode=0)
    assert run("scan").returncode == 0


def test_init_says_that_it_may_not_read(run: Run, closed: Path) -> None:
    for folder in (closed, closed.parent, closed.parent.parent.parent.parent):
        folder.chmod(0)
        done = run("init", "a", "b", "-c", "other.toml")
        folder.chmod(0o755)
        assert done.returncode == 15, folder
        assert "Permission denied" in done.stderr


def test_files_with_foreign_names_stay_known_after_the_scan_that_met_them(run: Run, closed: Path) -> None:
    closed.chmod(0o755)
    for name in ("one.mp4", "two.mp4", "notes.txt"):
        make.put(closed, name, make.mp4(10), make.T0)
    assert run("scan").returncode == 0
    run("scan")
    said = "b/main: 2 media files are not read, because the name is not this recorder's, such as 2026-11-22/12/front/"
    for command in (["scan"], ["gaps"], ["status"], ["fill"]):
        assert said in plain(run(*command).stdout), command
    status = msgspec.json.decode(run("status", "--json").stdout, type=documents.StatusDocument)
    assert [one.unrecognised for one in status.storages] == [0, 2]
    (closed / "one.mp4").unlink()
    run("scan")
    assert "1 media file is not read" in plain(run("status").stdout)
    init = json.loads(run("init", "a", "b", "-c", "other.toml", "--json").stdout)
    assert [one["other"] for one in init["servers"]] == ["", "2026-11-22/12/front/two.mp4"]


def test_a_ledger_that_may_not_be_written_is_named_with_its_file(run: Run, closed: Path, tmp_path: Path) -> None:
    closed.chmod(0o755)
    run("scan")
    ledger = tmp_path / "ledger.db"
    ledger.chmod(0o444)
    done = run("scan")
    assert done.returncode == 15
    assert str(ledger) in done.stderr
    assert "database server" not in done.stderr
