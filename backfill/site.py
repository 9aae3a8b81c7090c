"""The servers that record the same cameras, with their storages, as one value that everything else is given.

Rule: built once from the configuration and the ledger; holds no state of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from backfill.layouts import build
from backfill.storage import STATE_FOLDER, Storage
from schema.errors import ConfigInvalid, StagingUnusable, StorageAway, UnknownName
from schema.ledger import Ledger
from schema.settings import Settings, StorageSettings, name_problem, zone_problem
from schema.wire import StorageAbout


@dataclass(frozen=True, slots=True)
class Site:
    """All storages of all servers. `side` maps (destination storage id, source storage id) to a side store."""

    settings: Settings
    servers: tuple[str, ...]
    """Those whose storages are folders here, then those reached over the link."""
    storages: tuple[Storage, ...]
    """The recorders' storages that are folders here."""
    side: dict[tuple[int, int], Storage]
    remote: tuple[Storage, ...] = ()
    """Storages that only a peer's service can read."""
    problems: tuple[str, ...] = ()
    """What keeps a peer's storage from being understood here."""

    @property
    def local(self) -> tuple[str, ...]:
        """The servers that can be filled from here."""
        return tuple(server.name for server in self.settings.servers)

    def of(self, server: str) -> list[Storage]:
        """Return the storages that count as `server`'s: its recorder's, and side stores filled for it."""
        return [storage for storage in self._all() if storage.server == server]

    def near(self, storage: Storage) -> list[Storage]:
        """Return the other storages here of the same server, from which files may be moved into a recorder's one."""
        if storage.origin is not None:
            return []
        return [one for one in self.of(storage.server) if one.id != storage.id and not one.remote]

    def storage(self, ident: int) -> Storage:
        """Return the storage with that ledger id."""
        return next(one for one in self._all() if one.id == ident)

    def peers(self, server: str) -> list[str]:
        """Return the other servers, in the order of the configuration."""
        return [name for name in self.servers if name != server]

    def _all(self) -> tuple[Storage, ...]:
        return (*self.storages, *self.side.values(), *self.remote)

    def check_server(self, server: str) -> None:
        """Raise UnknownName unless `server` is configured."""
        if server not in self.servers:
            raise UnknownName("server", repr(server), ", ".join(self.servers))


def build_site(settings: Settings, ledger: Ledger) -> Site:
    """Return the site of a configuration. Raises ConfigInvalid for a layout that does not fit its options."""
    storages: list[Storage] = []
    for server in settings.servers:
        for one in server.storages:
            layout = build(one, server.name)
            storages.append(
                Storage(
                    id=ledger.storage_id(server.name, one.name),
                    server=server.name,
                    name=one.name,
                    root=one.root,
                    layout=layout,
                    settings=one,
                    cameras=server.cameras,
                )
            )
    remote, problems = remote_storages([peer.name for peer in settings.peers], ledger)
    side: dict[tuple[int, int], Storage] = {}
    for storage in storages:
        if takes_side(storage):
            for source in (*storages, *remote):
                if _gives(source, storage):
                    side[storage.id, source.id] = _side_store(storage, source, ledger)
    servers = (*(server.name for server in settings.servers), *(peer.name for peer in settings.peers))
    return Site(settings, servers, tuple(storages), side, remote, problems)


def remote_storages(servers: Iterable[str], ledger: Ledger) -> tuple[tuple[Storage, ...], tuple[str, ...]]:
    """Return storages of other hosts as far as their services have told of them, and what could not be understood."""
    found: list[Storage] = []
    problems: list[str] = []
    for name in servers:
        with ledger.reading() as connection:
            known = ledger.mirror.about(connection, name)
        for ident, about in known:
            one = about.settings()
            problem = None if about.side_of else name_problem(about.name)
            problem = problem or name_problem(name) or zone_problem(about.zone)
            if problem:
                problems.append(f"storage {name}/{about.name} cannot be read: {problem}")
                continue
            try:
                layout = build(one, name)
            except ConfigInvalid as error:
                problems.append(f"storage {name}/{about.name} cannot be read: {error}")
                continue
            found.append(
                Storage(
                    id=ident,
                    server=name,
                    name=about.name,
                    root="",
                    layout=layout,
                    settings=one,
                    cameras=dict(about.cameras),
                    origin=about.side_of,
                    remote=True,
                )
            )
    return tuple(found), tuple(problems)


def about(storage: Storage) -> StorageAbout:
    """Return how the names of a storage of ours are read, to tell a peer."""
    one = storage.settings
    return StorageAbout(
        name=one.name,
        layout=one.layout,
        zone=one.zone,
        retention=one.retention,
        template=one.template,
        options=dict(one.options),
        cameras=dict(storage.cameras),
        side_of=storage.origin,
    )


def takes_side(storage: Storage) -> bool:
    """Tell whether filled segments go beside this storage rather than into its tree."""
    fill = storage.settings.fill
    return fill == "side" or (fill == "auto" and storage.layout.traits.fill == "side")


def takes_tree(storage: Storage) -> bool:
    """Tell whether filled segments go into this storage's tree."""
    fill = storage.settings.fill
    return fill == "tree" or (fill == "auto" and storage.layout.traits.fill == "tree")


def sources(site: Site, storage: Storage) -> list[Storage]:
    """Return the storages that this one can be filled from."""
    return [one for one in (*site.storages, *site.remote) if _gives(one, storage)]


def _gives(source: Storage, storage: Storage) -> bool:
    """Tell whether `storage` can be filled from `source`: from what another server's recorder wrote."""
    return source.server != storage.server and source.origin is None


def spare_of(site: Site, server: str) -> int:
    """Return how many bytes of free space the recorders of a server need so that they do not delete by themselves."""
    return max((one.layout.traits.spare for one in site.storages if one.server == server), default=0)


def own_names(storage: Storage, source: Storage) -> bool:
    """Tell whether what `source` gives to lie beside `storage` is to bear the names of the recorder here."""
    same = storage.settings.layout == source.settings.layout
    return same and storage.layout.traits.own_names and source.layout.traits.own_names


def _side_store(storage: Storage, source: Storage, ledger: Ledger) -> Storage:
    """Return the side store for what `source` gives to `storage`: laid out as the source is, all of it filled."""
    for part in (source.server, source.name):
        problem = name_problem(part)
        if problem:  # they become components of a path, and a peer chose them
            raise ConfigInvalid(source.title, problem)
    # No name that is configured holds a space or a slash, so this one is nobody else's.
    name = f"{storage.name} from {source.server}/{source.name}"
    try:
        folder = storage.side_folder()
    except (StagingUnusable, StorageAway):
        # Said when something is to be filled; a storage that is away must not keep the others from being read.
        folder = f"{storage.root}/{STATE_FOLDER}/side"
    settings: StorageSettings = msgspec.structs.replace(
        source.settings,
        name=name,
        root=f"{folder}/{source.server}/{source.name}",
        state=f"{folder}/{STATE_FOLDER}/{source.server}/{source.name}",
        fill="tree",
        after_fill=storage.settings.after_fill,
        frigate=None,
        retention=storage.settings.retention,
    )
    return Storage(
        id=ledger.storage_id(storage.server, name),
        server=storage.server,
        name=name,
        root=settings.root,
        layout=source.layout,
        settings=settings,
        cameras=storage.cameras if own_names(storage, source) else source.cameras,
        origin=source.server,
    )
