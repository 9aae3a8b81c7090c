"""What is checked before anything moves: that recordings are what was fetched, and that nobody writes where they go.

Rule: looks and changes nothing. A recording that fails stays where it is, with the reason.
"""

import os
from collections.abc import Callable, Mapping, Sequence

from backfill.digesting import take
from backfill.gate import Gate
from backfill.importing.choose import Choice, Left, Move
from backfill.importing.move import Stores, check_there
from backfill.layouts.capabilities import Importing
from backfill.storage import Storage
from schema.errors import PathRefused, RecorderWrites, SourceChanged, SourceGone, SourceUnreadable
from schema.ledger.manifests import digest_of

Reading = Callable[[Move, int], None]
"""Told of each recording that was read anew, with how many were."""

_QUIET = 2.0
"""Seconds between two looks: a recorder with any camera writes several times within that."""
_OTHER = "it is not bit for bit what was fetched: 'recorder-sync verify --repair' fetches it again"

Checked = tuple[tuple[Move, ...], tuple[Left, ...]]
"""What can be moved, and what stays."""


def read_anew(stores: Stores, choice: Choice, chunk: int, gate: Gate, read: Reading) -> Checked:
    """Return what is bit for bit what was fetched, and all that stays. Raises Interrupted."""
    good, left = [], list(choice.left)
    for number, move in enumerate(choice.moves, 1):
        try:
            same = move.segment.digest == digest_of(take(stores[move.side], move.segment, chunk, gate, from_disk=True))
        except (SourceGone, SourceChanged, SourceUnreadable) as error:
            left.append(_left(move, str(error)))
        else:
            if same:
                good.append(move)
            else:
                left.append(_left(move, _OTHER))
        read(move, number)
    return tuple(good), tuple(left)


def still_there(stores: Stores, moves: Sequence[Move]) -> Checked:
    """Return what still lies where it was read. For when nobody else can move it any more: reading takes long."""
    good, left = [], []
    for move in moves:
        try:
            check_there(stores[move.side], move.segment)
        except (SourceGone, SourceChanged, PathRefused) as error:
            left.append(_left(move, str(error)))
        except OSError as error:
            left.append(_left(move, f"it cannot be read: {error.strerror}"))
        else:
            good.append(move)
    return tuple(good), tuple(left)


def check_quiet(stores: Stores, moves: Sequence[Move], service: str, pause: Callable[[float], None]) -> None:
    """Look twice whether anything is written where only the stopped recorder may write.

    Raises RecorderWrites, which names its `service`, and OSError.
    """
    before = _written(stores, moves)
    pause(_QUIET)
    after = _written(stores, moves)
    for where in sorted({*before, *after}):
        was, now = before.get(where, {}), after.get(where, {})
        changed = sorted(path for path in {*was, *now} if was.get(path) != now.get(path))
        if changed:
            raise RecorderWrites(where, service, changed[0])


def _written(stores: Stores, moves: Sequence[Move]) -> dict[str, Mapping[str, tuple[int, int]]]:
    """Return what is written in any folder of the storages: the one that a recording goes into may be a quiet one."""
    found = {}
    for storage in (stores[name] for name in sorted({move.storage for move in moves})):
        layout = importing(storage)
        for folder in layout.folders(storage.root):
            found[os.path.join(storage.root, folder)] = layout.being_written(storage.root, folder)
    return found


def importing(storage: Storage) -> Importing:
    """Return the layout of a storage for which something was chosen."""
    layout = storage.layout
    assert isinstance(layout, Importing), "nothing is chosen for another"
    return layout


def _left(move: Move, why: str) -> Left:
    return Left(segment=move.segment, side=move.side, why=why)
