"""Looking tables up: a bank's caches, read as briefly as can be, and each table's folder as it is on the disk.

Rule: a cache that is not whole is read again a few times, because the recorder writes it in place; then what a whole
one said of the same tables counts, and what none said waits. Live tables are not asked for here. Every file is opened
through `sharing`. Runs in a thread of the scan.
"""

import os
import time
from collections.abc import Sequence
from itertools import pairwise
from zoneinfo import ZoneInfo

from backfill.layouts.base import Layout, Named
from backfill.layouts.capabilities import Told
from backfill.layouts.xprotect.cache import MOST_BYTES, CacheBad, Table, tables
from backfill.layouts.xprotect.names import CACHES
from backfill.layouts.xprotect.tables import Sizes, Standing, Weight, told_by_index, told_by_name, weigh
from backfill.sharing import TooLarge, read_whole
from backfill.units import unit_files
from schema.spans import MINUTE

_TRIES = 4
_PAUSE_SECONDS = 0.25

_REWRITING = 10 * MINUTE
"""A broken cache that was written this recently is being written; one that rests so is damaged."""


_KEPT = 2000
"""Tables remembered of one cache: after a first scan, which asks for all, the ledger holds them."""


class LastGood:
    """What whole caches said of the tables that were asked for last, for as long as this runs."""

    def __init__(self) -> None:
        self._told: dict[str, dict[str, Table]] = {}

    def of(self, cache: str) -> dict[str, Table]:
        """Return what the cache at this path said when it was last whole."""
        return self._told.get(cache, {})

    def keep(self, cache: str, told: dict[str, Table]) -> None:
        """Remember what a whole cache said of the tables that were asked for."""
        self._told[cache] = told if len(told) <= _KEPT else {}


class BankIndex:
    """The index of one storage's banks, for one scan."""

    def __init__(
        self,
        root: str,
        layout: Layout,
        zone: ZoneInfo,
        now: int,
        *,
        sizes: Sizes,
        last: LastGood,
        ours: bool,
    ) -> None:
        self._root = root
        self._layout = layout
        self._zone = zone
        self._now = now
        self._sizes = sizes
        self._last = last
        self._ours = ours
        self._tables: dict[str, Table] = {}
        self._standing = Standing.ABSENT
        self._before: dict[str, int] = {}

    def prepare(self, folder: str, units: Sequence[str]) -> None:
        """Look up `units`, tables of the bank `folder`."""
        names = frozenset(unit.rpartition("/")[2] for unit in units)
        self._before = self._closings(units)
        self._tables, standings = {}, []
        for cache in CACHES:
            told, standing = self._read(os.path.join(self._root, folder, cache), names)
            standings.append(standing)
            self._tables = {**told, **self._tables}  # the cache that is asked first goes before
        self._standing = next(
            (one for one in (Standing.BUSY, Standing.DAMAGED, Standing.GOOD) if one in standings), Standing.ABSENT
        )

    def tell(self, unit: str) -> Told:
        """Return what is known of a table. Raises OSError if its folder cannot be measured."""
        named = self._layout.read(unit)
        assert named is not None, "only units are asked for, and each has a name"
        weight = self._weigh(unit)
        table = self._tables.get(unit.rpartition("/")[2])
        if table is not None:
            return told_by_index(named, table, weight, self._sizes)
        before = self._before.get(unit)
        return told_by_name(named, weight, self._zone, self._standing, self._now, before=before, ours=self._ours)

    def _weigh(self, unit: str) -> Weight:
        folder = os.path.join(self._root, unit)
        mtime_ns = os.lstat(folder).st_mtime_ns
        return weigh([(name, info.st_size, info.st_mtime_ns) for name, info in unit_files(folder)], mtime_ns)

    def _closings(self, units: Sequence[str]) -> dict[str, int]:
        """Return for each table when the one of the same device before it was closed, in local digits."""
        closed: dict[str, list[tuple[int, str]]] = {}
        for unit in units:
            named: Named | None = self._layout.read(unit)
            if named is not None and named.stamp is not None:
                closed.setdefault(named.camera, []).append((named.stamp.us, unit))
        found = {}
        for tables_of_one in closed.values():
            for (before, _), (_, unit) in pairwise(sorted(tables_of_one)):
                found[unit] = before
        return found

    def _read(self, path: str, names: frozenset[str]) -> tuple[dict[str, Table], Standing]:
        """Return what the cache at `path` says of `names`, or said when it was last whole, and how it stands."""
        mtime_ns = 0
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_PAUSE_SECONDS)
            try:
                content, mtime_ns = read_whole(path, MOST_BYTES)
                told = tables(content, names)
            except FileNotFoundError:
                return {}, Standing.ABSENT
            except (CacheBad, TooLarge):
                continue
            except OSError:
                break  # it is there and cannot be read, which a moment does not change
            self._last.keep(path, told)
            return told, Standing.GOOD
        kept = {name: table for name, table in self._last.of(path).items() if name in names}
        age = self._now - mtime_ns // 1000
        return kept, Standing.BUSY if age < _REWRITING else Standing.DAMAGED
