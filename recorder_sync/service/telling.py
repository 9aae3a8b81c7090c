"""What looking and filling have to tell operators: that a fill began and what it brought, what is lost, which clocks
are off, which sources are damaged.

Rule: blocking, for threads. Nothing is decided about filling here; each event is told once, and a fill as one, in
however many slices it was made.
"""

from collections.abc import Callable, Iterable, Mapping

from backfill.clocks import Offset
from backfill.progress import Event, SegmentLanded, SegmentRefused
from backfill.site import Site
from backfill.survey import Survey
from recorder_sync.alarms import kinds
from recorder_sync.app import App
from recorder_sync.service.events import Events
from recorder_sync.service.slices import Account
from schema.spans import DAY, Span, merge
from schema.values import FillResult, GapState, Landed, Plan, Refusal, Refused

_LOST_TOLD = 7 * DAY
"""A loss older than this is history when a service first looks, and no alarm."""


class Telling:
    """Raises the alarms of looks and fills.

    Args:
        now: microseconds UTC.
    """

    def __init__(self, events: Events, now: Callable[[], int]) -> None:
        self._events = events
        self._now = now
        self._lost: set[tuple[str, str, Span]] = set()

    def started(self, server: str, planned: Plan, at: int) -> None:
        """Tell that a fill began."""
        alarm = kinds.fill_started(
            server=server,
            peers=sorted({task.peer for task in planned.tasks}),
            at=at,
            segments=len(planned.tasks),
            size=planned.size,
            gaps=merge(gap.span for gap in planned.gaps),
        )
        self._events.tell(alarm)

    def filled(self, server: str, account: Account, at: int) -> None:
        """Tell what a fill came to, if it came to anything."""
        if not account.segments and not account.refused:
            return
        alarm = kinds.filled(
            server=server,
            started=account.started,
            at=max(at, account.started),  # the clock may have been set back meanwhile
            spans=account.spans,
            segments=account.segments,
            size=account.size,
            refused=len(account.refused),
        )
        self._events.tell(alarm)

    def damaged(self, files: Mapping[tuple[str, str], Mapping[str, str]], at: int) -> None:
        """Tell which sources proved damaged, as `damaged` found them."""
        with self._events.writing() as connection:
            for (peer, storage), wrong in files.items():
                self._events.raise_(connection, kinds.damage(server=peer, storage=storage, at=at, files=wrong))

    def clocks_off(self, observer: str, off: Mapping[str, Offset], limit: int) -> None:
        """Tell which clocks keep anything from being filled."""
        for name, offset in off.items():
            alarm = kinds.clock_offset(server=name, observer=observer, at=self._now(), offset=offset.us, limit=limit)
            self._events.tell(alarm)

    def lost(self, app: App, found: Survey) -> None:
        """Tell of each span that nobody has; every peer was asked."""
        now = self._now()
        new = [
            gap
            for gap in found.gaps
            if gap.server in app.site.local
            and gap.state is GapState.LOST
            and gap.span.end > now - _LOST_TOLD
            and (gap.server, gap.camera, gap.span) not in self._lost
        ]
        if not new:
            return
        with self._events.writing() as connection:
            for gap in new:
                lost = kinds.lost(server=gap.server, camera=gap.camera, spans=[gap.span], at=now, reason=gap.reason)
                self._events.raise_(connection, lost)
        self._lost.update((gap.server, gap.camera, gap.span) for gap in new)


class Brought:
    """A listener that keeps what a fill brought, for one that ends with an error or is stopped."""

    def __init__(self) -> None:
        self._landed: list[Landed] = []
        self._refused: list[Refused] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, SegmentLanded):
            self._landed.append(event.landed)
        elif isinstance(event, SegmentRefused):
            self._refused.append(event.refused)

    def result(self) -> FillResult:
        """Return this as the outcome of the fill."""
        return FillResult(landed=tuple(self._landed), refused=tuple(self._refused))


def damaged(site: Site, planned: Plan, refused: Iterable[Refused]) -> dict[tuple[str, str], dict[str, str]]:
    """Return the sources that proved damaged, path and what is wrong, by server and name of its storage."""
    wrong = {(one.peer, one.path): one.detail for one in refused if one.why is Refusal.SOURCE_DAMAGED}
    found: dict[tuple[str, str], dict[str, str]] = {}
    for task in planned.tasks:
        detail = wrong.get((task.peer, task.source.path))
        if detail is not None:
            storage = site.storage(task.source.storage_id)
            found.setdefault((task.peer, storage.name), {})[task.source.path] = detail
    return found
