"""Which folders the service writes to, and which it must never write to: what a sandbox is made of.

Rule: a copy is given its final name by a rename or a link, and the kernel refuses both between two mounts. A sandbox
makes a mount of every folder it opens for writing, so a storage's tree and its state folder are opened together, as the
one folder that holds both.
"""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from backfill.layouts import build
from backfill.site import takes_side, takes_tree
from backfill.storage import Storage
from schema.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Absolute paths, sorted."""

    writable: tuple[str, ...]
    """None lies in another."""
    guarded: tuple[str, ...]
    """Never to be written, although they may lie in a writable one."""
    own: tuple[str, ...]
    """Folders of ours that have to exist and belong to the service's user before it starts."""
    read: tuple[str, ...]
    """What else has to be seen: programs and libraries."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every path that the service has to see."""
        return (*self.writable, *self.guarded, *self.own, *self.read)


def places(settings: Settings, config: str) -> Places:
    """Return the places of a configuration. Raises StorageAway, StagingUnusable, ConfigInvalid."""
    writable: list[str] = []
    guarded = [config]
    own: list[str] = []
    for server in settings.servers:
        for one in server.storages:
            storage = Storage(
                id=0, server=server.name, name=one.name, root=one.root, layout=build(one, server.name), settings=one
            )
            storage.check_present()
            state = storage.state_folder()
            own.append(state)
            if takes_tree(storage):
                writable.append(os.path.commonpath((one.root, state)))
            else:
                writable.append(state)
                guarded.append(one.root)
            if takes_side(storage):
                own.append(storage.side_folder())
                writable.append(storage.side_folder())
            if one.frigate is not None and one.frigate.rows == "write":
                writable.append(os.path.dirname(one.frigate.database))
    if "://" not in settings.ledger:
        own.append(os.path.dirname(settings.ledger))
    own.append(settings.link.folder)
    if settings.identity.primary is not None:
        own.append(settings.identity.folder)  # where the service keeps that server's recorder id
    writable += own
    return Places(
        writable=outermost(writable),
        guarded=tuple(sorted(set(guarded))),
        own=tuple(sorted(set(own))),
        read=tuple(sorted({sys.prefix, sys.base_prefix, os.path.realpath(sys.executable)})),
    )


def outermost(folders: Iterable[str]) -> tuple[str, ...]:
    """Return the folders that lie in no other of them."""
    kept: list[str] = []
    for folder in sorted(set(folders), key=lambda path: (path.count("/") if path != "/" else 0, path)):
        if not any(within(folder, other) for other in kept):
            kept.append(folder)
    return tuple(sorted(kept))


def within(path: str, folder: str) -> bool:
    """Tell whether an absolute path is `folder` or lies in it."""
    return os.path.commonpath((path, folder)) == folder
