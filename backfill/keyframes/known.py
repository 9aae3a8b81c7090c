"""Which clock offsets the ledger knows: measured by key frames, and by the link where there is one.

Rule: reads and writes the ledger, decides nothing; `clocks` says what to believe. What was measured long ago is not
believed any more: clocks are set, and drift.
"""

import msgspec

from backfill.clocks import Basis, Offset, believed
from backfill.site import Site
from schema.ledger import Ledger
from schema.spans import DAY

TRUSTED = DAY
"""How long a measurement counts."""


class _Measured(msgspec.Struct, frozen=True):
    us: int
    uncertainty: int
    at: int


def remember(ledger: Ledger, ours: str, theirs: str, offset: Offset | None, at: int) -> None:
    """Keep the clock of `theirs` less that of `ours`, as key frames told it at `at`; None forgets what was known."""
    note = "" if offset is None else msgspec.json.encode(_Measured(offset.us, offset.uncertainty, at)).decode()
    with ledger.writing() as connection:
        ours_id, theirs_id = (ledger.names.server_id(connection, name) for name in (ours, theirs))
        ledger.contacts.put(connection, _name(ours_id, theirs_id), note)


def offsets(ledger: Ledger, site: Site, now: int) -> dict[str, Offset]:
    """Return the clocks of a site's servers against that of its first, for those of which anything is known."""
    first, *others = site.servers or ("",)
    found: dict[str, Offset] = {}
    for other in others:
        one = believed(_by_frames(ledger, first, other, now), _by_link(ledger, first, other, now))
        if one is not None:
            found[other] = one
    return found


def _by_frames(ledger: Ledger, ours: str, theirs: str, now: int) -> Offset | None:
    with ledger.reading() as connection:
        known = ledger.names.servers(connection)
        if ours not in known or theirs not in known:
            return None
        note = ledger.contacts.get(connection, _name(known[ours], known[theirs]))
    try:
        measured = msgspec.json.decode(note, type=_Measured)
    except msgspec.DecodeError:
        return None  # never measured; or damaged, and then measured anew
    if abs(now - measured.at) > TRUSTED:
        return None
    return Offset(us=measured.us, uncertainty=measured.uncertainty, basis=Basis.FRAMES)


def _by_link(ledger: Ledger, ours: str, theirs: str, now: int) -> Offset | None:
    """Return what either of the two measured over the link; the other's measure is ours turned round."""
    with ledger.reading() as connection:
        contacts = ledger.contacts.all(connection)
    for observer, server, sign in ((ours, theirs, 1), (theirs, ours, -1)):
        for one in contacts:
            if (one.observer, one.server) == (observer, server) and one.offset is not None:
                if abs(now - one.seen) > TRUSTED:
                    continue
                return Offset(us=sign * one.offset, uncertainty=one.offset_error or 0, basis=Basis.LINK)
    return None


def _name(ours: int, theirs: int) -> str:
    return f"clock.{ours}.{theirs}"
