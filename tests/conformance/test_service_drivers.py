"""What every driver of the recorder's service promises: it never guesses, and returns only once it is so.

Run over a real supervisord, and over a `systemctl` and a pywin32 that are played, each with a real or played service.
"""

import importlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from recorder_sync.identity.drivers import (
    Commands,
    Driver,
    State,
    Supervisord,
    Systemd,
    WindowsService,
    driver,
    told_state,
)
from schema.errors import (
    ExtraMissing,
    OperatorError,
    RecorderServiceStuck,
    RightsMissing,
    ServiceManagerMissing,
    ServiceUnknown,
)
from schema.identity import IdentityRules
from tests.supervised import SOCKET, ended, supervisord

WAIT = 20.0


class Machine:
    """One manager with the services that tests need: `steady`, `slow`, `failing`."""

    def driver(self, name: str, wait: float = WAIT) -> Driver:
        raise NotImplementedError


class UnderSupervisord(Machine):
    def __init__(self, folder: Path) -> None:
        self.socket = folder / SOCKET
        self.process = supervisord(
            folder,
            f"""
            [program:steady]
            command=sleep 1000
            autostart=false
            startsecs=1
            [program:slow]
            command={sys.executable} -c "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(1000)"
            autostart=false
            startsecs=1
            stopwaitsecs=2
            [program:failing]
            command=false
            autostart=false
            startsecs=1
            startretries=0
            """,
        )
        end = time.monotonic() + 30
        while not self.socket.exists():
            assert time.monotonic() < end, "supervisord did not start"
            time.sleep(0.05)

    def driver(self, name: str, wait: float = WAIT) -> Driver:
        return Supervisord(name, wait, f"unix:{self.socket}")

    def close(self) -> None:
        ended(self.process)


SYSTEMCTL = """#!{python}
# Plays systemctl: units are notes in a folder, each `state until next`.
import pathlib, sys, time
folder = pathlib.Path({folder!r})
words = [word for word in sys.argv[1:] if not word.startswith("--")]
verb, name = words[0], words[1].removesuffix(".service")
note = folder / name
if name == "forbidden" and verb != "show":
    sys.exit("Failed to stop forbidden.service: Access denied")
if not note.exists():
    if verb == "show":
        print("LoadState=not-found\\nActiveState=inactive")
        sys.exit(0)
    sys.exit(f"Unit {{name}}.service not found.")
state, until, following = note.read_text().split()
if float(until) and time.time() > float(until):
    state, until = following, "0"
    note.write_text(f"{{state}} 0 -")
if verb == "show":
    print(f"LoadState=loaded\\nActiveState={{state}}")
elif verb == "stop":
    note.write_text(f"deactivating {{time.time() + (1 if name == 'slow' else 0.1)}} inactive")
elif verb == "start":
    note.write_text(f"activating {{time.time() + 0.3}} {{'failed' if name == 'failing' else 'active'}}")
"""


class UnderSystemd(Machine):
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        units = folder / "units"
        units.mkdir()
        for name in ("steady", "slow", "failing", "forbidden"):
            (units / name).write_text("inactive 0 -")
        program = folder / "systemctl"
        program.write_text(SYSTEMCTL.format(python=sys.executable, folder=str(units)))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def driver(self, name: str, wait: float = WAIT) -> Driver:
        return Systemd(name, wait)


class WinError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code, "Function", "it said no")
        self.winerror, self.strerror = code, "it said no"


class UnderWindows(Machine):
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.states = dict.fromkeys(("steady", "slow", "failing", "forbidden"), 1)
        real = importlib.import_module

        def ask(name: str) -> tuple[int, int]:
            if name not in self.states:
                raise WinError(1060)
            return 16, self.states[name]

        def change(name: str, pending: int, then: int, delay: float) -> None:
            self.states[name] = pending
            threading.Timer(delay, self.states.__setitem__, (name, then)).start()

        def stop(name: str, waitSecs: int) -> None:  # noqa: N803  pywin32's word
            self._allowed(name)
            if ask(name)[1] == 1:
                raise WinError(1062)
            change(name, 3, 1, 1.0 if name == "slow" else 0.1)

        def start(name: str) -> None:
            self._allowed(name)
            if ask(name)[1] == 4:
                raise WinError(1056)
            change(name, 2, 1 if name == "failing" else 4, 0.3)

        util = SimpleNamespace(QueryServiceStatus=ask, StopServiceWithDeps=stop, StartService=start)
        monkeypatch.setattr(
            "recorder_sync.identity.drivers.importlib.import_module",
            lambda name: util if name == "win32serviceutil" else real(name),
        )

    def _allowed(self, name: str) -> None:
        if name == "forbidden":
            raise WinError(5)

    def driver(self, name: str, wait: float = WAIT) -> Driver:
        return WindowsService(name, wait)


TELLING = """#!{python}
# Says by its exit status what the played systemctl says in words.
import subprocess, sys
said = subprocess.run(["systemctl", *sys.argv[1:]], capture_output=True, text=True)
if sys.argv[1] != "show":
    sys.exit(said.stderr.strip() or said.returncode)
if "not-found" in said.stdout:
    sys.exit(4)
sys.exit(3 if "=inactive" in said.stdout or "=failed" in said.stdout else 0 if "=active" in said.stdout else 75)
"""


class UnderCommands(UnderSystemd):
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder, monkeypatch)
        self._program = folder / "telling"
        self._program.write_text(TELLING.format(python=sys.executable))
        self._program.chmod(0o755)

    def driver(self, name: str, wait: float = WAIT) -> Driver:
        verbs = {"state": "show", "stop": "stop", "start": "start"}
        return Commands(name, wait, {verb: [str(self._program), word, name] for verb, word in verbs.items()})


@pytest.fixture(params=["supervisord", "systemd", "windows", "command"])
def machine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    if request.param == "supervisord":
        found = UnderSupervisord(tmp_path)
        yield found
        found.close()
    elif request.param == "systemd":
        yield UnderSystemd(tmp_path, monkeypatch)
    elif request.param == "command":
        yield UnderCommands(tmp_path, monkeypatch)
    else:
        yield UnderWindows(monkeypatch)


def test_start_and_stop_return_once_it_is_so(machine: Machine) -> None:
    steady = machine.driver("steady")
    assert steady.state() is State.STOPPED
    for _ in range(2):
        steady.start()
        assert steady.state() is State.RUNNING
        steady.start()
        assert steady.state() is State.RUNNING
        steady.stop()
        assert steady.state() is State.STOPPED
        steady.stop()


def test_a_service_that_takes_its_time_is_waited_for(machine: Machine) -> None:
    slow = machine.driver("slow")
    slow.start()
    if isinstance(machine, UnderSupervisord):
        time.sleep(0.5)  # until it ignores the polite signal
    slow.stop()
    assert slow.state() is State.STOPPED


def test_one_that_takes_too_long_is_said_and_is_not_taken_for_stopped(machine: Machine) -> None:
    slow = machine.driver("slow")
    slow.start()
    if isinstance(machine, UnderSupervisord):
        time.sleep(0.5)
    with pytest.raises(RecorderServiceStuck, match=r"did not stop: it is still changing after 0\.3 s"):
        machine.driver("slow", 0.3).stop()
    slow.stop()


def test_one_that_ends_at_once_has_not_started(machine: Machine) -> None:
    with pytest.raises(RecorderServiceStuck, match="did not start"):
        machine.driver("failing").start()
    assert machine.driver("failing").state() is State.STOPPED


def test_one_that_is_not_there_is_said(machine: Machine) -> None:
    nobody = machine.driver("nobody")
    for act in (nobody.state, nobody.stop, nobody.start):
        with pytest.raises(ServiceUnknown, match="nobody"):
            act()


def test_rights_that_lack_are_said(machine: Machine) -> None:
    if isinstance(machine, UnderSupervisord):
        pytest.skip("who may open its socket may do everything")
    if isinstance(machine, UnderWindows):
        machine.states["forbidden"] = 4
    else:
        (Path(os.environ["PATH"].split(":")[0]) / "units" / "forbidden").write_text("active 0 -")
    known = RecorderServiceStuck if isinstance(machine, UnderCommands) else RightsMissing
    with pytest.raises(known, match="Access denied" if isinstance(machine, UnderCommands) else None):
        machine.driver("forbidden").stop()


def test_a_manager_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServiceManagerMissing, match="supervisord"):
        Supervisord("x", 1, f"unix:{tmp_path}/nobody").state()
    with pytest.raises(ServiceManagerMissing, match="supervisord"):
        Supervisord("x", 1, "http://127.0.0.1:9").state()
    with pytest.raises(RecorderServiceStuck, match="did not tell its state: no-such-program cannot be run: No such"):
        Commands("x", 1, {"state": ["no-such-program"]}).state()
    with pytest.raises(RecorderServiceStuck, match=r"did not stop: sleep did not end within 0\.1 s"):
        Commands("x", 0.1, {"state": ["true"], "stop": ["sleep", "9"]}).stop()
    with pytest.raises(RecorderServiceStuck, match=r"did not tell its state: .* status 1: no route"):
        Commands("x", 1, {"state": ["sh", "-c", "echo no route >&2; exit 1"]}).state()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceManagerMissing, match="systemctl"):
        Systemd("x", 1).state()
    with pytest.raises(ExtraMissing, match="pywin32"):
        WindowsService("x", 1).state()


def test_ctrl_c_in_a_terminal_does_not_reach_the_operator_s_command() -> None:
    alone = "import os, sys; sys.exit(0 if os.getsid(0) == os.getpid() else 3)"
    assert Commands("x", 9, {"state": [sys.executable, "-c", alone]}).state() is State.RUNNING


def test_which_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert isinstance(driver(IdentityRules(manager="windows")), WindowsService)
    assert isinstance(driver(IdentityRules(manager="systemd")), Systemd)
    chosen = driver(IdentityRules(manager="supervisord", supervisor="unix:/s", service="x"))
    assert isinstance(chosen, Supervisord)
    assert isinstance(driver(IdentityRules(manager="command", commands={"state": ["x"]})), Commands)
    monkeypatch.setattr("recorder_sync.identity.drivers.SYSTEMD_RUNS", str(tmp_path))
    assert isinstance(driver(IdentityRules()), Systemd)
    monkeypatch.setattr("recorder_sync.identity.drivers.SYSTEMD_RUNS", str(tmp_path / "nowhere"))
    with pytest.raises(ServiceManagerMissing, match=r"identity\.manager"):
        driver(IdentityRules())
    monkeypatch.setattr(sys, "platform", "win32")
    assert isinstance(driver(IdentityRules()), WindowsService)


def test_what_a_peer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fixed:
        def __init__(self, state: State | OperatorError) -> None:
            self._state = state

        def state(self) -> State:
            if isinstance(self._state, OperatorError):
                raise self._state
            return self._state

    told = []
    for state in (State.RUNNING, State.CHANGING, State.STOPPED, ServiceUnknown("x")):
        monkeypatch.setattr("recorder_sync.identity.drivers.driver", lambda _, state=state: Fixed(state))
        told.append(told_state(IdentityRules())[0])
    assert told == ["running", "running", "stopped", "unknown"]


def test_a_command_that_leaves_a_recorder_behind_has_ended_when_it_has() -> None:
    """The recorder that it started keeps its output open for as long as it runs: longer than a command may take."""
    behind = "sleep 15 & echo started; exit 3"
    assert Commands("x", 1, {"state": ["sh", "-c", behind]}).state() is State.STOPPED


def test_a_command_that_takes_too_long_is_no_command_that_is_missing() -> None:
    commands = {"state": ["sh", "-c", "exit 0"], "stop": ["sleep", "20"]}
    with pytest.raises(RecorderServiceStuck, match="stop"):
        Commands("x", 0.3, commands).stop()
