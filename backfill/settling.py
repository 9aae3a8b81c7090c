"""How much of the newest time is left alone: what a recorder is still writing is neither coverage nor a gap.

Rule: a hole is named when it has settled, two segment lengths after it ended, and a camera's time ends where the file
begins that its recorder is writing. Only a file that is believed to grow counts so: the stub of a recorder that died
hides nothing (docs/design/0011).
"""

from collections.abc import Mapping, Sequence

from backfill.site import Site
from backfill.storage import Storage
from schema.ledger import Ledger
from schema.spans import HOUR, SECOND
from schema.values import Segment

SETTLE_LEAST = 120 * SECOND

SETTLE_MOST = 2 * HOUR
"""One damaged header that claims a day, or one endless event, must not hide the gaps of two days."""

_HANDOVER = 5 * SECOND
"""How long before the next file begins the last write to the one before may be: they are cut without a pause."""


def settle(ledger: Ledger, site: Site) -> int:
    """Return how long the newest recordings are left alone, microseconds: two of the longest segments there are."""
    configured = site.settings.gaps.settle
    if configured is not None:
        return int(configured)
    storages = (*site.storages, *site.remote)
    nominal = max((storage.layout.traits.segment for storage in storages), default=0)
    seen = max((ledger.longest(storage.id) for storage in storages), default=0)
    return max(2 * nominal, min(2 * seen, SETTLE_MOST), SETTLE_LEAST)


def open_since(
    ledger: Ledger, storage: Storage, now: int, rescan: int, begun: Mapping[str, Sequence[int]]
) -> dict[str, int]:
    """Return for each camera that a storage is recording where the file begins that is being written.

    A scan calls open only what was written to within a minute, so a file of a recorder that died is open in the ledger
    at most until the next scan. What it left behind is known sooner where it is back: a later file began when this one
    had been left alone.

    Args:
        rescan: how far apart scans are.
        begun: where recordings of each camera begin that are finished.
    """
    alive = max(SETTLE_LEAST, 2 * rescan)
    if storage.remote:
        # Its service has judged; what it said long ago it would not say now.
        with ledger.reading() as connection:
            told = ledger.mirror.open_since(connection, storage.id)
        if told:
            return told if now - ledger.storage_note(storage.id)[2] <= alive else {}
        # Where the peer's service writes into this very ledger, its rows are here; a copy has none.
    found: dict[str, list[Segment]] = {}
    for segment in ledger.being_written(storage.id):
        if segment.origin is None and abs(now - segment.mtime_ns // 1000) <= alive:
            found.setdefault(segment.camera, []).append(segment)
    since: dict[str, int] = {}
    for camera, segments in found.items():
        last = max([*(segment.start for segment in segments), *begun.get(camera, ())])
        growing = [segment.start for segment in segments if segment.mtime_ns // 1000 + _HANDOVER >= last]
        if growing:
            since[camera] = min(growing)
    return since
