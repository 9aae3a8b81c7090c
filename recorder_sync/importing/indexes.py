"""The recorder's own indexes around an import: which there are, where they are set aside, and what they tell.

Rule: looks and changes nothing.
"""

import os
import time
from collections.abc import Callable, Sequence

from backfill.importing.choose import Move
from backfill.importing.move import Stores, folders_of
from backfill.storage import free_name
from recorder_sync.importing.checking import importing
from recorder_sync.importing.journal import Aside

_LOOKS = 0.5
"""Seconds between two looks at a new index."""


def indexes(stores: Stores, moves: Sequence[Move], began: int) -> tuple[Aside, ...]:
    """Return which index files there are, and a new folder of the import that `began` then to set them aside in.

    Raises OSError, StagingUnusable, StorageAway.
    """
    found: dict[str, list[str]] = {}
    for name, folder in folders_of(moves):
        found.setdefault(name, []).extend(importing(stores[name]).indexes(stores[name].root, folder))
    return tuple(
        Aside(storage=name, place=_free_place(stores[name].state_folder(), began), paths=tuple(paths))
        for name, paths in found.items()
    )


def _free_place(state: str, began: int) -> str:
    place = os.path.join(state, "imports", str(began))
    return free_name(place) if os.path.lexists(place) else place


def made_anew(aside: Sequence[Aside], now: Sequence[Aside]) -> bool:
    """Tell whether the recorder wrote an index since those were set aside: somebody started it meanwhile."""
    known = {(one.storage, path): os.path.join(one.place, path) for one in aside for path in one.paths}
    found = {(one.storage, path) for one in now for path in one.paths}
    return any(key not in known or os.path.lexists(known[key]) for key in found)


def told_of(stores: Stores, moves: Sequence[Move], seconds: float, pause: Callable[[float], None]) -> int:
    """Return of how many the recorder's new index tells; waits for all of them, but not longer than `seconds`."""
    end = time.monotonic() + seconds
    while True:
        told = 0
        for name, folder in folders_of(moves):
            here = [move.path for move in moves if (move.storage, move.path.rpartition("/")[0]) == (name, folder)]
            names = [path.rpartition("/")[2] for path in here]
            told += len(importing(stores[name]).told_of(stores[name].root, folder, names))
        if told == len(moves) or time.monotonic() > end:
            return told
        pause(_LOOKS)
