"""The primary's id as it was last read while that server could be reached, with the time and the file's digest.

Rule: written only by who read it from the primary itself; what is damaged is no id. An id is never guessed.
"""

import msgspec

from recorder_sync.identity.guid import canonical
from recorder_sync.identity.place import Place
from schema.digests import text_checksum
from schema.errors import IdentityNotesDamaged


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A server's recorder id."""

    server: str
    id: str
    """As it is written in that server's file."""
    digest: str
    """Of that file: XXH3-128 as `xxhsum -H128` prints it. Empty for an id that was typed in."""
    at: int
    """When it was read, microseconds UTC."""
    source: str
    """Where: a path, or the link to that server."""


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    known: Known
    sum: str


class Vault:
    """The ids that are kept, one note a server."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def known(self, server: str) -> Known | None:
        """Return what is kept of a server; None if nothing is. Raises IdentityNotesDamaged."""
        content = self._place.read(_name(server))
        if content is None:
            return None
        path = self._place.path(_name(server))
        try:
            note = msgspec.json.decode(content, type=_Note)
        except msgspec.DecodeError as error:
            raise IdentityNotesDamaged(path, error) from None
        if note.sum != _sum(note.known) or note.known.server != server or canonical(note.known.id) is None:
            raise IdentityNotesDamaged(path, "it does not hold what was written")
        return note.known

    def keep(self, found: Known) -> bool:
        """Keep what was read; returns whether it is another id than before. Raises IdentityNotWritten."""
        try:
            before = self.known(found.server)
        except IdentityNotesDamaged:
            before = None  # what is read from the primary itself is better than a damaged memory of it
        note = _Note(known=found, sum=_sum(found))
        self._place.write(_name(found.server), msgspec.json.format(msgspec.json.encode(note), indent=1) + b"\n")
        return before is None or canonical(before.id) != canonical(found.id)


def _name(server: str) -> str:
    return f"primary-{server}.json"


def _sum(known: Known) -> str:
    return text_checksum(msgspec.json.encode(known).decode())
