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

from backfill.gate import Gate
from backfill.peer import Peer
from backfill.survey import Survey
from backfill.timing import Timing, sort_out
from recorder_sync.alarms import kinds
from recorder_sync.app import App
from recorder_sync.host.memory import give_back
from recorder_sync.service import contact
from recorder_sync.service.events import Events
from recorder_sync.service.live import Live
from recorder_sync.service.retrying import Retrying
from schema.errors import AlreadyRunning, OperatorError
from schema.settings import Settings
from schema.spans import DAY, SECOND, Span, intersect, merge
from schema.values import FillResult, GapState, Plan, Refusal

_log = structlog.get_logger()

_CALM = 30.0
"""Seconds between two looks when only new recordings came: an outage's end is looked at in a moment."""
_TOGETHER = 0.2
_TROUBLED = 60.0
"""Seconds until the next look after one that failed."""
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
        self._due = 0.0
        self._lost_told: set[tuple[str, str, Span]] = set()

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
                self._due = time.monotonic() + _TROUBLED

    async def _until_due(self, looked: float) -> None:
        """Wait until there is a reason to look, and it is time."""
        while True:
            now = time.monotonic()
            due = self._due
            if self._urgent:
                due = now
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
            paused = app.ledger.contacts.get(connection, "paused")
        self._live.change(paused=paused)
        await self._rescan()
        found = await asyncio.to_thread(lambda: app.survey(app.question()))
        await asyncio.to_thread(self._tell_lost, app, found)
        if paused:
            self._live.change(waiting=f"paused: {paused}")
            return
        waiting = [await self._serve(app, found, server) for server in app.site.local]
        self._live.change(waiting="; ".join(reason for reason in waiting if reason))

    async def _serve(self, app: App, found: Survey, server: str) -> str:
        """Fill what can be had now for one server; returns why anything waits."""
        reachable = replace(app, links=self._reachable(app))
        planned = await asyncio.to_thread(reachable.plan, found, server)
        ready, later = sort_out(planned.tasks, self._now(), self._timing)
        tasks = self._retrying.ready(ready, self._now())
        if tasks or planned.refused:
            await self._fill(reachable, server, replace(planned, tasks=tuple(tasks)))
        self._next_look(planned, later[0].opens if later else None)
        return self._why_waiting(app, planned, len(tasks), later[0].reason if later else "")

    def _reachable(self, app: App) -> dict[str, Peer]:
        """Return the links to peers that answer, and whose clocks are near enough to ours."""
        states = self._live.now().peers
        limit = self._settings.service.offset
        usable: dict[str, Peer] = {}
        for name, link in app.links.items():
            state = states.get(name)
            if state is None or not contact.is_here(state.state):
                continue
            if state.offset is not None and abs(state.offset) - (state.offset_error or 0) > limit:
                continue
            usable[name] = link
        return usable

    def _why_waiting(self, app: App, planned: Plan, ready: int, later: str) -> str:
        """Return why something that could be filled is not filled now, empty if nothing waits."""
        here = self._reachable(app)
        states = self._live.now().peers
        for name in app.links:
            state = states.get(name)
            if name not in here and state is not None and contact.is_here(state.state) and state.offset is not None:
                return f"the clock of {name} is {state.offset / SECOND:+.1f} s off; set the clocks or service.offset"
        if later:
            return later
        return "" if ready or not planned.tasks else "what was refused is tried again later"

    def _next_look(self, planned: Plan, opens: int | None) -> None:
        """Come back when a window opens or a refused segment may be tried again."""
        moments = [one for one in (opens, self._retrying.next(planned.tasks)) if one is not None]
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
        result = await app.filling(planned, server, self._gate, self._live.on_fill)
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
        await asyncio.to_thread(self._tell_filled, server, planned, result, started)
        if result.landed and not result.stopped:
            self.wake(urgent=False)  # to see that nothing is left

    def _tell_filled(self, server: str, planned: Plan, result: FillResult, started: int) -> None:
        at = self._now()
        cameras = {gap.camera for gap in planned.gaps}
        wanted = {camera: merge(gap.span for gap in planned.gaps if gap.camera == camera) for camera in cameras}
        spans: dict[str, list[Span]] = {}
        for one in result.landed:
            source = one.task.source
            spans.setdefault(source.camera, []).extend(intersect([source.span], wanted.get(source.camera, [])))
        with self._app().ledger.writing() as connection:
            if result.landed or result.refused:
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
        with app.ledger.writing() as connection:
            for gap in new:
                lost = kinds.lost(server=gap.server, camera=gap.camera, spans=[gap.span], at=now, reason=gap.reason)
                self._events.raise_(connection, lost)
        self._lost_told.update((gap.server, gap.camera, gap.span) for gap in new)


def _damaged(result: FillResult) -> dict[str, dict[str, str]]:
    """Return the sources that proved damaged, by server: path and what is wrong."""
    found: dict[str, dict[str, str]] = {}
    for one in result.refused:
        if one.why is Refusal.SOURCE_DAMAGED and one.peer is not None:
            found.setdefault(one.peer, {})[one.path] = one.detail
    return found
