"""Filling without being asked, over real storages: in slices that end with their window, and told as one.

What would hurt at night: a fill that goes on into the day, one that is told a hundred times, one that a stop makes
nobody hear of, and an event loop that waits for a database.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backfill.gate import Gate
from backfill.peer import FolderPeer
from backfill.progress import Event, SegmentLanded
from backfill.site import build_site
from recorder_sync.app import App
from recorder_sync.service import slices
from recorder_sync.service.events import Events
from recorder_sync.service.filler import Filler
from recorder_sync.service.live import Live, Now
from recorder_sync.service.retrying import Retrying
from schema.errors import LedgerUnreachable, OperatorError, PeerRefused, PeerUnreachable, SourceDamaged
from schema.ledger import Ledger
from schema.ledger.history import FillRecord
from schema.settings import parse
from schema.spans import DAY, HOUR, MINUTE
from schema.values import Alarm, AlarmKind, GapState, Segment
from tests import make

MIDNIGHT = make.T0 - make.T0 % DAY + 3 * DAY
NIGHT = 'windows = ["22:00-06:00"]\nfresh = "1s"\n'
ALARMS = """
[[alarms]]
name = "x"
kind = "command"
command = ["/bin/true"]
"""
MISSING = 60
"""Seconds that `a` lacks and `b` has, in segments of ten."""
SLOWLY = 'bandwidth = "1 MB/s"\n'
LARGE = 300_000


@dataclass
class Stage:
    """A filler for `a`, which lacks what `b` has, driven look by look."""

    app: App
    live: Live
    gate: Gate
    filler: Filler
    at: int = MIDNIGHT
    landed: int = 0
    on_landed: Callable[[], None] = lambda: None

    def look(self) -> None:
        """Look once, as the service would."""
        asyncio.run(self.filler._try())

    def look_until_done(self) -> None:
        """Look as often as it takes, and not for ever."""
        for _ in range(20):
            if not self.missing() and not self.filler._accounts:
                return
            self.look()
        raise AssertionError("it is not done")

    def alarms(self) -> list[Alarm]:
        """Return the alarms raised, the first first."""
        with self.app.ledger.reading() as connection:
            return [one.alarm for one in reversed(self.app.ledger.outbox.recent(connection))]

    def kinds(self) -> list[str]:
        return [one.kind.value for one in self.alarms()]

    def fills(self) -> list[FillRecord]:
        with self.app.ledger.reading() as connection:
            return self.app.ledger.history.last_fills(connection, ["a"])

    def missing(self) -> float:
        """Return how many seconds `a` lacks that `b` has."""
        self.app.scan()
        found = self.app.survey(self.app.question()).gaps
        return sum(one.span.seconds for one in found if one.server == "a" and one.state is GapState.FILLABLE)

    def pause(self, why: str) -> None:
        with self.app.ledger.writing() as connection:
            self.app.ledger.contacts.pause(connection, ["a"], why)

    @property
    def urgent(self) -> bool:
        """Whether the next look is to be made at once."""
        return self.filler._turns._urgent

    def now(self) -> Now:
        return self.live.now()


@contextlib.contextmanager
def staged(base: Path, fill: str = "", source: str = "", size: int = 2000) -> Iterator[Stage]:
    make.record(base / "a/recordings", "front", [*range(0, 40, 10), *range(100, 140, 10)], seed=1)
    make.record(base / "b/recordings", "front", range(0, 140, 10), seed=2, size=size)
    text = make.config_text("a", "b").replace("[fill]", f"[fill]\nin_flight = 1\n{fill}", 1)
    head, mark, tail = text.partition('name = "b"')
    tail = tail.replace("layout =", f"{source}\nlayout =", 1)
    settings = parse((head + mark + tail + ALARMS).encode(), base / "a.toml")
    with Ledger.open(settings.ledger) as ledger:
        site = build_site(settings, ledger)
        app, live, gate = App(settings, ledger, site), Live(), Gate(settings.fill.bandwidth)
        app.scan()
        stage: Stage

        async def rescan() -> None:
            await asyncio.to_thread(app.scan)

        def on_fill(event: Event) -> None:
            Live.on_fill(live, event)
            if isinstance(event, SegmentLanded):
                stage.landed += 1
                stage.on_landed()

        live.on_fill = on_fill  # type: ignore[method-assign]
        events = Events(ledger, "a", settings.alarms, lambda: None)
        filler = Filler(lambda: app, settings, live, events, gate, rescan=rescan, now=lambda: stage.at)
        stage = Stage(app, live, gate, filler)
        yield stage


def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a slice end once something was begun."""

    def soon(*_: object) -> Callable[[], bool]:
        begun = iter([False])
        return lambda: next(begun, True)

    monkeypatch.setattr(slices, "enough", soon)


def test_a_fill_begins_nothing_more_when_its_window_closes_and_goes_on_in_the_next(tmp_path: Path) -> None:
    with staged(tmp_path, NIGHT + SLOWLY, size=LARGE) as stage:
        stage.at = MIDNIGHT + 6 * HOUR - MINUTE

        def close() -> None:
            stage.at = MIDNIGHT + 6 * HOUR

        stage.on_landed = close
        stage.look()
        left = stage.missing()
        assert 0 < left < MISSING
        stage.look()
        assert stage.missing() == left
        assert "waits for the window that opens at" in stage.now().waiting
        assert stage.now().fill is None
        assert stage.kinds() == ["fill-started", "filled"]
        stage.at, stage.on_landed = MIDNIGHT + 22 * HOUR, lambda: None
        stage.look()
        assert stage.missing() == 0
        assert stage.kinds() == ["fill-started", "filled"] * 2
        told = [one.facts["segments"] for one in stage.alarms() if one.kind is AlarmKind.FILLED]
        assert sum(told) == stage.landed


def test_the_slices_of_a_fill_are_told_and_kept_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_at_a_time(monkeypatch)
    with staged(tmp_path) as stage:
        stage.look()
        before = stage.now().fill
        assert before is not None
        assert (before.landed, before.segments, stage.urgent) == (1, stage.alarms()[0].facts["segments"], True)
        stage.filler._turns._urgent = False
        stage.look()
        after = stage.now().fill
        assert after is not None
        assert (after.landed, after.segments, stage.urgent) == (2, before.segments, True)
        assert stage.kinds() == ["fill-started"]
        stage.at += 7 * MINUTE
        stage.look_until_done()
        assert stage.now().fill is None
        started, filled = stage.alarms()
        assert (started.kind, filled.kind) == (AlarmKind.FILL_STARTED, AlarmKind.FILLED)
        assert filled.facts["segments"] == stage.landed
        assert filled.facts["cameras"]["front"]["seconds"] == MISSING
        assert filled.at - started.at == 7 * MINUTE
        [kept] = stage.fills()
        assert (kept.landed, kept.started) == (stage.landed, started.at)
        stage.look()
        assert len(stage.alarms()) == 2


def test_what_its_source_deletes_soon_waits_for_no_window(tmp_path: Path) -> None:
    with staged(tmp_path, NIGHT, 'retention = "10d"') as stage:
        stage.at = make.T0 + 8 * DAY - 3 * HOUR
        stage.look()
        assert stage.landed == 0
        stage.at = make.T0 + 10 * DAY - 3 * HOUR  # gone at noon, before the night
        stage.look()
        assert stage.missing() == 0


def test_a_pause_between_two_slices_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_at_a_time(monkeypatch)
    with staged(tmp_path) as stage:
        stage.look()
        stage.pause("maintenance")
        stage.look()
        assert (stage.landed, stage.now().waiting) == (1, "paused: maintenance")
        stage.pause("")
        stage.look_until_done()
        assert stage.kinds() == ["fill-started", "filled"]


def test_a_ledger_that_goes_away_between_two_slices_makes_no_second_fill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_at_a_time(monkeypatch)
    with staged(tmp_path) as stage:
        stage.look()
        with monkeypatch.context() as broken:
            broken.setattr(App, "survey", _unreachable)
            stage.look()
        assert "down" in stage.now().waiting
        assert stage.now().fill is None
        stage.look_until_done()
        assert stage.kinds() == ["fill-started", "filled"]


def _unreachable(*_: Any) -> Any:
    raise LedgerUnreachable("pg", "down")


def test_stopped_in_the_middle_what_came_until_then_is_told(tmp_path: Path) -> None:
    with staged(tmp_path, SLOWLY, size=LARGE) as stage:

        async def stopped() -> None:
            running = asyncio.create_task(stage.filler.run())
            while not stage.landed:
                await asyncio.sleep(0.01)
            stage.gate.stop()
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

        asyncio.run(stopped())
        assert stage.landed > 0
        assert stage.missing() > 0
        assert stage.kinds() == ["fill-started", "filled"]
        assert stage.alarms()[1].facts["segments"] == stage.landed


def test_stopped_between_two_slices_what_came_until_then_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_at_a_time(monkeypatch)
    with staged(tmp_path) as stage:

        async def stopped() -> None:
            running = asyncio.create_task(stage.filler.run())
            while not stage.filler._accounts or not stage.urgent:
                await asyncio.sleep(0.01)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

        asyncio.run(stopped())
        assert stage.kinds() == ["fill-started", "filled"]


def test_a_damaged_source_is_told_with_the_storage_that_it_lies_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with staged(tmp_path, source='name = "nvme"') as stage:
        monkeypatch.setattr(FolderPeer, "manifest", _rotten)
        stage.look()
        [damage] = [one for one in stage.alarms() if one.kind is AlarmKind.DAMAGE]
        assert (damage.server, damage.facts["storage"]) == ("b", "nvme")
        assert "read error" in damage.text


def _rotten(_: object, segment: Segment) -> None:
    raise SourceDamaged(segment.path, "b", "read error")


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (PeerUnreachable("b", "it hung up"), 5.0),
        (PeerRefused("b", "it hung up on the certificate that this host shows"), 5.0),
        (LedgerUnreachable("ledger", "it is away"), 60.0),
    ],
)
def test_a_peer_that_breaks_off_is_asked_again_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OperatorError, seconds: float
) -> None:
    with staged(tmp_path) as stage:
        waits: list[float] = []

        async def broken() -> None:
            raise error

        monkeypatch.setattr(stage.filler, "_look", broken)
        monkeypatch.setattr(stage.filler._turns, "within", waits.append)
        stage.look()
        assert waits == [seconds]
        assert stage.now().waiting == str(error)


def test_a_look_waits_for_the_ledger_in_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with staged(tmp_path) as stage:
        loop_thread = threading.current_thread()
        asked: list[bool] = []
        for name in ("reading", "writing"):
            real = getattr(stage.app.ledger, name)

            def noted(*arguments: object, real: Callable[..., Any] = real) -> Any:
                asked.append(threading.current_thread() is loop_thread)
                return real(*arguments)

            monkeypatch.setattr(stage.app.ledger, name, noted)
        stage.look()
        assert stage.landed
        assert asked and not any(asked)


def test_what_a_slice_did_not_come_to_stays_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with staged(tmp_path) as stage:
        with monkeypatch.context() as broken:
            broken.setattr(FolderPeer, "manifest", _rotten)
            stage.look()
        refused = len(stage.app.refusals(None))
        stage.filler._retrying = Retrying()
        one_at_a_time(monkeypatch)
        stage.look()
        assert len(stage.app.refusals(None)) == refused - 1
