"""A recorder to be cloned in tests: its file, a service that is a note on disk, the interlock's answer as wanted."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from recorder_sync.identity.clone import Cloner, Permit
from recorder_sync.identity.drivers import State
from recorder_sync.identity.exchange import Posix, System
from recorder_sync.identity.interlock import Verdict
from recorder_sync.identity.place import Place
from recorder_sync.identity.registry import NoRegistry, Registry
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
