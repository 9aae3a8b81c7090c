"""Repairing copies: a damaged one of ours gives way to a good one, which is fetched and verified first.

Rule, for each damaged copy, in this order:
1. what it was made from is fetched into staging and verified     the fill does that, as for any segment
2. it has the digest that the copy had when it was good           what the peer has now may be worse than what is here
3. under its name there still is that very copy                   never anything that a recorder wrote meanwhile
4. its row is forgotten, the copy moved into quarantine           nothing is deleted
5. the good one is landed                                         the fill does that too
What fails before 4 leaves the damaged copy, most of which may play, where it is. A crash within 4 or after it leaves a
gap, for which the next fill has everything in staging.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator

from backfill.beneath import folder_beneath
from backfill.bring import Staged
from backfill.origins import OriginLog
from backfill.plan import order, refuse
from backfill.site import Site, takes_tree
from backfill.storage import Storage, sync_folder
from backfill.transfer import write_error
from backfill.unchanged import look_in
from backfill.verify import Damage
from schema.digests import short_name
from schema.errors import OperatorError, PathRefused, PermissionMissing, StagingUnusable, StorageAway
from schema.ledger import Ledger
from schema.ledger.folders import FolderChange
from schema.ledger.manifests import FileManifest, digest_of
from schema.ledger.segments import Landing
from schema.values import FillResult, Mark, Plan, Refusal, Refused, Segment, Task

Copy = tuple[int, str]
"""Which copy: the ledger's number of its storage, and its path there."""


class NotThatCopy(Exception):
    """What lies under the name of a damaged copy is not that copy any more."""


class Repair:
    """The damaged copies that can be fetched again, and what became of each. `damage` may hold others too."""

    def __init__(self, ledger: Ledger, site: Site, damage: Iterable[Damage]) -> None:
        self._ledger = ledger
        self._site = site
        self._damaged = {one.copy: one for one in damage if one.repairable}
        self._asked: dict[tuple[str | None, str], list[Copy]] = {}
        """By peer and path there, as refusals name them."""
        self.repaired: set[Copy] = set()
        self.why_not: dict[Copy, str] = {}
        self.aside: list[tuple[str, str]] = []
        """What was moved: from which path, and where it is now."""

    def __len__(self) -> int:
        return len(self._damaged)

    def plans(self) -> dict[str, Plan]:
        """Return for each server what to fetch: the sources of its damaged copies, and nothing else."""
        tasks: dict[str, list[Task]] = {}
        refused: dict[str, list[Refused]] = {}
        for copy, damage in self._damaged.items():
            server = damage.storage.server
            planned = self._planned(damage)
            if isinstance(planned, Task):
                tasks.setdefault(server, []).append(planned)
                self._asked.setdefault((planned.peer, planned.source.path), []).append(copy)
            else:
                refused.setdefault(server, []).append(planned)
                self._asked.setdefault((planned.peer, planned.path), []).append(copy)
        return {
            server: Plan(tasks=tuple(order(tasks.get(server, ()), 0)), refused=tuple(refused.get(server, ())))
            for server in sorted({*tasks, *refused})
        }

    def _planned(self, damage: Damage) -> Task | Refused:
        segment, storage = damage.segment, damage.storage
        assert segment is not None and segment.origin is not None
        source, why, detail = None, Refusal.IMPORTED, ""
        if storage.origin is not None or takes_tree(storage):
            source, why = self._source(storage, segment, segment.origin), Refusal.SOURCE_GONE
            detail = f"{segment.origin} has no recording of that time and size any more; the damaged copy stays"
        if source is None:
            return Refused(
                server=storage.server,
                camera=segment.camera,
                span=segment.span,
                peer=segment.origin,
                path=segment.path,
                why=why,
                detail=detail,
            )
        return Task(
            server=storage.server,
            peer=segment.origin,
            source=source,
            storage_id=storage.id,
            path=segment.path,
            new=0,
        )

    def _source(self, storage: Storage, segment: Segment, peer: str) -> Segment | None:
        """Return what the recorder of `peer` has of exactly that time and size; of several, what it was made from."""
        with self._ledger.reading() as connection:
            same = [
                one
                for theirs in self._site.of(peer)
                for one in self._ledger.segments.window(connection, theirs.id, segment.camera, segment.span)
                if one.origin is None
                and not one.marks & Mark.UNCERTAIN
                and (one.span, one.size, one.kind) == (segment.span, segment.size, segment.kind)
            ]
        if len(same) < 2:
            return same[0] if same else None
        origin = None
        with contextlib.suppress(StagingUnusable, StorageAway):
            log = OriginLog(storage.state_folder())
            origin = log.find(segment.path, segment.start, segment.size, segment.mtime_ns)
        return next((one for one in same if origin and one.path == origin.source_path), same[0])

    def make_room(self, staged: Staged) -> Refused | None:
        """Set the damaged copy aside for the good one that is staged; returns why not if it must stay."""
        task = staged.task
        damage = self._damaged[task.storage_id, task.path]
        assert damage.segment is not None
        if damage.segment.digest not in (None, digest_of(staged.files)):
            staged.partial.drop()
            return refuse(task, Refusal.SOURCE_DAMAGED, "what it gives now is not what it gave then; the copy stays")
        try:
            self.aside.append((task.path, set_aside(self._ledger, damage)))
        except (NotThatCopy, FileNotFoundError, NotADirectoryError, PathRefused):
            staged.partial.drop()
            return refuse(task, Refusal.CHANGED_HERE, task.path)
        except OSError as error:
            named = write_error(error, damage.storage.root, task.path)
            why = Refusal.NOT_PERMITTED if isinstance(named, PermissionMissing) else Refusal.WRITE_FAILED
            return refuse(task, why, str(named))
        except (StagingUnusable, StorageAway) as error:
            return refuse(task, Refusal.WRITE_FAILED, str(error))
        return None

    def note(self, result: FillResult) -> None:
        """Take in how the fill of one of the plans ended."""
        self.repaired.update((one.task.storage_id, one.task.path) for one in result.landed)
        for one in result.refused:
            for copy in self._asked.get((one.peer, one.path), ()):
                self.why_not[copy] = one.sentence

    def failed(self, server: str, error: OperatorError) -> None:
        """Take in that the fill of the plan for `server` did not even begin, or broke off."""
        for copy, damage in self._damaged.items():
            if damage.storage.server == server and copy not in self.repaired:
                self.why_not.setdefault(copy, str(error))


def set_aside(ledger: Ledger, damage: Damage) -> str:
    """Move a damaged copy of ours out of the tree and forget its row; returns where it is now.

    Raises ValueError for anything a recorder wrote, NotThatCopy if something else lies there by now, PathRefused,
    StagingUnusable, StorageAway, OSError. If it was not moved the ledger holds what it held before.
    """
    segment, storage = damage.segment, damage.storage
    if segment is None or not damage.repairable:
        raise ValueError(f"{damage.path} is not a copy of ours")
    folder, _, name = segment.path.rpartition("/")
    with folder_beneath(storage.root, folder) as parent:
        _check(parent, storage, segment)
        with _place(storage, segment) as (place, quarantine):
            files = _forget(ledger, storage, segment)
            try:
                _check(parent, storage, segment)  # the recorder does not wait for the ledger
                os.rename(name, name, src_dir_fd=parent, dst_dir_fd=quarantine)
            except BaseException:
                with ledger.writing() as connection:
                    ledger.segments.land(connection, [Landing(segment, files)])
                raise
            os.fsync(quarantine)
        os.fsync(parent)
    return os.path.join(place, name)


def _check(parent: int, storage: Storage, segment: Segment) -> None:
    if not look_in(parent, storage.root, segment).is_of(segment):
        raise NotThatCopy(segment.path)


@contextlib.contextmanager
def _place(storage: Storage, segment: Segment) -> Iterator[tuple[str, int]]:
    """Give a new folder in quarantine, and a descriptor of it, for this one copy: nothing there is ever replaced."""
    quarantine = os.path.join(storage.state_folder(), "quarantine")
    os.makedirs(quarantine, exist_ok=True)
    number = 0
    while True:
        place = os.path.join(quarantine, f"{short_name(segment.path)[:12]}-{number}")
        try:
            os.mkdir(place)
        except FileExistsError:
            number += 1
        else:
            break
    fd = os.open(place, os.O_RDONLY)
    try:
        yield place, fd
        sync_folder(quarantine)
    finally:
        os.close(fd)
        with contextlib.suppress(OSError):
            os.rmdir(place)  # if nothing came


def _forget(ledger: Ledger, storage: Storage, segment: Segment) -> tuple[FileManifest, ...]:
    """Forget a segment's row before its file is moved; returns what the ledger had of its files.

    First the row, then the file, and the folder will be listed anew: after a crash the next scan takes in what is
    there, and takes nothing for deleted on purpose.
    """
    folder = segment.path.rpartition("/")[0]
    unsettled = FolderChange(path=folder, mtime_ns=0, settled=False, removed=[segment.id])
    with ledger.writing() as connection:
        files = ledger.segments.manifest(connection, segment)
        ledger.segments.apply(connection, storage.id, [unsettled])
    return files
