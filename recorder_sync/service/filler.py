"""Filling without being asked: when something may have changed, look for gaps, and fetch what can be had now.

Rule: one fill at a time, so that limits are those of the whole host. What waits - for a window, for a peer, for the
operator, for its next try - is waited for, with the reason in the status. Alarms are written with the ledger's own
account of the fill.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from backfill.clocks import Offset
from backfill.gate import Gate
from backfill.peer import Peer
from backfill.progress import Event, SegmentLanded, SegmentRefused
from backfill.survey import Survey
from backfill.timing import Timing, sort_out
from recorder_sync.alarms import kinds
from recorder_sync.app import App
from recorder_sync.host.memory import give_back
from recorder_sync.service import contact
from recorder_sync.service.events import Events
from recorder_sync.service.live import Live
from recorder_sync.service.retrying import Retrying
from schema.errors import AlreadyRunning, OperatorError, PeerUnreachable
from schema.settings import Settings
from schema.spans import DAY, SECOND, Span, intersect, merge
from schema.values import FillResult, GapState, Landed, Plan, Refusal, Refused, Task

_log = structlog.get_logger()

_CALM = 30.0
"""Seconds between two looks when only new recordings came: an outage's end is looked at in a moment."""
_TOGETHER = 0.2
_TROUBLED = 60.0
"""Seconds until the next look after one that failed."""
_NOT_NOTED = 5.0
_BROKEN_OFF = 5.0
"""Seconds until the next look after a peer did not answer in the middle: one that flaps is never called away, and its
return is no event."""
_RESTS = 2.0
"""After an urgent look rests so many times as long as it took, so that a large storage is not read without a pause."""
_LOST_TOLD = 7 * DAY
"""A loss older than this is history when a service first looks, and no alarm."""


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
        self._events = events
        self._gate = gate
        self._rescan = rescan
        self._now = now
        self._timing = Timing.of(settings.fill.windows, settings.service.zone, settings.fill.fresh)
        self._retrying = Retrying()
        self._wake = asyncio.Event()
        self._urgent = True
        self._due = self._rested = 0.0
        self._lost_told: set[tuple[str, str, Span]] = set()
        self._left_out: dict[str, frozenset[tuple[str | None, str, Refusal]]] = {}
        """What the last plan could not name a task for, by server: it is noted once, not at every look."""

    def wake(self, urgent: bool) -> None:
        """Look for gaps soon: at once if `urgent`, else when it is calm. Called on the service's loop."""
        self._urgent = self._urgent or urgent
        self._wake.set()

    async def run(self) -> None:
        """Look and fill until cancelled."""
        looked = -_CALM
        while True:
            await self._until_due(looked)
            self._urgent = False
            self._wake.clear()
            looked = time.monotonic()
            self._due = looked + self._settings.service.reconcile / SECOND
            try:
                await self._look()
                await asyncio.to_thread(give_back)
            except AlreadyRunning as error:
                self._live.change(waiting=str(error))
                self._due = time.monotonic() + _TROUBLED
            except OperatorError as error:
                _log.warning("fill.failed", problem=str(error))
                self._live.change(waiting=str(error))
                self._due = time.monotonic() + (_BROKEN_OFF if isinstance(error, PeerUnreachable) else _TROUBLED)

    async def _until_due(self, looked: float) -> None:
        """Wait until there is a reason to look, and it is time."""
        while True:
            now = time.monotonic()
            due = self._due
            if self._urgent:
                due = self._rested
            elif self._wake.is_set():
                due = min(due, looked + _CALM)
            if now >= due:
                await asyncio.sleep(_TOGETHER)  # what comes together is looked at together
                return
            if self._wake.is_set():
                await asyncio.sleep(min(due - now, 0.2))
                continue
            try:
                async with asyncio.timeout(due - now):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _look(self) -> None:
        """Survey, tell what is lost, and fill what can be had now."""
        app = self._app()
        with app.ledger.reading() as connection:
            paused = app.ledger.contacts.paused(connection, app.site.local)
        self._live.change(paused=paused)
        began = time.monotonic()
        await self._rescan()
        found = await asyncio.to_thread(lambda: app.survey(app.question()))
        self._rested = time.monotonic() + min(_CALM, _RESTS * (time.monotonic() - began))
        await asyncio.to_thread(self._tell_lost, app, found)
        await asyncio.to_thread(self._tell_clocks, app, found)
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
        tasks = self._retrying.ready(ready, self._now())
        left_out = frozenset((one.peer, one.path, one.why) for one in planned.refused)
        if tasks or not left_out <= self._left_out.get(server, frozenset()):
            self._left_out[server] = left_out
            await self._fill(reachable, server, replace(planned, tasks=tuple(tasks)))
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

    def _tell_clocks(self, app: App, found: Survey) -> None:
        """Raise an alarm for each clock that keeps anything from being filled."""
        for name, offset in self._off(found).items():
            alarm = kinds.clock_offset(
                server=name,
                observer=app.site.local[0],
                at=self._now(),
                offset=offset.us,
                limit=int(self._settings.service.offset),
            )
            self._events.tell(alarm)

    def _why_waiting(self, found: Survey, planned: Plan, ready: int, later: str) -> str:
        """Return why something that could be filled is not filled now, empty if nothing waits."""
        for name, offset in self._off(found).items():
            return f"the clock of {name} is {offset.us / SECOND:+.1f} s off; set the clocks or service.offset"
        if later:
            return later
        return "" if ready or not planned.tasks else "what was refused is tried again later"

    def _next_look(self, ready: list[Task], opens: int | None) -> None:
        """Come back when a window opens or a refused segment, which need not wait for one, may be tried again."""
        moments = [one for one in (opens, self._retrying.next(ready)) if one is not None]
        if moments:
            wait = max(1.0, (min(moments) - self._now()) / SECOND)
            self._due = min(self._due, time.monotonic() + wait)

    async def _fill(self, app: App, server: str, planned: Plan) -> None:
        started = self._now()
        if planned.tasks:
            alarm = kinds.fill_started(
                server=server,
                peers=sorted({task.peer for task in planned.tasks}),
                at=started,
                segments=len(planned.tasks),
                size=planned.size,
                gaps=merge(gap.span for gap in planned.gaps),
            )
            await asyncio.to_thread(self._events.tell, alarm)
            _log.info("fill.started", server=server, segments=len(planned.tasks), bytes=planned.size)
        brought = _Brought()

        def listener(event: Event) -> None:
            self._live.on_fill(event)
            brought(event)

        try:
            result = await app.filling(planned, server, self._gate, listener)
        except OperatorError as error:
            if brought.landed:  # before the ledger went away, say: it is told when that is back
                result, at = brought.result(str(error)), self._now()
                await self._insist(lambda: self._tell_filled(server, planned, result, started, at))
            raise
        finally:
            self._live.change(fill=None)
        self._retrying.note(planned.tasks, result.refused, self._now())
        _log.info(
            "fill.ended",
            server=server,
            landed=len(result.landed),
            refused=len(result.refused),
            bytes=result.sent,
            seconds=round(result.seconds, 3),
            stopped=result.stopped,
        )
        at = self._now()
        await self._insist(lambda: self._tell_filled(server, planned, result, started, at))
        if result.stopped:
            self._due = min(self._due, time.monotonic() + _BROKEN_OFF)
        elif result.landed:
            self.wake(urgent=False)  # to see that nothing is left

    async def _insist(self, tell: Callable[[], None]) -> None:
        """Write what was done as often as it takes, while the ledger is away."""
        while True:
            try:
                return await asyncio.to_thread(tell)
            except OperatorError as error:
                self._live.change(waiting=str(error))
                _log.warning("fill.not_noted", problem=str(error))
            await asyncio.sleep(_NOT_NOTED)

    def _tell_filled(self, server: str, planned: Plan, result: FillResult, started: int, at: int) -> None:
        cameras = {gap.camera for gap in planned.gaps}
        wanted = {camera: merge(gap.span for gap in planned.gaps if gap.camera == camera) for camera in cameras}
        spans: dict[str, list[Span]] = {}
        for one in result.landed:
            source = one.task.source
            spans.setdefault(source.camera, []).extend(intersect([source.span], wanted.get(source.camera, [])))
        with self._events.writing() as connection:
            if planned.tasks and (result.landed or result.refused):
                filled = kinds.filled(
                    server=server,
                    started=started,
                    at=at,
                    spans={camera: merge(found) for camera, found in spans.items()},
                    segments=len(result.landed),
                    size=sum(one.size for one in result.landed),
                    refused=len(result.refused),
                )
                self._events.raise_(connection, filled)
            for peer, files in _damaged(result).items():
                self._events.raise_(connection, kinds.damage(server=peer, storage="main", at=at, files=files))

    def _tell_lost(self, app: App, found: Survey) -> None:
        """Raise an alarm for each span that nobody has, once every peer was asked."""
        states = self._live.now().peers
        if not all(name in states and contact.is_here(states[name].state) for name in app.links):
            return
        now = self._now()
        new = [
            gap
            for gap in found.gaps
            if gap.server in app.site.local
            and gap.state is GapState.LOST
            and gap.span.end > now - _LOST_TOLD
            and (gap.server, gap.camera, gap.span) not in self._lost_told
        ]
        if not new:
            return
        with self._events.writing() as connection:
            for gap in new:
                lost = kinds.lost(server=gap.server, camera=gap.camera, spans=[gap.span], at=now, reason=gap.reason)
                self._events.raise_(connection, lost)
        self._lost_told.update((gap.server, gap.camera, gap.span) for gap in new)


class _Brought:
    """A listener that keeps what a fill brought, for one that ends with an error."""

    def __init__(self) -> None:
        self.landed: list[Landed] = []
        self.refused: list[Refused] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, SegmentLanded):
            self.landed.append(event.landed)
        elif isinstance(event, SegmentRefused):
            self.refused.append(event.refused)

    def result(self, stopped: str) -> FillResult:
        """Return this as the outcome of the fill."""
        return FillResult(landed=tuple(self.landed), refused=tuple(self.refused), stopped=stopped)


def _damaged(result: FillResult) -> dict[str, dict[str, str]]:
    """Return the sources that proved damaged, by server: path and what is wrong."""
    found: dict[str, dict[str, str]] = {}
    for one in result.refused:
        if one.why is Refusal.SOURCE_DAMAGED and one.peer is not None:
            found.setdefault(one.peer, {})[one.path] = one.detail
    return found
