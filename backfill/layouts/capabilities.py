"""What some layouts can do beyond reading and writing names: index, recognise, advise, and be given what was filled.

Rule: as in `base`, each is a Protocol that a layout has or has not, and the vendor's knowledge stays behind it. Those
that read say so.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from backfill.layouts.base import Named, Stamp


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
