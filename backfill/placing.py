"""Where a filled segment goes: which storage of the destination, and under which path.

Rule: pure. Between two storages of one layout the peer's name is kept to the letter, with the camera's own name here;
between layouts a new name is written from camera and time. What that one's recorder cannot read is not known here: see
`only_reads`. What cannot be named is refused with the missing field, and
so is a name that would be read here as another camera's.
"""

from collections.abc import Iterator

from backfill.layouts import Named, Stamp
from backfill.layouts.base import Unplaceable
from backfill.site import Site, own_names, takes_side, takes_tree
from backfill.storage import Storage
from schema.values import Kind, Mark, Refusal, Segment

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
    if segment.marks & Mark.ENCRYPTED:
        takers = [storage for storage in takers if storage.layout.traits.decrypts]
        if not takers:
            return Refusal.ENCRYPTED, ""
    for storage in takers:
        try:
            if takes_side(storage):
                return site.side[storage.id, source_storage.id], _path_beside(storage, source_storage, segment)
            return storage, path_in(storage, source_storage, segment)
        except Unplaceable as error:
            problem = str(error)
    return Refusal.UNPLACEABLE, problem


def _path_beside(storage: Storage, source_storage: Storage, segment: Segment) -> str:
    """Return the path of `segment` beside the tree of `storage`: the peer's, or with this recorder's camera in it.

    Raises Unplaceable.
    """
    if not own_names(storage, source_storage):
        return segment.path
    named = source_storage.layout.read(segment.path)
    if named is None:
        raise Unplaceable(f"{segment.path} is not a name of {source_storage.layout.traits.title}")
    own = storage.own_camera(segment.camera)
    return segment.path if own == named.camera else source_storage.layout.write(named._replace(camera=own))


def path_in(storage: Storage, source_storage: Storage, segment: Segment) -> str:
    """Return the path of `segment` in the tree of `storage`. Raises Unplaceable."""
    layout = storage.layout
    named = source_storage.layout.read(segment.path)
    if named is None:
        raise Unplaceable(f"{segment.path} is not a name of {source_storage.layout.traits.title}")
    alike = _alike(storage, source_storage)
    if alike and storage.cameras == source_storage.cameras and storage.shared_channel(named.channel) == segment.camera:
        return segment.path  # the common case, and a plan may have thousands
    here = _as_named_here(storage, segment.camera, named)
    if not alike:
        path = _renamed(storage, source_storage, segment, here)
    elif here == named:
        path = segment.path
    else:
        path = layout.write(here)
    said = layout.read(path)
    if said is None or storage.shared_channel(said.channel) != segment.camera:
        reads = "nothing" if said is None else f"camera {storage.shared_channel(said.channel)!r}"
        raise Unplaceable(f"{path} would be read as {reads} here, not as camera {segment.camera!r}")
    return path


def _as_named_here(storage: Storage, channel: str, named: Named) -> Named:
    """Return `named` with this recorder's names for the shared `channel`, which may be mapped with its stream."""
    own, stream = storage.own_camera(channel), named.stream
    if not stream:
        return named._replace(camera=own)
    tail = f"/{stream}"
    if own == channel:
        return named._replace(camera=storage.own_camera(channel.removesuffix(tail)))
    return named._replace(camera=own.removesuffix(tail), stream=stream if own.endswith(tail) else "")


def _alike(one: Storage, other: Storage) -> bool:
    """Tell whether two storages name their files by the same rules, so that a name means the same in both."""

    def rules(storage: Storage) -> tuple[object, ...]:
        settings = storage.settings
        pattern = settings.template.pattern if settings.template else None
        zone = settings.zone if storage.layout.traits.local else None
        return settings.layout, settings.options, pattern, zone

    return rules(one) == rules(other)


def _renamed(storage: Storage, source_storage: Storage, segment: Segment, named: Named) -> str:
    """Return the name of a segment here that another layout named. Raises Unplaceable."""
    theirs, ours = source_storage.layout.traits.title, storage.layout.traits.title
    if segment.kind is Kind.FOLDER:
        raise Unplaceable(f"a folder of {theirs} means nothing to {ours}")
    suffix = segment.path.rpartition(".")[2]
    stamp = Stamp(segment.start, local=False)
    fields = {"suffix": suffix, **named.fields}
    path = storage.layout.write(named._replace(stamp=stamp, duration=segment.end - segment.start, fields=fields))
    if path.rpartition(".")[2] != suffix:
        raise Unplaceable(f"{ours} names no files that end in .{suffix}")
    return path


def only_reads(storage: Storage, source_storage: Storage) -> tuple[str, ...]:
    """Return the only containers that `storage` takes of what `source_storage` names; nothing if it takes any.

    What a file holds is known when it is here: the lander looks (`landing`). What the same layout wrote is as it should
    be.
    """
    foreign = storage.origin is None and not _alike(storage, source_storage)
    return storage.layout.traits.reads if foreign else ()


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
