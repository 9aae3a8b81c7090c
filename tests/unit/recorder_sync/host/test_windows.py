"""The Windows service against a pywin32 that is played: what is asked of it in which order, what its errors become.

This shows that the code says what pywin32's documentation asks for, not that Windows does what it says there.
"""

import asyncio
import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from recorder_sync.host import windows
from schema.errors import ExtraMissing, OperatorError, RightsMissing, ServiceCommandFailed, ServiceUnknown


class WinError(Exception):
    """pywin32's error."""

    def __init__(self, code: int, strerror: str = "it said no") -> None:
        super().__init__(code, "Function", strerror)
        self.winerror, self.strerror = code, strerror


class Framework:
    """pywin32's base class: keeps what is reported to the manager."""

    def __init__(self, args: list[str]) -> None:
        self.reported: list[tuple[Any, ...]] = []

    def ReportServiceStatus(self, *words: Any) -> None:  # noqa: N802
        self.reported.append(words)


class Machine:
    """Services by name, and every call in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.services: dict[str, dict[str, Any]] = {}
        self.options: dict[tuple[str, str], str] = {}
        self.fails: dict[str, WinError] = {}
        self.logged: list[str] = []
        self.recovery: dict[int, Any] = {}

    def call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fails:
            raise self.fails[name]

    def known(self, name: str) -> dict[str, Any]:
        if name not in self.services:
            raise WinError(1060)
        return self.services[name]

    def modules(self) -> dict[str, Any]:
        def install(cls: str, name: str, title: str, **how: Any) -> None:
            self.call("install")
            if name in self.services:
                raise WinError(1073)
            self.services[name] = {"class": cls, "title": title, "state": 1, **how}

        def change(cls: str, name: str, **how: Any) -> None:
            self.call("change")
            self.known(name).update({"class": cls, **how})

        def put(name: str, state: int, what: str) -> None:
            self.call(what)
            self.known(name)["state"] = state

        def remove(name: str) -> None:
            self.call("remove")
            del self.services[name]

        util = SimpleNamespace(
            ServiceFramework=Framework,
            InstallService=install,
            ChangeServiceConfig=change,
            RestartService=lambda name: put(name, 4, "restart"),
            StopServiceWithDeps=lambda name, waitSecs: put(name, 1, "stop"),  # noqa: N803
            RemoveService=remove,
            QueryServiceStatus=lambda name: (16, self.known(name)["state"], 1, 0, 0, 0, 0),
            SetServiceCustomOption=lambda name, key, value: self.options.__setitem__((name, key), value),
            GetServiceCustomOption=lambda name, key, default: self.options.get((name, key), default),
        )
        service = SimpleNamespace(
            SERVICE_AUTO_START=2,
            SERVICE_STOPPED=1,
            SERVICE_STOP_PENDING=3,
            SC_MANAGER_ALL_ACCESS=1,
            SERVICE_ALL_ACCESS=2,
            SC_ACTION_RESTART=1,
            SERVICE_CONFIG_FAILURE_ACTIONS=2,
            SERVICE_CONFIG_FAILURE_ACTIONS_FLAG=4,
            OpenSCManager=lambda *_: "manager",
            OpenService=lambda manager, name, access: self.known(name) and "handle",
            CloseServiceHandle=lambda handle: self.calls.append(f"close {handle}"),
            ChangeServiceConfig2=lambda handle, what, how: self.recovery.__setitem__(what, how),
        )
        log = SimpleNamespace(LogErrorMsg=self.logged.append)
        return {"win32serviceutil": util, "win32service": service, "servicemanager": log}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Windows with pywin32, as far as this module sees it."""
    found = Machine()
    for name, module in found.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    importlib.reload(windows)
    yield found
    monkeypatch.undo()
    importlib.reload(windows)


def test_installing_sets_it_up_to_start_to_come_back_and_starts_it(machine: Machine) -> None:
    windows.install("recorder-sync", Path("C:/rs/recorder-sync.toml"), "NVR\\ann", "secret")
    service = machine.services["recorder-sync"]
    assert service["class"] == "recorder_sync.host.windows.RecorderSyncService"
    assert (service["startType"], service["delayedstart"], service["state"]) == (2, True, 4)
    assert (service["userName"], service["password"]) == ("NVR\\ann", "secret")
    assert machine.options["recorder-sync", "config"] == str(Path("C:/rs/recorder-sync.toml"))
    assert machine.recovery[2]["Actions"] == [(1, 5000)]
    assert machine.recovery[4] is True
    assert machine.calls == ["install", "close handle", "close manager", "restart"]


def test_installing_again_changes_what_is_there(machine: Machine) -> None:
    windows.install("recorder-sync", Path("a.toml"))
    windows.install("recorder-sync", Path("b.toml"))
    assert machine.options["recorder-sync", "config"] == "b.toml"
    assert "change" in machine.calls
    assert machine.services["recorder-sync"]["state"] == 4


def test_the_class_that_windows_is_told_exists_under_that_name(machine: Machine) -> None:
    windows.install("recorder-sync", Path("a.toml"))
    module, _, name = machine.services["recorder-sync"]["class"].rpartition(".")
    assert getattr(importlib.import_module(module), name)._svc_name_ == "recorder-sync"


@pytest.mark.parametrize(("state", "stops"), [(4, True), (1, False)])
def test_uninstalling_stops_what_runs_and_removes_it(machine: Machine, state: int, stops: bool) -> None:
    windows.install("recorder-sync", Path("a.toml"))
    machine.services["recorder-sync"]["state"] = state
    machine.calls.clear()
    windows.uninstall("recorder-sync")
    assert machine.calls == (["stop", "remove"] if stops else ["remove"])
    assert machine.services == {}


@pytest.mark.parametrize(("number", "word"), [(1, "stopped"), (4, "active (running)"), (9, "state 9")])
def test_the_state_is_a_word(machine: Machine, number: int, word: str) -> None:
    windows.install("recorder-sync", Path("a.toml"))
    machine.services["recorder-sync"]["state"] = number
    assert windows.state("recorder-sync") == word


@pytest.mark.parametrize(("code", "kind"), [(5, RightsMissing), (1060, ServiceUnknown), (1072, ServiceCommandFailed)])
def test_what_windows_refuses_is_an_error_of_the_catalogue(
    machine: Machine, code: int, kind: type[OperatorError]
) -> None:
    machine.fails["install"] = WinError(code)
    with pytest.raises(kind):
        windows.install("recorder-sync", Path("a.toml"))


def test_a_service_that_is_not_there_is_said(machine: Machine) -> None:
    for call in (windows.state, windows.uninstall):
        with pytest.raises(ServiceUnknown):
            call("recorder-sync")


def test_a_defect_of_ours_is_not_dressed_up_as_windows_error(machine: Machine) -> None:
    machine.services["recorder-sync"] = {"state": "nonsense"}
    with pytest.raises(ValueError, match="nonsense"):
        windows.state("recorder-sync")


def served(monkeypatch: pytest.MonkeyPatch, serve: Any) -> None:
    module = ModuleType("recorder_sync.service.run")
    module.serve = serve  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "recorder_sync.service.run", module)


def test_the_service_runs_with_its_configuration_until_it_is_asked_to_stop(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, seen = threading.Event(), []

    def serve(config: Path, said: Any) -> None:
        async def run() -> None:
            stop = asyncio.Event()
            said(SimpleNamespace(stop=stop.set))
            started.set()
            await asyncio.wait_for(stop.wait(), 5)

        seen.append(config)
        asyncio.run(run())

    served(monkeypatch, serve)
    machine.options["nvr", "config"] = "C:/rs.toml"
    service = windows.RecorderSyncService(["nvr"])
    thread = threading.Thread(target=service.SvcDoRun)
    thread.start()
    assert started.wait(5)
    service.SvcStop()
    thread.join(6)
    assert not thread.is_alive()
    assert seen == [Path("C:/rs.toml")]
    assert service.reported == [(3, 30_000)], "told to wait, and then ended without an error"


@pytest.mark.parametrize(
    ("error", "code"), [(ServiceUnknown("x"), 58), (RuntimeError("a defect"), 70)], ids=["operator's", "ours"]
)
def test_a_service_that_fails_says_so_in_the_event_log_and_to_the_manager(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def serve(config: Path, said: Any) -> None:
        raise error

    served(monkeypatch, serve)
    service = windows.RecorderSyncService(["recorder-sync"])
    service.SvcDoRun()
    assert service.reported == [(1, 0, 1066, code)]
    assert len(machine.logged) == 1 and str(error) in machine.logged[0]


@pytest.mark.skipif(sys.platform == "win32", reason="there it is installed")
def test_without_pywin32_it_can_be_imported_and_says_what_to_install() -> None:
    for call in (windows.state, windows.uninstall, lambda name: windows.install(name, Path("a.toml"))):
        with pytest.raises(ExtraMissing, match="pywin32"):
            call("recorder-sync")
