"""What a layout is: the two-way street between a path and a camera, a stream and a time, and the rules around it.

Rule: a layout is pure. It reads no file and no clock; what a file's content says comes from `backfill.containers`,
and `backfill.seal` puts the two together. What only some can do is in `capabilities`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol, Self

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
