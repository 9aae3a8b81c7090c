"""How this host's configuration reaches its peers, for the service and for every command.

Rule: a connection is made when it is first needed, so a command that asks no peer costs nothing more.
"""

from collections.abc import Callable

from backfill.link.client import LinkClient
from backfill.link.peer import LinkPeer
from backfill.link.trust import Trust
from backfill.storage import Storage
from schema.service import split_address
from schema.settings import Settings
from schema.spans import SECOND


def trust_of(settings: Settings) -> Trust:
    """Return the keys of this host, which records as one server if it has peers."""
    return Trust(settings.link.folder, settings.servers[0].name)


def clients(settings: Settings, trust: Trust, within: int | None = None) -> list[LinkClient]:
    """Return a client for each peer, which may say nothing for `within` microseconds; default as configured."""
    timeout = settings.link.timeout if within is None else within
    return [_client(settings, trust, peer.name, peer.address, timeout) for peer in settings.peers]


def _client(settings: Settings, trust: Trust, server: str, address: str, timeout: int) -> LinkClient:
    encrypted = settings.link.encryption == "tls"
    return LinkClient(
        server,
        split_address(address),
        context=(lambda: trust.client_context(server)) if encrypted else (lambda: None),
        timeout=timeout / SECOND,
    )


def links(settings: Settings, reached: list[LinkClient], storage: Callable[[int], Storage]) -> dict[str, LinkPeer]:
    """Return how a fill sees each peer. `storage` gives a storage by its ledger id, as it is known at that moment."""
    return {client.server: LinkPeer(client, storage, settings.fill.chunk) for client in reached}
