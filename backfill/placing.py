"""Where a filled segment goes: which storage of the destination, and under which path.

Rule: pure. Between two storages of one layout the peer's name is kept to the letter, with the camera's own name here;
between layouts a new name is written from camera and time. What cannot be named is refused with the missing field.
"""

from collections.abc import Iterator

from backfill.layouts import Stamp
from backfill.layouts.base import Unplaceable
from backfill.site import Site, takes_side, takes_tree
from backfill.storage import Storage
from schema.values import Refusal, Segment

_NAMES_TRIED = 30


def place(
    site: Site, server: str, source_storage: Storage, segment: Segment
) -> tuple[Storage, str] | tuple[Refusal, str]:
    """Return the storage and path for `segment` on `server`, or why there is none, with a detail."""
    mine = [storage for storage in site.storages if storage.server == server]
    takers = [storage for storage in mine if takes_tree(storage) or takes_side(storage)]
    if not takers:
        return Refusal.LAYOUT_UNSAFE, ""
    problem = ""
    for storage in takers:
        if takes_side(storage):
            return site.side[storage.id, source_storage.id], segment.path
        try:
            return storage, path_in(storage, source_storage, segment)
        except Unplaceable as error:
            problem = str(error)
    return Refusal.UNPLACEABLE, problem


def path_in(storage: Storage, source_storage: Storage, segment: Segment) -> str:
    """Return the path of `segment` in the tree of `storage`. Raises Unplaceable."""
    named = source_storage.layout.read(segment.path)
    if named is None:
        raise Unplaceable(f"{segment.path} is not a name of {source_storage.layout.traits.title}")
    shared = source_storage.shared_channel(named.camera)
    named = named._replace(camera=storage.own_camera(shared))
    alike = storage.layout.traits.name == source_storage.layout.traits.name and storage.zone == source_storage.zone
    if alike:
        return storage.layout.write(named)
    suffix = segment.path.rpartition(".")[2]
    stamp = Stamp(segment.start, local=False)
    return storage.layout.write(
        named._replace(stamp=stamp, duration=segment.end - segment.start, fields={"suffix": suffix, **named.fields})
    )


def other_names(storage: Storage, path: str) -> Iterator[str]:
    """Yield the next free-name candidates after `path`, which is taken by other content: later by the layout's step."""
    named = storage.layout.read(path)
    if named is None or named.stamp is None:
        return
    step = max(storage.layout.traits.name_step, 1)
    for count in range(1, _NAMES_TRIED + 1):
        try:
            yield storage.layout.write(named._replace(stamp=named.stamp._replace(us=named.stamp.us + count * step)))
        except Unplaceable:
            return
