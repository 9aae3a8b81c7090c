"""What XProtect is sent, byte for byte, beside the shape of the vendor's sample.

After a change on purpose: UPDATE_GOLDEN=1 pytest tests/golden; read the diff.
"""

import os
from pathlib import Path

import pytest
from lxml import etree

from recorder_sync.alarms import kinds
from recorder_sync.alarms.xprotect.analytics import request
from recorder_sync.alarms.xprotect.shapes import alarm_body, analytics_event, event_body, generic_event
from schema.spans import SECOND, Span
from schema.values import Alarm
from tests.events import wrong_with
from tests.make import T0

GOLDEN = Path(__file__).parent
CAMERA = "0b1f3a52-6e0e-4a4c-9a8a-3c3a0c7d5e10"
FAILED = kinds.server_failed(server="nvr-a", observer="nvr-b", since=T0, at=T0 + 30 * SECOND, reason="no route")
BACK = kinds.camera_back(server="nvr-a", camera='Küche <2> & "3"]]>\x00\'', since=T0, at=T0 + 90 * SECOND)
LOST = kinds.lost(
    server="nvr-a",
    camera="front",
    spans=[Span(T0, T0 + 5 * SECOND), Span(T0 + 60 * SECOND, T0 + 90 * SECOND)],
    at=T0 + 100 * SECOND,
    reason="nvr-b was down too",
)
TEST = kinds.test(server="nvr-a", at=T0)


def same(name: str, sent: bytes) -> None:
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_bytes(sent + b"\n")
    assert sent + b"\n" == path.read_bytes()


@pytest.mark.parametrize(
    ("name", "alarm", "source"),
    [
        ("failed", FAILED, None),
        ("camera-back", BACK, "192.0.2.9,2"),
        ("lost", LOST, CAMERA),
        ("test", TEST, None),
    ],
)
def test_the_analytics_event(name: str, alarm: Alarm, source: str | None) -> None:
    event = analytics_event(alarm, "Recorder event", source)
    assert wrong_with(etree.fromstring(event)) == ""
    same(f"xprotect-analytics-{name}.xml", event)


def test_the_request_around_an_analytics_event() -> None:
    same("xprotect-analytics-request.txt", request(b"<AnalyticsEvent>\xc3\xbc</AnalyticsEvent>"))


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_generic_event(encoding: str) -> None:
    same(f"xprotect-generic-{encoding}.txt", generic_event(BACK, "recorder-sync", encoding))


def test_the_bodies_for_the_gateway() -> None:
    same("xprotect-gateway-alarm.json", alarm_body(FAILED, CAMERA))
    same("xprotect-gateway-alarm-test.json", alarm_body(TEST, CAMERA))
    same("xprotect-gateway-event.json", event_body(CAMERA))
