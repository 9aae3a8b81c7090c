"""What two services say to each other: one structure a message, checked on arrival, with limits on everything.

Rule: a message is data from somebody we do not trust with sizes, paths or counts. `read` refuses what is too long, has
unknown fields or is not what it claims to be; nothing else decodes what a peer sent. A change that an older release
would misread raises `PROTOCOL`. Times are integer microseconds UTC, sizes bytes, digests hexadecimal XXH3-128.
"""

import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import msgspec

from schema.errors import PeerInvalid
from schema.moments import from_datetime
from schema.settings import StorageSettings, TemplateRules
from schema.units import NAME

PROTOCOL = 2
"""Version of these messages. Two services work together if they share one."""

LANE = b"recorder-sync lane\n"
"""What a connection for recordings says before its handshake. Neither TLS nor HTTP begins like this."""

MESSAGE_LIMIT = 8 * 2**20
"""Bytes of the longest message that is read."""

PAGE_BYTES = MESSAGE_LIMIT // 2
"""Where a page ends, whatever its count: what is added last must still fit."""

BUCKETS_AT_ONCE = 2000
SEGMENTS_AT_ONCE = 5000
FILES_AT_ONCE = 65_536
CHUNKS_AT_ONCE = 100_000
"""Digests of chunks in one manifest; with more of them, none are told."""
WINDOWS_AT_ONCE = 5000
CAMERAS_AT_ONCE = 1000
OUTAGES_AT_ONCE = 1000

_MAX = 2**63 - 1

# What is told must be a time that can be printed, in any zone: a report that fails on it would fail for ever.
_FIRST = from_datetime(datetime(2, 1, 1, tzinfo=UTC))
_LAST = from_datetime(datetime(9998, 1, 1, tzinfo=UTC))
Moment = Annotated[int, msgspec.Meta(ge=_FIRST, le=_LAST)]
# What is asked for may begin before all times, and lengths be longer: with room for sums of them in 64 bits.
Bound = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
Length = Annotated[int, msgspec.Meta(ge=0, le=2**61)]
Nanoseconds = Annotated[int, msgspec.Meta(ge=-(2**63), le=_MAX)]
BucketNumber = Annotated[int, msgspec.Meta(ge=-(2**27), le=2**27)]
Count = Annotated[int, msgspec.Meta(ge=0, le=_MAX)]
# A pattern is searched for, so each is anchored; `$` would let a line end pass.
_PLAIN = r"\A[^\x00-\x1f\x7f-\x9f]*\Z"
Name = Annotated[str, msgspec.Meta(pattern=rf"\A{NAME}\Z")]
StorageName = Annotated[str, msgspec.Meta(pattern=rf"\A{NAME}(?: from {NAME}/{NAME})?\Z")]
"""The name of a recorder's storage, or of a side store, which is never part of a path."""
Camera = Annotated[str, msgspec.Meta(min_length=1, max_length=512, pattern=_PLAIN)]
Path = Annotated[str, msgspec.Meta(min_length=1, max_length=4096, pattern=_PLAIN)]
Text = Annotated[str, msgspec.Meta(max_length=1024, pattern=_PLAIN)]
Word = Annotated[str, msgspec.Meta(max_length=64, pattern=_PLAIN)]
Digest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Epoch = Annotated[str, msgspec.Meta(pattern=r"\A[0-9A-Za-z-]{0,32}\Z")]
Cursor = Annotated[str, msgspec.Meta(max_length=64, pattern=r"\A(?:-?[0-9]{1,19}\.[0-9]{1,19}\.-?[0-9]{1,19})?\Z")]
Mode = Annotated[int, msgspec.Meta(ge=0, le=0o777)]
Runs = Annotated[list[tuple[Moment, Moment, Moment]], msgspec.Meta(max_length=100_000)]


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that one service says to another."""


class StorageAbout(Message, frozen=True):
    """How the names of a storage are read. Also kept in the ledger, so that reports can be made anywhere."""

    name: StorageName
    layout: Word
    zone: Word
    retention: Length | None = None
    """Microseconds; None if unknown."""
    template: TemplateRules | None = None
    options: Annotated[dict[Word, Text], msgspec.Meta(max_length=64)] = {}
    cameras: Annotated[dict[Camera, Camera], msgspec.Meta(max_length=10_000)] = {}
    side_of: Name | None = None
    """Of a side store: the server everything in it came from."""

    def settings(self) -> StorageSettings:
        """Return this as the settings of a storage whose files cannot be seen from here."""
        return StorageSettings(
            root="",
            layout=self.layout,
            name=self.name,
            zone=self.zone,
            retention=self.retention,  # type: ignore[arg-type]  # a Duration is an int
            template=self.template,
            options=self.options,
            fill="never",
        )


class Hello(Message, frozen=True):
    """The first thing a service says of itself."""

    protocols: Annotated[list[int], msgspec.Meta(max_length=16)]
    release: Word
    server: Name
    ledger: Word
    """Which ledger it writes to: two services that share one need not tell each other what is in it."""
    storages: Annotated[list[StorageAbout], msgspec.Meta(max_length=256)]


class StorageState(Message, frozen=True):
    """How far the changes of one storage's coverage are."""

    name: StorageName
    epoch: Epoch
    seq: Count
    scanned: Moment
    """When the ledger there was last brought up to it."""


class CameraState(Message, frozen=True):
    """Whether a recorder records a camera. `newest` is the end of its newest sealed recording."""

    camera: Camera
    newest: Moment
    recording: bool
    open_since: Moment | None = None
    """Where the file begins that is being written: what it holds is nobody's loss."""


class Pulse(Message, frozen=True):
    """What a service says every few seconds: its clock, and whether anything is new."""

    now: Moment
    boot: Word
    """Which run of the service this is: another one says hello again."""
    storages: Annotated[list[StorageState], msgspec.Meta(max_length=256)]
    absent: Annotated[list[StorageName], msgspec.Meta(max_length=256)] = []
    """Storages whose folder is away."""
    cameras: Annotated[list[CameraState], msgspec.Meta(max_length=10_000)] = []
    filling: bool = False
    paused: Text = ""


class Bucket(Message, frozen=True, array_like=True):
    """Coverage of one camera on one storage in one bucket of time: runs are (start, end, start of the last segment)."""

    camera: Camera
    bucket: BucketNumber
    joint: Length
    own: Runs
    filled: Annotated[dict[Name, Runs], msgspec.Meta(max_length=64)]
    gone: Runs
    undone: Annotated[dict[Name, Runs], msgspec.Meta(max_length=64)]


class CoveragePage(Message, frozen=True):
    """The next changes of one storage's coverage. `cursor` asks for what follows; nothing follows unless `more`."""

    epoch: Epoch
    cursor: Cursor
    more: bool
    longest: Length
    """Microseconds of the longest segment there."""
    buckets: Annotated[list[Bucket], msgspec.Meta(max_length=BUCKETS_AT_ONCE)]


class OutageMessage(Message, frozen=True):
    """An outage that the service itself noticed. `end` is None while it lasts."""

    server: Name
    camera: Camera | None
    cause: Word
    start: Moment
    end: Moment | None
    evidence: Text
    storage: StorageName | None = None
    """Which storage is away, if that is it."""


class Outages(Message, frozen=True):
    """The outages of the last days, by end: those that last are the newest."""

    outages: Annotated[list[OutageMessage], msgspec.Meta(max_length=OUTAGES_AT_ONCE)]


class SegmentMessage(Message, frozen=True):
    """One sealed segment that a service offers: what its own recorder wrote."""

    camera: Camera
    path: Path
    start: Moment
    end: Moment
    size: Count
    mtime_ns: Nanoseconds
    folder: bool = False
    marks: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
    digest: Digest | None = None
    mode: Mode | None = None
    """Of a segment that is one file and was there when this was said; saves asking for a manifest that says no more."""


Windows = Annotated[list[tuple[Bound, Bound]], msgspec.Meta(max_length=WINDOWS_AT_ONCE)]


class SegmentsAsked(Message, frozen=True):
    """Which segments of a storage are asked for: by camera, those that overlap any of its windows.

    No more than `WINDOWS_AT_ONCE` of all cameras together. `after`: camera, start and path of the last one that was
    told, for what follows it; it need not be there any more.
    """

    storage: StorageName
    wanted: Annotated[dict[Camera, Windows], msgspec.Meta(max_length=CAMERAS_AT_ONCE)]
    after: tuple[Camera, Moment, Path] | None = None


class SegmentsPage(Message, frozen=True):
    """Segments by camera, start, folder and name, each once. `more`: ask from the last on."""

    segments: Annotated[list[SegmentMessage], msgspec.Meta(max_length=SEGMENTS_AT_ONCE)]
    more: bool


class FileMessage(Message, frozen=True):
    """One file of a segment; `name` is empty for a segment that is one file."""

    name: Annotated[str, msgspec.Meta(max_length=4096, pattern=_PLAIN)]
    size: Count
    mtime_ns: Nanoseconds
    mode: Mode
    digest: Digest | None = None
    chunk_size: Count = 0
    chunks: Annotated[list[Digest], msgspec.Meta(max_length=1_000_000)] = []


class ManifestMessage(Message, frozen=True):
    """What a segment consists of now."""

    folder: bool
    mtime_ns: Nanoseconds
    files: Annotated[list[FileMessage], msgspec.Meta(max_length=FILES_AT_ONCE)]


ServiceState = Literal["running", "stopped", "unknown"]


class IdentityMessage(Message, frozen=True):
    """With which id the recorder of this server answers, and whether its service runs."""

    id: Annotated[str, msgspec.Meta(max_length=38, pattern=r"\A[0-9A-Fa-f{}-]*\Z")] = ""
    """As its file has it; empty if it cannot be told, or is not its own at the moment."""
    digest: Annotated[str, msgspec.Meta(pattern=r"\A(?:[0-9a-f]{32})?\Z")] = ""
    """Of that file."""
    holds: Annotated[str, msgspec.Meta(max_length=38, pattern=r"\A[0-9A-Fa-f{}-]*\Z")] = ""
    """The id that the recorder has in place of its own; empty if it has its own, or that is not known."""
    service: ServiceState = "unknown"
    waits: bool = False
    """The recorder is started as soon as nobody else answers with its id."""
    problem: Text = ""
    """Why something is not told."""


class Problem(Message, frozen=True):
    """Why a request was refused: the name of an error of the catalogue, and its details."""

    error: Word
    detail: Text


class Join(Message, frozen=True):
    """What a joining host says to the inviting one, with the secret of the invitation."""

    secret: Annotated[str, msgspec.Meta(max_length=128, pattern=r"\A[\x21-\x7e]*\Z")]
    server: Name
    address: Annotated[str, msgspec.Meta(max_length=256, pattern=_PLAIN)]
    """Where its service listens; a host of `*` means the address the inviting host sees it under."""
    identity: Annotated[str, msgspec.Meta(max_length=16_384)]
    """Its certificate of identity, PEM."""
    protocols: Annotated[list[int], msgspec.Meta(max_length=16)]


class Joined(Message, frozen=True):
    """What the inviting host answers."""

    server: Name
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)]
    """Where its service listens, at the address of the invitation."""
    encrypted: bool


_T = TypeVar("_T", bound=Message)


def _plain(value: object) -> int:
    """Return a length of time or a size of the configuration as the number it is."""
    if isinstance(value, int):
        return int(value)
    raise NotImplementedError(type(value))


def _unit(kind: type, value: object) -> object:
    """Return a number as the length of time or the size that is wanted. Raises ValueError."""
    if not isinstance(value, int) or not issubclass(kind, int) or not 0 <= value <= _MAX:
        raise ValueError(f"{value!r} is no {kind.__name__}")
    return kind(value)


_encode = msgspec.json.Encoder(enc_hook=_plain).encode


def written(message: Message) -> bytes:
    """Return a message as it is sent."""
    return _encode(message)


def kept_about(text: str) -> StorageAbout:
    """Return what a ledger keeps of a storage. Raises msgspec.DecodeError."""
    return msgspec.json.decode(text, type=StorageAbout, dec_hook=_unit)


def plain(text: str, limit: int = 1024) -> str:
    """Return a text as a message may hold it: on one line, without control characters, not too long."""
    return " ".join("".join(" " if unicodedata.category(sign) == "Cc" else sign for sign in text).split())[:limit]


def read(kind: type[_T], body: bytes, peer: str) -> _T:
    """Return what `peer` sent as a message of a kind. Raises PeerInvalid."""
    if len(body) > MESSAGE_LIMIT:
        raise PeerInvalid(peer, f"a message of {len(body):,} bytes is longer than {MESSAGE_LIMIT:,}")
    try:
        return msgspec.json.decode(body, type=kind, dec_hook=_unit)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PeerInvalid(peer, f"{kind.__name__}: {error}"[:500]) from None
