"""For monitoring systems, on this host only: Prometheus metrics, a health answer, and the live state as JSON.

Rule: read-only, and never in the way: what is expensive to know is computed at most every half minute, in a thread.
"""

import asyncio
import os
import time
from collections import Counter as Tally
from collections.abc import Callable

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from recorder_sync.app import App
from recorder_sync.service.live import Live, Now
from schema.documents import LiveDocument, LiveFillDocument, LivePeerDocument
from schema.errors import OperatorError, UsageInvalid
from schema.moments import iso
from schema.service import split_address
from schema.spans import SECOND
from schema.values import GapState, Reach

_GAPS_EVERY = 30.0


class Monitor:
    """The local HTTP side of a service.

    Args:
        healthy: returns what is wrong with the service, empty if nothing is.
        now: microseconds UTC.
    """

    def __init__(
        self, app: Callable[[], App], own: str, live: Live, *, healthy: Callable[[], str], now: Callable[[], int]
    ) -> None:
        self._app = app
        self._own = own
        self._live = live
        self._healthy = healthy
        self._now = now
        self._started = now()
        self._gaps: dict[tuple[str, str, GapState], float] = {}
        self._gaps_at = -_GAPS_EVERY
        self._registry = CollectorRegistry()
        self._registry.register(_Metrics(self))
        self._runner: web.AppRunner | None = None

    async def start(self, address: str) -> int:
        """Listen; returns the port. Raises UsageInvalid if it cannot be had."""
        host, port = split_address(address)
        app = web.Application(client_max_size=1024)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/health", self._health)
        app.router.add_get("/status", self._status)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, reuse_address=True).start()
        except OSError as error:
            await self._runner.cleanup()
            raise UsageInvalid("service.monitor", f"{address}: {os.strerror(error.errno or 0)}") from None
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        body = await asyncio.to_thread(generate_latest, self._registry)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _health(self, _: web.Request) -> web.Response:
        problem = self._healthy()
        return web.json_response({"healthy": not problem, "problem": problem}, status=503 if problem else 200)

    async def _status(self, _: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self.document()), content_type="application/json")

    def document(self) -> LiveDocument:
        """Return the live state."""
        now = self._live.now()
        fill = now.fill
        return LiveDocument(
            server=self._own,
            process=os.getpid(),
            started=iso(self._started),
            paused=now.paused,
            waiting=now.waiting,
            role=now.role,
            problem=self._healthy(),
            silent=[
                f"{one.camera} on {server}"
                for server, cameras in now.cameras.items()
                for one in cameras
                if not one.recording
            ],
            fill=None
            if fill is None
            else LiveFillDocument(
                server=fill.server,
                segments=fill.segments,
                landed=fill.landed,
                refused=fill.refused,
                size=fill.size,
                moved=fill.moved,
                rate=round(fill.rate),
                seconds=round(fill.seconds, 1),
                left=None if fill.left is None else round(fill.left, 1),
            ),
            peers=[
                LivePeerDocument(
                    server=name,
                    state=one.state.value,
                    since=iso(one.since),
                    last=iso(one.last) if one.last else None,
                    detail=one.detail,
                    offset=None if one.offset is None else one.offset / SECOND,
                    offset_error=None if one.offset_error is None else one.offset_error / SECOND,
                    silent=[camera.camera for camera in one.cameras if not camera.recording],
                )
                for name, one in sorted(now.peers.items())
            ],
        )

    def gaps(self) -> dict[tuple[str, str, GapState], float]:
        """Return seconds of gaps by server, camera and state, at most half a minute old."""
        if time.monotonic() - self._gaps_at > _GAPS_EVERY:
            app = self._app()
            amounts: Tally[tuple[str, str, GapState]] = Tally()
            for gap in app.survey(app.question()).gaps:
                amounts[gap.server, gap.camera, gap.state] += gap.span.seconds  # type: ignore[assignment]  # floats add
            self._gaps, self._gaps_at = dict(amounts), time.monotonic()
        return self._gaps

    def scan_ages(self) -> dict[str, float]:
        """Return for each storage how many seconds ago it was scanned."""
        app = self._app()
        notes = {one.title: app.ledger.storage_note(one.id)[2] for one in (*app.site.storages, *app.site.remote)}
        return {title: (self._now() - scanned) / SECOND for title, scanned in notes.items() if scanned}

    def state(self) -> Now:
        """Return the live state as values."""
        return self._live.now()


class _Metrics(Collector):
    """What Prometheus is told; made anew at each question."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def describe(self) -> list[GaugeMetricFamily]:
        """Name nothing beforehand, so that registering asks nothing."""
        return []

    def collect(self) -> list[GaugeMetricFamily | CounterMetricFamily]:
        """Return every metric."""
        try:
            gaps, ages = self._monitor.gaps(), self._monitor.scan_ages()
        except OperatorError:
            gaps, ages = {}, {}  # the ledger is away: `health` says so
        return [*_of_gaps(gaps), *_of_scans(ages), *_of_service(self._monitor.state())]


def _of_gaps(gaps: dict[tuple[str, str, GapState], float]) -> list[GaugeMetricFamily]:
    family = GaugeMetricFamily(
        "recorder_sync_gap_seconds",
        "What a recorder did not write, by what became of it",
        labels=["server", "camera", "state"],
    )
    for (server, camera, state), seconds in sorted(gaps.items()):
        family.add_metric([server, camera, state.value], seconds)
    return [family]


def _of_scans(ages: dict[str, float]) -> list[GaugeMetricFamily]:
    family = GaugeMetricFamily(
        "recorder_sync_scan_age_seconds", "How long ago the ledger was brought up to a storage", labels=["storage"]
    )
    for title, age in sorted(ages.items()):
        family.add_metric([title], age)
    return [family]


def _of_service(now: Now) -> list[GaugeMetricFamily | CounterMetricFamily]:
    filled = CounterMetricFamily("recorder_sync_filled_bytes", "Bytes of segments that landed")
    filled.add_metric([], now.filled_bytes)
    seconds = CounterMetricFamily("recorder_sync_filled_seconds", "Seconds of gaps that were closed")
    seconds.add_metric([], now.filled_seconds)
    refused = CounterMetricFamily("recorder_sync_refused", "Segments that were not fetched", labels=["why"])
    for why, count in sorted(now.refused.items()):
        refused.add_metric([why.lower()], count)
    rate = GaugeMetricFamily("recorder_sync_fill_bytes_per_second", "Rate of the fill under way")
    rate.add_metric([], now.fill.rate if now.fill else 0.0)
    left = GaugeMetricFamily("recorder_sync_fill_left_bytes", "What the fill under way has still to move")
    left.add_metric([], now.fill.size - now.fill.moved if now.fill else 0)
    paused = GaugeMetricFamily("recorder_sync_paused", "1 while filling is paused by an operator")
    paused.add_metric([], float(bool(now.paused)))
    up = GaugeMetricFamily(
        "recorder_sync_peer_state", "1 for the state that a peer is in now", labels=["server", "state"]
    )
    offset = GaugeMetricFamily("recorder_sync_clock_offset_seconds", "A peer's clock less ours", labels=["server"])
    for name, peer in sorted(now.peers.items()):
        for state in Reach:
            up.add_metric([name, state.value], float(peer.state is state))
        if peer.offset is not None:
            offset.add_metric([name], peer.offset / SECOND)
    recording = GaugeMetricFamily(
        "recorder_sync_camera_recording", "1 while a recorder here records a camera", labels=["server", "camera"]
    )
    for server, cameras in sorted(now.cameras.items()):
        for one in cameras:
            recording.add_metric([server, one.camera], float(one.recording))
    return [filled, seconds, refused, rate, left, paused, up, offset, recording]
