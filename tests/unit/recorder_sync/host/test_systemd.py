"""Installing and removing the unit: what is told to systemd in which order, and what is never touched.

systemctl is played here; tests/system/test_service_unit.py has a real systemd.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder_sync.host import systemd
from recorder_sync.host.places import Places
from recorder_sync.host.unit import Unit, unit_text
from schema.errors import (
    RightsMissing,
    ServiceCommandFailed,
    ServiceForeign,
    ServiceManagerMissing,
    ServiceUnknown,
    UsageInvalid,
)
from schema.settings import parse
from tests import make


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine on which systemd runs and we are root; returns what systemctl is told."""
    told: list[str] = []
    for name in ("UNITS", "RUNNING"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(systemd, name, str(tmp_path / name))
    monkeypatch.setattr(systemd.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(systemd, "_run", lambda command: told.append(" ".join(command[3:])) or "")
    return told


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    """A unit that runs as whoever runs the tests."""
    own = (str(tmp_path / "state/deep/er"),)
    found = Places(writable=own, guarded=(), own=own, read=())
    me = systemd._name(os.getuid())
    return Unit(name="recorder-sync", program=("/bin/true",), config="/etc/rs.toml", user=me, places=found)


def test_installing_makes_folders_writes_the_unit_and_then_tells_systemd(
    machine: list[str], unit: Unit, tmp_path: Path
) -> None:
    assert systemd.steps(unit) == [
        f"make the folder {tmp_path}/state/deep/er for {unit.user}",
        f"write {tmp_path}/UNITS/recorder-sync.service",
        "systemctl daemon-reload",
        "systemctl enable recorder-sync, so that it starts with the machine",
        "systemctl restart recorder-sync",
    ]
    assert os.listdir(tmp_path / "UNITS") == [], "saying is not doing"
    systemd.install(unit)
    assert machine == ["daemon-reload", "enable recorder-sync.service", "restart recorder-sync.service"]
    written = tmp_path / "UNITS/recorder-sync.service"
    assert written.read_text(encoding="utf-8") == unit_text(unit)
    assert written.stat().st_mode & 0o777 == 0o644
    for folder in ("state", "state/deep", "state/deep/er"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o750


def test_installing_again_replaces_our_own_unit_and_leaves_folders_as_they_are(
    machine: list[str], unit: Unit, tmp_path: Path
) -> None:
    systemd.install(unit)
    (tmp_path / "state/deep/er").chmod(0o700)
    systemd.install(Unit(**{name: getattr(unit, name) for name in ("name", "program", "user", "places")}, config="/b"))
    assert "-c /b" in (tmp_path / "UNITS/recorder-sync.service").read_text(encoding="utf-8")
    assert (tmp_path / "state/deep/er").stat().st_mode & 0o777 == 0o700
    assert not any("make" in step for step in systemd.steps(unit))


@pytest.mark.parametrize("call", [systemd.install, lambda unit: systemd.uninstall(unit.name)], ids=["in", "out"])
def test_a_unit_of_somebody_else_is_neither_replaced_nor_removed(
    machine: list[str], unit: Unit, tmp_path: Path, call: Callable[[Unit], None]
) -> None:
    theirs = tmp_path / "UNITS/recorder-sync.service"
    theirs.write_text("[Service]\nExecStart=/bin/theirs\n")
    with pytest.raises(ServiceForeign):
        call(unit)
    assert theirs.read_text() == "[Service]\nExecStart=/bin/theirs\n"
    assert machine == []


def test_uninstalling_stops_first_and_forgets_last(machine: list[str], unit: Unit, tmp_path: Path) -> None:
    systemd.install(unit)
    machine.clear()
    systemd.uninstall("recorder-sync")
    assert machine == ["disable --now recorder-sync.service", "daemon-reload"]
    assert os.listdir(tmp_path / "UNITS") == []
    assert (tmp_path / "state/deep/er").is_dir(), "what is ours beside the recordings stays"


def test_what_is_not_installed_cannot_be_removed(machine: list[str]) -> None:
    with pytest.raises(ServiceUnknown):
        systemd.uninstall("recorder-sync")
    assert machine == []


@pytest.mark.parametrize("call", [systemd.install, lambda unit: systemd.uninstall(unit.name)], ids=["in", "out"])
def test_without_root_nothing_is_done(
    machine: list[str], unit: Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[Unit], None]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RightsMissing):
        call(unit)
    assert (machine, os.listdir(tmp_path / "UNITS"), (tmp_path / "state").exists()) == ([], [], False)


def test_where_systemd_does_not_run_that_is_said(
    machine: list[str], unit: Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "RUNNING").rmdir()
    for call in (lambda: systemd.install(unit), lambda: systemd.state("recorder-sync")):
        with pytest.raises(ServiceManagerMissing):
            call()


def test_a_command_that_fails_is_quoted_with_what_it_said() -> None:
    with pytest.raises(ServiceCommandFailed, match=r"sh -c .* failed: status 3: no bus"):
        systemd._run(["sh", "-c", "echo no bus >&2; exit 3"])
    with pytest.raises(ServiceCommandFailed, match="No such file"):
        systemd._run(["/nowhere/systemctl"])


SHOWN = """LoadState=loaded
UnitFileState=enabled
ActiveState=active
SubState=running
StatusText=filling: 3 of 7 = 43 %
MainPID=4711
NRestarts=2
ActiveEnterTimestamp=Sun 2026-11-22 10:00:00 UTC
InactiveEnterTimestamp=Sat 2026-11-21 10:00:00 UTC
"""


def test_the_state_is_read_from_what_systemd_shows() -> None:
    state = systemd.parse_state("recorder-sync", SHOWN)
    assert state.active and state.enabled
    assert (state.state, state.pid, state.restarts) == ("active (running)", 4711, 2)
    assert state.status == "filling: 3 of 7 = 43 %"
    assert state.since == "Sun 2026-11-22 10:00:00 UTC"


def test_a_service_that_failed_is_not_active_and_says_since_when() -> None:
    shown = SHOWN.replace("ActiveState=active", "ActiveState=failed").replace("MainPID=4711", "MainPID=0")
    state = systemd.parse_state("recorder-sync", shown.replace("SubState=running", "SubState=failed"))
    assert (state.active, state.pid, state.state) == (False, None, "failed (failed)")
    assert state.since == "Sat 2026-11-21 10:00:00 UTC"


@pytest.mark.parametrize("said", ["LoadState=not-found\nActiveState=inactive\n", ""])
def test_a_service_that_systemd_does_not_know_is_said(said: str) -> None:
    with pytest.raises(ServiceUnknown):
        systemd.parse_state("recorder-sync", said)


def test_the_service_runs_as_who_owns_all_storages_and_as_root_where_several_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "recordings").mkdir(parents=True)
    settings = parse(make.config_text("a", "b").encode(), tmp_path / "rs.toml")
    assert systemd.owner(settings) == systemd._name(os.getuid())
    if os.getuid() == 0:
        os.chown(tmp_path / "b/recordings", 65534, 65534)
        assert systemd.owner(settings) == "root"
        os.chown(tmp_path / "a/recordings", 65534, 65534)
        assert systemd.owner(settings) == "nobody"
        os.chown(tmp_path / "a/recordings", 54321, 54321)
        os.chown(tmp_path / "b/recordings", 54321, 54321)
        assert systemd.owner(settings) == "root", "nobody here has that number"


def test_a_user_that_does_not_exist_is_a_wrong_command(tmp_path: Path) -> None:
    settings = parse(make.config_text("a").encode(), tmp_path / "rs.toml")
    with pytest.raises(UsageInvalid, match="no-such-user"):
        systemd.prepare(settings, "/rs.toml", "recorder-sync", "no-such-user")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make folders of others")
def test_a_folder_of_somebody_else_is_doubted_before_the_service_meets_it(tmp_path: Path) -> None:
    def doubts(user: str) -> list[str]:
        found = Places(writable=(), guarded=(), own=(str(tmp_path), f"{tmp_path}/none"), read=())
        return systemd.doubts(Unit(name="x", program=(), config="/c", user=user, places=found))

    assert doubts("nobody") == [f"{tmp_path} belongs to root: the service, as nobody, cannot write there"]
    assert doubts("root") == []
    os.chown(tmp_path, 65534, 65534)
    assert doubts("nobody") == []


def test_what_is_started_is_this_installation() -> None:
    assert all(os.path.isabs(word) for word in systemd.program()[:1])
    assert os.access(systemd.program()[0], os.X_OK)
