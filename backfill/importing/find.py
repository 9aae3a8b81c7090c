"""What an import has to choose from: everything that was filled beside a server's trees, and how those trees are.

Rule: looks and changes nothing; the recorder may run meanwhile, so no table that is being written is entered.
"""

import os
import shutil
from collections import defaultdict

from backfill.importing.choose import Choice, Folder, Left, Tree, choose
from backfill.layouts.capabilities import Importing
from backfill.publish import same_mount
from backfill.site import Site, takes_side
from backfill.storage import Storage
from schema.errors import StorageAway
from schema.ledger import Ledger
from schema.spans import DAY, Span
from schema.values import Segment

AWAY = "the place beside the recorder's storage that it lies in is away"
APART = "it, or the folder of our notes, is on another file system or mount than the recorder's: only a rename is safe"

Filled = list[tuple[str, Segment]]
"""Filled segments, each with the name of the storage that it lies in."""


def find(
    ledger: Ledger, site: Site, server: str, now: int, *, window: Span | None = None, cameras: frozenset[str]
) -> Choice:
    """Return what the recorder of `server` can be given, and what not. Raises StorageAway and what a look raises.

    Args:
        now: microseconds UTC.
        cameras: only these; empty: all.
    """
    found = Choice()
    for storage in site.storages:
        if storage.server != server or not takes_side(storage):
            continue
        filled: Filled = []
        for side in (one for (main, _), one in site.side.items() if main == storage.id):
            with ledger.reading() as connection:
                segments = ledger.segments.filled(connection, side.id)
            chosen = [
                one
                for one in segments
                if (window is None or one.span.overlaps(window)) and (not cameras or one.camera in cameras)
            ]
            why = _barred(storage, side) if chosen else ""
            if why:
                found.left += [Left(segment=one, side=side.name, why=why) for one in chosen]
            else:
                filled += [(side.name, one) for one in chosen]
        if filled:
            assert isinstance(storage.layout, Importing), "else all of it is barred"
            here = choose(_tree(ledger, storage, storage.layout, filled, now), filled)
            found.moves += here.moves
            found.left += here.left
    return found


def _barred(storage: Storage, side: Storage) -> str:
    """Return why nothing can go from `side` into a recorder's storage; nothing if it can. Raises StorageAway."""
    if not isinstance(storage.layout, Importing):
        return f"no recording can be put into the storage of {storage.layout.traits.title} this way"
    if not os.path.isdir(side.root):
        return AWAY
    # The recorder's indexes are set aside among our notes: that, too, is a rename.
    places = (side.root, storage.state_folder())
    return "" if all(same_mount(place, storage.root) for place in places) else APART


def _tree(ledger: Ledger, storage: Storage, layout: Importing, filled: Filled, now: int) -> Tree:
    """Return how a recorder's storage is. Raises StorageAway and the errors of a storage that cannot be read."""
    storage.check_present()
    own: dict[str, list[Segment]] = {}
    with ledger.reading() as connection:
        held = defaultdict(int, ledger.segments.sizes(connection, storage.id))
        for camera in {segment.camera for _, segment in filled}:
            known = ledger.segments.window(connection, storage.id, camera, Span(0, now + DAY))
            own[camera] = [one for one in known if one.origin is None]
    try:
        folders = {
            folder: Folder(
                limits=layout.limits(storage.root, folder),
                held=held[folder],
                names=os.listdir(os.path.join(storage.root, folder)),
            )
            for folder in layout.folders(storage.root)
        }
        free = shutil.disk_usage(storage.root).free
    except OSError as error:
        raise StorageAway(storage.title, storage.root, f"cannot be read: {error.strerror}") from None
    traits = storage.layout.traits
    return Tree(
        storage=storage,
        layout=layout,
        decrypts=traits.decrypts,
        folders=folders,
        own=own,
        free=free,
        spare=traits.spare,
        now=now,
        retention=storage.settings.retention,
    )
