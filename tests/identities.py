"""A recorder to be cloned in tests: its file, a service that is a note on disk, the interlock's answer as wanted."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from recorder_sync.identity.clone import Cloner, Permit
from recorder_sync.identity.drivers import State
from recorder_sync.identity.exchange import Posix, System
from recorder_sync.identity.interlock import Verdict
from recorder_sync.identity.place import Place
from recorder_sync.identity.registry import KEY, NoRegistry, Registry
from recorder_sync.identity.vault import Known
from schema.errors import RecorderServiceStuck

PAIRS = Path(__file__).parent / "golden" / "identity"
OWN = "5e0c4d7a-91b3-4c26-a8f0-7b1d3e9f2a64"
NEW = "0b8f6a52-6c1e-4d0e-9a57-2d6b1c4e7f31"
BEFORE = (PAIRS / "full-bom-crlf.before.xml").read_bytes()
AFTER = (PAIRS / "full-bom-crlf.after.xml").read_bytes()
WANTED = Known(server="nvr-a", id=NEW, digest="0" * 32, at=5, source="a test")


def allowed() -> Verdict:
    """The other recorder is down."""
    return Verdict(True, "it is down")


def refused() -> Verdict:
    """The other recorder may be alive."""
    return Verdict(False, "it answers")


def in_turn(*verdicts: Verdict) -> Permit:
    """Give these one after the other."""
    given = iter(verdicts)
    return lambda: next(given)


class NotedService:
    """A service whose state is a file, so that it outlives whoever stops it; `log` says what was asked of it."""

    def __init__(self, note: Path, serving: Path) -> None:
        self._note = note
        self._serving = serving
        self.log: list[str] = []
        self.fails: set[str] = set()

    def state(self) -> State:
        return State(self._note.read_text())

    def stop(self) -> None:
        self._ask("stop", State.STOPPED)

    def start(self) -> None:
        self._ask("start", State.RUNNING)

    def _ask(self, what: str, state: State) -> None:
        if what in self.fails:
            raise RecorderServiceStuck("recorder", what, "a test wants it so")
        if self.state() is not state:
            self.log.append(f"{what} with {'NEW' if NEW.encode() in self._serving.read_bytes() else 'OWN'}")
        self._note.write_text(state.value)


@dataclass
class Bench:
    """One recorder below a folder."""

    base: Path
    registry: Registry = field(default_factory=NoRegistry)
    system: System = field(default_factory=Posix)
    content: bytes = BEFORE

    def __post_init__(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            self.path.write_bytes(self.content)
            self.note.write_text("running")
        self.driver = NotedService(self.note, self.path)

    @property
    def path(self) -> Path:
        return self.base / "recorder" / "RecorderConfig.xml"

    @property
    def note(self) -> Path:
        return self.base / "service"

    @property
    def place(self) -> Place:
        return Place(str(self.base / "identity"))

    def cloner(self, now: Callable[[], int] = lambda: 7) -> Cloner:
        return Cloner(str(self.path), self.place, self.driver, self.registry, self.system, now)

    def is_as_before(self, content: bytes = BEFORE, state: str = "running") -> None:
        """Assert that the recorder has its own file, serves and that nothing lies beside."""
        assert self.path.read_bytes() == content
        assert self.note.read_text() == state
        assert [one.name for one in self.path.parent.iterdir()] == ["RecorderConfig.xml"]


class PlayedWinreg:
    """Plays the part of `winreg` that is used; `values` is None where even the key is not there."""

    KEY_READ, KEY_SET_VALUE, KEY_WOW64_64KEY, REG_SZ, REG_DWORD, HKEY_LOCAL_MACHINE = 1, 2, 256, 1, 4, "HKLM"

    def __init__(
        self, values: dict[str, tuple[object, int]] | None, *, readable: bool = True, writable: bool = True
    ) -> None:
        self.values = values
        self.readable = readable
        self.writable = writable

    def OpenKey(self, root: str, path: str, _: int, access: int) -> Any:  # noqa: N802
        assert (root, path) == ("HKLM", KEY)
        assert access & self.KEY_WOW64_64KEY
        if self.values is None:
            raise FileNotFoundError(2, "not there")
        if not (self.writable if access & self.KEY_SET_VALUE else self.readable):
            raise PermissionError(13, "Access is denied")
        return Key(self.values)

    def QueryValueEx(self, key: "Key", name: str) -> tuple[object, int]:  # noqa: N802
        if name not in key.values:
            raise FileNotFoundError(2, "not there")
        return key.values[name]

    def SetValueEx(self, key: "Key", name: str, _: int, kind: int, value: str) -> None:  # noqa: N802
        key.values[name] = value, kind


class Key:
    """An open key."""

    def __init__(self, values: dict[str, tuple[object, int]]) -> None:
        self.values = values

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...
