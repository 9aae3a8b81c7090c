"""`recorder-sync clock` as an operator runs it: what it prints, what it exits with, and that gaps then use it.

Two recorders of one camera, the second's clock ahead. By names alone a gap of the first lies where the second has a
recording of another time; the story is that of a server whose clock was set wrong and that is to be filled from.
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("av", reason="PyAV is not installed (pip install 'recorder-sync[media]')")

from schema.documents import json_schema
from schema.spans import SECOND
from tests import film, make

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def stream() -> bytes:
    return film.stream(600)


@pytest.fixture
def site(tmp_path: Path, stream: bytes) -> Callable[[int], None]:
    """Write a configuration and what two recorders of one camera made, the clock of `b` so many microseconds ahead."""

    def made(ahead: int, still: bool = False) -> None:
        (tmp_path / "recorder-sync.toml").write_text(make.config_text("a", "b", layout="mediamtx"))
        source = film.stream(300, still=True) if still else stream
        film.record(source, tmp_path / "a" / "recordings", until=200)
        film.record(source, tmp_path / "a" / "recordings", first=400)
        film.record(source, tmp_path / "b" / "recordings", length=7, clock=ahead)

    return made


def test_clocks_that_agree_exit_with_0(cli: Cli, site: Callable[..., None]) -> None:
    site(0)
    done = cli("clock")
    assert done.returncode == 0, done.stderr
    assert "±" in done.stdout and "they may well agree" in " ".join(done.stdout.split())


def test_a_clock_above_the_limit_exits_with_1_and_gaps_are_then_where_they_truly_are(
    cli: Cli, site: Callable[..., None]
) -> None:
    site(6 * SECOND)
    done = cli("clock", "--json")
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert set(document) == set(json_schema("clock")["$defs"]["ClockDocument"]["properties"])
    (server,), (camera,) = document["servers"], document["cameras"]
    assert (server["server"], server["peer"], server["basis"], server["above_limit"]) == ("a", "b", "key frames", True)
    assert server["offset_seconds"] == pytest.approx(6, abs=0.5)
    assert camera["matches"] >= 10 and camera["reason"] == "" and camera["overlap_seconds"] == pytest.approx(20, abs=1)
    gaps = [gap for gap in json.loads(cli("gaps", "--json").stdout)["gaps"] if gap["server"] == "a"]
    assert [gap["seconds"] for gap in gaps if gap["state"] == "fillable"] == [pytest.approx(20, abs=0.5)]
    # And it is remembered: nothing is filled twice although the names of what was fetched lie 6 s later.
    assert cli("fill", "--server", "a").returncode == 0
    again = json.loads(cli("fill", "--server", "a", "--json").stdout)
    assert again["fills"][0]["sent"] == 0


def test_why_nothing_can_be_told_is_said(cli: Cli, site: Callable[..., None]) -> None:
    site(0, still=True)
    done = cli("clock", "--json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert document["servers"][0]["offset_seconds"] is None
    assert document["cameras"][0]["reason"].startswith("pictures repeat")
    assert "pictures repeat" in cli("clock").stdout
