"""The values that cross module borders: segments, gaps, outages, manifests, plans and results.

Rule: frozen, and free of behaviour beyond naming what they hold. `Segment` is a msgspec struct because a plan makes
tens of thousands of them (0.2 us each against 2 us for a dataclass); the rest are frozen dataclasses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

import msgspec

from schema.spans import Span


class State(IntEnum):
    """What the ledger holds of a path. Only SEALED is coverage and only SEALED is ever read for a fill."""

    SEALED = 0
    OPEN = 1
    QUARANTINED = 2
    GONE = 3


class Kind(IntEnum):
    """What a segment is on disk: one file, or one folder of files that mean something only together."""

    FILE = 0
    FOLDER = 1


class Mark(IntEnum):
    """Bits of `Segment.marks`."""

    UNCERTAIN = 1
    """The time could not be resolved (a name in a repeated local hour): neither coverage nor source."""
    UNCLOSED = 2
    """The writer died; whole fragments only, which play."""
    SUSPECT = 4
    """It may not be final: nothing in it tells that its writer closed it, or it was found to have changed. The next
    scan looks at its size and last write again."""
    ENCRYPTED = 8
    """Its recorder encrypted it; only one that has the same password opens it."""


LASTING = Mark.UNCLOSED | Mark.ENCRYPTED
"""What stays true of a copy, and of a file under another name."""


class Segment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One recording on one storage, as the ledger holds it.

    Times in microseconds UTC, half-open; size in bytes; `path` relative to the storage root with `/`.
    """

    storage_id: int
    camera: str
    path: str
    start: int
    end: int
    size: int
    mtime_ns: int
    inode: int
    state: State = State.SEALED
    kind: Kind = Kind.FILE
    digest: bytes | None = None
    origin: str | None = None
    """The server it was fetched from; None if the recorder here wrote it."""
    marks: int = 0
    reason: str = ""
    id: int = 0

    @property
    def span(self) -> Span:
        """The time this segment covers."""
        return Span(self.start, self.end)


class Cause(StrEnum):
    """What explains a gap."""

    SERVER = "server away"
    """Its service does not answer: the host is down, or the network between."""
    STORAGE = "storage away"
    RECORDER = "recorder away"
    CAMERA = "camera away"


class Reach(StrEnum):
    """How one server sees another."""

    UP = "up"
    STANDBY = "standby"
    """It answers, and its filling is paused."""
    AWAY = "away"
    REFUSED = "refused"
    """Something answers, and it is not the paired server, or it does not want us."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A span in which a server, or one camera on it, recorded nothing although it should have."""

    server: str
    camera: str | None
    span: Span
    cause: Cause
    evidence: str
    """One sentence: how we know."""
    over: bool = True
    observed: bool = True
    """Seen when it happened; else inferred from what was recorded and what was not."""
    storage_id: int | None = None
    """Which storage was away, if that was it."""


class GapState(StrEnum):
    """What became of a hole."""

    FILLABLE = "fillable"
    FILLED = "filled"
    LOST = "lost"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A span that a server's recorder did not write, and what became of it."""

    server: str
    camera: str
    span: Span
    state: GapState
    reason: str = ""
    outage: Outage | None = None
    peer: str | None = None
    """The server that has it or gave it."""


class Refusal(StrEnum):
    """Why something was not filled. The value is the sentence operators read."""

    LAYOUT_UNSAFE = 'this storage does not take filled files (fill = "never")'
    UNPLACEABLE = "the peer's name holds no value for a field that names here need"
    NO_SPACE = "free space would fall below the reserve"
    CANNOT_PUBLISH = "this file system cannot take a new file without risking to replace one; the copy waits"
    OTHER_MOUNT = "its folder here is another mount than the place for incoming files"
    CASE_CLASH = "a name here differs only in upper and lower case"
    ALREADY_HERE = "the recorder here has written the very same file; the next scan counts it"
    UNREADABLE_HERE = "the recorder here does not read what the peer's wrote"
    CONFLICT = "no free name: names around it are taken by other content"
    CHANGED_HERE = "what lies here is not the damaged copy any more, and was left alone"
    PATH_REFUSED = "its path is not safe"
    SOURCE_AWAY = "the peer's storage is away"
    SOURCE_SWAPPED = "the peer's storage is not the one the ledger knows"
    SOURCE_GONE = "the source was deleted before it could be read"
    SOURCE_CHANGED = "the source changed while it was read"
    SOURCE_DAMAGED = "the source is damaged: its digest is not the one taken when it was sealed"
    SOURCE_UNREADABLE = "the source cannot be read"
    WRITE_FAILED = "writing here failed; the copy was dropped"
    NOT_PERMITTED = "not permitted to write here"
    ENCRYPTED = "it is encrypted, and the recorder here is not known to have the password"
    STRANGE_DEVICE = "its device is none of the recorder here, and no camera there is configured for it"
    IMPORTED = "it was imported into the recorder's own storage, where nothing is changed while the recorder may run"
    NO_OUTAGE = "no outage explains it, and the policy fills outages only"


class OddKind(IntEnum):
    """What a scan met and could not take in, although recordings may be in it."""

    FOLDER_UNREADABLE = 0
    FILE_UNREADABLE = 1
    UNRECOGNISED = 2
    """A media file whose name is not the recorder's."""
    STRANGE_FOLDER = 3
    """A folder that is none of the recorder's, where all that is there should be."""


@dataclass(frozen=True, slots=True)
class Oddity:
    """What one folder holds of one kind: how many, the first of them, and what the system said."""

    folder: str
    kind: OddKind
    number: int
    example: str
    reason: str


@dataclass(frozen=True, slots=True)
class Oddities:
    """What a storage holds of one kind."""

    number: int
    example: str
    reason: str


@dataclass(frozen=True, slots=True)
class FileDigest:
    """Digest of one file and of its chunks. `chunks` is empty when the file is not longer than one chunk."""

    size: int
    digest: bytes
    chunk_size: int
    chunks: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One file of a segment: name relative to the segment (empty for a segment that is a file) and its size."""

    name: str
    size: int
    mtime_ns: int
    mode: int
    digest: FileDigest | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a peer says a segment consists of, taken when it is opened for reading."""

    kind: Kind
    files: tuple[ManifestFile, ...]
    mtime_ns: int

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One segment to fetch: from whom, and which gaps it serves."""

    server: str
    """Destination."""
    peer: str
    """Source."""
    source: Segment
    storage_id: int
    """Where it goes."""
    path: str
    """Under which path there; the next free name if that is taken by other content."""
    new: int
    """Microseconds of gaps that this task is the first to fill."""
    deleted_at: int | None = None
    """When retention at the source deletes it, microseconds UTC of the destination; None if unknown."""
    reads: tuple[str, ...] = ()
    """The only containers that the recorder there reads, where another layout's wrote it; empty: any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Something the plan or the fill left out, and why."""

    server: str
    camera: str
    span: Span
    peer: str | None
    path: str
    why: Refusal
    detail: str = ""
    size: int = 0

    @property
    def sentence(self) -> str:
        """What an operator reads."""
        return f"{self.why} ({self.detail})" if self.detail else str(self.why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to fetch, in this order, and what not."""

    tasks: tuple[Task, ...] = ()
    refused: tuple[Refused, ...] = ()
    gaps: tuple[Gap, ...] = ()
    """The fillable gaps that the tasks serve."""

    @property
    def size(self) -> int:
        """Bytes to fetch."""
        return sum(task.source.size for task in self.tasks)

    @property
    def held_twice(self) -> int:
        """Microseconds fetched beyond the gaps, because segments are never trimmed."""
        return sum(task.source.end - task.source.start - task.new for task in self.tasks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """One segment that is now here: whole, verified, durable and in the ledger."""

    task: Task
    path: str
    """Where it is, relative to the storage root."""
    storage_id: int
    digest: bytes
    size: int
    sent: int
    """Bytes read from the peer for it in this run; less than size after a resume."""
    renamed: bool = False
    """The name was taken by other content, so the next free one was used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FillResult:
    """How a fill ended."""

    landed: tuple[Landed, ...] = ()
    refused: tuple[Refused, ...] = ()
    sent: int = 0
    """Bytes read from peers, also for what was refused then."""
    seconds: float = 0.0
    stopped: str = ""
    """Why it ended early, empty if it did not."""
    notes: tuple[str, ...] = field(default=())
    """What the after-fill step said."""


class AlarmKind(StrEnum):
    """What an alarm is about, as channels choose (`only`) and receivers route by it."""

    SERVER_FAILED = "server-failed"
    SERVER_BACK = "server-back"
    RECORDER_SILENT = "recorder-silent"
    RECORDER_BACK = "recorder-back"
    CAMERA_SILENT = "camera-silent"
    CAMERA_BACK = "camera-back"
    STORAGE_AWAY = "storage-away"
    STORAGE_BACK = "storage-back"
    FILL_STARTED = "fill-started"
    FILLED = "filled"
    LOST = "lost"
    DAMAGE = "damage"
    DISK_LOW = "disk-low"
    CLOCK_OFFSET = "clock-offset"
    IDENTITY_TAKEN = "identity-taken"
    IDENTITY_RETURNED = "identity-returned"
    IMPORT_CUT_OFF = "import-cut-off"
    TEST = "test"
    """An operator tries the channels; nothing happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One event that operators are told of."""

    key: str
    """Names the event: whoever gets the same key twice was told the same thing twice. ASCII, at most 256 letters."""
    kind: AlarmKind
    server: str
    """The server it is about."""
    camera: str | None = None
    at: int
    """When it was noticed: the time that every channel shows, however late it gets through."""
    text: str
    """What happened, to what, when, and what it means."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The same for programs: what JSON can say, times as ISO 8601, lengths in seconds, sizes in bytes."""
