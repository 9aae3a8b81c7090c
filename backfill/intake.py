"""Looking at one folder: which of its entries are segments, and what each is.

Rule: observes and judges, changes nothing. A known, final file is recognised by name and inode alone and not opened;
what is no recording is counted with its reason, never dropped in silence. Runs in threads.
"""

import os
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import msgspec

from backfill.containers import Probe, probe
from backfill.filled import Filled
from backfill.layouts import EndRule, Named
from backfill.layouts.capabilities import Index, Indexed, Told
from backfill.layouts.zones import resolve
from backfill.seal import FUTURE, STALL, Look, judge, judge_told, look_of, unusable
from backfill.storage import INODE_MASK, STATE_FOLDER, Storage, held_time, inode_of
from backfill.units import measure_unit
from schema.errors import PathRefused
from schema.spans import DAY
from schema.values import Kind, Mark, Segment, State

_LINGERS = DAY
"""A file without an end that was not written to for this long is done with: its folder may settle."""


@dataclass(slots=True)
class FolderLook:
    """What one folder holds."""

    folder: str
    mtime_ns: int
    added: list[Segment] = field(default_factory=list)
    changed: list[Segment] = field(default_factory=list)
    replaced: list[tuple[Segment, Segment]] = field(default_factory=list)
    """Those of the changed that are another file than before: what the ledger knew, and what is there now."""
    vanished: list[Segment] = field(default_factory=list)
    """Known before, not there now; tombstones excepted."""
    subfolders: list[str] = field(default_factory=list)
    kept: int = 0
    """Known and unchanged."""
    still_open: int = 0
    settled: bool = True
    """Every entry is final."""
    rewritten: list[str] = field(default_factory=list)
    """Sealed before and of another size or time now: someone wrote to them."""
    failed: bool = False
    """It could not be listed; what the ledger knows of it and below it stays."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """Entries that are no recordings: path and reason."""

    def skip(self, reason: str, path: str) -> None:
        """Note an entry that is no recording."""
        self.skipped.append((path, reason))


class _Opened(NamedTuple):
    """An entry whose name is a recording's, with what its container says."""

    path: str
    named: Named
    size: int
    mtime_ns: int
    inode: int
    probe: Probe
    before: Segment | None
    told: Told | None = None
    """What the recorder's own index says of it, where there is one."""


class Intake:
    """Judges the entries of one storage's folders.

    Args:
        now: microseconds UTC, one moment for the whole scan.
        filled: says which files a fill brought.
    """

    def __init__(self, storage: Storage, *, now: int, filled: Filled) -> None:
        self._storage = storage
        self._layout = storage.layout
        self._zone = storage.zone
        self._now = now
        self._filled = filled
        self._index: Index | None = None
        if isinstance(storage.layout, Indexed):
            ours = storage.origin is not None
            self._index = storage.layout.index(storage.root, storage.zone, now, ours=ours)

    def look(
        self, folder: str, mtime_ns: int, known: dict[str, Segment], *, stat_all: bool = False, rejudge: bool = False
    ) -> FolderLook:
        """List `folder` and judge what is new or not final. `known` is what the ledger holds of it, by name.

        `stat_all` looks at the size and time of every file; `rejudge` opens every file, because the rules changed.
        """
        found = FolderLook(folder, mtime_ns)
        path = os.path.join(self._storage.root, folder)
        unseen = dict(known)
        fresh: list[tuple[str, os.stat_result, Segment | None]] = []
        names: list[str] = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    known_as = unseen.get(entry.name)
                    if known_as is not None and not (stat_all or rejudge) and _is_final(entry, known_as):
                        del unseen[entry.name]  # the common case, and a bank of XProtect may have tens of thousands
                        names.append(known_as.path)
                        found.kept += 1
                        continue
                    name = self._usable(entry, folder, found)
                    if name is None:
                        continue
                    before = unseen.pop(entry.name, None)
                    try:
                        info = self._news(entry, None if rejudge else before, stat_all)
                    except FileNotFoundError:
                        found.settled = False  # deleted or renamed since it was listed: the next scan knows
                        continue
                    except OSError as error:
                        found.skip(f"cannot be read: {error.strerror}", name)
                        found.settled = False
                        continue
                    names.append(name)
                    if info is None:
                        found.kept += 1
                        if before is not None and self._may_change(before):
                            found.settled = False
                    else:
                        fresh.append((name, info, before))
        except OSError as error:
            # The rest of the storage is still worth scanning.
            failed = FolderLook(folder, mtime_ns, settled=False, failed=True)
            failed.skip(f"folder cannot be read: {error.strerror}", folder or ".")
            return failed
        self._judge_all(fresh, names, found)
        found.vanished = [segment for segment in unseen.values() if segment.state is not State.GONE]
        return found

    def _usable(self, entry: os.DirEntry[str], folder: str, found: FolderLook) -> str | None:
        """Return the path of an entry that may be a segment; else note what it is."""
        path = f"{folder}/{entry.name}" if folder else entry.name
        try:
            entry.name.encode()
        except UnicodeEncodeError:
            found.skip("name is not UTF-8", ascii(path))
            return None
        if not entry.name.isprintable():
            found.skip("name has control characters", ascii(path))
            return None
        if entry.is_symlink():
            if not entry.name.startswith("."):
                found.skip("symbolic link, not followed", path)
            return None
        if entry.is_dir(follow_symlinks=False):
            if self._layout.is_unit(path):
                return path
            if entry.name != STATE_FOLDER and self._layout.enter(path):
                found.subfolders.append(path)
            elif remark := self._remark(path, folder=True):
                found.skip(remark, path)
            return None
        if not entry.is_file(follow_symlinks=False):
            found.skip("not a regular file", path)
            return None
        return None if self._remark(path, folder=False) == "" else path

    def _remark(self, path: str, *, folder: bool) -> str | None:
        """Return what the layout says of what is no segment; nothing if it belongs there, None if it says nothing."""
        return self._layout.remark(path, folder=folder) if isinstance(self._layout, Indexed) else None

    def _news(self, entry: os.DirEntry[str], before: Segment | None, stat_all: bool) -> os.stat_result | None:
        """Return the stat of an entry to judge; None if it is known, final, and still what it was. Raises OSError."""
        if before is None or before.state in (State.OPEN, State.GONE) or entry.inode() & INODE_MASK != before.inode:
            return entry.stat(follow_symlinks=False)
        # What was quarantined or never closed may have had a writer after all: a stalled disk, a sleeping machine.
        if _is_final(entry, before) and not stat_all:
            return None
        info = entry.stat(follow_symlinks=False)
        same = info.st_size == before.size and held_time(info.st_mtime_ns) == before.mtime_ns
        if not same or before.kind is not Kind.FILE:
            return info
        rested = self._age(before) >= STALL and bool(before.marks & Mark.SUSPECT)
        return info if rested or self._came(before) else None

    def _age(self, segment: Segment) -> int:
        return self._now - segment.mtime_ns // 1000

    def _came(self, before: Segment) -> bool:
        """Tell whether what was quarantined for a time in the future is to be judged again: its time has come."""
        ahead = before.state is State.QUARANTINED and before.start > before.mtime_ns // 1000
        return ahead and before.start <= self._now + FUTURE

    def _may_change(self, segment: Segment) -> bool:
        """Tell whether a segment is to be looked at again although its folder may not change until then."""
        if segment.state is State.QUARANTINED:
            return self._age(segment) < _LINGERS or segment.start > self._now + FUTURE
        if segment.state is State.SEALED and segment.marks & Mark.UNCLOSED:
            return self._age(segment) < _LINGERS
        return segment.state is State.SEALED and bool(segment.marks & Mark.SUSPECT)

    def _judge_all(
        self, fresh: list[tuple[str, os.stat_result, Segment | None]], names: list[str], found: FolderLook
    ) -> None:
        """Open and judge the entries of `fresh`; `names` are the paths of all in the folder."""
        if self._index is not None and fresh:
            self._index.prepare(found.folder, [path for path, _, _ in fresh])
        opened = [one for path, info, before in fresh if (one := self._open(path, info, before, found)) is not None]
        # A file without an end mark is finished once its camera has a newer one.
        need_next = self._layout.traits.end is EndRule.NEXT or any(
            one.told is None and not one.probe.closed for one in opened
        )
        following = self._following(names) if need_next else {}
        for one in opened:
            look = Look(one.size, one.mtime_ns // 1000, one.probe, following.get(one.path))
            if one.told is None:
                verdict = judge(one.named, look, self._layout.traits, self._zone, self._now)
            elif _known_better(one, one.told):
                found.kept += 1
                continue
            else:
                verdict = judge_told(one.told, self._layout.traits, self._now)
            segment = Segment(
                storage_id=self._storage.id,
                camera=self._storage.shared_channel(one.named.channel),
                path=one.path,
                start=verdict.start,
                end=verdict.end,
                size=one.size,
                mtime_ns=one.mtime_ns,
                inode=one.inode,
                state=verdict.state,
                kind=Kind.FOLDER if one.probe.container == "folder" else Kind.FILE,
                marks=verdict.marks,
                reason=verdict.reason,
                origin=self._storage.origin,
            )
            try:
                if verdict.state is State.OPEN or unusable(look, self._layout.traits):
                    segment = self._filled.waiting(segment, one.before)
                else:
                    segment = self._filled.settle(segment, one.before)
            except (OSError, PathRefused) as error:
                found.skip(f"cannot be read: {_why(error)}", one.path)
                found.settled = False
                continue
            self._put(segment, one.before, found)

    def _open(self, path: str, info: os.stat_result, before: Segment | None, found: FolderLook) -> "_Opened | None":
        """Return what name and container of one entry say; None, with the reason noted, if it is no recording."""
        named = self._layout.read(path)
        if named is None:
            found.skip("name is not this recorder's", path)
            return None
        try:
            if self._index is not None:
                told = self._index.tell(path)
                seen, mtime_ns = look_of(told).probe, held_time(told.mtime_ns)
                return _Opened(path, told.named, told.size, mtime_ns, inode_of(info), seen, before, told)
            size, mtime_ns, probed = self._measure(path, info)
        except FileNotFoundError:
            found.settled = False  # deleted or renamed since it was listed
            return None
        except OSError as error:
            found.skip(f"cannot be read: {error.strerror}", path)
            found.settled = False
            return None
        return _Opened(path, named, size, mtime_ns, inode_of(info), probed, before)

    def _measure(self, path: str, info: os.stat_result) -> tuple[int, int, Probe]:
        """Return size, last write and what the container says. Raises OSError."""
        full = os.path.join(self._storage.root, path)
        if not self._layout.is_unit(path):
            return info.st_size, held_time(info.st_mtime_ns), probe(full, info.st_size)
        size, mtime_ns = measure_unit(full)
        problem = "" if size else "its folder holds nothing"
        return size, held_time(mtime_ns), Probe("folder", None, None, problem, plays=not problem)

    def _following(self, names: list[str]) -> dict[str, int]:
        """Return for each path the start of the same camera's next one in this folder."""
        starts: list[tuple[str, int, str]] = []
        for path in names:
            named = self._layout.read(path)
            if named is not None and named.stamp is not None:
                starts.append((named.channel, resolve(named.stamp, self._zone, None)[0], path))
        starts.sort()
        return {one[2]: other[1] for one, other in pairwise(starts) if one[0] == other[0]}

    def _put(self, segment: Segment, before: Segment | None, found: FolderLook) -> None:
        if segment.state is State.OPEN:
            found.still_open += 1
            found.settled = False
        elif self._may_change(segment):
            found.settled = False
        if before is None:
            found.added.append(segment)
            return
        same = before.inode == segment.inode and before.mtime_ns == segment.mtime_ns and before.size == segment.size
        if before.state is State.SEALED and not same:
            found.rewritten.append(segment.path)
        if same and before.digest is not None:
            segment = msgspec.structs.replace(segment, digest=before.digest)
        segment = msgspec.structs.replace(segment, id=before.id)
        if before.inode != segment.inode:
            found.replaced.append((before, segment))
        if segment == before:
            found.kept += 1
        else:
            found.changed.append(segment)


def _is_final(entry: os.DirEntry[str], before: Segment) -> bool:
    """Tell whether an entry is what the ledger knows under its name, and that is final."""
    final = before.state is State.SEALED and not before.marks & (Mark.UNCLOSED | Mark.SUSPECT)
    return final and entry.inode() & INODE_MASK == before.inode


def _known_better(one: _Opened, told: Told) -> bool:
    """Tell whether the ledger knows of the very same unit what the recorder's index did not tell this time.

    An index that is away, damaged or just being written must not turn coverage into a gap.
    """
    before = one.before
    if before is None or before.state is not State.SEALED or before.marks & Mark.UNCERTAIN:
        return False
    return bool(told.doubt or told.waiting) and (before.size, before.mtime_ns) == (one.size, one.mtime_ns)


def _why(error: OSError | PathRefused) -> str:
    return str(error.strerror if isinstance(error, OSError) else error)
