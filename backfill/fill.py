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
    DiskFull: Refusal.NO_SPACE,
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
    Raises AlreadyRunning, StagingUnusable before anything is moved, CannotPublish, WriteFailed and the ledger's errors.
    """
    began = time.monotonic()
    if not plan.tasks and not plan.refused:
        return FillResult()
    with contextlib.ExitStack() as held:
        stagings = _stagings(plan, site, held)
        tasks, left_out = _fitting(plan, site, stagings)
        with ledger.writing() as connection:
            fill_id = ledger.history.fill_began(connection, server, now())
        run = _Run(site, ledger, peers, stagings, gate, listener, Lander(ledger, now))
        run.refused += [*plan.refused, *left_out]
        listener(FillStarted(server, plan))
        for refused in run.refused:
            listener(SegmentRefused(refused))
        try:
            await run.all(tasks)
        finally:
            result = run.result(time.monotonic() - began)
            with ledger.writing() as connection:
                ledger.history.clear_refusals(connection, server, plan.tasks)
                ledger.history.refuse(connection, result.refused, now())
                ledger.history.fill_ended(connection, fill_id, now(), result)
        listener(FillEnded(server, result))
        return result


def _stagings(plan: Plan, site: Site, held: contextlib.ExitStack) -> dict[int, Staging]:
    """Return the staging of every storage the plan fills, locked until `held` closes."""
    stagings: dict[int, Staging] = {}
    for storage_id in sorted({task.storage_id for task in plan.tasks}):
        staging = Staging(site.storage(storage_id))
        held.enter_context(staging.locked())
        staging.sweep(task for task in plan.tasks if task.storage_id == storage_id)
        stagings[storage_id] = staging
    return stagings


def _fitting(plan: Plan, site: Site, stagings: Mapping[int, Staging]) -> tuple[list[Task], list[Refused]]:
    """Return the tasks that free space allows, in the plan's order, and the others with that reason."""
    reserve = site.settings.fill.reserve
    kept: set[int] = set()
    left_out: list[Refused] = []
    for storage_id, staging in stagings.items():
        mine = [task for task in plan.tasks if task.storage_id == storage_id]
        fits, rest = within_space(mine, staging.free() - reserve)
        kept.update(id(task) for task in fits)
        left_out += rest
    return [task for task in plan.tasks if id(task) in kept], left_out


class _Run:
    """One fill under way."""

    def __init__(
        self,
        site: Site,
        ledger: Ledger,
        peers: Mapping[str, Peer],
        stagings: Mapping[int, Staging],
        gate: Gate,
        listener: Listener,
        lander: Lander,
    ) -> None:
        self._site = site
        self._ledger = ledger
        self._peers = peers
        self._stagings = stagings
        self._gate = gate
        self._listener = listener
        self._lander = lander
        self._rules = site.settings.fill
        self._under_way = 0
        self._stopped = ""
        self.landed: list[Landed] = []
        self.refused: list[Refused] = []

    def result(self, seconds: float) -> FillResult:
        """Return the outcome so far."""
        return FillResult(
            landed=tuple(self.landed),
            refused=tuple(self.refused),
            sent=sum(one.sent for one in self.landed),
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
                self._refuse(task, error)
                return
            except tuple(_REFUSALS) as error:
                self._refuse(task, error)
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

    def _refuse(self, task: Task, error: OperatorError) -> None:
        refused = refuse(task, _REFUSALS[type(error)], str(error))
        self.refused.append(refused)
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
                    self.landed.append(outcome)
                    self._listener(SegmentLanded(outcome))
                else:
                    self.refused.append(outcome)
                    self._listener(SegmentRefused(outcome))
