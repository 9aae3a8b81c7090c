"""Which filled segments a recorder can be given, into which of its folders and under which names.

Rule: pure; same input, same choice. What cannot go in is a value with its reason. Nothing is chosen that the recorder
would delete at once, that it could not open, or that bears a name that is taken.
"""

from bisect import bisect
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from backfill.layouts.base import Unplaceable
from backfill.layouts.capabilities import Importing, Limits
from backfill.placing import other_names
from backfill.storage import Storage
from schema.moments import human_duration, human_size
from schema.spans import Span, intersect, merge, total
from schema.values import Mark, Refusal, Segment

NOWHERE = "the recorder has nothing of this camera, and it has several folders: nothing tells into which it belongs"


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One filled segment on its way into the recorder's tree, as an import's journal keeps it."""

    segment: Segment
    """Its row beside the tree."""
    side: str
    """The name of the storage beside the tree."""
    storage: str
    """The name of the recorder's storage."""
    path: str
    """Where it goes, relative to the root of that storage."""
    twice: int = 0
    """Microseconds of it that the recorder has itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A filled segment that stays beside the tree, and why."""

    segment: Segment
    side: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """One of the recorder's folders of units."""

    limits: Limits
    held: int = 0
    """Bytes in it."""
    names: Collection[str] = ()
    """What lies there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A recorder's storage as an import finds it."""

    storage: Storage
    layout: Importing
    decrypts: bool
    folders: Mapping[str, Folder]
    own: Mapping[str, Sequence[Segment]]
    """By camera what the recorder itself wrote, by start."""
    free: int
    spare: int
    """Free bytes below which the recorder deletes."""
    now: int
    retention: int | None


@dataclass(slots=True)
class Choice:
    """What goes in, and what stays."""

    moves: list[Move] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)


def choose(tree: Tree, filled: Iterable[tuple[str, Segment]]) -> Choice:
    """Return what of `filled`, each with the name of the storage it is in, can go into the tree.

    The newest first: where there is not room for all, the recorder would delete the oldest.
    """
    found = Choice()
    taken = {folder: set(one.names) for folder, one in tree.folders.items()}
    room = {
        folder: None if one.limits.most is None else max(0, one.limits.most - one.held)
        for folder, one in tree.folders.items()
    }
    for side, segment in sorted(filled, key=lambda one: (-one[1].end, one[1].path, one[0])):
        move = _move(tree, side, segment, taken, room)
        if isinstance(move, Move):
            found.moves.append(move)
        else:
            found.left.append(Left(segment=segment, side=side, why=move))
    found.moves.sort(key=lambda one: (one.segment.start, one.path))
    found.left.sort(key=lambda one: (one.segment.start, one.segment.path))
    return found


def _move(
    tree: Tree, side: str, segment: Segment, taken: Mapping[str, set[str]], room: dict[str, int | None]
) -> Move | str:
    """Return where one segment goes, or why it stays; notes the name and the room that it takes."""
    if segment.marks & Mark.ENCRYPTED and not tree.decrypts:
        return str(Refusal.ENCRYPTED)
    if tree.free < tree.spare:
        return f"only {human_size(tree.free)} are free: below {human_size(tree.spare)} its recorder may soon delete"
    own = _nearest(tree.own.get(segment.camera, ()), segment.start)
    if own is None and tree.storage.own_camera(segment.camera) not in tree.storage.cameras:
        return str(Refusal.STRANGE_DEVICE)
    folder = own.path.rpartition("/")[0] if own is not None else _only(tree.folders)
    if folder is None or folder not in tree.folders:
        return NOWHERE
    limits = tree.folders[folder].limits
    keeps = min((one for one in (limits.keeps, tree.retention) if one), default=0)
    if keeps and segment.end < tree.now - keeps:
        return f"its recorder keeps {human_duration(keeps)}, and would delete it at once"
    left = room[folder]
    if left is not None and left < segment.size:
        return f"its recorder would delete its oldest recordings for it: room for {human_size(left)} is left there"
    try:
        first = tree.layout.named_like(segment.path, folder, None if own is None else own.path)
    except Unplaceable as error:
        return str(error)
    for path in (first, *other_names(tree.storage, first)):
        name = path.rpartition("/")[2]
        if name not in taken[folder]:
            taken[folder].add(name)
            room[folder] = None if left is None else left - segment.size
            return Move(segment=segment, side=side, storage=tree.storage.name, path=path, twice=_twice(tree, segment))
    return f"every name that it could have is taken, such as {first}"


def _nearest(own: Sequence[Segment], start: int) -> Segment | None:
    """Return the recorder's own segment that begins nearest to `start`."""
    at = bisect(own, start, key=lambda one: one.start)
    near = own[max(0, at - 1) : at + 1]
    return min(near, key=lambda one: abs(one.start - start), default=None)


def _only(folders: Collection[str]) -> str | None:
    return next(iter(folders)) if len(folders) == 1 else None


def _twice(tree: Tree, segment: Segment) -> int:
    """Return how much of a segment the recorder has itself, microseconds."""
    own = merge(one.span for one in tree.own.get(segment.camera, ()) if one.span.overlaps(segment.span))
    return total(intersect(own, [Span(segment.start, segment.end)]))
