"""What is particular to each kind of alarm channel: hostile web servers, encrypted mail, log lines, programs."""

import asyncio
import logging
import os
import re
import socket
import ssl
import time
from pathlib import Path

import pytest
import trustme

from recorder_sync.alarms import kinds
from recorder_sync.alarms.channels import ChannelFailed, open_channel
from recorder_sync.alarms.syslog import message, shortened
from schema.errors import SecretMissing
from schema.service import AlarmChannel
from schema.spans import SECOND
from schema.units import Duration
from tests import receivers
from tests.make import T0

ALARM = kinds.server_failed(server="nvr-b", observer="nvr-a", since=T0, at=T0 + SECOND, reason="no route")
SOON = Duration(SECOND // 2)


def send(settings: AlarmChannel, **environment: str) -> None:
    asyncio.run(open_channel(settings, environment).send(ALARM))


def mail(address: str, **more: object) -> AlarmChannel:
    return AlarmChannel(name="c", kind="smtp", server=address, sender="a@b.example", to=["op@x.example"], **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (receivers.silent, "no answer within"),
        (receivers.drip, "no answer within"),
        (receivers.endless, "not HTTP|connection broke|no answer within"),
        (receivers.noise, "not HTTP"),
        (receivers.hang_up, "without an answer|connection broke"),
        (500, "500 Internal Server Error"),
        (301, "redirects are not followed"),
        (299, None),
        (receivers.endless_body, None),
    ],
    ids=str,
)
def test_whatever_a_web_server_does_a_try_ends_in_time(answer: receivers.Answer, said: str | None) -> None:
    began = time.monotonic()
    with receivers.web() as web:
        web.answers = [answer]
        settings = AlarmChannel(name="c", kind="webhook", url=web.url, timeout=SOON)
        if said is None:
            send(settings)
        else:
            with pytest.raises(ChannelFailed, match=said) as failed:
                send(settings)
            assert not failed.value.answered
    assert time.monotonic() - began < 3
    assert len(web.got) == 1


@pytest.mark.parametrize(("status", "answered"), [(400, True), (404, True), (408, False), (429, False), (503, False)])
def test_only_what_another_try_cannot_change_counts_as_answered(status: int, answered: bool) -> None:
    with receivers.web() as web:
        web.answers = [status]
        with pytest.raises(ChannelFailed) as failed:
            send(AlarmChannel(name="c", kind="webhook", url=web.url))
    assert failed.value.answered is answered


def test_a_redirect_does_not_carry_the_operators_headers_away() -> None:
    def elsewhere(handler) -> None:  # type: ignore[no-untyped-def]
        handler.wfile.write(f"HTTP/1.1 307 Go\r\nLocation: {other.url}\r\nContent-Length: 0\r\n\r\n".encode())

    with receivers.web() as web, receivers.web() as other:
        web.answers = [elsewhere]
        with pytest.raises(ChannelFailed, match="307"):
            send(AlarmChannel(name="c", kind="webhook", url=web.url, headers={"Authorization": "secret"}))
        assert other.got == []


def test_secrets_come_from_the_environment_and_are_never_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with receivers.web() as web:
        settings = AlarmChannel(
            name="c", kind="webhook", url=f"{web.url}/${{PATHTOKEN}}", headers={"Authorization": "Bearer ${TOKEN}"}
        )
        send(settings, TOKEN="s3cret-token\n", PATHTOKEN="p4th-token")
        assert web.got[0][0]["authorization"] == "Bearer s3cret-token"
        web.answers = [receivers.noise]
        with pytest.raises(ChannelFailed) as failed:
            send(settings, TOKEN="s3cret-token", PATHTOKEN="p4th-token")
        refused = AlarmChannel(name="c", kind="webhook", url=f"{web.url}/${{PATHTOKEN}}", headers={"X": "a\nb-secret"})
        with pytest.raises(ChannelFailed, match="headers") as odd:
            send(refused, PATHTOKEN="p4th-token")
    for text in (str(failed.value), str(odd.value), caplog.text):
        assert not re.search("s3cret|p4th|b-secret", text)


def test_a_secret_that_is_missing_is_named_before_anything_is_sent() -> None:
    settings = AlarmChannel(name="pager", kind="webhook", url="http://x.example", headers={"A": "${NOWHERE}"})
    for environment in ({}, {"NOWHERE": " \n"}):
        with pytest.raises(SecretMissing, match=r"alarm channel pager wants \$\{NOWHERE\}"):
            open_channel(settings, environment)
    with pytest.raises(SecretMissing):
        open_channel(mail("mail.example:587", password="${NOWHERE}"), {})


def test_the_operators_headers_do_not_replace_the_key() -> None:
    with receivers.web() as web:
        send(AlarmChannel(name="c", kind="webhook", url=web.url, headers={"IDEMPOTENCY-KEY": "x", "X-More": "y"}))
    assert web.keys == [ALARM.key]
    assert web.got[0][0]["x-more"] == "y"


@pytest.fixture
def certified(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ssl.SSLContext:
    """A server's context for 127.0.0.1 whose authority this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_mail_goes_out_encrypted_with_a_login(certified: ssl.SSLContext) -> None:
    from aiosmtpd.smtp import AuthResult

    logins = []

    def authenticate(server, session, envelope, mechanism, data):  # type: ignore[no-untyped-def]
        logins.append((data.login, data.password, session.ssl is not None))
        return AuthResult(success=data.password == b"right-password", handled=False)

    with receivers.post(tls_context=certified, require_starttls=True, authenticator=authenticate) as post:
        send(mail(post.address, user="nvr", password="${PW}"), PW="right-password")
        with pytest.raises(ChannelFailed, match="does not accept the login: 535") as failed:
            send(mail(post.address, user="nvr", password="wrong-password"))
    assert logins[0] == (b"nvr", b"right-password", True)
    assert "wrong-password" not in str(failed.value)
    assert len(post.mails) == 1
    assert post.mails[0]["Auto-Submitted"] == "auto-generated"


def test_mail_to_a_server_that_nobody_vouches_for_is_not_sent(certified: ssl.SSLContext, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.delenv("SSL_CERT_FILE")
    with receivers.post(tls_context=certified) as post:
        with pytest.raises(ChannelFailed, match=r"no secure connection: .*CERTIFICATE"):
            send(mail(post.address))
        assert post.mails == []


def test_without_starttls_nothing_is_said_in_the_clear() -> None:
    with receivers.post() as post:
        with pytest.raises(ChannelFailed, match=r"STARTTLS.*starttls = false"):
            send(mail(post.address))
        assert post.mails == []
        send(mail(post.address, starttls=False))
        assert len(post.mails) == 1


def test_a_mail_server_that_repeats_the_password_is_not_quoted_with_it() -> None:
    with receivers.post() as post:
        post.answers["op@x.example"] = "550 not with s3cret-word"
        with pytest.raises(ChannelFailed, match=r"550 .*not with \*\*\*"):
            send(mail(post.address, starttls=False, password="${PW}"), PW="s3cret-word")


def test_one_address_that_is_refused_does_not_send_the_mail_to_the_others_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with receivers.post() as post:
        post.answers["gone@x.example"] = "550 no such user"
        send(AlarmChannel(**{**mail_of(post.address), "to": ["op@x.example", "gone@x.example"]}))
        assert post.to == [["op@x.example"]]
    assert "recipients_refused" in caplog.text


def mail_of(address: str) -> dict[str, object]:
    return {"name": "c", "kind": "smtp", "server": address, "sender": "a@b.example", "starttls": False}


def test_once_a_mail_is_accepted_nothing_that_follows_is_a_failure() -> None:
    def slow_goodbye(accepted: socket.socket) -> None:
        lines = accepted.makefile("rb")
        accepted.sendall(b"220 hello\r\n")
        for line in lines:
            verb = line.split()[0].upper()
            if verb == b"DATA":
                accepted.sendall(b"354 go on\r\n")
                while lines.readline() != b".\r\n":
                    pass
            if verb == b"QUIT":
                time.sleep(20)
            accepted.sendall(b"250 OK\r\n")

    with receivers.raw(slow_goodbye) as address:
        send(mail(address, starttls=False, timeout=SOON))


def test_a_sender_that_is_no_address_is_a_reason_and_no_crash() -> None:
    with pytest.raises(ChannelFailed, match="'sender' and 'to'"):
        send(AlarmChannel(name="c", kind="smtp", server="127.0.0.1:1", sender="a\r\nBcc: b", to=["c@d.example"]))


def test_a_log_line_is_rfc_5424() -> None:
    alarm = kinds.camera_silent(server="nvr-b", camera='a"b]c\\d', since=T0, at=T0 + SECOND)
    line = message(alarm, "höst name", 42).decode()
    found = re.fullmatch(r"<(\d+)>1 (\S+) (\S+) recorder-sync 42 camera-silent \[alarm@32473 (.*)\] \ufeff(.*)", line)
    assert found is not None
    assert found[1] == str(3 * 8 + 4)
    assert found[2] == "2026-11-22T12:00:01.000000Z"
    assert found[3] == "hstname"
    assert r'camera="a\"b\]c\\d"' in found[4]
    assert found[5] == alarm.text


def test_a_log_line_is_cut_to_a_datagram_between_characters() -> None:
    line = ("é" * 2000).encode()
    cut = shortened(line, 2047)
    assert len(cut) == 2046
    assert cut.decode() == "é" * 1023


def test_a_tcp_log_line_is_counted(tmp_path: Path) -> None:
    with receivers.log_server("tcp", tmp_path) as (url, got):
        send(AlarmChannel(name="c", kind="syslog", url=url))
        receivers.wait_until(lambda: got)
    length, _, line = got[0].partition(b" ")
    assert int(length) == len(line)


def test_a_program_gets_no_secret_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "s3cret")
    send(AlarmChannel(name="c", kind="command", command=receivers.program(tmp_path, f"env > {tmp_path}/env")))
    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert "PATH" in names
    assert "SMTP_PASSWORD" not in names


def test_arguments_reach_a_program_as_they_are_without_a_shell(tmp_path: Path) -> None:
    command = [*receivers.program(tmp_path, f'printf "%s|" "$@" > {tmp_path}/args'), "a b", "$HOME; true", "*"]
    send(AlarmChannel(name="c", kind="command", command=command))
    assert (tmp_path / "args").read_text() == "a b|$HOME; true|*|"


def test_a_program_that_takes_too_long_dies_with_its_children(tmp_path: Path) -> None:
    script = f"(echo $BASHPID; sleep 30 & echo $! > {tmp_path}/child; wait) & wait"
    with pytest.raises(ChannelFailed, match="killed"):
        send(AlarmChannel(name="c", kind="command", command=receivers.program(tmp_path, script), timeout=SOON))
    child = int((tmp_path / "child").read_text())
    receivers.wait_until(lambda: not _runs(child))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except OSError:
        return False


def test_a_program_that_complains_without_end_is_quoted_briefly(tmp_path: Path) -> None:
    script = "head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 7"
    with pytest.raises(ChannelFailed, match="ended with status 7: xxx") as failed:
        send(AlarmChannel(name="c", kind="command", command=receivers.program(tmp_path, script)))
    assert len(failed.value.reason) < 400


def test_a_program_may_leave_another_running_and_need_not_read(tmp_path: Path) -> None:
    began = time.monotonic()
    script = f"exec < /dev/null; sleep 30 & echo $! > {tmp_path}/child"
    send(AlarmChannel(name="c", kind="command", command=receivers.program(tmp_path, script)))
    assert time.monotonic() - began < 5
    child = int((tmp_path / "child").read_text())
    assert _runs(child)
    os.kill(child, 9)


def test_a_program_leaves_no_descriptor_open(tmp_path: Path) -> None:
    channel = open_channel(AlarmChannel(name="c", kind="command", command=["/bin/true"]), {})
    broken = open_channel(AlarmChannel(name="c", kind="command", command=["/nowhere"]), {})

    async def many() -> tuple[int, int]:
        await channel.send(ALARM)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            await channel.send(ALARM)
            with pytest.raises(ChannelFailed, match="cannot be started"):
                await broken.send(ALARM)
        await asyncio.sleep(0)
        return before, len(os.listdir("/proc/self/fd"))

    before, after = asyncio.run(many())
    assert after <= before
