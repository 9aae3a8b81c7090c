"""What a layout is: the two-way street between a path and a camera, a stream and a time, and the rules around it.

Rule: a layout is pure. It reads no file and no clock; what a file's content says comes from `backfill.containers`,
and `backfill.seal` puts the two together. A recorder that keeps an index of its own has an `Index` beside its layout,
and that one reads.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Literal, NamedTuple, Protocol, Self, runtime_checkable
from zoneinfo import ZoneInfo

from schema.settings import StorageSettings
from schema.spans import SECOND


class StartRule(StrEnum):
    """What tells where a segment starts."""

    NAME = "name"
    END = "end"
    """Its end minus its duration: for recorders that name a file later than its first picture."""


class EndRule(StrEnum):
    """What tells where a segment ends."""

    CONTAINER = "container"
    """Start plus the duration in the container."""
    MTIME = "mtime"
    """The file's last write: true for recorders that write in place."""
    NAME = "name"
    """The name holds the duration or the end."""
    NEXT = "next"
    """The next name of the camera; wrong exactly at a hole, so never farther than the nominal length."""


class CompleteRule(StrEnum):
    """What tells that a recorder has finished with a file."""

    CONTAINER = "container"
    QUIET = "quiet"
    """Its name matches and it has not been written to for a minute, whatever its container says."""
    NAME = "name"
    """The recorder renames a file when it closes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """The facts of a recorder that decide how its files are read and filled. Times in microseconds."""

    name: str
    title: str
    summary: str
    """One sentence for `recorder-sync layouts`."""
    start: StartRule = StartRule.NAME
    end: EndRule = EndRule.CONTAINER
    complete: CompleteRule = CompleteRule.CONTAINER
    segment: int = 60 * SECOND
    """Nominal length of a segment."""
    joint: int = SECOND
    """Holes between two segments up to this long are none: names hold whole seconds, cuts fall on key frames."""
    late: int = 0
    """How late the first file after a start may be named; see `schema.spans.certain`."""
    blur: int = SECOND
    """How far a name may be from the truth otherwise: whole-second names are cut off, so a start is up to 1 s early."""
    fill: Literal["tree", "side"] = "side"
    """Whether a file that appears in the recorder's tree is safe there."""
    reads: tuple[str, ...] = ()
    """What it reads of what another layout's recorder wrote, as `containers.flavour` names it; empty: anything."""
    after: str = ""
    """What a filled file still needs for the recorder to show it, if anything."""
    hint: str = ""
    """What `init` writes below a storage, as comments: how to configure what must follow a fill."""
    name_step: int = SECOND
    """Distance to the next free name."""
    staging_inside: bool = False
    """Whether the recorder ignores a folder `.recorder-sync` in its tree."""
    local: bool = False
    """Whether names hold local time, so that the storage's zone matters."""
    watched: bool = True
    """Whether the kernel may be asked for events below the root: it opens every folder there."""
    own_names: bool = False
    """Whether filled segments beside the tree bear the names of the recorder here, for it to take them in one day."""
    decrypts: bool = False
    """Whether the recorder here opens what the peer's has encrypted."""
    spare: int = 0
    """Free space in bytes below which the recorder itself starts to delete; filling leaves at least that."""


class Stamp(NamedTuple):
    """A time as a name holds it. `local`: the digits of a local clock, read as if they were UTC."""

    us: int
    local: bool


class Named(NamedTuple):
    """What a path says. `fields` holds whatever else the pattern captured, so that the path can be written again.

    Times in microseconds.
    """

    camera: str
    stream: str
    stamp: Stamp | None
    duration: int | None
    fields: Mapping[str, str]
    day: int | None = None
    """Midnight of the date in a path that holds no time of day, its digits read as if they were UTC."""

    @property
    def channel(self) -> str:
        """The camera with its stream: what coverage is counted by."""
        return f"{self.camera}/{self.stream}" if self.stream else self.camera


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a recorder's index says of one unit, held against the files. Times in microseconds UTC."""

    named: Named
    """With its start as a UTC stamp and its length, as far as anything tells them."""
    size: int
    mtime_ns: int
    """The unit's latest write, as `units.measure_unit` finds it."""
    marks: int = 0
    """Bits of `schema.values.Mark`."""
    problem: str = ""
    """Why it is no recording."""
    waiting: str = ""
    """Why it may not be final yet."""
    doubt: str = ""
    """Why its times are not certain."""


class Index(Protocol):
    """What one recorder's own index says of its units, for one scan. Runs in a thread of the scan."""

    def prepare(self, folder: str, units: Sequence[str]) -> None:
        """Read what the recorder says of `units`, paths in `folder`; what cannot be read is told of each unit."""
        ...

    def tell(self, unit: str) -> Told:
        """Return what is known of one of the units that were prepared. Raises OSError if it cannot be measured."""
        ...


@runtime_checkable
class Indexed(Protocol):
    """A layout whose recorder keeps an index of its units, which says more than their names."""

    def index(self, root: str, zone: ZoneInfo, now: int, *, ours: bool) -> Index:
        """Return the index of the storage at `root`. `ours`: everything there was filled by us."""
        ...

    def remark(self, path: str, *, folder: bool) -> str | None:
        """Return why `path`, which is neither a unit nor entered, is skipped.

        Nothing: it belongs to the recorder and needs no word. None: nothing special is known of it.
        """
        ...


class Entry(NamedTuple):
    """One filled unit that an index of ours is to tell of. Times in microseconds UTC."""

    path: str
    start: int
    end: int


@runtime_checkable
class Indexing(Protocol):
    """A layout whose filled units beside the tree need an index, so that something can read them."""

    def index_files(self, root: str, entries: Iterable[Entry]) -> Mapping[str, bytes]:
        """Return the files, by path below `root`, that tell of exactly `entries`; reads the units. Raises OSError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a recorder keeps in one folder of units by its own settings. None: nothing says so."""

    keeps: int | None = None
    """Microseconds after which it deletes."""
    most: int | None = None
    """Bytes beyond which it deletes its oldest."""


@runtime_checkable
class Importing(Protocol):
    """A layout whose recorder can be given filled units while its service is stopped.

    `folder` is one in which units lie, relative to `root`, empty for `root` itself. Everything but `named_like` reads
    and raises OSError.
    """

    def named_like(self, unit: str, folder: str, own: str | None) -> str:
        """Return the path for the filled `unit` in `folder`, named as the recorder named its `own` one. Pure.

        Raises Unplaceable.
        """
        ...

    def folders(self, root: str) -> Sequence[str]:
        """Return the folders in which units lie."""
        ...

    def limits(self, root: str, folder: str) -> Limits:
        """Return what the recorder keeps there."""
        ...

    def indexes(self, root: str, folder: str) -> Sequence[str]:
        """Return the paths of the index files there, which the recorder makes anew when they are away."""
        ...

    def being_written(self, root: str, folder: str) -> Mapping[str, tuple[int, int]]:
        """Return size and last write of all that a recorder writes there. Only once its service is stopped."""
        ...

    def told_of(self, root: str, folder: str, names: Collection[str]) -> set[str]:
        """Return which of the units `names` there the recorder's own index tells of."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """What a folder is, found by the recorder's own files in it."""

    root: str
    options: Mapping[str, str]
    """How the layout is to be configured for it."""
    cameras: Mapping[str, str]
    """The recorder's own name of each camera -> what people call it; nothing where it does not say."""
    units: int
    others: tuple[str, ...] = ()
    """Folders that are none of the recorder's."""
    written: tuple[tuple[Stamp, int], ...] = ()
    """What names say and when it was in UTC, to find the zone of local names."""
    notes: tuple[str, ...] = field(default=())


@runtime_checkable
class Recognising(Protocol):
    """A layout that recognises its folders by more than the names of media files."""

    @classmethod
    def recognise(cls, folder: str) -> Recognised | None:
        """Return what `folder` is, or None if this recorder did not write it. Raises OSError."""
        ...


class Sight(Enum):
    """How a need of a recorder stands."""

    GOOD = "good"
    """It was looked at, and is met."""
    UNSEEN = "unseen"
    """It cannot be seen from here."""
    WRONG = "wrong"
    """It is not met now."""


class Advice(NamedTuple):
    """What operators should know, or see to, around a recorder's storage."""

    sight: Sight
    says: str
    do: str = ""


class Known(NamedTuple):
    """What the ledger here knows of the segments of one storage."""

    title: str
    segments: int | None
    """Those that count; None: the storage is a peer's, and only the peer's own ledger knows of each."""
    encrypted: int = 0
    """How many of them their recorder encrypted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a recorder's needs are held against."""

    free: int | None
    """Bytes of free space at the storage; None if unknown."""
    own: Known
    sources: Sequence[Known] = ()
    """The storages of the same layout that this one can be filled from."""
    retention: int | None = None
    """How long it is configured to keep recordings, microseconds."""
    limits: Sequence[Limits] = ()
    """What its recorder keeps in each folder of units by its own settings, as far as they can be read."""


@runtime_checkable
class Advising(Protocol):
    """A layout whose recorder has needs beyond those of any folder."""

    def advise(self, around: Around) -> Sequence[Advice]:
        """Return what to say of those needs."""
        ...


class Unplaceable(ValueError):
    """A path cannot be written: the message names the field that has no value."""


class Layout(Protocol):
    """How one recorder names its files below one root.

    Paths are relative to the root with `/`. `read(write(named)) == named` for every `named` that `read` returned.
    """

    @property
    def traits(self) -> Traits:
        """The recorder's rules."""
        ...

    @classmethod
    def from_settings(cls, storage: StorageSettings) -> Self:
        """Return the layout as configured. Raises ValueError with what is wrong with its options."""
        ...

    def read(self, path: str) -> Named | None:
        """Return what `path` says, or None if it is not the name of a recording: a half-written or foreign file."""
        ...

    def write(self, named: Named) -> str:
        """Return the path that says `named`. Raises Unplaceable."""
        ...

    def enter(self, folder: str) -> bool:
        """Tell whether recordings can lie below `folder`."""
        ...

    def is_unit(self, folder: str) -> bool:
        """Tell whether `folder` is itself one segment, whose files mean something only together."""
        ...
