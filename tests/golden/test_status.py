"""The status and the fleet's report to the letter, at 80 columns and without colour.

After a change on purpose: UPDATE_GOLDEN=1 pytest tests/golden; read the diff.
"""

import io
import os
from pathlib import Path

import msgspec
import pytest
from rich.console import Console, RenderableType

from backfill.report.views import Signs
from recorder_sync.cli.fleet import view as fleet_view
from recorder_sync.cli.status_view import view
from schema.documents import (
    AlarmDocument,
    CameraDocument,
    DeliveryDocument,
    FillRecordDocument,
    FleetDocument,
    FleetTotalDocument,
    LiveDocument,
    LiveFillDocument,
    PairDocument,
    RaisedDocument,
    ServerDocument,
    StatusDocument,
    StorageDocument,
)

GOLDEN = Path(__file__).parent
AT = "2026-11-22T13:00:00.000000Z"


def shown(name: str, page: RenderableType) -> None:
    console = Console(file=io.StringIO(), width=80, color_system=None, legacy_windows=False, markup=False, emoji=False)
    console.print(page)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
    assert max(len(line) for line in text.splitlines()) <= 80


UP = ServerDocument(
    server="nvr-a",
    here=True,
    state="up",
    since="2026-11-20T09:12:00.000000Z",
    last=AT,
    detail="",
    offset=None,
    offset_error=None,
    basis=None,
    recording=["front", "yard"],
    silent=[],
    gaps=2,
    fillable=720.0,
    lost=30.0,
    refused=0.0,
    filled=0.0,
    scanned_seconds=42.0,
)
AWAY = msgspec.structs.replace(
    UP,
    server="nvr-b",
    here=False,
    state="away",
    since="2026-11-22T12:48:00.000000Z",
    last="2026-11-22T12:48:00.000000Z",
    detail="peer nvr-b does not answer: No route to host",
    offset=1.25,
    offset_error=0.003,
    basis="key frames and link",
    recording=[],
    gaps=0,
    fillable=0.0,
    lost=0.0,
    scanned_seconds=745.0,
)
STANDBY = msgspec.structs.replace(
    AWAY,
    state="standby",
    last=AT,
    detail="since 2026-11-22 12:00:00Z by ann@nvr-b: new switch",
    recording=["front"],
    silent=["yard"],
    scanned_seconds=12.0,
)
STORAGE = StorageDocument(
    server="nvr-a",
    storage="main",
    root="/srv/recordings",
    layout="frigate",
    state="present",
    segments=123456,
    size=2_345_000_000_000,
    quarantined=3,
    open=2,
    free=812_000_000_000,
    age_seconds=42.0,
)
THERE = msgspec.structs.replace(
    STORAGE, server="nvr-b", root="", state="at nvr-b", segments=0, size=0, quarantined=0, free=None, age_seconds=745.0
)
CAMERAS = [
    CameraDocument(
        server=server,
        camera=camera,
        newest="2026-11-22T12:59:50.000000Z",
        silent_seconds=10.0,
        own=3600.0,
        filled=0.0,
        fillable=fillable,
        lost=0.0,
        refused=0.0,
        recording=recording,
    )
    for server, camera, fillable, recording in (
        ("nvr-a", "front", 720.0, True),
        ("nvr-b", "front", 0.0, None),
        ("nvr-b", "yard", 0.0, False),
    )
]
FILL = LiveFillDocument(
    server="nvr-a",
    segments=72,
    landed=12,
    refused=1,
    size=3_400_000_000,
    moved=1_200_000_000,
    rate=50_100_000,
    seconds=24.0,
    left=43.9,
)
LIVE = LiveDocument(
    server="nvr-a",
    process=1,
    started="2026-11-20T09:12:00.000000Z",
    paused="",
    waiting="",
    problem="",
    silent=[],
    fill=FILL,
    peers=[],
)
ALARMS = [
    RaisedDocument(
        alarm=AlarmDocument(
            key="x",
            kind="server-failed",
            server="nvr-b",
            camera=None,
            at="2026-11-22T12:48:10.000000Z",
            text="nvr-b has not answered nvr-a since 2026-11-22 12:48:00Z: it is down, or the network is.",
            facts={},
        ),
        observer="nvr-a",
        deliveries=[
            DeliveryDocument(channel="mail", state="delivered", attempts=1, next=None, error=""),
            DeliveryDocument(channel="hook", state="pending", attempts=3, next=AT, error="it answered 503"),
            DeliveryDocument(channel="log", state="pending", attempts=0, next=None, error=""),
        ],
    )
]
STATUS = StatusDocument(
    generated=AT,
    ledger="/var/lib/recorder-sync/ledger.db",
    storages=[STORAGE, THERE],
    cameras=CAMERAS,
    fills=[FillRecordDocument(server="nvr-a", started=AT, ended=None, landed=0, sent=0, stopped="")],
    outages=[],
    notes=["what is known of nvr-b/main is 12 min 25 s old: nothing newer counts as missing"],
    refusals=1,
    servers=[UP, AWAY],
    service=LIVE,
    alarms=ALARMS,
)


def test_a_peer_that_is_away_while_something_is_filled() -> None:
    shown("status-away", view(STATUS, [], 80, Signs()))


def test_a_peer_that_is_paused_and_a_window_that_is_waited_for() -> None:
    live = msgspec.structs.replace(LIVE, fill=None, waiting="bulk filling waits for 22:00")
    paused = msgspec.structs.replace(STATUS, servers=[UP, STANDBY], service=live, alarms=[], notes=[], refusals=0)
    shown("status-standby", view(paused, [], 80, Signs()))


def test_without_a_service_it_says_what_rests_on_the_ledger() -> None:
    unknown = msgspec.structs.replace(AWAY, state="unknown", since=None, detail="nvr-a saw it up then")
    stopped = msgspec.structs.replace(UP, state="stopped", detail="its service was stopped", last=None)
    document = msgspec.structs.replace(
        STATUS,
        servers=[stopped, unknown],
        service=None,
        service_problem="the service here is not running",
        paused="since 2026-11-22 12:00:00Z by ann@nvr-a",
        alarms=[],
    )
    shown("status-stopped", view(document, [], 80, Signs()))


def test_a_fleet() -> None:
    pairs = [
        PairDocument(pair="north", servers=[UP, AWAY], notes=["what is known of nvr-b/main is 12 min 25 s old"]),
        PairDocument(
            pair="south",
            servers=[
                msgspec.structs.replace(UP, server="s-a", gaps=0, fillable=0.0, lost=0.0, filled=90.0),
                msgspec.structs.replace(STANDBY, server="s-b"),
            ],
            notes=[],
        ),
    ]
    total = FleetTotalDocument(pairs=2, servers=4, away=1, gaps=2, fillable=720.0, lost=30.0, refused=0.0, filled=90.0)
    shown("fleet", fleet_view(FleetDocument(generated=AT, ledger="x", pairs=pairs, total=total, notes=[])))


def test_a_fleet_of_nobody() -> None:
    total = FleetTotalDocument(pairs=0, servers=0, away=0, gaps=0, fillable=0.0, lost=0.0, refused=0.0, filled=0.0)
    document = FleetDocument(generated=AT, ledger="x", pairs=[], total=total, notes=["nobody"])
    shown("fleet-none", fleet_view(document))


@pytest.mark.parametrize("state", ["up", "standby", "away", "refused", "stopped", "unknown"])
def test_every_state_has_a_word_of_its_own(state: str) -> None:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    servers = [msgspec.structs.replace(UP, state=state)]
    console.print(view(msgspec.structs.replace(STATUS, servers=servers), [], 80, Signs()))
    word = {"stopped": "no service"}.get(state, state)
    assert word in console.file.getvalue().splitlines()[2]  # type: ignore[attr-defined]
