"""The examination of a host: gathers the facts of everything that is configured and has them judged.

Rule: goes on whatever it meets. One storage that is away or one peer that is silent is a finding, and what comes after
it is looked at all the same.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping

from backfill.layouts.capabilities import Advice, Advising, Around, Importing, Known, Limits
from backfill.link.client import LinkClient
from backfill.oddities import sentences
from backfill.sampling import sample
from backfill.site import sources, spare_of, takes_tree
from backfill.storage import Storage
from recorder_sync.alarms.channels import open_channel
from recorder_sync.app import App
from recorder_sync.doctor import facts, identity, judge
from recorder_sync.doctor.findings import About, Finding
from recorder_sync.identity.registry import this_registry
from recorder_sync.importing.journal import problems
from recorder_sync.linking import clients, trust_of
from schema.errors import OperatorError, PeerIncompatible, StagingUnusable, StorageAway
from schema.settings import Settings
from schema.spans import SECOND
from schema.values import Mark, State
from schema.wire import PROTOCOL


def examine(
    app: App, *, now: Callable[[], int], service_problem: str, environment: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield every finding of this host, in the order in which things depend on one another.

    Args:
        now: returns microseconds UTC.
        service_problem: why the service here does not answer, empty if it does.
    """
    settings = app.settings
    yield judge.clock(facts.clock_synchronised())
    yield judge.files(facts.open_files())
    address = settings.ledger
    yield judge.ledger(app.ledger.address, None if "://" in address else facts.place(address))
    watches = facts.watches()
    for storage in app.site.storages:
        known = storage_facts(app, storage, now())
        yield from judge.storage(known, reserve=settings.fill.reserve, rescan=settings.scan.rescan, watches=watches)
    for problem in app.site.problems:
        yield About("storage", "of a peer").problem(problem, "update the older of the two hosts")
    yield judge.service(service_problem)
    for said, hint in problems(settings.identity.folder, app.site.local):
        yield About("import", "cut off").problem(said, hint)
    if settings.peers:
        yield from _link(settings, now)
    found = identity.facts(settings.identity, now, this_registry())
    if found is not None:
        yield from identity.judge(found)
    elif (state := identity.state(settings.identity)) is not None:
        yield identity.service(settings.identity, state)
    yield from judge.alarms(_channels(settings, environment))


def storage_facts(app: App, storage: Storage, now: int) -> judge.StorageFacts:
    """Return what is to be known of a storage here; `now` in microseconds UTC."""
    root = facts.place(storage.root)
    layout = storage.layout.traits.title
    try:
        storage.check_present()
    except OperatorError as error:
        return judge.StorageFacts(title=storage.title, layout=layout, root=root, missing=error)
    state = missing = None
    try:
        state = facts.place(storage.state_folder())
    except (StagingUnusable, StorageAway) as error:
        missing = error
    found = sample(storage.root)
    scanned = app.ledger.storage_note(storage.id)[2]
    own = _known(app, storage)
    with app.ledger.reading() as connection:
        folders = len(app.ledger.folders.known(connection, storage.id)) if storage.layout.traits.watched else None
    tree = takes_tree(storage)
    return judge.StorageFacts(
        title=storage.title,
        layout=layout,
        root=root,
        sampled=len(found.files),
        read=sum(storage.layout.read(path) is not None for path in found.files),
        known=own.segments or 0,
        denied=tuple(found.denied),
        scanned_age=now - scanned if scanned else None,
        odd=tuple(sentences(storage.title, app.odd(storage))),
        into_tree=tree,
        side=None if tree or missing is not None else facts.place(storage.side_folder()),
        state=state,
        state_missing=missing,
        folders=folders,
        spare=spare_of(app.site, storage.server),
        advice=_advice(app, storage, own, root.free),
    )


def _advice(app: App, storage: Storage, own: Known, free: int | None) -> tuple[Advice, ...]:
    """Return what the layout says of its recorder's needs. `free`: bytes at the storage; None if unknown."""
    if not isinstance(storage.layout, Advising):
        return ()
    same = [one for one in sources(app.site, storage) if one.settings.layout == storage.settings.layout]
    around = Around(
        free=free,
        own=own,
        sources=[_known(app, one) for one in same],
        retention=storage.settings.retention,
        limits=_limits(storage),
    )
    return tuple(storage.layout.advise(around))


def _limits(storage: Storage) -> list[Limits]:
    """Return what the recorder's own settings say that it keeps; nothing where they cannot be read."""
    layout = storage.layout
    if not isinstance(layout, Importing):
        return []
    with contextlib.suppress(OSError):
        return [layout.limits(storage.root, folder) for folder in layout.folders(storage.root)]
    return []


def _known(app: App, storage: Storage) -> Known:
    """Return what the ledger here knows of a storage's segments."""
    if storage.remote:
        return Known(storage.title, None)
    with app.ledger.reading() as connection:
        sealed = app.ledger.segments.count(connection, storage.id).get(State.SEALED, (0, 0))[0]
        encrypted = app.ledger.segments.marked(connection, storage.id, Mark.ENCRYPTED)
    return Known(storage.title, sealed, encrypted)


def _link(settings: Settings, now: Callable[[], int]) -> Iterator[Finding]:
    trust = trust_of(settings)
    if settings.link.encryption == "none":
        yield About("link", "encryption").warning(
            "it is off: anybody in the network can read recordings and can pretend to be the peer",
            'set link.encryption = "tls" on both hosts, unless the network is closed',
        )
    else:
        try:
            yield judge.certificate(round(trust.lasts_until().timestamp() * SECOND) - now())
        except OperatorError as error:
            yield About("link", "certificate").error(error)
            return
    reached = clients(settings, trust)
    try:
        for client in reached:
            yield from _peer(client, settings, now)
    finally:
        for client in reached:
            client.close()


def _peer(client: LinkClient, settings: Settings, now: Callable[[], int]) -> Iterator[Finding]:
    try:
        hello = client.hello()
        if PROTOCOL not in hello.protocols:
            raise PeerIncompatible(client.server, f"release {hello.release} has versions {hello.protocols}")
        asked = now()
        told = client.pulse().now
        trip = max(0, now() - asked)
    except OperatorError as error:
        yield About("peer", client.server).error(error)
        return
    yield from judge.peer(client.server, ours=asked + trip // 2, theirs=told, trip=trip, limit=settings.service.offset)


def _channels(settings: Settings, environment: Mapping[str, str]) -> dict[str, OperatorError | None]:
    """Return for each channel what its settings lack here; a program that is not there counts too."""
    found: dict[str, OperatorError | None] = {}
    for channel in settings.alarms:
        try:
            open_channel(channel, environment)
            found[channel.name] = None
        except OperatorError as error:
            found[channel.name] = error
    return found
