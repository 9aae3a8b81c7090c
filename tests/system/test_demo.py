"""The demo, as the README's first command runs it: real recorders, a real outage, and every picture counted.

What must hold: all that somebody recorded comes back, the loss is said, every filled file is the peer's bit for bit.
"""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from schema.documents import DemoDocument, GapsDocument

pytest.importorskip("av", reason="PyAV is not installed (pip install 'recorder-sync[media]')")

import msgspec

Cli = Callable[..., subprocess.CompletedProcess[str]]


def check(document: DemoDocument) -> None:
    assert document.ok
    assert document.fillable_left == 0
    assert document.back > 0
    assert document.lost > 0, "for some seconds nobody recorded"
    assert document.missing == document.back + document.lost
    assert document.filled_files == document.identical_files > 0
    assert document.moved_by_second_fill == 0
    assert {(one.server, one.camera) for one in document.cameras} == {
        (server, camera) for server in ("nvr-a", "nvr-b") for camera in ("front", "yard")
    }


@pytest.mark.slow
def test_the_demo_ends_with_every_fillable_picture_back(cli: Cli, tmp_path: Path) -> None:
    done = cli("demo", "--keep", "kept", "--json", timeout=180)
    assert done.returncode == 0, done.stderr
    document = msgspec.json.decode(done.stdout, type=DemoDocument)
    check(document)
    kept = cli("gaps", "--json", "-c", "kept/recorder-sync.toml")
    states = {gap.state for gap in msgspec.json.decode(kept.stdout, type=GapsDocument).gaps}
    assert states == {"filled", "lost"}
    assert not list((tmp_path / "kept").rglob("*.part"))


@pytest.mark.slow
def test_it_ends_so_in_mediamtxs_layout_too(capsys: pytest.CaptureFixture[str]) -> None:
    from recorder_sync.cli.demo import run
    from recorder_sync.demo.outage import Timing

    shorter = Timing(b_starts=3, a_dies=15, b_dies=13, a_returns=5, b_returns=4, end=15)
    assert run("mediamtx", None, as_json=True, timing=shorter) == 0
    check(msgspec.json.decode(capsys.readouterr().out, type=DemoDocument))


def test_an_unknown_layout_and_a_used_folder_are_refused(cli: Cli, tmp_path: Path) -> None:
    assert cli("demo", "--layout", "betamax").returncode == 2
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "something").write_text("")
    done = cli("demo", "--keep", "used")
    assert done.returncode == 2
    assert "exists already; name a new folder" in done.stderr
    assert "--force" not in done.stderr
    (tmp_path / "file").write_text("")
    assert cli("demo", "--keep", "file").returncode == 2
    assert cli("demo", "--keep", "file/below").returncode == 8


def test_ctrl_c_in_the_demo_says_what_is_left(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "recorder_sync", "demo"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts something in the background lets it ignore Ctrl-C, and so everything that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    process.stderr.readline()  # it has begun to tell its story
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The demo was stopped; nothing is left of it." in said


def test_counting_pictures_is_right_about_what_was_lost() -> None:
    from recorder_sync.demo.proof import count

    before = {
        ("a", "x"): frozenset({*range(10), *range(30, 41)}),
        ("b", "x"): frozenset({*range(5, 20), *range(35, 40)}),
    }
    after = {("a", "x"): frozenset({*range(18), *range(30, 41)}), ("b", "x"): before["b", "x"]}
    a, b = count(before, after)
    assert (a.missing, a.back, a.lost, a.fillable_left) == (20, 8, 10, 2)
    assert (b.missing, b.back, b.lost, b.fillable_left) == (15, 0, 10, 5)
