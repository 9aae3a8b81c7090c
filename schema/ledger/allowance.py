"""How much of this ledger a peer has taken up with what it tells, and that it is no more than `schema.limits` allows.

Rule: checked in the transaction that takes it in, so that a refusal leaves no trace. Names stay for ever, so that they
are counted for ever; of coverage counts what is there.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, tuple_

from schema.errors import PeerInvalid
from schema.ledger.contacts import Contacts
from schema.ledger.names import Names
from schema.limits import BUCKETS_AT_MOST, COVERAGE_AT_MOST, NAMES_AT_MOST
from schema.tables import coverage, servers, storages

_NAMES = "names-told:"
"""Begin of the property that counts the names a peer brought."""
_PAIRS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Size:
    """How much coverage is kept."""

    buckets: int
    bytes: int


class Allowance:
    """What peers may take up."""

    def __init__(self, names: Names, contacts: Contacts) -> None:
        self._names = names
        self._contacts = contacts

    def cameras(self, connection: Connection, peer: str, told: Collection[str]) -> None:
        """Add the cameras that a peer tells of. Raises PeerInvalid."""
        self._count(connection, peer, self._names.add_cameras(connection, told))

    def servers(self, connection: Connection, peer: str, told: Collection[str]) -> None:
        """Add the servers that a peer tells of. Raises PeerInvalid."""
        self._count(connection, peer, self._names.add_servers(connection, told))

    def storages(self, connection: Connection, peer: str, told: Collection[str]) -> dict[str, int]:
        """Return the ids of a peer's storages, new ones added. Raises PeerInvalid."""
        known = set(self._names.storages(connection, peer).values())
        self._count(connection, peer, len(set(told) - known))
        return {name: self._names.storage_id(connection, peer, name) for name in told}

    def _count(self, connection: Connection, peer: str, new: int) -> None:
        if not new:
            return
        number = int(self._contacts.get(connection, _NAMES + peer) or 0) + new
        if number > NAMES_AT_MOST:
            raise PeerInvalid(
                peer, f"it told of more than {NAMES_AT_MOST:,} different cameras, servers and storages by now"
            )
        self._contacts.put(connection, _NAMES + peer, str(number))

    def coverage(self, connection: Connection, peer: str) -> Size:
        """Return how much coverage is kept of a peer; reads all of it."""
        number, size = connection.execute(
            select(func.count(), func.sum(func.length(coverage.c.body)))
            .select_from(coverage.join(storages, coverage.c.storage_id == storages.c.id))
            .where(storages.c.mirror, storages.c.server_id == servers.c.id, servers.c.name == peer)
        ).one()
        return Size(number, int(size or 0))

    def more_coverage(
        self, connection: Connection, peer: str, storage_id: int, kept: Size, new: Mapping[tuple[int, int], int]
    ) -> Size:
        """Return how much is kept once a storage's buckets `new` are in the place of old ones. Raises PeerInvalid.

        `new`: bytes, by id of the camera and number of the bucket.
        """
        pairs, buckets, size = list(new), kept.buckets + len(new), kept.bytes + sum(new.values())
        for at in range(0, len(pairs), _PAIRS_AT_ONCE):
            part = tuple_(coverage.c.camera_id, coverage.c.bucket).in_(pairs[at : at + _PAIRS_AT_ONCE])
            replaced, freed = connection.execute(
                select(func.count(), func.sum(func.length(coverage.c.body))).where(
                    coverage.c.storage_id == storage_id, part
                )
            ).one()
            buckets, size = buckets - replaced, size - int(freed or 0)
        if buckets > BUCKETS_AT_MOST:
            raise PeerInvalid(peer, f"its coverage is more than {BUCKETS_AT_MOST:,} buckets of four hours")
        if size > COVERAGE_AT_MOST:
            raise PeerInvalid(peer, f"its coverage is more than {COVERAGE_AT_MOST:,} bytes")
        return Size(buckets, size)
