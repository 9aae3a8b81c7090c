"""Running a plan: several segments on their way at once, landed in batches, every outcome a value.

Rule: this drives and decides nothing about bytes or names. asyncio orders the work; the bytes move in threads, one hop
a segment. A second run of the same plan moves nothing; an interrupted one continues. What goes wrong with one segment,
or with one storage, is a refusal and keeps nothing else from being filled.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping

from backfill.bring import Staged, bring
from backfill.gate import Gate
from backfill.landing import Lander
from backfill.peer import Peer
from backfill.plan import refuse
from backfill.prepare import fitting, lock, tidy
from backfill.progress import (
    FillEnded,
    FillStarted,
    Listener,
    Meter,
    SegmentLanded,
    SegmentRefused,
    nobody,
)
from backfill.reserve import Reserve
from backfill.site import Site, spare_of
from backfill.staging import Staging
from backfill.storage import Storage
from backfill.threads import Threads
from schema.errors import (
    CopyDamaged,
    DiskFull,
    Interrupted,
    OperatorError,
    PathRefused,
    PeerIncompatible,
    PeerInvalid,
    PeerRefused,
    PeerUnreachable,
    PeerUntrusted,
    PermissionMissing,
    ReserveReached,
    SourceChanged,
    SourceDamaged,
    SourceGone,
    SourceUnreadable,
    StagingUnusable,
    StorageAway,
    WriteFailed,
)
from schema.ledger import Ledger
from schema.values import FillResult, Landed, Plan, Refusal, Refused, Task

_BATCH = 64
"""Segments landed at once at most."""

_GATHER_SECONDS = 0.1
"""How long the first of them waits for others: a landing waits three times for the disk, however many it lands."""

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
    StagingUnusable: Refusal.OTHER_MOUNT,
}
"""Errors of one segment: it is left out with a reason and the fill goes on."""

_AWAY = (PeerIncompatible, PeerInvalid, PeerRefused, PeerUnreachable, PeerUntrusted)
"""Errors of a whole peer: what it was asked for waits for the next fill, and what others have is still fetched."""


MakeRoom = Callable[[Staged], Refused | None]
"""Called in the lander's thread right before a whole, verified segment gets its name; returns why it must not."""

Enough = Callable[[], bool]
"""Asked on the event loop before each segment is begun: whether to leave it at what is under way."""


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
    make_room: MakeRoom | None = None,
    enough: Enough = lambda: False,
    since: int | None = None,
) -> FillResult:
    """Bring over what `plan` names for `server` and record it.

    Stops early, with what is landed kept, when `gate` is stopped; the result says so. Where a disk turns out to be full
    the rest of what was to go there is refused. Raises AlreadyRunning, StagingUnusable, StorageAway, StorageSwapped and
    PermissionMissing before anything is moved, if no storage can be filled; the ledger's errors later: what is staged
    then waits for the next run.

    Args:
        enough: once it says so no further segment is begun; those under way are brought to their end, and the others
            are neither landed nor refused.
        since: when the fill began that this goes on with, microseconds UTC: the ledger keeps the two as one.
    """
    began = time.monotonic()
    with contextlib.ExitStack() as held:
        stagings, unready = await asyncio.to_thread(lock, plan, site, ledger, held)
        await tidy(plan, server, site, ledger, stagings)
        if not plan.tasks and not plan.refused:
            return FillResult()
        reserve = Reserve(stagings, _least_free(site, server))
        tasks, left_out = await asyncio.to_thread(fitting, plan, site, ledger, stagings, reserve)
        fill_id = await asyncio.to_thread(_note_start, ledger, server, now(), since)
        run = _Run(site, peers, stagings, reserve, gate, Meter(listener), Lander(ledger, now), make_room, enough)
        listener(FillStarted(server, plan))
        for refused in (*plan.refused, *unready, *left_out):
            run.refuse(refused)
        try:
            await run.all(tasks)
        finally:
            result = run.result(time.monotonic() - began)
            await asyncio.to_thread(_note_end, ledger, server, fill_id, result, now())
        listener(FillEnded(server, result))
        return result


def _least_free(site: Site, server: str) -> int:
    """Return how much filling leaves free: what is configured, or what the recorder needs not to delete by itself."""
    return max(site.settings.fill.reserve, spare_of(site, server))


def _note_start(ledger: Ledger, server: str, at: int, since: int | None) -> int:
    with ledger.writing() as connection:
        if since is None:
            return ledger.history.fill_began(connection, server, at)
        known = ledger.history.fill_goes_on(connection, server, since)
        return ledger.history.fill_began(connection, server, since) if known is None else known


def _note_end(ledger: Ledger, server: str, fill_id: int, result: FillResult, at: int) -> None:
    with ledger.writing() as connection:
        ledger.history.clear_refusals(connection, server, [one.task for one in result.landed])
        ledger.history.refuse(connection, result.refused, at)
        ledger.history.fill_ended(connection, fill_id, at, result)


class _Run:
    """One fill under way."""

    def __init__(
        self,
        site: Site,
        peers: Mapping[str, Peer],
        stagings: Mapping[int, Staging],
        reserve: Reserve,
        gate: Gate,
        meter: Meter,
        lander: Lander,
        make_room: MakeRoom | None,
        enough: Enough,
    ) -> None:
        self._site = site
        self._peers = peers
        self._stagings = stagings
        self._reserve = reserve
        self._gate = gate
        self._listener = meter
        self._lander = lander
        self._make_room = make_room
        self._enough = enough
        self._rules = site.settings.fill
        self._away: dict[str, str] = {}
        """Peers that cannot be had now, with the reason."""
        self._stopped = ""
        self._landed: list[Landed] = []
        self._refused: list[Refused] = []

    def result(self, seconds: float) -> FillResult:
        """Return the outcome so far."""
        return FillResult(
            landed=tuple(self._landed),
            refused=tuple(self._refused),
            sent=self._listener.moved,
            seconds=seconds,
            stopped=self._stopped or "; ".join(self._away.values()),
        )

    async def all(self, tasks: list[Task]) -> None:
        """Run every task: workers bring segments into staging, one lander lands what is there in batches."""
        waiting = iter(tasks)
        done: asyncio.Queue[Staged | None] = asyncio.Queue(maxsize=_BATCH)
        pool = Threads(self._rules.in_flight + 1, "fill")
        landing = asyncio.create_task(self._land(done, pool))
        workers = [asyncio.create_task(self._work(waiting, done, landing, pool)) for _ in range(self._rules.in_flight)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            try:
                await self._hand_over(done, None, landing)
                await landing
            finally:
                # Its threads use what is locked, so they are waited for; on the loop that would stop everything else.
                pool.shutdown(wait=False, cancel_futures=True)
                await asyncio.to_thread(pool.shutdown)

    async def _work(
        self,
        waiting: Iterator[Task],
        done: asyncio.Queue[Staged | None],
        landing: asyncio.Task[None],
        pool: Threads,
    ) -> None:
        loop = asyncio.get_running_loop()
        for task in waiting:
            if self._gate.stopped:
                self._stopped = self._stopped or "stopped on request"
            if self._stopped or landing.done() or self._enough():
                return
            if task.peer in self._away:
                continue
            if full := self._reserve.why_full(task):
                self.refuse(refuse(task, Refusal.NO_SPACE, full))
                continue
            try:
                staged = await loop.run_in_executor(pool, self._bring, task)
            except Interrupted:
                self._stopped = self._stopped or "stopped on request"
                return
            except _AWAY as error:
                self._away[task.peer] = str(error)
                continue
            except tuple(_REFUSALS) as error:
                if isinstance(error, DiskFull):
                    self._reserve.note_full(task, str(error))
                self.refuse(refuse(task, _REFUSALS[type(error)], str(error)))
                continue
            if isinstance(staged, Refused):
                self.refuse(staged)
                continue
            await self._hand_over(done, staged, landing)

    @staticmethod
    async def _hand_over(done: asyncio.Queue[Staged | None], item: Staged | None, landing: asyncio.Task[None]) -> None:
        """Put an item on the lander's queue; do not wait for a lander that has failed."""
        putting = asyncio.ensure_future(done.put(item))
        await asyncio.wait({putting, landing}, return_when=asyncio.FIRST_COMPLETED)
        if not putting.done():
            putting.cancel()

    def _bring(self, task: Task) -> Staged | Refused:
        storage = self._site.storage(task.storage_id)
        if here := self._lander.already_here(task, storage):
            return here
        with self._reserve.kept(task):
            return bring(
                task,
                self._peers[task.peer],
                storage,
                self._stagings[task.storage_id],
                rules=self._rules,
                gate=self._gate,
                listener=self._listener,
            )

    def refuse(self, refused: Refused) -> None:
        """Note and tell what is left out."""
        self._refused.append(refused)
        self._listener(SegmentRefused(refused))

    async def _land(self, done: asyncio.Queue[Staged | None], pool: Threads) -> None:
        """Land what is staged, in batches, until the last."""
        loop = asyncio.get_running_loop()
        last = False
        while not last:
            batch, last = await _gathered(done)
            for storage in {one.storage.id: one.storage for one in batch}.values():
                group = [one for one in batch if one.storage.id == storage.id]
                for outcome in await loop.run_in_executor(pool, self._land_in, storage, group):
                    if isinstance(outcome, Landed):
                        self._landed.append(outcome)
                        self._listener(SegmentLanded(outcome))
                    else:
                        self.refuse(outcome)

    def _land_in(self, storage: Storage, group: list[Staged]) -> list[Landed | Refused]:
        """Land what is staged for one storage. That it went away meanwhile keeps no other from being filled.

        For a copy that is gone from staging nothing may be made: the disk was unmounted, and there is only an empty
        mount point.
        """
        gone = [one for one in group if not os.path.lexists(one.partial.path)]
        outcomes: list[Landed | Refused] = [
            refuse(one.task, Refusal.WRITE_FAILED, f"the copy is gone: {one.partial.path}") for one in gone
        ]
        staged = []
        for one in group:
            if one in gone:
                continue
            refused = self._make_room(one) if self._make_room else None
            if refused:
                outcomes.append(refused)
            else:
                staged.append(one)
        if not staged:
            return outcomes
        try:
            return outcomes + self._lander.land(storage, staged)
        except (StorageAway, StagingUnusable) as error:
            return outcomes + [refuse(one.task, Refusal.WRITE_FAILED, str(error)) for one in staged]


async def _gathered(done: asyncio.Queue[Staged | None]) -> tuple[list[Staged], bool]:
    """Return what to land at once, and whether nothing follows: the busier the fill, the cheaper each segment."""
    batch: list[Staged] = []
    item = await done.get()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GATHER_SECONDS):
            while item is not None:
                batch.append(item)
                if len(batch) == _BATCH:
                    break
                item = await done.get()
    return batch, item is None
