"""Filling without being asked: when something may have changed, look for gaps, and fetch what can be had now.

Rule: one fill at a time, so that limits are those of the whole host. What waits - for a window, for a peer, for the
operator, for its next try - is waited for, with the reason in the status. A long fill is made in slices and told as
one: it began once, and what came back is told when nothing is left to go on with.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from backfill.clocks import Offset
from backfill.gate import Gate
from backfill.peer import Peer
from backfill.progress import Event
from backfill.survey import Survey
from backfill.timing import Timing, sort_out
from recorder_sync.app import App
from recorder_sync.host.memory import give_back
from recorder_sync.service import contact, slices
from recorder_sync.service.events import Events
from recorder_sync.service.live import Live
from recorder_sync.service.retrying import Retrying
from recorder_sync.service.slices import Account
from recorder_sync.service.telling import Brought, Telling, damaged
from recorder_sync.service.turns import Turns
from schema.errors import AlreadyRunning, OperatorError, PeerRefused, PeerUnreachable
from schema.settings import Settings
from schema.spans import SECOND
from schema.values import FillResult, Plan, Refusal, Task

_log = structlog.get_logger()

_TROUBLED = 60.0
"""Seconds until the next look after one that failed."""
_NOT_NOTED = 5.0
_BROKEN_OFF = 5.0
"""Seconds until the next look after a peer did not answer in the middle: one that flaps is never called away, and its
return is no event. One that dies between the handshake and its answer looks like one that refuses us."""


class Filler:
    """The one that fills.

    Args:
        app: returns what to work with as it is now.
        rescan: brings the ledger up to this moment.
        now: microseconds UTC.
    """

    def __init__(
        self,
        app: Callable[[], App],
        settings: Settings,
        live: Live,
        events: Events,
        gate: Gate,
        *,
        rescan: Callable[[], Awaitable[None]],
        now: Callable[[], int],
    ) -> None:
        self._app = app
        self._settings = settings
        self._live = live
        self._gate = gate
        self._rescan = rescan
        self._now = now
        self._timing = Timing.of(settings.fill.windows, settings.service.zone, settings.fill.fresh)
        self._retrying = Retrying()
        self._turns = Turns(settings.service.reconcile / SECOND)
        self._telling = Telling(events, now)
        self._accounts: dict[str, Account] = {}
        """Of the fill that is under way, by server; between two slices too."""
        self._left_out: dict[str, frozenset[tuple[str | None, str, Refusal]]] = {}
        """What the last plan could not name a task for, by server: it is noted once, not at every look."""

    def wake(self, urgent: bool) -> None:
        """Look for gaps soon: at once if `urgent`, else when it is calm. Called on the service's loop."""
        self._turns.wake(urgent)

    async def run(self) -> None:
        """Look and fill until cancelled; what came back until then is told."""
        try:
            while True:
                await self._turns.next()
                await self._try()
        finally:
            for server, account in self._accounts.items():
                with contextlib.suppress(OperatorError):  # there is no time to wait for the ledger
                    await asyncio.to_thread(self._telling.filled, server, account, self._now())

    async def _try(self) -> None:
        """Look once; what goes wrong is why nothing is filled now."""
        try:
            await self._look()
            await asyncio.to_thread(give_back)
        except OperatorError as error:
            if not isinstance(error, AlreadyRunning):
                _log.warning("fill.failed", problem=str(error))
            self._live.change(waiting=str(error), fill=None)
            self._turns.within(_BROKEN_OFF if isinstance(error, PeerRefused | PeerUnreachable) else _TROUBLED)

    async def _look(self) -> None:
        """Survey, tell what is lost, and fill what can be had now."""
        app = self._app()
        paused = await asyncio.to_thread(_paused, app)
        self._live.change(paused=paused)
        began = time.monotonic()
        await self._rescan()
        found = await asyncio.to_thread(lambda: app.survey(app.question()))
        self._turns.rest_after(time.monotonic() - began)
        states = self._live.now().peers
        if all(name in states and contact.is_here(states[name].state) for name in app.links):
            await asyncio.to_thread(self._telling.lost, app, found)
        limit = int(self._settings.service.offset)
        await asyncio.to_thread(self._telling.clocks_off, app.site.local[0], self._off(found), limit)
        if paused:
            self._live.change(waiting=f"paused: {paused}")
            return
        waiting = [await self._serve(app, found, server) for server in app.site.local]
        self._live.change(waiting="; ".join(reason for reason in waiting if reason))

    async def _serve(self, app: App, found: Survey, server: str) -> str:
        """Fill what can be had now for one server; returns why anything waits."""
        reachable = replace(app, links=self._reachable(app, found))
        planned = await asyncio.to_thread(reachable.plan, found, server)
        ready, later = sort_out(planned.tasks, self._now(), self._timing)
        tasks = self._retrying.ready(ready, _steady())
        left_out = frozenset((one.peer, one.path, one.why) for one in planned.refused)
        news = not left_out <= self._left_out.get(server, frozenset())
        if tasks or news:
            self._left_out[server] = left_out
        if not tasks and server in self._accounts:
            await self._end(server)
        if tasks:
            await self._fill(reachable, server, replace(planned, tasks=tuple(tasks)))
        elif news:
            await reachable.filling(replace(planned, tasks=()), server, self._gate, self._live.on_fill)
            self._live.change(fill=None)
        self._next_look(ready, later[0].opens if later else None)
        return self._why_waiting(found, planned, len(tasks), later[0].reason if later else "")

    def _reachable(self, app: App, found: Survey) -> dict[str, Peer]:
        """Return the links to peers that answer, and whose clocks are near enough to ours."""
        states = self._live.now().peers
        off = self._off(found)
        return {
            name: link
            for name, link in app.links.items()
            if name in states and contact.is_here(states[name].state) and name not in off
        }

    def _off(self, found: Survey) -> dict[str, Offset]:
        """Return the clocks that are certainly farther from ours than the operator allows."""
        limit = self._settings.service.offset
        return {name: one for name, one in found.question.offsets.items() if one.above(limit)}

    def _why_waiting(self, found: Survey, planned: Plan, ready: int, later: str) -> str:
        """Return why something that could be filled is not filled now, empty if nothing waits."""
        for name, offset in self._off(found).items():
            return f"the clock of {name} is {offset.us / SECOND:+.1f} s off; set the clocks or service.offset"
        if later:
            return later
        return "" if ready or not planned.tasks else "what was refused is tried again later"

    def _next_look(self, ready: list[Task], opens: int | None) -> None:
        """Come back when a window opens or a refused segment, which need not wait for one, may be tried again."""
        again = self._retrying.next(ready, _steady())
        waits = [at - since for at, since in ((opens, self._now()), (again, _steady())) if at is not None]
        if waits:
            self._turns.within(max(1.0, min(waits) / SECOND))

    async def _fill(self, app: App, server: str, planned: Plan) -> None:
        """Make a slice of the fill that is under way, or the first of a new one; what it leaves is planned anew."""
        if server not in self._accounts:
            began = self._now()
            await asyncio.to_thread(self._telling.started, server, planned, began)
            self._accounts[server] = Account(started=began)
            _log.info("fill.started", server=server, segments=len(planned.tasks), bytes=planned.size)
        result = await self._slice(app, server, planned)
        tried = slices.tried(planned, result)
        self._retrying.note(tried, result.refused, _steady())
        if wrong := damaged(app.site, planned, result.refused):
            await self._insist(self._telling.damaged, wrong, self._now())
        if result.stopped:
            self._live.change(fill=None)
            self._turns.within(_BROKEN_OFF)  # goes on then, or has ended
        elif len(tried) < len(planned.tasks):
            self.wake(urgent=bool(tried))
        else:
            await self._end(server)
            if result.landed:
                self.wake(urgent=False)  # to see that nothing is left

    async def _slice(self, app: App, server: str, planned: Plan) -> FillResult:
        """Fill until that is enough for one slice, and add to the account what came, however it ends."""
        account = self._accounts[server]
        brought = Brought()

        def listener(event: Event) -> None:
            self._live.on_fill(event)
            brought(event)

        try:
            enough = slices.enough(self._timing, self._now, time.monotonic)
            result = await app.filling(planned, server, self._gate, listener, enough=enough, since=account.started)
        except BaseException:  # stopped, too: what landed until then is told
            self._accounts[server] = account.after(planned.gaps, brought.result())
            raise
        self._accounts[server] = account.after(planned.gaps, result)
        _log.info(
            "fill.slice",
            server=server,
            landed=len(result.landed),
            refused=len(result.refused),
            bytes=result.sent,
            seconds=round(result.seconds, 3),
            stopped=result.stopped,
        )
        return result

    async def _end(self, server: str) -> None:
        """Tell what the fill came to that has nothing to go on with."""
        account, at = self._accounts[server], self._now()
        self._live.change(fill=None)
        await self._insist(self._telling.filled, server, account, at)
        del self._accounts[server]
        _log.info(
            "fill.ended",
            server=server,
            landed=account.segments,
            refused=len(account.refused),
            bytes=account.size,
            seconds=round((at - account.started) / SECOND, 3),
        )

    async def _insist(self, tell: Callable[..., None], *arguments: object) -> None:
        """Write what was done as often as it takes, while the ledger is away."""
        while True:
            try:
                return await asyncio.to_thread(tell, *arguments)
            except OperatorError as error:
                self._live.change(waiting=str(error))
                _log.warning("fill.not_noted", problem=str(error))
            await asyncio.sleep(_NOT_NOTED)


def _paused(app: App) -> str:
    with app.ledger.reading() as connection:
        return app.ledger.contacts.paused(connection, app.site.local)


def _steady() -> int:
    """Return microseconds of a clock that only goes forward."""
    return time.monotonic_ns() // 1000
