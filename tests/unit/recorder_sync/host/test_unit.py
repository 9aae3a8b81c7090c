"""The systemd unit: its text, what systemd itself says of it, and that a sandbox leaves storage and state one mount."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recorder_sync.host.places import Places, outermost, places
from recorder_sync.host.unit import Unit, unit_text
from schema.errors import StorageAway, UsageInvalid
from schema.settings import parse
from tests import make

GOLDEN = Path(__file__).parents[3] / "golden"

USUAL = Places(
    writable=("/srv/nvr-a/frigate", "/var/lib/recorder-sync"),
    guarded=("/etc/recorder-sync.toml", "/srv/zm/events"),
    own=("/srv/nvr-a/frigate/.recorder-sync/recordings", "/var/lib/recorder-sync"),
    read=("/opt/recorder-sync", "/usr"),
)


def unit(**changes: object) -> Unit:
    usual: dict[str, object] = {
        "name": "recorder-sync",
        "program": ("/opt/recorder-sync/bin/recorder-sync",),
        "config": "/etc/recorder-sync.toml",
        "user": "frigate",
        "places": USUAL,
    }
    return Unit(**(usual | changes))  # type: ignore[arg-type]


def directives(text: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("unit-usual", unit()),
        (
            "unit-relaxed",
            unit(
                name="pair two",
                user="root",
                low=False,
                config="/home/ann/my config.toml",
                places=Places(
                    writable=("/",), guarded=(), own=("/etc/recorder-sync", "/srv/state"), read=("/tmp/venv",)
                ),
            ),
        ),
    ],
)
def test_the_unit_is_as_shown(name: str, asked: Unit) -> None:
    golden = GOLDEN / f"{name}.service"
    assert unit_text(asked) == golden.read_text(encoding="utf-8")


def test_words_and_paths_reach_systemd_as_they_are() -> None:
    odd = '/srv/50 % "best"\\of $HOME'
    text = unit_text(unit(config=odd, places=Places(writable=(odd,), guarded=(), own=(), read=())))
    assert directives(text, "ReadWritePaths") == ['"-/srv/50 %% \\"best\\"\\\\of $HOME"']
    assert directives(text, "ExecStart")[0].endswith(' run -c "/srv/50 %% \\"best\\"\\\\of $$HOME"')


@pytest.mark.parametrize("letter", ["\n", "\x07", "\u2028"])
def test_a_path_that_could_begin_another_directive_is_refused(letter: str) -> None:
    with pytest.raises(UsageInvalid):
        unit_text(unit(config=f"/etc/a{letter}ExecStart=/bin/sh"))


@pytest.mark.parametrize(
    ("writable", "read", "home"),
    [
        (("/srv/a",), ("/opt/x",), "yes"),
        (("/srv/a",), ("/root/venv",), "read-only"),
        (("/home/ann/nvr",), (), "read-only"),
        (("/home",), (), "no"),
        (("/",), (), "no"),
        (("/homestead",), (), "yes"),
    ],
)
def test_homes_are_hidden_as_far_as_the_configuration_lets_them(
    writable: tuple[str, ...], read: tuple[str, ...], home: str
) -> None:
    text = unit_text(unit(places=Places(writable=writable, guarded=(), own=(), read=read)))
    assert directives(text, "ProtectHome") == [home]


def configured(folder: Path, more: str = "", layout: str = "frigate", head: str = "") -> Places:
    (folder / "a/recordings").mkdir(parents=True, exist_ok=True)
    text = head + make.config_text("a", layout=layout, more=more, head='ledger = "db/ledger.db"\n')
    return places(parse(text.encode(), folder / "rs.toml"), str(folder / "rs.toml"))


def test_a_storage_and_its_state_folder_are_opened_as_one(tmp_path: Path) -> None:
    found = configured(tmp_path)
    assert found.writable == (f"{tmp_path}/a", f"{tmp_path}/db", f"{tmp_path}/link")
    assert found.own == (f"{tmp_path}/a/.recorder-sync/recordings", f"{tmp_path}/db", f"{tmp_path}/link")
    assert found.guarded == (f"{tmp_path}/rs.toml",)


def test_where_the_primarys_recorder_id_is_kept_is_written_too(tmp_path: Path) -> None:
    (tmp_path / "a/recordings").mkdir(parents=True)
    table = '[identity]\nprimary = "nvr-b"\nprimary_config = "b.xml"\n'
    text = make.config_text("a", head='ledger = "db/ledger.db"\n') + table
    config = tmp_path / "recorder-sync.toml"
    assert f"{tmp_path}/identity" in places(parse(text.encode(), config), str(config)).own


def test_a_state_folder_elsewhere_opens_what_both_have_in_common(tmp_path: Path) -> None:
    assert str(tmp_path) in configured(tmp_path, f'state = "{tmp_path}/b/state"').writable


@pytest.mark.parametrize(("more", "layout"), [('fill = "never"', "frigate"), ("", "zoneminder")])
def test_recordings_that_are_not_filled_in_place_stay_read_only(tmp_path: Path, more: str, layout: str) -> None:
    found = configured(tmp_path, more, layout)
    assert f"{tmp_path}/a/recordings" in found.guarded
    assert not any(folder in (f"{tmp_path}/a", f"{tmp_path}/a/recordings") for folder in found.writable)
    assert f"{tmp_path}/a/.recorder-sync/recordings" in found.writable


def test_a_side_folder_and_a_recorders_database_are_written_too(tmp_path: Path) -> None:
    more = (
        f'side = "{tmp_path}/side"\nfill = "side"\n[servers.storages.frigate]\ndatabase = "{tmp_path}/f/frigate.db"\n'
    )
    assert f"{tmp_path}/side" in configured(tmp_path, more).writable
    assert f"{tmp_path}/f" not in configured(tmp_path, more).writable
    assert f"{tmp_path}/f" in configured(tmp_path, more + 'rows = "write"').writable


def test_a_storage_that_is_away_is_said_before_anything_is_written(tmp_path: Path) -> None:
    configured(tmp_path)
    (tmp_path / "a/recordings").rmdir()
    text = make.config_text("a", head="")
    with pytest.raises(StorageAway):
        places(parse(text.encode(), tmp_path / "rs.toml"), "rs.toml")


@pytest.mark.parametrize(
    ("folders", "kept"),
    [
        (["/srv/a/b", "/srv/a", "/srv/ab"], ("/srv/a", "/srv/ab")),
        (["/srv", "/"], ("/",)),
        (["/x", "/x"], ("/x",)),
        ([], ()),
    ],
)
def test_folders_within_others_need_no_opening_of_their_own(folders: list[str], kept: tuple[str, ...]) -> None:
    assert outermost(folders) == kept


analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def _analyzed(tmp_path: Path, name: str, asked: Unit, *words: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / f"{name}.service"
    path.write_text(unit_text(asked), encoding="utf-8")
    return subprocess.run(
        ["systemd-analyze", *words, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning", "SYSTEMD_PAGER": ""},
    )


@analyze
@pytest.mark.parametrize("user", ["root", "nobody"])
def test_systemd_understands_every_line(tmp_path: Path, user: str) -> None:
    asked = unit(user=user, program=(sys.executable, "-m", "recorder_sync"))
    done = _analyzed(tmp_path, "recorder-sync", asked, "verify", "--man=no")
    mine = [line for line in done.stderr.splitlines() if "recorder-sync" in line]
    assert (done.returncode, mine) == (0, [])
    broken = tmp_path / "broken"
    broken.mkdir()
    path = broken / "recorder-sync.service"
    path.write_text(unit_text(asked).replace("ProtectSystem=strict", "ProtectSytem=strict"))
    said = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, check=False)
    assert "ProtectSytem" in said.stderr, "what is wrong would be seen"


@analyze
@pytest.mark.parametrize(("user", "most"), [("nobody", 25), ("root", 35)])
def test_systemd_finds_little_exposure(tmp_path: Path, user: str, most: int) -> None:
    """Exposure times ten; 100 is a service without a sandbox, 96 what most have."""
    asked = unit(user=user, program=(sys.executable, "-m", "recorder_sync"))
    done = _analyzed(
        tmp_path, "recorder-sync", asked, "security", "--offline=true", f"--threshold={most}", "--no-pager"
    )
    if "unrecognized option" in done.stderr:
        pytest.skip("systemd here is older than 250")
    assert done.returncode == 0, done.stdout[-600:] + done.stderr
