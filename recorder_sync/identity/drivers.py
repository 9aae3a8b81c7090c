"""Stopping and starting the recorder's service under whoever manages it: systemd, Windows services, supervisord, or
commands of the operator's.

Rule: a driver never guesses. `stop` returns only once the service is stopped, `start` only once it runs; what takes too
long, fails or is not there is an error by name. Nothing but stop, start and ask: whether a service starts with the
machine is the operator's business.
"""

import http.client
import importlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import xmlrpc.client  # talks to the operator's own supervisord, at an address from the configuration
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, Protocol

from recorder_sync.host.systemd import RUNNING as SYSTEMD_RUNS
from schema.errors import (
    ExtraMissing,
    OperatorError,
    RecorderServiceStuck,
    RightsMissing,
    ServiceManagerMissing,
    ServiceUnknown,
)
from schema.identity import IdentityRules
from schema.spans import SECOND
from schema.wire import ServiceState

_LOOKS = 0.2
"""Seconds between two looks while a service stops or starts."""
_ANSWERS = 10.0
"""Seconds that a manager may take to answer."""
_DOES = {"state": "tell its state", "stop": "stop", "start": "start"}
"""What a service did not do, by the command that failed."""


class State(StrEnum):
    """What a service is doing."""

    RUNNING = "running"
    STOPPED = "stopped"
    CHANGING = "changing"
    """On its way from one to the other, or waiting to be started anew."""


class Driver(Protocol):
    """One service and its manager.

    All three raise ServiceUnknown, ServiceManagerMissing, RightsMissing and RecorderServiceStuck. Stopping what is
    stopped and starting what runs does nothing.
    """

    def state(self) -> State:
        """Return what the service is doing."""

    def stop(self) -> None:
        """Stop it, and return once it is stopped."""

    def start(self) -> None:
        """Start it, and return once it runs."""


class _Waiting(ABC):
    """What drivers share: ask for the change, then look until it came."""

    def __init__(self, name: str, wait: float) -> None:
        self.name = name
        self.wait = wait

    @abstractmethod
    def state(self) -> State:
        """See Driver."""

    @abstractmethod
    def _ask_to(self, what: str) -> None:
        """Ask the manager to `start` or to `stop` it, and do not wait."""

    def stop(self) -> None:
        """See Driver."""
        self._reach(State.STOPPED, "stop")

    def start(self) -> None:
        """See Driver."""
        self._reach(State.RUNNING, "start")

    def _reach(self, wanted: State, what: str) -> None:
        end = time.monotonic() + self.wait
        if self.state() is wanted:
            return
        self._ask_to(what)
        while (found := self.state()) is not wanted:
            if time.monotonic() > end:
                raise RecorderServiceStuck(self.name, what, f"it is still {found} after {self.wait:g} s")
            if found is State.STOPPED:  # it was asked to start, and is down again
                self._look_again(end, what)
            time.sleep(_LOOKS)

    def _look_again(self, end: float, what: str) -> None:
        """Give a manager that takes orders in turn a moment to begin. Raises RecorderServiceStuck."""
        begun = time.monotonic()
        while self.state() is State.STOPPED:
            if time.monotonic() > min(end, begun + 3):
                raise RecorderServiceStuck(self.name, what, "it ended again at once")
            time.sleep(_LOOKS)


class Systemd(_Waiting):
    """A unit of systemd, through `systemctl`."""

    def state(self) -> State:
        """See Driver."""
        said = self._systemctl("show", self._unit, "-p", "LoadState,ActiveState")
        found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
        if found.get("LoadState") in (None, "", "not-found"):
            raise ServiceUnknown(self.name)
        known = {
            "active": State.RUNNING,
            "reloading": State.RUNNING,
            "inactive": State.STOPPED,
            "failed": State.STOPPED,
        }
        return known.get(found.get("ActiveState", ""), State.CHANGING)

    @property
    def _unit(self) -> str:
        return self.name if "." in self.name else f"{self.name}.service"

    def _ask_to(self, what: str) -> None:
        self._systemctl(what, "--no-block", self._unit)

    def _systemctl(self, *words: str) -> str:
        command = ("systemctl", "--no-pager", "--no-ask-password", *words)
        try:
            done = subprocess.run(  # noqa: S603  our own words, and a name from the configuration
                command, capture_output=True, text=True, errors="replace", timeout=_ANSWERS, check=False
            )
        except FileNotFoundError:
            raise ServiceManagerMissing("systemd", "there is no systemctl") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RecorderServiceStuck(self.name, words[0], error) from None
        said = " ".join(done.stderr.split())
        if done.returncode and ("Access denied" in said or "authentication required" in said):
            raise RightsMissing(f"to {words[0]} {self.name}", "root")
        if done.returncode:
            raise RecorderServiceStuck(self.name, words[0], said or f"systemctl ended with status {done.returncode}")
        return done.stdout


class _OverUnixSocket(xmlrpc.client.Transport):
    """How supervisord is spoken to on its own host."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, _: Any) -> http.client.HTTPConnection:
        """Return a connection to the socket, whatever host was named."""
        connection = http.client.HTTPConnection("localhost", timeout=_ANSWERS)
        connection.sock = sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(_ANSWERS)
        sock.connect(self._path)
        return connection


class Supervisord(_Waiting):
    """A program of supervisord."""

    _STATES: ClassVar = {
        "RUNNING": State.RUNNING,
        "STOPPED": State.STOPPED,
        "EXITED": State.STOPPED,
        "FATAL": State.STOPPED,
    }
    _BAD_NAME = 10
    _MEANT = (60, 70)
    """It runs already; it is stopped already."""

    def __init__(self, name: str, wait: float, address: str) -> None:
        super().__init__(name, wait)
        self._address = address

    def state(self) -> State:
        """See Driver."""
        found = self._ask("getProcessInfo")
        return self._STATES.get(str(found["statename"]), State.CHANGING)

    def _ask_to(self, what: str) -> None:
        self._ask(f"{what}Process", False)  # not to wait for it

    def _ask(self, what: str, *more: Any) -> Any:
        path = self._address.removeprefix("unix:")
        local = path != self._address
        transport = _OverUnixSocket(path) if local else None
        try:
            with xmlrpc.client.ServerProxy("http://localhost" if local else self._address, transport) as server:
                return getattr(server.supervisor, what)(self.name, *more)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == self._BAD_NAME:
                raise ServiceUnknown(self.name) from None
            if fault.faultCode in self._MEANT:
                return None
            raise RecorderServiceStuck(self.name, what.removesuffix("Process"), fault.faultString) from None
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise ServiceManagerMissing("supervisord", f"{self._address}: {error}") from None


class WindowsService(_Waiting):
    """A Windows service, through pywin32. Not run on Windows."""

    _STATES: ClassVar = {1: State.STOPPED, 4: State.RUNNING}
    _ACCESS_DENIED = 5
    _MEANT = (1056, 1062)
    """It runs already; it is stopped already."""
    _NO_SUCH_SERVICE = 1060

    def state(self) -> State:
        """See Driver."""
        found = self._do("query", lambda util: util.QueryServiceStatus(self.name))
        return self._STATES.get(int(found[1]), State.CHANGING)

    def _ask_to(self, what: str) -> None:
        if what == "stop":
            self._do(what, lambda util: util.StopServiceWithDeps(self.name, waitSecs=int(self.wait)))
        else:
            self._do(what, lambda util: util.StartService(self.name))

    def _do(self, what: str, call: Callable[[Any], Any]) -> Any:
        try:
            util = importlib.import_module("win32serviceutil")
        except ImportError:
            raise ExtraMissing("a Windows service", "pywin32", "windows") from None
        try:
            return call(util)
        except Exception as error:
            code = getattr(error, "winerror", None)
            if code in self._MEANT:
                return None
            if code == self._ACCESS_DENIED:
                raise RightsMissing(f"to {what} {self.name}", "an administrator") from None
            if code == self._NO_SUCH_SERVICE:
                raise ServiceUnknown(self.name) from None
            if code is None:
                raise
            raise RecorderServiceStuck(self.name, what, getattr(error, "strerror", error)) from None


class Commands(_Waiting):
    """The operator's own commands, as for a recorder on another machine. Their exit status is all that counts."""

    _STATES: ClassVar = {0: State.RUNNING, 3: State.STOPPED, 75: State.CHANGING}
    _NO_SUCH_SERVICE = 4
    """0, 3 and 4 as init scripts have them (LSB), 75 from `sysexits.h`: try again later."""

    def __init__(self, name: str, wait: float, commands: Mapping[str, list[str]]) -> None:
        super().__init__(name, wait)
        self._commands = commands

    def state(self) -> State:
        """See Driver."""
        done = self._run("state", _ANSWERS)
        if done.returncode == self._NO_SUCH_SERVICE:
            raise ServiceUnknown(self.name)
        if done.returncode not in self._STATES:
            raise RecorderServiceStuck(self.name, _DOES["state"], self._why(done))
        return self._STATES[done.returncode]

    def _ask_to(self, what: str) -> None:
        done = self._run(what, self.wait)
        if done.returncode:
            raise RecorderServiceStuck(self.name, what, self._why(done))

    def _run(self, what: str, seconds: float) -> "_Done":
        command = self._commands[what]
        # Into a file: a recorder that was started keeps a pipe open, and whoever reads that waits for its end.
        with tempfile.TemporaryFile() as output:
            try:
                done = subprocess.run(  # noqa: S603  the operator's own command from the configuration, without a shell
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    timeout=seconds,
                    check=False,
                    start_new_session=True,  # Ctrl-C is for us: it must not end an `ssh` that stops the recorder
                )
            except subprocess.TimeoutExpired:
                why = f"{command[0]} did not end within {seconds:g} s"
                raise RecorderServiceStuck(self.name, _DOES[what], why) from None
            except OSError as error:
                why = f"{command[0]} cannot be run: {error.strerror}"
                raise RecorderServiceStuck(self.name, _DOES[what], why) from None
            output.seek(max(0, output.seek(0, os.SEEK_END) - 1000))
            return _Done(done.returncode, " ".join(output.read().decode(errors="replace").split())[-200:])

    @staticmethod
    def _why(done: "_Done") -> str:
        return f"the command ended with status {done.returncode}{f': {done.said}' if done.said else ''}"


class _Done(NamedTuple):
    """How a command ended, and the last of what it said."""

    returncode: int
    said: str


def driver(rules: IdentityRules) -> Driver:
    """Return what stops and starts the recorder's service here. Raises ServiceManagerMissing."""
    wait = rules.wait / SECOND
    if rules.manager == "supervisord":
        assert rules.supervisor is not None
        return Supervisord(rules.service, wait, rules.supervisor)
    if rules.manager == "command":
        return Commands(rules.service, wait, rules.commands)
    if rules.manager == "windows" or (rules.manager == "auto" and sys.platform == "win32"):
        return WindowsService(rules.service, wait)
    if rules.manager == "auto" and not os.path.isdir(SYSTEMD_RUNS):
        raise ServiceManagerMissing("systemd", f"there is no {SYSTEMD_RUNS}; 'identity.manager' names another")
    return Systemd(rules.service, wait)


def told_state(rules: IdentityRules) -> tuple[ServiceState, str]:
    """Return `running`, `stopped` or `unknown`, and why not known: for whoever asks over the link."""
    try:
        state = driver(rules).state()
    except OperatorError as error:
        return "unknown", str(error)
    # A service on its way down still answers, and one on its way up soon will.
    return ("stopped", "") if state is State.STOPPED else ("running", "")
