"""Before a fill moves anything: are the disks there and the right ones, is no other fill at them, and what fits?

Rule: an empty mount point or a foreign disk is never filled. A storage that cannot be filled now does not keep the
others from it.
"""

import asyncio
import contextlib
from collections.abc import Mapping

from backfill.plan import refuse
from backfill.reserve import Reserve
from backfill.site import Site
from backfill.staging import Staging, waiting
from backfill.storage import Storage
from schema.errors import (
    AlreadyRunning,
    DescriptorsExhausted,
    OperatorError,
    PermissionMissing,
    StagingUnusable,
    StorageAway,
    StorageSwapped,
)
from schema.ledger import Ledger
from schema.values import Plan, Refusal, Refused, Task

_NOT_NOW = (AlreadyRunning, DescriptorsExhausted, PermissionMissing, StagingUnusable, StorageAway, StorageSwapped)


def lock(
    plan: Plan, site: Site, ledger: Ledger, held: contextlib.ExitStack
) -> tuple[dict[int, Staging], list[Refused]]:
    """Return the staging of every storage the plan fills, locked until `held` closes, and what cannot go anywhere.

    Raises the first storage's error if none can be filled.
    """
    stagings: dict[int, Staging] = {}
    problems: dict[int, OperatorError] = {}
    for storage_id in sorted({task.storage_id for task in plan.tasks}):
        storage = site.storage(storage_id)
        try:
            check_disk(storage, site, ledger)
            staging = Staging(storage)
            held.enter_context(staging.locked())
        except _NOT_NOW as error:
            problems[storage_id] = error
            continue
        if storage.origin is not None:
            ledger.note_storage(storage_id, identity=storage.check_identity(ledger.storage_note(storage_id)[0]))
        stagings[storage_id] = staging
    if problems and not stagings:
        raise next(iter(problems.values()))
    unready = [
        refuse(task, Refusal.WRITE_FAILED, str(problems[task.storage_id]))
        for task in plan.tasks
        if task.storage_id in problems
    ]
    return stagings, unready


def check_disk(storage: Storage, site: Site, ledger: Ledger) -> None:
    """Raise StorageAway or StorageSwapped unless the disk that the ledger knows is there.

    A side store is made when it is first needed: until then the disk of the recorder it is for must be there, and
    afterwards its own.
    """
    known = ledger.storage_note(storage.id)[0]
    if storage.origin is not None:
        home = next(main for (main, _), side in site.side.items() if side.id == storage.id)
        check_disk(site.storage(home), site, ledger)
    if storage.origin is None or known:
        storage.check_present()
        storage.check_identity(known)


async def tidy(plan: Plan, server: str, site: Site, ledger: Ledger, stagings: Mapping[int, Staging]) -> None:
    """Sweep what no fill asks for any more from the stagings of `server`, also where the plan has nothing to fill.

    A storage that cannot be filled now is left for another time. Raises StagingUnusable for those that are filled.
    """
    for storage_id, staging in stagings.items():
        await staging.sweep(task for task in plan.tasks if task.storage_id == storage_id)
    for storage in site.of(server):
        if storage.id not in stagings and all(task.storage_id != storage.id for task in plan.tasks):
            with contextlib.suppress(*_NOT_NOW), contextlib.ExitStack() as held:
                if idle := await asyncio.to_thread(_idle, storage, site, ledger, held):
                    await idle.sweep(())


def _idle(storage: Storage, site: Site, ledger: Ledger, held: contextlib.ExitStack) -> Staging | None:
    """Return the staging of a storage that is not to be filled, locked; None if nothing is in it. Raises _NOT_NOW."""
    if not waiting(storage):
        return None
    check_disk(storage, site, ledger)
    staging = Staging(storage)
    held.enter_context(staging.locked())
    return staging


def fitting(
    plan: Plan, site: Site, ledger: Ledger, stagings: Mapping[int, Staging], reserve: Reserve
) -> tuple[list[Task], list[Refused]]:
    """Return the tasks whose source is there and that free space allows, in order, and the others with the reason.

    Tasks into storages that have no staging are neither.
    """
    away = _unusable_sources(plan, site, ledger)
    tasks = [task for task in plan.tasks if task.storage_id in stagings]
    left_out = [refuse(task, *away[task.source.storage_id]) for task in tasks if task.source.storage_id in away]
    fits, rest = reserve.fitting([task for task in tasks if task.source.storage_id not in away])
    return fits, left_out + rest


def _unusable_sources(plan: Plan, site: Site, ledger: Ledger) -> dict[int, tuple[Refusal, str]]:
    """Return which storages the plan must not read from, and why.

    Another disk there may hold other recordings under the very names that were planned.
    """
    away: dict[int, tuple[Refusal, str]] = {}
    for storage_id in {task.source.storage_id for task in plan.tasks}:
        storage = site.storage(storage_id)
        if storage.remote:
            continue  # its service will say
        known = ledger.storage_note(storage_id)[0]
        try:
            storage.check_present()
            if known:
                storage.check_identity(known)
        except StorageSwapped as error:
            away[storage_id] = Refusal.SOURCE_SWAPPED, str(error)
        except OperatorError as error:
            away[storage_id] = Refusal.SOURCE_AWAY, str(error)
    return away
