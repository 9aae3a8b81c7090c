"""Alarms to XProtect, against a strict stand-in: what counts as delivered, what is said when it does not, and secrets.

What holds for every kind of channel is in tests/conformance/test_channels.py.
"""

import asyncio
import html
import json
import logging
import ssl
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
import trustme
from lxml import etree

from recorder_sync.alarms import kinds
from recorder_sync.alarms.channels import Channel, ChannelFailed, open_channel
from recorder_sync.alarms.dispatch import Dispatcher
from recorder_sync.alarms.xprotect.answers import QUOTED, quoted, words_of
from recorder_sync.alarms.xprotect.shapes import analytics_event, event_id, generic_event, named_events, source_of
from schema.errors import SecretMissing
from schema.ledger import Ledger
from schema.ledger.alarms import Sending
from schema.service import AlarmChannel
from schema.spans import SECOND, Span
from schema.units import Duration
from schema.values import Alarm
from tests import events, receivers
from tests.make import T0

FAILED = kinds.server_failed(server="nvr-b", observer="nvr-a", since=T0, at=T0 + SECOND, reason="no route")
BACK = kinds.server_back(server="nvr-b", observer="nvr-a", since=T0, at=T0 + 9 * SECOND)
TEST = kinds.test(server="nvr-a", at=T0)
CAMERA = "0b1f3a52-6e0e-4a4c-9a8a-3c3a0c7d5e10"
DEGRADED, WHOLE = "10000000-0000-4000-8000-000000000001", "10000000-0000-4000-8000-000000000002"
SOON = Duration(SECOND // 2)


def send(settings: AlarmChannel, alarm: Alarm = FAILED, **environment: str) -> str:
    return asyncio.run(open_channel(settings, environment).send(alarm))


def failing(settings: AlarmChannel, alarm: Alarm = FAILED, **environment: str) -> ChannelFailed:
    with pytest.raises(ChannelFailed) as failed:
        send(settings, alarm, **environment)
    return failed.value


def analytics(server: events.EventServer, **more: Any) -> AlarmChannel:
    return AlarmChannel(name="c", kind="xprotect-analytics", server=server.address, **more)


def generic(server: events.EventServer, scheme: str = "tcp", **more: Any) -> AlarmChannel:
    return AlarmChannel(name="c", kind="xprotect-generic", url=f"{scheme}://{server.address}", **more)


def rest(kind: Any, gateway: events.Gateway, **more: Any) -> AlarmChannel:
    settings: dict[str, Any] = {"url": gateway.url, "user": gateway.user, "password": "${PASSWORD}"}
    if kind == "xprotect-event":
        settings["events"] = {"server-failed": "Degraded", "server-back": "Whole"}
    else:
        settings["source"] = CAMERA
    return AlarmChannel(name="c", kind=kind, **settings | more)


@pytest.fixture
def pair() -> dict[str, Any]:
    """What the gateway knows."""
    return {"events": {"Degraded": DEGRADED, "Whole": WHOLE}, "cameras": {CAMERA}}


# Analytics events


def test_an_analytics_event_that_is_not_defined_is_a_failure_although_the_answer_is_200() -> None:
    with events.analytics() as server:
        failed = failing(analytics(server, event="Pair"))
        assert failed.answered
        assert "it answered 200 OK: 'Warning: Event message not known'" in failed.reason
        assert "no analytics event called 'Pair'" in failed.reason
        assert "Rules and Events > Analytics Events" in failed.reason
        server.known = {"Pair"}
        assert send(analytics(server, event="Pair")) == "it answered 200 OK"


def test_a_kind_of_alarm_can_have_an_analytics_event_of_its_own() -> None:
    with events.analytics() as server:
        server.known = {"Down"}
        settings = analytics(server, event="Other", events={"server-failed": "Down"})
        send(settings)
        assert "'Other'" in failing(settings, BACK).reason


@pytest.mark.parametrize(
    ("answer", "said", "answered"),
    [
        (events.answer("200 OK", "<a><b>Warning:</b> event message\n not  known</a>"), "no analytics event", True),
        (events.answer("200 OK", '<a b="Warning: Event message not known"/>'), "no analytics event", True),
        (events.answer("200 OK", f"<a>{'x' * 5000}<b>Event</b> message not known</a>"), "no analytics event", True),
        (events.answer("400 Bad Request", "no ID"), "it answered 400 Bad Request: 'no ID'", True),
        (events.answer("403 Forbidden"), "Tools > Options > Analytics Events whether this host may", False),
        (events.answer("500 Internal Server Error", "oops"), "500 Internal Server Error: 'oops'", False),
        (events.answer("302 Found", "", "Location: http://192.0.2.1/"), "redirects are not followed", False),
        (events.answer("202 Accepted"), "it answered 202 Accepted", False),
        (events.silent, "no answer within 0.5 s", False),
        (events.drip, "no answer within 0.5 s", False),
        (events.hang_up, "without an answer|reset", False),
        (events.endless, "longer than 65536 bytes", False),
        (lambda accepted: accepted.sendall(b"220 ready\r\n\r\n"), "not HTTP: 220 ready", False),
        (
            lambda accepted: accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
            "not whole: half",
            False,
        ),
        (lambda accepted: accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"), "99999999", False),
        (lambda accepted: accepted.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000), "8192 bytes of headers", False),
    ],
)
def test_whatever_an_event_server_does_a_try_ends_in_time_and_says_what(
    answer: events.Talk, said: str, answered: bool
) -> None:
    began = time.monotonic()
    with events.analytics() as server:
        server.answers = [answer]
        with pytest.raises(ChannelFailed, match=said) as failed:
            send(analytics(server, timeout=SOON))
    assert failed.value.answered is answered
    assert time.monotonic() - began < 3
    assert len(server.got) == 1


def test_an_answer_without_a_length_is_read_to_its_end() -> None:
    with events.analytics() as server:
        server.answers = [lambda accepted: accepted.sendall(b"HTTP/1.0 200 OK\r\n\r\nWarning: Event message not known")]
        assert failing(analytics(server)).answered
        server.answers = [lambda accepted: accepted.sendall(b"HTTP/1.0 200 OK\r\n\r\nfine")]
        assert send(analytics(server)) == "it answered 200 OK: 'fine'"


def test_an_answer_is_data_entities_and_doctypes_are_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    hostile = f'<!DOCTYPE a [<!ENTITY b SYSTEM "file://{tmp_path}/secret">]><a>&b;</a>'
    assert words_of(hostile.encode()).startswith("<!DOCTYPE")
    assert "s3cret" not in words_of(hostile.encode())
    assert words_of(b"<a>&b;</a>") == "<a>&b;</a>"
    assert words_of(b"<a>one\n <b>two</b></a>") == "one two"
    assert words_of(b"\xff\x00\x1b[2J" + b"x" * 1000).isprintable()
    assert len(quoted("x" * 1000)) < 320


def test_the_id_follows_from_the_key_and_the_time_is_when_it_was_noticed() -> None:
    header = etree.fromstring(analytics_event(FAILED, "m", None))[0]
    found = {str(one.tag).removeprefix(events.NAMESPACE): one.text for one in header}
    assert found["ID"] == event_id(FAILED)
    assert event_id(FAILED) != event_id(BACK)
    assert found["Timestamp"] == "2026-11-22T12:00:01.000Z"
    assert (found["Type"], found["Priority"], found["CustomTag"]) == ("server-failed", "1", "nvr-b")


def test_no_name_and_no_text_breaks_out_of_an_event() -> None:
    nasty = "\ufffe\0<x a='&'>]]>\r\n\"é"
    alarm = Alarm(
        key="k", kind=FAILED.kind, server="nvr", camera="\ufffe<&\0\r\n", at=T0, text=nasty, facts={"a": "\ufffe"}
    )
    root = etree.fromstring(analytics_event(alarm, "m", "<&\0>"))
    assert events.wrong_with(root) == ""
    assert "\n" not in "".join(map(str, root.itertext()))
    assert b"\n" not in generic_event(alarm, "recorder-sync", "utf-8")


def test_a_camera_is_named_as_xprotect_knows_it() -> None:
    settings = AlarmChannel(
        name="c",
        kind="xprotect-analytics",
        server="x:9090",
        source="192.0.2.1",
        cameras={"front": CAMERA},
    )

    def of(camera: str | None) -> str | None:
        return source_of(settings, Alarm(key="k", kind=FAILED.kind, server="s", camera=camera, at=T0, text="t"))

    assert of("front") == CAMERA
    assert of(None) == "192.0.2.1"
    assert of("yard") == "192.0.2.1"
    assert of(DEGRADED) == DEGRADED  # recordings of XProtect itself are named by the ids of its cameras


def test_a_list_of_spans_that_was_cut_has_no_known_end() -> None:
    spans = [Span(T0 + n * 10 * SECOND, T0 + (n * 10 + 1) * SECOND) for n in range(101)]
    for many, ended in ((100, True), (101, False)):
        alarm = kinds.lost(server="a", camera="c", spans=spans[:many], at=T0, reason="r")
        root = etree.fromstring(analytics_event(alarm, "m", None))
        assert root.findtext(f"{events.NAMESPACE}StartTime") == "2026-11-22T12:00:00.000Z"
        assert (root.findtext(f"{events.NAMESPACE}EndTime") is not None) is ended


def test_behind_the_outbox_it_is_sent_until_xprotect_knows_it_with_the_same_id_and_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        with (
            events.analytics() as server,
            Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger,
        ):
            server.known, now = set(), [T0]
            settings = analytics(server)
            dispatcher = Dispatcher(ledger, "nvr-a", [open_channel(settings, {})], lambda: now[0])

            def sending() -> tuple[Sending, str]:
                with ledger.reading() as connection:
                    [raised] = ledger.outbox.recent(connection)
                return raised.deliveries[0].state, raised.deliveries[0].error

            with ledger.writing() as connection:
                ledger.outbox.raise_(connection, FAILED, "nvr-a", [settings])
            task = asyncio.create_task(dispatcher.run())
            async with asyncio.timeout(10):
                while not sending()[1]:
                    await asyncio.sleep(0.01)
                assert sending()[0] is Sending.PENDING
                assert "no analytics event called 'recorder-sync'" in sending()[1]
                server.known = {"recorder-sync"}
                now[0] += 3600 * SECOND
                dispatcher.notify()
                while sending()[0] is not Sending.DELIVERED:
                    await asyncio.sleep(0.01)
            task.cancel()
            first, second = server.got
            assert first == second
            assert server.wrong == []

    asyncio.run(scenario())


def test_a_change_of_roles_that_is_over_has_an_end() -> None:
    over = kinds.identity_returned(server="a", by="b", since=T0, at=T0 + 60 * SECOND, reason="a is back")
    root = etree.fromstring(analytics_event(over, "m", None))
    assert root.findtext(f"{events.NAMESPACE}StartTime") == "2026-11-22T12:00:00.000Z"
    assert root.findtext(f"{events.NAMESPACE}EndTime") == "2026-11-22T12:01:00.000Z"


# Generic events


@pytest.mark.parametrize("echo", ["{x},{y},{z},{names}\r\n", "[{x}],[{y}],[{z}],[{names}]\r\n", "{x},{y},{z},{names}"])
def test_a_generic_event_is_delivered_only_if_one_matched(echo: str) -> None:
    with events.international(echo) as server:
        server.known = {"recorder-sync server-failed"}
        answer = send(generic(server))
        assert answer.endswith("1 matched")
        assert "recorder-sync server-failed" in answer
        failed = failing(generic(server), BACK)
        assert failed.answered
        assert "no generic event matched" in failed.reason
        assert "'recorder-sync server-back server=nvr-b" in failed.reason
    assert server.wrong == []


def test_an_echo_of_all_bytes_proves_arrival_and_says_that_it_proves_no_more() -> None:
    with events.compatible() as server:
        assert "arrived; whether a generic event matched is not known" in send(
            generic(server, data_source="compatible")
        )
    assert server.wrong == []


def test_udp_proves_nothing_and_says_so() -> None:
    with events.datagrams() as server:
        assert "proves neither" in send(generic(server, "udp", data_source="compatible"))
        receivers.wait_until(lambda: server.got)
    assert server.got[0].startswith(b"recorder-sync server-failed server=nvr-b at=2026-11-22T12:00:01.000000Z key=")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (events.silent, "no echo within 0.5 s.*whether the data source is enabled and echoes"),
        (events.drip, "no echo within 0.5 s"),
        (events.hang_up, "closed the connection without an echo|reset"),
        (events.endless, "no echo of a generic event"),
        (lambda accepted: accepted.sendall(b"No access\r\n"), "'No access'. Allow this host's address"),
        (lambda accepted: accepted.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "no echo of a generic event"),
        (lambda accepted: accepted.sendall(b"1,2,99999999999999999999,x\r\n"), "no echo of a generic event"),
    ],
)
def test_whatever_a_data_source_does_a_try_ends_in_time_and_says_what(answer: events.Talk, said: str) -> None:
    began = time.monotonic()
    with events.international() as server:
        server.answers = [answer]
        with pytest.raises(ChannelFailed, match=said) as failed:
            send(generic(server, timeout=SOON))
    assert not failed.value.answered
    assert time.monotonic() - began < 3


def test_a_string_is_not_longer_than_it_may_be_and_keeps_its_key() -> None:
    alarm = Alarm(key="k:1", kind=FAILED.kind, server="nvr", at=T0, text="ü" * 5000)
    line = generic_event(alarm, "recorder-sync", "utf-8")
    assert len(line) <= 1024
    assert b"key=k:1" in line
    assert line.decode().endswith("ü")


# The API gateway


def test_an_alarm_is_created_with_the_time_and_the_key_in_its_message(pair: dict[str, Any]) -> None:
    with events.gateway(**pair) as gateway:
        answer = send(rest("xprotect-alarm", gateway), PASSWORD=gateway.password)
        assert answer == "it answered 202 Accepted and made alarm 00000000-0000-4000-8000-000000000001"
        [alarm] = gateway.alarms
    assert alarm["name"] == "recorder-sync [nvr-b] server failed"
    assert alarm["message"].endswith(f"(noticed 2026-11-22T12:00:01.000000Z, key {FAILED.key})")
    assert alarm["source"] == CAMERA
    assert gateway.wrong == []


def test_each_kind_triggers_its_event_and_the_others_none(pair: dict[str, Any]) -> None:
    with events.gateway(**pair) as gateway:
        settings = rest("xprotect-event", gateway)
        assert send(settings, PASSWORD=gateway.password).endswith("for 'Degraded'")
        send(settings, BACK, PASSWORD=gateway.password)
        gone = kinds.disk_low(server="a", storage="s", at=T0, free=1, reserve=2)
        assert "nothing is triggered" in send(settings, gone, PASSWORD=gateway.password)
        assert gateway.triggered == ["Degraded", "Whole"]
    assert gateway.wrong == []


def test_an_event_that_is_not_there_is_named_with_those_that_are(pair: dict[str, Any]) -> None:
    with events.gateway(**pair) as gateway:
        del gateway.events["Degraded"]
        failed = failing(rest("xprotect-event", gateway), PASSWORD=gateway.password)
        assert failed.answered
        assert "among 1 user-defined events ('Whole') there is none called 'Degraded'" in failed.reason
        assert "Rules and Events > User-defined Events" in failed.reason


def test_a_test_looks_whether_all_events_are_there_and_moves_no_rule(pair: dict[str, Any]) -> None:
    with events.gateway(**pair) as gateway:
        settings = rest("xprotect-event", gateway)
        assert "all 2 events that are configured are there. None was triggered" in send(
            settings, TEST, PASSWORD=gateway.password
        )
        del gateway.events["Whole"]
        assert "none called 'Whole'" in failing(settings, TEST, PASSWORD=gateway.password).reason
        assert gateway.triggered == []
        gateway.events["Trial"] = CAMERA
        trial = rest("xprotect-event", gateway, events={"server-failed": "Degraded", "test": "Trial"})
        send(trial, TEST, PASSWORD=gateway.password)
        assert gateway.triggered == ["Trial"]


def test_a_token_is_used_until_it_expires_and_replaced_once_if_it_is_refused(pair: dict[str, Any]) -> None:
    async def twice(channel: Channel) -> None:
        await channel.send(FAILED)
        gateway.ended.update(gateway.tokens)
        await channel.send(BACK)

    with events.gateway(**pair) as gateway:
        asyncio.run(twice(open_channel(rest("xprotect-alarm", gateway), {"PASSWORD": gateway.password})))
        logins = [one for one in gateway.asked if "token" in one]
        assert (len(logins), len(gateway.alarms)) == (2, 2)
        assert len([one for one in gateway.asked if "alarms" in one]) == 3

    async def thrice(channel: Channel) -> None:
        for _ in range(3):
            await channel.send(FAILED)

    for expires, logged_in in ((3600, 1), (20, 3)):
        with events.gateway(**pair, expires=expires) as gateway:
            asyncio.run(thrice(open_channel(rest("xprotect-alarm", gateway), {"PASSWORD": gateway.password})))
            assert len(gateway.tokens) == logged_in


@pytest.mark.parametrize(
    ("what", "answer", "said", "answered"),
    [
        ("POST /API/IDP/connect/token", 500, "500 Internal Server Error to the log-in", False),
        ("POST /API/IDP/connect/token", 404, "Is the API gateway installed at this address", False),
        ("POST /API/IDP/connect/token", 307, "307 Temporary Redirect to the log-in.*not followed", False),
        ("POST /api/rest/v1/alarms", 200, "200 OK to POST /alarms: told to say 200", False),
        ("POST /api/rest/v1/alarms", 302, "302 Found to POST /alarms.*not followed", False),
        ("POST /api/rest/v1/alarms", 401, None, False),
        ("POST /api/rest/v1/alarms", 403, "The user lacks the right", False),
        ("POST /api/rest/v1/alarms", 422, "422 Unprocessable", True),
        ("POST /api/rest/v1/alarms", 503, "503 Service Unavailable", False),
        ("POST /api/rest/v1/alarms", receivers.silent, "no answer within 1 s", False),
        ("POST /api/rest/v1/alarms", receivers.drip, "no answer within 1 s", False),
        ("POST /api/rest/v1/alarms", receivers.endless_body, "longer than 4194304 bytes", False),
        ("POST /api/rest/v1/alarms", receivers.hang_up, "without an answer|connection broke", False),
        ("POST /api/rest/v1/alarms", receivers.noise, "not HTTP", False),
    ],
)
def test_whatever_a_gateway_does_a_try_ends_in_time_and_says_what(
    what: str, answer: receivers.Answer, said: str | None, answered: bool, pair: dict[str, Any]
) -> None:
    began = time.monotonic()
    with events.gateway(**pair) as gateway:
        gateway.answers = {what: [answer, answer]}
        settings = rest("xprotect-alarm", gateway, timeout=Duration(SECOND))
        if said is None:  # the token is new, so a second log-in would change nothing
            failed = failing(settings, PASSWORD=gateway.password)
            assert len(gateway.tokens) == 1
        else:
            with pytest.raises(ChannelFailed, match=said) as caught:
                send(settings, PASSWORD=gateway.password)
            failed = caught.value
    assert failed.answered is answered
    assert time.monotonic() - began < 4
    assert gateway.alarms == []


@pytest.mark.parametrize("document", ["[]", '{"array": {}}', '{"array": [{"id": 1, "name": "x"}]}', "nonsense", ""])
def test_a_list_of_another_shape_is_a_failure(document: str, pair: dict[str, Any]) -> None:
    def answer(handler: Any) -> None:
        handler.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(document)}\r\n\r\n{document}".encode())

    with events.gateway(**pair) as gateway:
        gateway.answers = {"GET /api/rest/v1/userDefinedEvents": [answer]}
        assert "another shape" in failing(rest("xprotect-event", gateway), PASSWORD=gateway.password).reason


def test_the_events_that_every_system_has_are_not_triggered() -> None:
    built_in = {"id": "85867627-B287-4439-9E55-A63701E1715B", "name": "Built in"}
    assert named_events({"array": [built_in, {"id": CAMERA, "name": "Ours", "more": 1}]}) == {"Ours": CAMERA}


def test_password_and_token_are_sent_to_nobody_else_and_never_said(
    pair: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def elsewhere(handler: Any) -> None:
        handler.wfile.write(f"HTTP/1.1 307 Go\r\nLocation: {other.url}/x\r\nContent-Length: 0\r\n\r\n".encode())

    def repeats(handler: Any) -> None:
        said = f"no {handler.headers['Authorization']} and {gateway.password} "
        said = said.ljust(QUOTED - 4, "x") + gateway.password  # cut in the middle of the password
        forms = [gateway.password, quote_plus(gateway.password), html.escape(gateway.password)]
        error = {"detail": forms} if gateway.answers["detail"] else said
        body = json.dumps({"error": error}).encode()
        handler.wfile.write(b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with events.gateway(**pair, password='"p&ss\\=w0rd%"') as gateway, events.gateway() as other:
        settings = rest("xprotect-alarm", gateway)
        texts = []
        for answers in (
            {"POST /API/IDP/connect/token": [elsewhere]},
            {"POST /api/rest/v1/alarms": [elsewhere]},
            {"POST /api/rest/v1/alarms": [repeats]},
            {"POST /api/rest/v1/alarms": [repeats], "detail": [0]},
        ):
            gateway.answers = {"detail": [], **answers}
            texts.append(failing(settings, PASSWORD=gateway.password).reason)
        wrong = failing(rest("xprotect-alarm", gateway), PASSWORD="wr0ng-password")
        assert "400 Bad Request to the log-in: invalid_grant. Is it a basic user" in wrong.reason
        assert not wrong.answered
        assert other.asked == []
        assert "no Bearer *** and ***" in texts[2]
        assert '{"detail":["***","***","***"]}' in texts[3]
        for text in (*texts, wrong.reason, caplog.text):
            assert gateway.password[:3] not in text
            assert "wr0ng" not in text
            assert not any(token in text for token in gateway.tokens)
    with pytest.raises(SecretMissing):
        open_channel(settings, {})


@pytest.mark.parametrize(
    ("status", "document", "said"),
    [
        (201, {"access_token": "t0ken-of-another", "expires_in": 1}, "it answered 201 Created to the log-in$"),
        (200, {"access_token": "t0ken\nX: y"}, "200 OK and no access_token"),
        (200, {"access_token": 7}, "200 OK and no access_token"),
        (200, ["t0ken"], "it answered 200 OK to the log-in"),
    ],
)
def test_a_log_in_that_gives_no_usable_token_is_a_failure_and_repeats_none(
    status: int, document: Any, said: str, pair: dict[str, Any]
) -> None:
    def answer(handler: Any) -> None:
        body = json.dumps(document).encode()
        handler.wfile.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

    with events.gateway(**pair) as gateway:
        gateway.answers = {"POST /API/IDP/connect/token": [answer]}
        with pytest.raises(ChannelFailed, match=said) as failed:
            send(rest("xprotect-alarm", gateway), PASSWORD=gateway.password)
    assert "t0ken-of" not in failed.value.reason
    assert not failed.value.answered


def test_a_token_for_an_absurd_time_is_taken(pair: dict[str, Any]) -> None:
    with events.gateway(**pair, expires=10**400) as gateway:
        send(rest("xprotect-alarm", gateway), PASSWORD=gateway.password)
    assert len(gateway.alarms) == 1


def test_the_certificate_is_verified_by_the_authority_that_is_configured(pair: dict[str, Any], tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    stranger.cert_pem.write_to_path(tmp_path / "other.pem")
    (tmp_path / "empty.pem").write_text("nothing")
    with events.gateway(context, **pair) as gateway:
        for ca, said in (
            (None, "certificate is not trusted.*'ca' names a file"),
            ("other.pem", "certificate is not trusted"),
            ("empty.pem", "'ca' .*empty.pem cannot be used"),
            ("nowhere.pem", "'ca' .*nowhere.pem cannot be used: No such file"),
        ):
            with pytest.raises(ChannelFailed, match=said):
                send(rest("xprotect-alarm", gateway, ca=str(tmp_path / ca) if ca else None), PASSWORD=gateway.password)
        assert gateway.asked == []
        send(rest("xprotect-alarm", gateway, ca=str(tmp_path / "ca.pem")), PASSWORD=gateway.password)
        assert len(gateway.alarms) == 1
