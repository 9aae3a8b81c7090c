"""Recognising what recorder wrote a folder: layout, cameras, zone, from a sample of its files.

Rule: looks, and never guesses beyond what the files say; where two answers fit, it says so.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from backfill.layouts import Layout, Named
from backfill.layouts.capabilities import Recognised, Recognising
from backfill.layouts.registry import available, layout_class
from backfill.oddities import MEDIA
from backfill.sampling import sample
from backfill.whichzone import disagreement, disagreement_of, zone_by, zone_of
from schema.errors import LayoutUnknown, NothingToDetect, PermissionMissing
from schema.settings import StorageSettings

_SHARE = 0.5
"""Part of a folder's files that a layout must recognise."""

_BELOW = ("", "recordings", "videos", "media", "data/recordings", "output")
"""Where recordings lie below the folder that a person names."""

_ORDER = ("frigate", "mediamtx", "kerberos", "motioneye", "zoneminder", "shinobi", "motion")
"""The stricter pattern first, so that it wins where two recognise as much."""

_BY_THEIR_OWN = ("xprotect",)
"""Layouts that recognise their folders themselves: they hold no media files."""

_CHILDREN = 50
"""Folders looked at below the one that a person names."""

_ALL_BUT = 0.05
"""Part of a folder's recordings that may lie beside the usual place below it, and that still be the root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """What a folder is."""

    root: str
    layout: str
    title: str
    cameras: tuple[str, ...]
    files: int
    """Files looked at that the layout recognises."""
    others: int
    """Media files looked at that it does not."""
    other: str
    """The first of them."""
    zone: str
    hint: str = ""
    """Configuration that a storage of this layout wants and that nobody can guess."""
    notes: tuple[str, ...] = field(default=())
    options: Mapping[str, str] = field(default_factory=dict)
    """What the layout must be told to read it so."""
    named: Mapping[str, str] = field(default_factory=dict)
    """The recorder's own name of each camera -> what people call it, where the recorder says so."""


class _Fit(NamedTuple):
    """A layout that reads half of a folder's sample or more."""

    root: str
    name: str
    layout: Layout
    read: list[tuple[str, Named]]
    others: int
    other: str
    also: tuple[str, ...] = ()
    """Layouts that read as much."""


def detect(folder: str, machine_zone: str, zone: str | None = None) -> Detected:
    """Return what recorder wrote `folder`, which may also lie one level below it.

    Args:
        machine_zone: the IANA name of this machine's zone, tried first for local names.
        zone: what the operator says of the zone of local names.

    Raises NothingToDetect if there are no recordings, LayoutUnknown if no layout fits half of them.
    """
    folder = os.path.abspath(folder)
    if not os.path.isdir(folder):
        raise NothingToDetect(folder, "it is not a folder")
    for name in _BY_THEIR_OWN:
        known = _recognised(name, folder)
        if known is not None:
            return _detected(name, known, machine_zone, zone)
    found = _Search()
    for root in _usual(folder):
        found.look(root)
    if found.best is None:
        for root in _children(folder):
            found.look(root)
    best = found.best
    if best is None:
        if not found.seen and found.denied:
            raise PermissionMissing("looking for recordings", f"{found.denied[0]}: Permission denied")
        if not found.seen:
            raise NothingToDetect(folder, f"no files ending in {', '.join(MEDIA)}")
        raise LayoutUnknown(folder, f"{found.seen:,} media files have names that no layout reads")
    notes: list[str] = []
    if not best.layout.traits.local:
        zone = "UTC"
    elif zone is not None:
        notes = disagreement(best.root, best.read, zone)
    else:
        zone, notes = zone_of(best.root, best.read, machine_zone)
    notes += [f"layout {name!r} reads these names as well" for name in best.also]
    return Detected(
        root=best.root,
        layout=best.name,
        title=best.layout.traits.title,
        cameras=tuple(sorted({named.channel for _, named in best.read})),
        files=len(best.read),
        others=best.others,
        other=best.other,
        zone=zone,
        hint=best.layout.traits.hint,
        notes=(
            *notes,
            *found.broken.values(),
            *(f"{path} could not be read: Permission denied" for path in found.denied[:1]),
        ),
    )


def _recognised(name: str, folder: str) -> Recognised | None:
    """Return what `folder` is by layout `name`'s own lights. Raises PermissionMissing."""
    kind: object = layout_class(name)
    if not isinstance(kind, Recognising):
        return None
    try:
        return kind.recognise(folder)
    except OSError as error:
        raise PermissionMissing("looking for recordings", f"{folder}: {error.strerror}") from None


def _detected(name: str, known: Recognised, machine_zone: str, zone: str | None) -> Detected:
    """Return what a layout recognised by itself, with the zone that its names and times tell."""
    traits = layout_class(name).from_settings(StorageSettings(root=known.root, layout=name)).traits
    if zone is not None:
        notes = disagreement_of(known.written, zone)
    else:
        zone, notes = zone_by(known.written, machine_zone)
    if known.others:
        number = f"{len(known.others):,} folders are" if len(known.others) > 1 else "1 folder is"
        notes = [*notes, f"{number} none of this recorder's and will be left alone, such as {known.others[0]}"]
    return Detected(
        root=known.root,
        layout=name,
        title=traits.title,
        cameras=tuple(sorted(said or camera for camera, said in known.cameras.items())),
        files=known.units,
        others=0,
        other="",
        zone=zone,
        hint=traits.hint,
        notes=(*notes, *known.notes),
        options=known.options,
        named={camera: said for camera, said in known.cameras.items() if said},
    )


class _Search:
    """Looks at one folder after another for the one that a recorder writes into."""

    def __init__(self) -> None:
        self.best: _Fit | None = None
        self.seen = 0
        """Media files in the folder that has most of them."""
        self.broken: dict[str, str] = {}
        """Layouts that could not be tried, with the reason."""
        self.denied: list[str] = []
        """Folders that may not be read."""

    def look(self, root: str) -> None:
        """Look at what lies below `root`."""
        found = sample(root)
        names = found.files
        self.denied += found.denied
        self.seen = max(self.seen, len(names))
        fit = _best_fit(root, names, self.broken)
        if fit is not None and (self.best is None or _better(fit, self.best)):
            self.best = fit


def _better(fit: _Fit, best: _Fit) -> bool:
    """Tell whether a folder is the root rather than the best one so far.

    Where a layout's camera may be many folders deep, the folder above `recordings` reads as well; but a camera may be
    called so, and then its files are only a part.
    """
    if not fit.root.startswith(f"{best.root}/"):
        return len(fit.read) > len(best.read)
    below = fit.root[len(best.root) + 1 :] + "/"
    beside = sum(not path.startswith(below) for path, _ in best.read)
    return beside <= _ALL_BUT * len(best.read)


def _best_fit(root: str, names: list[str], broken: dict[str, str]) -> _Fit | None:
    """Return the layout that reads most of `names`, the stricter of two; `broken` collects what could not be tried."""
    best: _Fit | None = None
    for name in [*_ORDER, *(other for other in available() if other not in _ORDER and other != "template")]:
        try:
            layout = layout_class(name).from_settings(StorageSettings(root=root, layout=name))
        except ValueError as error:  # it cannot be loaded, or does not work without options
            broken[name] = f"layout {name!r} was not tried: {error}"
            continue
        read = [(path, named) for path in names if (named := layout.read(path)) is not None]
        if not read or len(read) < _SHARE * len(names):
            continue
        if best is None or len(read) > len(best.read):
            best = _Fit(root, name, layout, read, len(names) - len(read), _first_other(names, read))
        elif len(read) == len(best.read):
            best = best._replace(also=(*best.also, name))
    return best


def _first_other(names: list[str], read: list[tuple[str, Named]]) -> str:
    """Return the first of `names` that is not among those read; empty if there is none."""
    known = {path for path, _ in read}
    return next((name for name in names if name not in known), "")


def _usual(folder: str) -> Iterator[str]:
    """Yield the usual places of recordings."""
    usual = (os.path.join(folder, below) if below else folder for below in _BELOW)
    yield from (path for path in usual if os.path.isdir(path))


def _children(folder: str) -> list[str]:
    """Return the other folders in which recordings may lie, where they lie in no usual place."""
    usual = {os.path.join(folder, below) for below in _BELOW}
    try:
        children = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []
    return [path for path in children if path not in usual and not os.path.basename(path).startswith(".")][:_CHILDREN]
