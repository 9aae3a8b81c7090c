"""What alarms say: keys that name the event, sentences that stand alone, facts that JSON can hold."""

import inspect

import msgspec
import pytest

from recorder_sync.alarms import kinds
from recorder_sync.alarms.wording import BAD, alarm_document, title
from schema.documents import AlarmDocument
from schema.service import ALARM_KINDS, AlarmChannel, alarm_problem
from schema.spans import HOUR, MINUTE, SECOND, Span
from schema.units import Duration
from schema.values import Alarm, AlarmKind
from tests.make import T0

SINCE, AT = T0, T0 + 63 * MINUTE
SPANS = [Span(T0, T0 + 30 * SECOND), Span(T0 + MINUTE, T0 + 2 * MINUTE)]

ALL = [
    kinds.server_failed(server="nvr-b", observer="nvr-a", since=SINCE, at=AT, reason="connection refused"),
    kinds.server_back(server="nvr-b", observer="nvr-a", since=SINCE, at=AT),
    kinds.recorder_silent(server="nvr-b", since=SINCE, at=AT),
    kinds.recorder_back(server="nvr-b", since=SINCE, at=AT),
    kinds.camera_silent(server="nvr-b", camera="front", since=SINCE, at=AT, elsewhere=["nvr-a"]),
    kinds.camera_back(server="nvr-b", camera="front", since=SINCE, at=AT),
    kinds.storage_away(server="nvr-b", storage="main", since=SINCE, at=AT, reason="not mounted"),
    kinds.storage_back(server="nvr-b", storage="main", since=SINCE, at=AT),
    kinds.fill_started(server="nvr-b", peers=["nvr-a"], at=AT, segments=9, size=10**9, gaps=SPANS),
    kinds.filled(server="nvr-b", started=SINCE, at=AT, spans={"front": SPANS}, segments=9, size=10**9, refused=1),
    kinds.lost(server="nvr-b", camera="front", spans=SPANS, at=AT, reason="nvr-a was down too"),
    kinds.damage(server="nvr-b", storage="main", at=AT, files={"front/1.mp4": "rot"}),
    kinds.disk_low(server="nvr-b", storage="main", at=AT, free=10**9, reserve=5 * 10**9),
    kinds.clock_offset(server="nvr-b", observer="nvr-a", at=AT, offset=-3 * SECOND, limit=2 * SECOND),
    kinds.identity_taken(server="nvr-b", by="nvr-a", at=AT, reason="the recorder of nvr-b is down"),
    kinds.identity_returned(server="nvr-b", by="nvr-a", since=SINCE, at=AT, reason="the recorder of nvr-b lives"),
    kinds.import_cut_off(server="nvr-b", began=SINCE, at=AT),
    kinds.test(server="nvr-b", at=AT),
]


def test_there_is_a_constructor_for_every_kind_and_a_word_for_every_kind() -> None:
    assert [one.kind for one in ALL] == list(AlarmKind)
    assert set(ALARM_KINDS) == {kind.value for kind in AlarmKind} - {"test"}
    assert set(AlarmKind) > BAD


@pytest.mark.parametrize("alarm", ALL, ids=lambda alarm: alarm.kind.value)
def test_an_alarm_says_what_where_and_when_by_itself(alarm: Alarm) -> None:
    assert alarm.server in alarm.text
    assert alarm.camera is None or alarm.camera in alarm.text
    assert "2026-11-22 1" in alarm.text
    assert alarm.text.endswith(".")
    assert "  " not in alarm.text
    assert len(alarm.text) < 400
    assert alarm.key.startswith(f"{alarm.kind.value}:")
    assert alarm.kind.value.split("-")[0] in title(alarm)
    assert msgspec.json.decode(msgspec.json.encode(alarm_document(alarm)), type=AlarmDocument)


@pytest.mark.parametrize("make", [kinds.server_failed, kinds.camera_silent, kinds.storage_away, kinds.recorder_back])
def test_the_key_follows_from_the_event_and_not_from_when_it_was_noticed(make) -> None:  # type: ignore[no-untyped-def]
    given = {name: "x" for name in inspect.signature(make).parameters if name not in ("elsewhere",)}
    keys = {make(**{**given, "since": SINCE, "at": at}).key for at in (AT, AT + HOUR)}
    assert len(keys) == 1
    assert make(**{**given, "since": SINCE + 1, "at": AT}).key not in keys


def test_what_is_lost_is_told_again_only_if_something_else_is_lost() -> None:
    def key(spans: list[Span], at: int = AT) -> str:
        return kinds.lost(server="a", camera="front", spans=spans, at=at, reason="").key

    assert key(SPANS) == key(SPANS, AT + HOUR)
    assert len({key(SPANS), key(SPANS[:1]), key([Span(SPANS[0].start, SPANS[1].end)])}) == 3


def test_the_same_damage_found_again_is_the_same_event() -> None:
    one = kinds.damage(server="a", storage="main", at=AT, files={"1": "rot", "2": "missing"})
    again = kinds.damage(server="a", storage="main", at=AT + HOUR, files={"2": "missing", "1": "rot"})
    more = kinds.damage(server="a", storage="main", at=AT, files={"1": "rot", "2": "rot"})
    assert one.key == again.key != more.key


def test_a_full_disk_and_a_wrong_clock_are_told_once_a_day() -> None:
    def keys(at: int) -> set[str]:
        low = kinds.disk_low(server="a", storage="main", at=at, free=1, reserve=2)
        return {low.key, kinds.clock_offset(server="a", observer="b", at=at, offset=3, limit=2).key}

    assert keys(T0) == keys(T0 + 11 * HOUR)
    assert not keys(T0) & keys(T0 + 13 * HOUR)


def test_whatever_cameras_are_called_a_key_is_short_ascii_and_its_own() -> None:
    names = ["front", "front:1", "front%3A1", "Küche\r\n", "x" * 512, "x" * 511 + "y", "🎥" * 100]
    keys = [kinds.camera_back(server="a", camera=name, since=SINCE, at=AT).key for name in names]
    assert len(set(keys)) == len(names)
    assert all(key.isascii() and key.isprintable() and len(key) <= 256 for key in keys)


def test_facts_stay_small_however_much_came_back() -> None:
    spans = [Span(T0 + at * MINUTE, T0 + at * MINUTE + SECOND) for at in range(10_000)]
    many = kinds.filled(
        server="a", started=SINCE, at=AT, spans={f"cam{n}": spans for n in range(300)}, segments=1, size=1, refused=0
    )
    assert len(msgspec.json.encode(alarm_document(many))) < 60_000
    assert many.facts["cameras"]["cam0"]["count"] == 10_000
    one = kinds.lost(server="a", camera="c", spans=spans, at=AT, reason="")
    assert (len(one.facts["spans"]), one.facts["count"], one.facts["seconds"]) == (kinds.LISTED, 10_000, 10_000.0)


def test_who_still_records_a_silent_camera_decides_what_it_means() -> None:
    alone = kinds.camera_silent(server="a", camera="front", since=SINCE, at=AT)
    seen = kinds.camera_silent(server="a", camera="front", since=SINCE, at=AT, elsewhere=["b"])
    assert "is being lost" in alone.text
    assert "b still records it" in seen.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"only": ["server-failled"]}, "no kind 'server-failled'"),
        ({"only": ["test"]}, "no kind 'test'"),
        ({"timeout": Duration(0)}, "timeout must be"),
        ({"timeout": Duration(HOUR)}, "timeout must be"),
        ({"kind": "smtp", "server": "mail.example", "sender": "a@b.example", "to": ["c@d.example"]}, "no address"),
        ({"kind": "syslog", "url": "udp://loghost"}, "no address"),
        ({"kind": "syslog", "url": "unix:"}, "syslog needs url"),
        ({"kind": "syslog", "url": "http://loghost"}, "syslog needs url"),
        ({"kind": "webhook", "url": "hooks.example"}, "a webhook needs url"),
        ({"kind": "webhook", "url": "http://[oops"}, "Invalid IPv6 URL"),
    ],
)
def test_a_channel_that_cannot_work_is_refused_with_the_configuration(change: dict[str, object], said: str) -> None:
    channel = AlarmChannel(**{"name": "c", "kind": "command", "command": ["x"], **change})  # type: ignore[arg-type]
    assert said in (alarm_problem([channel]) or "")


def test_a_channel_that_can_work_is_not_refused() -> None:
    assert alarm_problem([AlarmChannel(name="c", kind="syslog", url="tcp://[fd00::1]:601")]) is None
    assert alarm_problem([AlarmChannel(name="c", kind="syslog", url="unix:/dev/log")]) is None
    assert alarm_problem([AlarmChannel(name="c", kind="webhook", url="https://hooks.example/${TOKEN}")]) is None
