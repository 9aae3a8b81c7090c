"""The Windows service: a thin wrapper that pywin32 can start, and its installing, removing and asking after.

Rule: importable everywhere, so that it can be tested without Windows; pywin32 is fetched when something is asked of it.
What the service does is `recorder_sync.service.run`, the same as on Linux; this only starts and stops it. Nothing here
has been run on Windows.
"""

import asyncio
import contextlib
import importlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from schema.errors import ExtraMissing, RightsMissing, ServiceCommandFailed, ServiceUnknown

NAME = "recorder-sync"
TITLE = "recorder-sync"
DESCRIPTION = "Fills what one video recorder missed from the other's recordings."

_CONFIG = "config"
"""Under which name the path of the configuration is kept beside the service, in the registry."""

_ACCESS_DENIED = 5
_NO_SUCH_SERVICE = 1060
_EXISTS = 1073
_SERVICE_SPECIFIC_ERROR = 1066

_RESTART_AFTER = 5_000
_FORGET_AFTER = 86_400

_STATES = {
    1: "stopped",
    2: "starting",
    3: "stopping",
    4: "active (running)",
    5: "continuing",
    6: "pausing",
    7: "paused",
}

try:
    _framework: Any = importlib.import_module("win32serviceutil").ServiceFramework
except ImportError:
    _framework = object


def _module(name: str) -> Any:
    """Return a module of pywin32. Raises ExtraMissing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ExtraMissing("the Windows service", "pywin32", "windows") from None


class RecorderSyncService(_framework):  # type: ignore[misc]
    """What the service manager starts. Its names are pywin32's."""

    _svc_name_ = NAME
    _svc_display_name_ = TITLE
    _svc_description_ = DESCRIPTION

    def __init__(self, args: list[str]) -> None:
        super().__init__(args)
        self.name = args[0] if args else NAME
        self.stopped = threading.Event()

    def SvcStop(self) -> None:  # noqa: N802
        """Ask the service to end; it does so within seconds, and the manager is told to wait."""
        self.ReportServiceStatus(_module("win32service").SERVICE_STOP_PENDING, 30_000)
        self.stopped.set()

    SvcShutdown = SvcStop

    def SvcDoRun(self) -> None:  # noqa: N802
        """Run until asked to end. An exit status other than 0 is reported as one, so that the manager starts anew."""
        log = _module("servicemanager")
        config = _module("win32serviceutil").GetServiceCustomOption(self.name, _CONFIG, "")
        code = _serve(Path(config), self.stopped, log.LogErrorMsg)
        if code:
            self.ReportServiceStatus(_module("win32service").SERVICE_STOPPED, 0, _SERVICE_SPECIFIC_ERROR, code)


def _heed(stopped: threading.Event, stop: Callable[[], None]) -> None:
    """Have the running loop call `stop` once `stopped` is set, in another thread."""
    loop = asyncio.get_running_loop()

    def wait() -> None:
        stopped.wait()
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(stop)

    threading.Thread(target=wait, daemon=True, name="stop request").start()


def _serve(config: Path, stopped: threading.Event, complain: Callable[[str], None]) -> int:
    """Run the service itself; returns its exit status. What goes wrong reaches the event log."""
    from schema.errors import OperatorError

    try:
        from recorder_sync.service.run import serve

        serve(config, lambda service: _heed(stopped, service.stop))
    except OperatorError as error:
        complain(f"{TITLE}: {error}")
        return error.exit_code
    except Exception as error:  # noqa: BLE001  nobody else would see it: a service has no console
        complain(f"{TITLE}: {type(error).__name__}: {error}")
        return 70
    return 0


def install(name: str, config: Path, user: str | None = None, password: str | None = None) -> None:
    """Install the service, set it to start with the machine and to come back when it fails, and start it.

    Doing it again changes the service to what is given now. Raises ExtraMissing, RightsMissing, ServiceCommandFailed.
    """
    util, service = _module("win32serviceutil"), _module("win32service")
    cls = f"{RecorderSyncService.__module__}.{RecorderSyncService.__name__}"
    how: dict[str, Any] = {
        "startType": service.SERVICE_AUTO_START,
        "userName": user,
        "password": password,
        "description": DESCRIPTION,
        "delayedstart": True,
    }

    def put() -> None:
        try:
            util.InstallService(cls, name, _title(name), **how)
        except Exception as error:
            if getattr(error, "winerror", None) != _EXISTS:
                raise
            util.ChangeServiceConfig(cls, name, displayName=_title(name), **how)

    _do("installing a service", name, put)
    _do("installing a service", name, lambda: util.SetServiceCustomOption(name, _CONFIG, str(config)))
    _do("installing a service", name, lambda: _come_back(service, name))
    _do("starting the service", name, lambda: util.RestartService(name))


def _title(name: str) -> str:
    return TITLE if name == NAME else f"{TITLE} ({name})"


def _come_back(service: Any, name: str) -> None:
    """Have the manager start the service anew some seconds after it failed, each time."""
    manager = service.OpenSCManager(None, None, service.SC_MANAGER_ALL_ACCESS)
    try:
        handle = service.OpenService(manager, name, service.SERVICE_ALL_ACCESS)
        try:
            actions = {
                "ResetPeriod": _FORGET_AFTER,
                "RebootMsg": "",
                "Command": "",
                "Actions": [(service.SC_ACTION_RESTART, _RESTART_AFTER)],
            }
            service.ChangeServiceConfig2(handle, service.SERVICE_CONFIG_FAILURE_ACTIONS, actions)
            # Also when it ended by itself with an error, not only when it crashed.
            service.ChangeServiceConfig2(handle, service.SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, True)
        finally:
            service.CloseServiceHandle(handle)
    finally:
        service.CloseServiceHandle(manager)


def uninstall(name: str) -> None:
    """Stop and remove the service; ledger, configuration and recordings stay.

    Raises ExtraMissing, RightsMissing, ServiceUnknown, ServiceCommandFailed.
    """
    util = _module("win32serviceutil")
    if state(name) != _STATES[1]:
        _do("stopping the service", name, lambda: util.StopServiceWithDeps(name, waitSecs=30))
    _do("removing a service", name, lambda: util.RemoveService(name))


def state(name: str) -> str:
    """Return the service's state. Raises ExtraMissing, RightsMissing, ServiceUnknown, ServiceCommandFailed."""
    util = _module("win32serviceutil")
    found: tuple[Any, ...] = _do("asking after a service", name, lambda: util.QueryServiceStatus(name))
    return _STATES.get(int(found[1]), f"state {found[1]}")


def _do(what: str, name: str, call: Callable[[], Any]) -> Any:
    """Do one thing with the manager; its errors become ours."""
    try:
        return call()
    except Exception as error:
        code = getattr(error, "winerror", None)
        if code == _ACCESS_DENIED:
            raise RightsMissing(what, "an administrator") from None
        if code == _NO_SUCH_SERVICE:
            raise ServiceUnknown(name) from None
        if code is None:
            raise
        raise ServiceCommandFailed(what, getattr(error, "strerror", error)) from None
