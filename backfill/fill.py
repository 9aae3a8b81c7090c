"""Running a plan: several segments on their way at once, landed in batches, every outcome a value.

Rule: this drives and decides nothing about bytes or names. asyncio orders the work; the bytes move in threads, one hop
a segment. A second run of the same plan moves nothing; an interrupted one continues.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from backfill.bring import Staged, bring
from backfill.gate import Gate
from backfill.landing import Lander
from backfill.peer import Peer
from backfill.plan import refuse, within_space
from backfill.progress import (
    FillEnded,
    FillStarted,
    Listener,
    SegmentLanded,
    SegmentRefused,
    nobody,
)
from backfill.site import Site
from backfill.staging import Staging
from schema.errors import (
    CopyDamaged,
    DiskFull,
    Interrupted,
    OperatorError,
    PathRefused,
    PermissionMissing,
    ReserveReached,
    SourceChanged,
    SourceDamaged,
    SourceGone,
    SourceUnreadable,
    WriteFailed,
)
from schema.ledger import Ledger
from schema.moments import human_size
from schema.values import FillResult, Landed, Plan, Refusal, Refused, Task

_BATCH = 64
"""Segments landed at once at most."""

_REFUSALS: Mapping[type[OperatorError], Refusal] = {
    SourceGone: Refusal.SOURCE_GONE,
    SourceChanged: Refusal.SOURCE_CHANGED,
    SourceDamaged: Refusal.SOURCE_DAMAGED,
    SourceUnreadable: Refusal.SOURCE_UNREADABLE,
    WriteFailed: Refusal.WRITE_FAILED,
    CopyDamaged: Refusal.WRITE_FAILED,
    ReserveReached: Refusal.NO_SPACE,
    PermissionMissing: Refusal.NOT_PERMITTED,
    PathRefused: Refusal.PATH_REFUSED,
}
"""Errors of one segment: it is left out with a reason and the fill goes on."""


async def fill(
    plan: Plan,
    server: str,
    *,
    site: Site,
    ledger: Ledger,
    peers: Mapping[str, Peer],
    now: Callable[[], int],
    gate: Gate,
    listener: Listener = nobody,
) -> FillResult:
    """Bring over what `plan` names for `server` and record it.

    Stops early, with what is landed kept, when `gate` is stopped or the destination's disk is full; the result says so.
    Raises AlreadyRunning, StagingUnusable, StorageAway, StorageSwapped before anything is moved; CannotPublish,
    DiskFull, WriteFailed and the ledger's errors when landing fails: what is staged then waits for the next run.
    """
    began = time.monotonic()
    if not plan.tasks and not plan.refused:
        return FillResult()
    with contextlib.ExitStack() as held:
        stagings = await asyncio.to_thread(_stagings, plan, site, ledger, held)
        for storage_id, staging in stagings.items():
            await staging.sweep(task for task in plan.tasks if task.storage_id == storage_id)
        tasks, left_out = await asyncio.to_thread(_fitting, plan, site, stagings)
        fill_id = await asyncio.to_thread(_note_start, ledger, server, now())
        run = _Run(site, peers, stagings, gate, listener, Lander(ledger, now))
        listener(FillStarted(server, plan))
        for refused in (*plan.refused, *left_out):
            run.refuse(refused)
        try:
            await run.all(tasks)
        finally:
            result = run.result(time.monotonic() - began)
            await asyncio.to_thread(_note_end, ledger, server, plan, fill_id, result, now())
        listener(FillEnded(server, result))
        return result


def _note_start(ledger: Ledger, server: str, at: int) -> int:
    with ledger.writing() as connection:
        return ledger.history.fill_began(connection, server, at)


def _note_end(ledger: Ledger, server: str, plan: Plan, fill_id: int, result: FillResult, at: int) -> None:
    with ledger.writing() as connection:
        ledger.history.clear_refusals(connection, server, plan.tasks)
        ledger.history.refuse(connection, result.refused, at)
        ledger.history.fill_ended(connection, fill_id, at, result)


def _stagings(plan: Plan, site: Site, ledger: Ledger, held: contextlib.ExitStack) -> dict[int, Staging]:
    """Return the staging of every storage the plan fills, locked until `held` closes."""
    stagings: dict[int, Staging] = {}
    for storage_id in sorted({task.storage_id for task in plan.tasks}):
        storage = site.storage(storage_id)
        if storage.origin is None:
            # Never fill an empty mount point or another disk: what was planned was planned for the one we know.
            storage.check_present()
            storage.check_identity(ledger.storage_note(storage_id)[0])
        staging = Staging(storage)
        held.enter_context(staging.locked())
        stagings[storage_id] = staging
    return stagings


def _fitting(plan: Plan, site: Site, stagings: Mapping[int, Staging]) -> tuple[list[Task], list[Refused]]:
    """Return the tasks whose source is there and that free space allows, in order, and the others with the reason."""
    away: dict[int, str] = {}
    for storage_id in {task.source.storage_id for task in plan.tasks}:
        try:
            site.storage(storage_id).check_present()
        except OperatorError as error:
            away[storage_id] = str(error)
    left_out = [
        refuse(task, Refusal.SOURCE_AWAY, away[task.source.storage_id])
        for task in plan.tasks
        if task.source.storage_id in away
    ]
    kept: set[int] = set()
    for storage_id, staging in stagings.items():
        mine = [task for task in plan.tasks if task.storage_id == storage_id and task.source.storage_id not in away]
        fits, rest = within_space(mine, staging.free() - site.settings.fill.reserve)
        kept.update(id(task) for task in fits)
        left_out += rest
    return [task for task in plan.tasks if id(task) in kept], left_out


class _Run:
    """One fill under way."""

    def __init__(
        self,
        site: Site,
        peers: Mapping[str, Peer],
        stagings: Mapping[int, Staging],
        gate: Gate,
        listener: Listener,
        lander: Lander,
    ) -> None:
        self._site = site
        self._peers = peers
        self._stagings = stagings
        self._gate = gate
        self._listener = listener
        self._lander = lander
        self._rules = site.settings.fill
        self._under_way = 0
        self._stopped = ""
        self._landed: list[Landed] = []
        self._refused: list[Refused] = []

    def result(self, seconds: float) -> FillResult:
        """Return the outcome so far."""
        return FillResult(
            landed=tuple(self._landed),
            refused=tuple(self._refused),
            sent=sum(one.sent for one in self._landed),
            seconds=seconds,
            stopped=self._stopped,
        )

    async def all(self, tasks: list[Task]) -> None:
        """Run every task: workers bring segments into staging, one lander lands what is there in batches."""
        waiting = iter(tasks)
        done: asyncio.Queue[Staged | None] = asyncio.Queue(maxsize=_BATCH)
        with ThreadPoolExecutor(self._rules.in_flight + 1, thread_name_prefix="fill") as pool:
            landing = asyncio.create_task(self._land(done, pool))
            workers = [
                asyncio.create_task(self._work(waiting, done, landing, pool)) for _ in range(self._rules.in_flight)
            ]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await self._hand_over(done, None, landing)
                await landing

    async def _work(
        self,
        waiting: Iterator[Task],
        done: asyncio.Queue[Staged | None],
        landing: asyncio.Task[None],
        pool: ThreadPoolExecutor,
    ) -> None:
        loop = asyncio.get_running_loop()
        for task in waiting:
            if self._gate.stopped:
                self._stopped = self._stopped or "stopped on request"
            if self._stopped or landing.done():
                return
            self._under_way += task.source.size
            try:
                staged = await loop.run_in_executor(pool, self._bring, task)
            except Interrupted:
                self._stopped = self._stopped or "stopped on request"
                return
            except DiskFull as error:
                self._stopped = str(error)
                self.refuse(refuse(task, Refusal.NO_SPACE, str(error)))
                return
            except tuple(_REFUSALS) as error:
                self.refuse(refuse(task, _REFUSALS[type(error)], str(error)))
                continue
            finally:
                self._under_way -= task.source.size
            await self._hand_over(done, staged, landing)

    @staticmethod
    async def _hand_over(done: asyncio.Queue[Staged | None], item: Staged | None, landing: asyncio.Task[None]) -> None:
        """Put an item on the lander's queue; do not wait for a lander that has failed."""
        putting = asyncio.ensure_future(done.put(item))
        await asyncio.wait({putting, landing}, return_when=asyncio.FIRST_COMPLETED)
        if not putting.done():
            putting.cancel()

    def _bring(self, task: Task) -> Staged:
        staging = self._stagings[task.storage_id]
        free = staging.free() - self._under_way
        if free < self._rules.reserve:
            raise ReserveReached(staging.folder, human_size(staging.free()), human_size(self._rules.reserve))
        return bring(
            task,
            self._peers[task.peer],
            self._site.storage(task.storage_id),
            staging,
            rules=self._rules,
            gate=self._gate,
            listener=self._listener,
        )

    def refuse(self, refused: Refused) -> None:
        """Note and tell what is left out."""
        self._refused.append(refused)
        self._listener(SegmentRefused(refused))

    async def _land(self, done: asyncio.Queue[Staged | None], pool: ThreadPoolExecutor) -> None:
        """Land what is staged, as much at once as is there: the busier the fill, the cheaper each segment."""
        loop = asyncio.get_running_loop()
        last = False
        while not last:
            batch: list[Staged] = []
            item = await done.get()
            while item is not None:
                batch.append(item)
                if len(batch) >= _BATCH or done.empty():
                    break
                item = done.get_nowait()
            last = item is None
            if not batch:
                continue
            for outcome in await loop.run_in_executor(pool, self._lander.land, batch):
                if isinstance(outcome, Landed):
                    self._landed.append(outcome)
                    self._listener(SegmentLanded(outcome))
                else:
                    self.refuse(outcome)
