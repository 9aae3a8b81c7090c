"""`recorder-sync alarms` as an operator uses it: what was told to whom, and whether the channels work."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from recorder_sync.alarms import kinds
from schema.documents import AlarmsDocument
from schema.ledger import Ledger
from schema.settings import Settings, load
from schema.spans import SECOND
from schema.values import Alarm
from tests import events, make, receivers
from tests.make import T0

Cli = Callable[..., subprocess.CompletedProcess[str]]

CHANNELS = """
[[alarms]]
name = "hook"
kind = "webhook"
url = "{url}"
headers = {{ Authorization = "Bearer ${{TOKEN}}" }}

[[alarms]]
name = "pager"
kind = "command"
command = ["{program}"]
only = ["lost"]
"""


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    def write(url: str = "http://127.0.0.1:1/", script: str = "cat > /dev/null") -> Settings:
        for server in ("a", "b"):
            make.record(tmp_path / server / "recordings", "front", make.tens(0, 60))
        [program] = receivers.program(tmp_path, script)
        path = tmp_path / "recorder-sync.toml"
        path.write_text(make.config_text("a", "b") + CHANNELS.format(url=url, program=program))
        return load(path)

    return write


def raised(settings: Settings, *told: Alarm) -> None:
    with Ledger.open(settings.ledger) as ledger, ledger.writing() as connection:
        for one in told:
            ledger.outbox.raise_(connection, one, "a", settings.alarms)


def document(done: subprocess.CompletedProcess[str]) -> AlarmsDocument:
    return msgspec.json.decode(done.stdout, type=AlarmsDocument)


FAILED = kinds.server_failed(server="b", observer="a", since=T0, at=T0 + SECOND, reason="no route")


def test_before_anything_happened_it_says_so(cli: Cli, settings: Callable[..., Settings]) -> None:
    settings()
    done = cli("alarms")
    assert (done.returncode, done.stdout) == (0, "no alarm yet\n")
    assert document(cli("alarms", "--json")).alarms == []


def test_it_shows_what_happened_and_who_was_told(cli: Cli, settings: Callable[..., Settings]) -> None:
    written = settings()
    lost = kinds.server_back(server="b", observer="a", since=T0, at=T0 + 60 * SECOND)
    raised(written, FAILED, lost)
    with Ledger.open(written.ledger) as ledger:
        with ledger.reading() as connection:
            [(delivery, _), _] = ledger.outbox.due(connection, "a", "hook", T0)
        with ledger.writing() as connection:
            ledger.outbox.taken(connection, delivery, T0 + SECOND)
            ledger.outbox.failed(connection, delivery, T0, "it answered 503 Service Unavailable")
    table = " ".join(cli("alarms").stdout.split())
    assert "tried once: it answered" in table
    assert "hook: waits" in table
    newest, oldest = document(cli("alarms", "--json")).alarms
    assert (newest.alarm.kind, oldest.alarm.kind) == ("server-back", "server-failed")
    assert oldest.observer == "a"
    [sent] = oldest.deliveries
    assert (sent.channel, sent.state, sent.attempts) == ("hook", "pending", 1)
    assert sent.next == "2026-11-22T12:00:05.000000Z"
    assert sent.error == "it answered 503 Service Unavailable"
    assert len(document(cli("alarms", "--limit", "1", "--json")).alarms) == 1


def test_the_alarms_of_other_pairs_in_the_same_ledger_are_not_shown(
    cli: Cli, settings: Callable[..., Settings]
) -> None:
    written = settings()
    theirs = kinds.server_failed(server="d", observer="c", since=T0, at=T0, reason="no route")
    with Ledger.open(written.ledger) as ledger, ledger.writing() as connection:
        ledger.outbox.raise_(connection, theirs, "c", [])
    assert document(cli("alarms", "--json")).alarms == []


def test_a_test_reaches_every_channel_and_leaves_no_trace(
    cli: Cli, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    with receivers.web() as web:
        settings(web.url, f"cat > {tmp_path}/told")
        done = cli("alarms", "test", env={"TOKEN": "s3cret"})
    assert done.returncode == 0, done.stderr
    assert "taken: it answered 204 No Content" in done.stdout
    assert "taken: it ended with status 0" in done.stdout
    assert web.keys[0].startswith("test:a:")
    assert '"kind":"test"' in (tmp_path / "told").read_text()
    assert document(cli("alarms", "--json")).alarms == []


def test_a_channel_that_does_not_take_the_test_is_named_in_the_exit_status(
    cli: Cli, settings: Callable[..., Settings]
) -> None:
    with receivers.web() as web:
        web.answers = [403]
        settings(web.url)
        done = cli("alarms", "test", "--json", env={"TOKEN": "s3cret"})
    assert done.returncode == 55
    assert "alarm channel hook did not take the test alarm: it answered 403 Forbidden" in done.stderr
    hook, pager = document(done).tried
    assert (hook.channel, hook.kind, hook.error) == ("hook", "webhook", "it answered 403 Forbidden")
    assert hook.answer is None
    assert (pager.channel, pager.error, pager.answer) == ("pager", None, "it ended with status 0")
    assert "s3cret" not in done.stdout + done.stderr


def test_a_slow_channel_is_cut_and_the_others_are_tried_meanwhile(
    cli: Cli, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    with receivers.web() as web:
        web.answers = [receivers.silent]
        settings(web.url)
        path = tmp_path / "recorder-sync.toml"
        path.write_text(path.read_text().replace('kind = "webhook"', 'kind = "webhook"\ntimeout = "1s"'))
        began = time.monotonic()
        done = cli("alarms", "test", "--json", env={"TOKEN": "s3cret"})
        assert time.monotonic() - began < 10
    assert [one.error for one in document(done).tried] == ["no answer within 1 s", None]


def test_a_missing_secret_and_a_missing_channel_are_said(
    cli: Cli, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings()
    done = cli("alarms", "test")
    assert done.returncode == 56
    assert "alarm channel hook wants ${TOKEN} from the environment, and it is not set" in done.stderr
    (tmp_path / "recorder-sync.toml").write_text(make.config_text("a", "b"))
    done = cli("alarms", "test")
    assert done.returncode == 2
    assert "no [[alarms]] table" in done.stderr


def test_one_channel_can_be_tried_and_needs_no_secret_of_another(
    cli: Cli, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings(script=f"cat > {tmp_path}/told")
    done = cli("alarms", "test", "--channel", "pager", "--json")
    assert done.returncode == 0, done.stderr
    assert [one.channel for one in document(done).tried] == ["pager"]
    done = cli("alarms", "test", "--channel", "pagre")
    assert done.returncode == 2
    assert "--channel: there is no alarm channel 'pagre'; known: hook, pager" in done.stderr


def test_an_option_before_the_word_test_is_not_lost_in_silence(cli: Cli, settings: Callable[..., Settings]) -> None:
    settings()
    done = cli("alarms", "--json", "test")
    assert done.returncode == 2
    assert "write --json behind 'test'" in done.stderr


XPROTECT = """
[[alarms]]
name = "analytics"
kind = "xprotect-analytics"
server = "{analytics}"

[[alarms]]
name = "generic"
kind = "xprotect-generic"
url = "tcp://{generic}"

[[alarms]]
name = "list"
kind = "xprotect-alarm"
url = "{gateway}"
user = "recorder sync"
password = "${{XPROTECT_PASSWORD}}"
source = "0b1f3a52-6e0e-4a4c-9a8a-3c3a0c7d5e10"

[[alarms]]
name = "rules"
kind = "xprotect-event"
url = "{gateway}"
user = "recorder sync"
password = "${{XPROTECT_PASSWORD}}"
events = {{ server-failed = "Pair degraded", filled = "Pair whole" }}
"""


def test_every_channel_to_xprotect_says_what_it_answered(
    cli: Cli, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings()
    camera = "0b1f3a52-6e0e-4a4c-9a8a-3c3a0c7d5e10"
    with (
        events.analytics() as analytics,
        events.international() as generic,
        events.gateway(
            events={"Pair degraded": camera, "Pair whole": "10000000-0000-4000-8000-000000000001"}, cameras={camera}
        ) as gateway,
    ):
        (tmp_path / "recorder-sync.toml").write_text(
            make.config_text("a", "b")
            + XPROTECT.format(analytics=analytics.address, generic=generic.address, gateway=gateway.url)
        )
        environment = {"XPROTECT_PASSWORD": gateway.password}
        done = cli("alarms", "test", "--json", env=environment)
        assert done.returncode == 0, done.stderr
        answers = {one.channel: one.answer for one in document(done).tried}
        assert answers["analytics"] == "it answered 200 OK"
        assert (answers["generic"] or "").endswith("1 matched")
        assert answers["list"] == "it answered 202 Accepted and made alarm 00000000-0000-4000-8000-000000000001"
        assert "all 2 events that are configured are there" in (answers["rules"] or "")
        assert "This is a test of a's alarms" in gateway.alarms[0]["message"]
        assert b"This is a test of a's alarms" in analytics.got[0]
        assert generic.got[0].startswith(b"recorder-sync test ")
        assert gateway.triggered == []
        analytics.known, generic.known, gateway.events = set(), set(), {}
        done = cli("alarms", "test", env=environment)
    assert done.returncode == 55
    table = " ".join(done.stdout.split())
    assert "Event message not known" in table
    assert "no generic event matched" in table
    assert "none called 'Pair degraded'" in table
    assert gateway.password not in done.stdout + done.stderr
    assert (analytics.wrong, generic.wrong, gateway.wrong) == ([], [], [])
