"""Moving whole segments from beside a recorder's tree into it, and out again, while the recorder is stopped.

Rule: one rename each, never replacing anything, so that a segment is whole and at one of two places at every moment;
whoever calls has written both down. Order, always: origin records, names, fsync of both folders, one transaction of the
ledger. What is not to the byte count and the last write what was fetched is not moved.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from backfill.beneath import folder_beneath
from backfill.importing.choose import Move
from backfill.origins import Origin, OriginLog
from backfill.publish import publish
from backfill.storage import Storage, held_time, make_folders, sync_folder
from backfill.unchanged import Look, look_in
from schema.errors import SourceChanged, SourceGone
from schema.ledger import Ledger
from schema.ledger.segments import Landing
from schema.values import Segment

Stores = Mapping[str, Storage]
"""The storages of one server by name, those beside trees too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stayed:
    """A segment that could not be taken out of the recorder's tree again, and why."""

    move: Move
    why: str


def carry_in(ledger: Ledger, stores: Stores, moves: Sequence[Move], now: int) -> None:
    """Move segments into the recorder's tree and tell the ledger.

    Raises SourceGone, SourceChanged, CannotPublish, FileExistsError, PathRefused, OSError and the ledger's errors; what
    was moved by then stays there, and `carry_out` takes it back.
    """
    logs = {
        name: OriginLog(stores[name].state_folder()) for move in moves for name in (move.side, move.storage)
    }  # each reads a day's records once, and the recorder is stopped meanwhile
    for name in sorted({move.storage for move in moves}):
        logs[name].append([_origin(logs[move.side], move, now) for move in moves if move.storage == name])
    arrived: list[_Arrived] = []
    with _Renaming() as renaming:
        for move in moves:
            side, storage = stores[move.side], stores[move.storage]
            check_there(side, move.segment)
            renaming.rename(side, move.segment.path, storage, move.path)
            arrived.append(_Arrived(_row(move.segment, storage, move.path), side, move.segment.path))
    _record(ledger, arrived)


def check_there(side: Storage, segment: Segment) -> None:
    """Check that it lies beside the tree as its row says. Raises SourceGone, SourceChanged, PathRefused, OSError."""
    found = _look(side, segment, segment.path)
    if found is None:
        raise SourceGone(segment.path, side.title)
    if not found.is_of(segment):
        raise SourceChanged(segment.path, side.title)


def carry_out(ledger: Ledger, stores: Stores, moves: Sequence[Move]) -> list[Stayed]:
    """Move segments back to where they lay beside the tree; returns those that stay in it.

    One that never went in is where it belongs. Raises CannotPublish, PathRefused, OSError and the ledger's errors.
    """
    stayed: list[Stayed] = []
    arrived: list[_Arrived] = []
    with _Renaming() as renaming:
        for move in moves:
            side, storage = stores[move.side], stores[move.storage]
            there, beside = _look(storage, move.segment, move.path), _look(side, move.segment, move.segment.path)
            why = _kept_from(move, there, beside)
            if why:
                stayed.append(Stayed(move=move, why=why))
                continue
            if there is not None:
                renaming.rename(storage, move.path, side, move.segment.path)
            arrived.append(_Arrived(_row(move.segment, side, move.segment.path), storage, move.path))
    _record(ledger, arrived)
    return stayed


def _kept_from(move: Move, there: Look | None, beside: Look | None) -> str:
    """Return why a segment cannot be where it was beside the tree; nothing if it can, or is. Pure."""
    if there is None and beside is None:
        return "it is not there any more: the recorder deleted or moved it"
    if there is not None and beside is not None:
        return f"{move.segment.path} was fetched again meanwhile"
    if there is not None and not _unchanged(there, move.segment):
        return "the recorder changed it since"
    if beside is not None and not _unchanged(beside, move.segment):
        return f"the recorder deleted or moved it, and another {move.segment.path} was fetched meanwhile"
    return ""


def _unchanged(look: Look, segment: Segment) -> bool:
    """Tell whether that can be a segment that went through another folder, whatever its inode is now."""
    return (look.size, held_time(look.mtime_ns)) == (segment.size, segment.mtime_ns)


class _Arrived(NamedTuple):
    """A segment where it is now, and where it was: a storage and the path there."""

    segment: Segment
    before: Storage
    path: str


def _record(ledger: Ledger, arrived: Sequence[_Arrived]) -> None:
    """Let the ledger say of all that arrived where it is, with the digests that were known of it."""
    with ledger.writing() as connection:
        landings: dict[int, list[Landing]] = {}
        gone: dict[int, list[int]] = {}
        for one in arrived:
            old = ledger.segments.by_path(connection, one.before.id, one.path)
            if old is not None and old.origin is None:
                old = None  # the recorder wrote something of its own there since
            new = ledger.segments.by_path(connection, one.segment.storage_id, one.segment.path)
            known = [ledger.segments.manifest(connection, row) for row in (old, new) if row is not None]
            files = next((found for found in known if found), ())
            landings.setdefault(one.segment.storage_id, []).append(Landing(one.segment, files))
            if old is not None:
                gone.setdefault(one.before.id, []).append(old.id)
        for landed in landings.values():
            ledger.segments.land(connection, landed)
        for storage_id, ids in gone.items():
            ledger.segments.remove(connection, storage_id, ids)


def set_aside(root: str, paths: Sequence[str], place: str) -> None:
    """Move the files `paths` of a recorder's tree to the folder `place`, under the same paths, replacing nothing.

    Raises OSError, CannotPublish.
    """
    for path in paths:
        folder, _, name = path.rpartition("/")
        make_folders(os.path.join(place, folder) if folder else place)
        with contextlib.suppress(FileNotFoundError), folder_beneath(place, folder) as fd:
            publish(os.path.join(root, path), fd, name)
            os.fsync(fd)
    _sync_folders(root, paths)


def put_back(root: str, paths: Sequence[str], place: str) -> None:
    """Move what was set aside back to where it was, unless there is a newer one by now. Raises OSError."""
    for path in paths:
        with (
            contextlib.suppress(FileNotFoundError, FileExistsError),
            folder_beneath(root, path.rpartition("/")[0]) as fd,
        ):
            publish(os.path.join(place, path), fd, path.rpartition("/")[2])
    _sync_folders(root, paths)


def _sync_folders(root: str, paths: Sequence[str]) -> None:
    for folder in sorted({path.rpartition("/")[0] for path in paths}):
        sync_folder(os.path.join(root, folder))


class _Renaming:
    """Renames that are durable once this block ends well; each folder is opened and made durable once.

    Folders that something came into are made durable before those that it left: not every file system keeps both halves
    of a rename together.
    """

    def __init__(self) -> None:
        self._opened = contextlib.ExitStack()
        self._into: dict[tuple[str, str], int] = {}
        self._out_of: dict[tuple[str, str], int] = {}

    def __enter__(self) -> "_Renaming":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._opened:
            for fd in (*self._into.values(), *self._out_of.values()):
                os.fsync(fd)

    def rename(self, source: Storage, path: str, target: Storage, new: str) -> None:
        """Give `path` of one storage the name `new` of another, which is free. Raises OSError, CannotPublish."""
        self._folder(self._out_of, source, path)
        folder = self._folder(self._into, target, new)
        try:
            publish(os.path.join(source.root, path), folder, new.rpartition("/")[2])
        except OSError as error:
            raise OSError(error.errno, error.strerror, os.path.join(target.root, new)) from error

    def _folder(self, opened: dict[tuple[str, str], int], storage: Storage, path: str) -> int:
        key = storage.root, path.rpartition("/")[0]
        if key not in opened:
            create = storage.origin is not None  # the place beside is ours, and a recorder's folders never are
            opened[key] = self._opened.enter_context(folder_beneath(*key, create=create))
        return opened[key]


def _look(storage: Storage, segment: Segment, path: str) -> Look | None:
    """Return what lies at `path` of a storage; None if nothing of its kind does. Raises OSError, PathRefused."""
    try:
        with folder_beneath(storage.root, path.rpartition("/")[0]) as parent:
            return look_in(parent, storage.root, msgspec.structs.replace(segment, path=path))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _row(segment: Segment, storage: Storage, path: str) -> Segment:
    """Return the row of a segment that lies at `path` of a storage now. Raises OSError, PathRefused."""
    found = _look(storage, segment, path)
    assert found is not None, "it was seen there, or given that name, a moment ago"
    return msgspec.structs.replace(segment, storage_id=storage.id, path=path, inode=found.inode, id=0)


def _origin(beside: OriginLog, move: Move, now: int) -> Origin:
    """Return where a segment came from, to be noted under its name in the tree. `beside`: what is noted of it there."""
    segment = move.segment
    known = beside.find(segment.path, segment.start, segment.size, segment.mtime_ns)
    return Origin(
        path=move.path,
        server=segment.origin or "",
        camera=segment.camera,
        start=segment.start,
        end=segment.end,
        size=segment.size,
        mtime_ns=segment.mtime_ns,
        digest="" if segment.digest is None else segment.digest.hex(),
        source_path=segment.path if known is None else known.source_path,
        landed=now,
    )


def folders_of(moves: Sequence[Move]) -> Iterator[tuple[str, str]]:
    """Yield each storage's name with each of its folders that segments move into, once."""
    yield from sorted({(move.storage, move.path.rpartition("/")[0]) for move in moves})
