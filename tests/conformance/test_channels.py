"""Every kind of alarm channel keeps the promise of `Channel`, with a real receiver on loopback.

Taken once sent, refused with a reason, unreachable with a reason, cut when slow, the same the second time.
"""

import asyncio
import html
import json
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from recorder_sync.alarms import kinds
from recorder_sync.alarms.channels import KINDS, ChannelFailed, open_channel
from schema.service import AlarmChannel
from schema.spans import SECOND, Span
from schema.units import Duration
from schema.values import Alarm
from tests import events, receivers
from tests.make import T0

ALARM = kinds.lost(
    server="nvr-a",
    camera='Küche "2"]\r\nX-Injected: 1',
    spans=[Span(T0, T0 + 90 * SECOND)],
    at=T0 + 7 * SECOND,
    reason="nvr-b was down too",
)


@dataclass
class Case:
    """One kind of channel with its receiver: how to make it misbehave, and what it got."""

    settings: AlarmChannel
    got: Callable[[], list[str]]
    refuse: Callable[[], None] | None
    """Makes it refuse the next alarm; syslog cannot."""

    def send(self, alarm: Alarm = ALARM, **changes: object) -> None:
        asyncio.run(open_channel(msgspec.structs.replace(self.settings, **changes), {}).send(alarm))


CAMERA = "0b1f3a52-6e0e-4a4c-9a8a-3c3a0c7d5e10"
XPROTECT = ["analytics", "international", "compatible", "datagrams", "alarm", "event"]


@pytest.fixture(params=["webhook", "smtp", "udp", "tcp", "unix", "unix-stream", "command", *XPROTECT])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    kind = request.param
    with ExitStack() as stack:
        if kind == "webhook":
            web = stack.enter_context(receivers.web())
            yield Case(
                AlarmChannel(name="c", kind="webhook", url=web.url),
                lambda: [headers["idempotency-key"] + body.decode() for headers, body in web.got],
                lambda: web.answers.insert(0, 422),
            )
        elif kind == "smtp":
            post = stack.enter_context(receivers.post())
            yield Case(
                AlarmChannel(
                    name="c",
                    kind="smtp",
                    server=post.address,
                    sender="a@nvr.example",
                    to=["op@x.example"],
                    starttls=False,
                ),
                lambda: [f"{mail['Message-ID']} {mail['Date']} {mail.get_content()}" for mail in post.mails],
                lambda: post.answers.update({"op@x.example": "550 no such user"}),
            )
        elif kind == "command":
            script = f'test -e {tmp_path}/refuse && {{ echo "no such pager" >&2; exit 3; }}; cat >> {tmp_path}/got'
            yield Case(
                AlarmChannel(name="c", kind="command", command=receivers.program(tmp_path, script)),
                lambda: (tmp_path / "got").read_text().splitlines(),
                (tmp_path / "refuse").touch,
            )
        elif kind == "analytics":
            server = stack.enter_context(events.analytics())
            yield Case(
                AlarmChannel(name="c", kind="xprotect-analytics", server=server.address),
                lambda: [html.unescape(body.decode()) for body in server.got],
                server.known.clear,
            )
            assert server.wrong == []
        elif kind in ("international", "compatible", "datagrams"):
            server = stack.enter_context(getattr(events, kind)())
            yield Case(
                AlarmChannel(
                    name="c",
                    kind="xprotect-generic",
                    url=f"{'udp' if kind == 'datagrams' else 'tcp'}://{server.address}",
                    data_source="international" if kind == "international" else "compatible",
                ),
                lambda: [line.decode() for line in server.got],
                server.known.clear if kind == "international" else None,
            )
            assert server.wrong == []
        elif kind in ("alarm", "event"):
            gateway = stack.enter_context(events.gateway(events={"Lost": CAMERA}, cameras={CAMERA}))
            yield Case(
                AlarmChannel(
                    name="c",
                    kind="xprotect-alarm" if kind == "alarm" else "xprotect-event",
                    url=gateway.url,
                    user=gateway.user,
                    password=gateway.password,
                    source=CAMERA,
                    events={"lost": "Lost"},
                ),
                lambda: [one["message"] for one in gateway.alarms] + gateway.triggered,
                gateway.cameras.clear if kind == "alarm" else gateway.events.clear,
            )
            assert kind == "alarm" or gateway.wrong == []
        else:
            url, got = stack.enter_context(receivers.log_server(kind, tmp_path))
            yield Case(AlarmChannel(name="c", kind="syslog", url=url), lambda: [line.decode() for line in got], None)


def xprotect(address: str) -> dict[str, AlarmChannel]:
    """Return the four channels to whatever listens at an address."""
    user: dict[str, Any] = {"url": f"http://{address}", "user": "u", "password": "secret"}
    return {
        "analytics": AlarmChannel(name="c", kind="xprotect-analytics", server=address),
        "generic": AlarmChannel(name="c", kind="xprotect-generic", url=f"tcp://{address}"),
        "alarm": AlarmChannel(name="c", kind="xprotect-alarm", source=CAMERA, **user),
        "event": AlarmChannel(name="c", kind="xprotect-event", events={"lost": "Lost"}, **user),
    }


def test_every_kind_that_can_be_configured_can_be_opened() -> None:
    assert set(get_args(get_type_hints(AlarmChannel)["kind"])) == set(KINDS)


@pytest.mark.parametrize(
    "case",
    ["webhook", "smtp", "udp", "tcp", "unix", "unix-stream", "command", *(one for one in XPROTECT if one != "event")],
    indirect=True,
)
def test_what_is_sent_arrives_with_its_key_and_its_own_time(case: Case) -> None:
    case.send()
    receivers.wait_until(case.got)
    [arrived] = case.got()
    arrived = arrived.replace("=\n", "")
    assert "2026-11-22T12:00:07.000000Z" in arrived or "22 Nov 2026 12:00:07" in arrived
    assert ALARM.key in arrived
    assert "lost for good: nvr-b was down too" in arrived
    assert "\nX-Injected" not in arrived


@pytest.mark.parametrize("case", ["event"], indirect=True)
def test_a_user_defined_event_is_triggered_and_has_no_place_for_a_key_or_a_time(case: Case) -> None:
    case.send()
    assert case.got() == ["Lost"]


def test_what_the_receiver_answered_is_told(case: Case) -> None:
    answer = asyncio.run(open_channel(case.settings, {}).send(ALARM))
    assert answer
    assert answer.isprintable()


def test_sent_twice_it_is_the_same_twice(case: Case) -> None:
    case.send()
    receivers.wait_until(lambda: len(case.got()) == 1)
    case.send()
    receivers.wait_until(lambda: len(case.got()) == 2)
    one, other = case.got()
    assert one == other


@pytest.mark.parametrize(
    "case", ["webhook", "smtp", "command", "analytics", "international", "alarm", "event"], indirect=True
)
def test_a_refusal_is_told_and_the_channel_is_known_to_work(case: Case) -> None:
    assert case.refuse is not None
    case.refuse()
    with pytest.raises(
        ChannelFailed, match=r"422|no such user|no such pager|not known|no generic|no such camera|none called"
    ) as refused:
        case.send()
    assert refused.value.answered


def test_a_receiver_that_is_not_there_is_named_as_the_reason(case: Case) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    scheme = (case.settings.url or "").partition(":")[0]
    absent = "unix:/nowhere/log" if scheme == "unix" else f"{scheme}://127.0.0.1:{port}"
    with pytest.raises(ChannelFailed, match=r"refused|No such file|[Cc]onnect call failed") as failed:
        case.send(
            server=f"127.0.0.1:{port}",
            command=["/nowhere/pager"],
            **({"url": absent} if case.settings.url else {}),
        )
    assert not failed.value.answered


@pytest.mark.parametrize("kind", ["webhook", "smtp", "command", "analytics", "generic", "alarm", "event"])
def test_one_that_takes_too_long_is_cut_and_says_so(tmp_path: Path, kind: str) -> None:
    def drip(accepted: socket.socket) -> None:
        accepted.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: " if kind in ("webhook", "analytics", "alarm", "event") else b"")
        for _ in range(400):
            accepted.sendall(b"220-wait\r\n" if kind == "smtp" else b"x")
            time.sleep(0.05)

    with receivers.raw(drip) as address:
        settings = {
            "webhook": AlarmChannel(name="c", kind="webhook", url=f"http://{address}/"),
            "smtp": AlarmChannel(name="c", kind="smtp", server=address, sender="a@b.example", to=["c@d.example"]),
            "command": AlarmChannel(name="c", kind="command", command=receivers.program(tmp_path, "sleep 20")),
            **xprotect(address),
        }[kind]
        channel = open_channel(msgspec.structs.replace(settings, timeout=Duration(SECOND * 3 // 10)), {})
        began = time.monotonic()
        try:
            with pytest.raises(ChannelFailed, match=r"within 0\.3 s"):
                asyncio.run(channel.send(ALARM))
        finally:
            assert time.monotonic() - began < 3


@pytest.mark.parametrize("kind", ["webhook", "smtp", "tcp", "command", "analytics", "generic", "alarm", "event"])
def test_one_that_is_cancelled_ends_at_once(tmp_path: Path, kind: str) -> None:
    with receivers.raw(lambda accepted: time.sleep(20)) as address:
        settings = {
            "webhook": AlarmChannel(name="c", kind="webhook", url=f"http://{address}/"),
            "smtp": AlarmChannel(name="c", kind="smtp", server=address, sender="a@b.example", to=["c@d.example"]),
            "tcp": AlarmChannel(name="c", kind="syslog", url=f"tcp://{address}"),
            "command": AlarmChannel(
                name="c", kind="command", command=receivers.program(tmp_path, f"echo $$ > {tmp_path}/pid; sleep 20")
            ),
            **xprotect(address),
        }[kind]

        async def cancelled() -> None:
            sending = asyncio.create_task(open_channel(settings, {}).send(ALARM))
            await asyncio.sleep(0.3)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending

        began = time.monotonic()
        asyncio.run(cancelled())
        assert time.monotonic() - began < 3
    if kind == "command":
        pid = int((tmp_path / "pid").read_text())
        assert not Path(f"/proc/{pid}").exists()


def test_a_log_server_that_never_closes_has_it_nevertheless() -> None:
    got = []

    def talkative(accepted: socket.socket) -> None:
        got.append(accepted.recv(4096))
        while True:
            accepted.sendall(b"x")
            time.sleep(0.05)

    with receivers.raw(talkative) as address:
        settings = AlarmChannel(name="c", kind="syslog", url=f"tcp://{address}", timeout=Duration(SECOND))
        asyncio.run(open_channel(settings, {}).send(ALARM))
    assert ALARM.key in got[0].decode()


def test_a_log_server_that_throws_the_connection_away_has_not_got_it() -> None:
    def rude(accepted: socket.socket) -> None:
        time.sleep(0.1)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with receivers.raw(rude) as address:
        settings = AlarmChannel(name="c", kind="syslog", url=f"tcp://{address}")
        with pytest.raises(ChannelFailed, match="reset"):
            asyncio.run(open_channel(settings, {}).send(ALARM))


def test_webhooks_and_commands_get_the_published_document(tmp_path: Path) -> None:
    with receivers.web() as web:
        asyncio.run(open_channel(AlarmChannel(name="c", kind="webhook", url=web.url), {}).send(ALARM))
        [(headers, body)] = web.got
    command = receivers.program(tmp_path, f"cat > {tmp_path}/got")
    asyncio.run(open_channel(AlarmChannel(name="c", kind="command", command=command), {}).send(ALARM))
    assert json.loads(body) == json.loads((tmp_path / "got").read_bytes())
    assert json.loads(body)["facts"]["spans"] == [
        {"start": "2026-11-22T12:00:00.000000Z", "end": "2026-11-22T12:01:30.000000Z", "seconds": 90.0}
    ]
    assert headers["content-type"] == "application/json"
    assert re.fullmatch(r"[!-~]+", headers["idempotency-key"])
