"""Before a fill moves anything: are the disks there and the right ones, is no other fill at them, and what fits?

Rule: an empty mount point or a foreign disk is never filled. A storage that cannot be filled now does not keep the
others from it.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from backfill.plan import refuse, within_space
from backfill.site import Site
from backfill.staging import Staging
from backfill.storage import Storage
from schema.errors import (
    AlreadyRunning,
    OperatorError,
    PermissionMissing,
    StagingUnusable,
    StorageAway,
    StorageSwapped,
)
from schema.ledger import Ledger
from schema.moments import human_size
from schema.values import Plan, Refusal, Refused, Task

_NOT_NOW = (AlreadyRunning, PermissionMissing, StagingUnusable, StorageAway, StorageSwapped)


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
            _check_disk(storage, site, ledger)
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


def _check_disk(storage: Storage, site: Site, ledger: Ledger) -> None:
    """Raise StorageAway or StorageSwapped unless the disk the plan was made for is there.

    A side store is made when it is first needed: until then the disk of the recorder it is for must be there, and
    afterwards its own.
    """
    known = ledger.storage_note(storage.id)[0]
    if storage.origin is not None:
        home = next(main for (main, _), side in site.side.items() if side.id == storage.id)
        _check_disk(site.storage(home), site, ledger)
    if storage.origin is None or known:
        storage.check_present()
        storage.check_identity(known)


def fitting(
    plan: Plan, site: Site, ledger: Ledger, stagings: Mapping[int, Staging]
) -> tuple[list[Task], list[Refused]]:
    """Return the tasks whose source is there and that free space allows, in order, and the others with the reason.

    Tasks into storages that have no staging are neither.
    """
    away = _unusable_sources(plan, site, ledger)
    tasks = [task for task in plan.tasks if task.storage_id in stagings]
    left_out = [refuse(task, *away[task.source.storage_id]) for task in tasks if task.source.storage_id in away]
    kept: set[int] = set()
    for storage_id, staging in stagings.items():
        mine = [task for task in tasks if task.storage_id == storage_id and task.source.storage_id not in away]
        here = sum(staging.held(task) for task in mine)  # of an earlier run: needs no space any more
        free, reserve = staging.free(), site.settings.fill.reserve
        fits, rest = within_space(mine, free + here - reserve)
        kept.update(id(task) for task in fits)
        need = sum(task.source.size for task in mine) - here
        figures = f"{human_size(free)} free, {human_size(reserve)} in reserve, {human_size(need)} needed"
        left_out += [replace(one, detail=f"{site.storage(storage_id).root}: {figures}") for one in rest]
    return [task for task in tasks if id(task) in kept], left_out


def _unusable_sources(plan: Plan, site: Site, ledger: Ledger) -> dict[int, tuple[Refusal, str]]:
    """Return which storages the plan must not read from, and why.

    Another disk there may hold other recordings under the very names that were planned.
    """
    away: dict[int, tuple[Refusal, str]] = {}
    for storage_id in {task.source.storage_id for task in plan.tasks}:
        storage = site.storage(storage_id)
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
