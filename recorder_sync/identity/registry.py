"""The second place on Windows where a recorder's id is said to be: a value in the registry.

Rule: that it is there, and what it is called, is recalled and nowhere documented, so it is reported as unverified. It
is changed only if it is there and holds the id that the file had; else it is left alone, and that is said.
"""

import importlib
import sys
from dataclasses import dataclass
from typing import Any, Protocol

from recorder_sync.identity.guid import same

KEY = r"SOFTWARE\Wow6432Node\VideoOS\Recorder\Installation"
VALUE = "RecorderIDOnMachine"
WHERE = f"registry value {VALUE} (unverified)"
"""How operators are told of it."""


class Registry(Protocol):
    """Where the machine keeps the recorder's id beside its file."""

    def read(self) -> str | None:
        """Return the id there; None if there is none. Raises OSError."""

    def write(self, new: str) -> None:
        """Put another id there. Raises OSError."""


class NoRegistry:
    """A machine without one: anything but Windows."""

    def read(self) -> str | None:
        """See Registry."""
        return None

    def write(self, new: str) -> None:
        """See Registry. Never called: there is nothing to change."""
        raise OSError(f"there is no registry for {new}")


class WindowsRegistry:
    """HKEY_LOCAL_MACHINE through `winreg`. Not run on Windows."""

    def __init__(self, winreg: Any = None) -> None:
        self._winreg = winreg or importlib.import_module("winreg")

    def read(self) -> str | None:
        """See Registry."""
        try:
            with self._open(self._winreg.KEY_READ) as key:
                value, kind = self._winreg.QueryValueEx(key, VALUE)
        except FileNotFoundError:
            return None
        return str(value) if kind == self._winreg.REG_SZ else None

    def write(self, new: str) -> None:
        """See Registry."""
        with self._open(self._winreg.KEY_SET_VALUE) as key:
            self._winreg.SetValueEx(key, VALUE, 0, self._winreg.REG_SZ, new)

    def _open(self, access: int) -> Any:
        # The path names the 32-bit part itself, so the 64-bit view is asked for, whatever Python this is.
        view = access | self._winreg.KEY_WOW64_64KEY
        return self._winreg.OpenKey(self._winreg.HKEY_LOCAL_MACHINE, KEY, 0, view)


def this_registry() -> Registry:
    """Return that of the machine this runs on."""
    return WindowsRegistry() if sys.platform == "win32" else NoRegistry()


@dataclass(frozen=True, slots=True)
class Kept:
    """What the registry holds beside the recorder's file."""

    id: str | None
    """None: the value is not there, or could not be read."""
    problem: str = ""
    """Why it could not be read."""


def held(registry: Registry) -> Kept | None:
    """Return what the registry holds; None on a machine that has none."""
    if isinstance(registry, NoRegistry):
        return None
    try:
        return Kept(registry.read())
    except OSError as error:
        return Kept(None, str(error.strerror or error))


def follow(registry: Registry, old: str, new: str) -> str:
    """Let the registry say `new` where it says `old`; returns a sentence about what was done, empty without one.

    What cannot be read or written is said, not raised: whether the recorder looks there is not known.
    """
    try:
        found = registry.read()
        if found is None:
            return f"{WHERE}: not there, nothing changed" if not isinstance(registry, NoRegistry) else ""
        if same(found, new):
            return f"{WHERE}: has that id already"
        if not same(found, old):
            return f"{WHERE}: holds {found[:60]!r}, which is neither id, and was left alone"
        registry.write(new)
    except OSError as error:
        return f"{WHERE}: could not be changed: {error.strerror or error}"
    return f"{WHERE}: changed"
