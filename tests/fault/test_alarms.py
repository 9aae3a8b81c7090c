"""A service that is killed over an alarm: nothing is forgotten, and what is sent again can be known by its key.

Why: between a receiver's answer and our record of it lies a moment in which nobody can know. What must hold is that
an alarm is told at least once, with the time at which it was noticed, that the same event never gets another key,
and that a crash anywhere else makes no second copy.
"""

import asyncio
import json
import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

from recorder_sync.alarms import kinds
from recorder_sync.alarms.channels import open_channels
from recorder_sync.alarms.dispatch import Dispatcher
from schema.ledger import Ledger
from schema.ledger.alarms import Outbox, Sending
from schema.moments import iso
from schema.service import AlarmChannel
from schema.spans import SECOND
from schema.values import Cause
from tests import receivers
from tests.fault.children import forked
from tests.make import T0

AFTER_THE_CRASH = 60 * SECOND
AN_HOUR = 3600 * SECOND
"""So long ago alarms here were noticed: what they say of their time cannot be when they were sent."""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    address = f"sqlite:///{tmp_path}/ledger.db"
    Ledger.open(address).close()
    yield address


def service(url: str, channels: list[AlarmChannel], later: int, doom: Callable[[], None] = lambda: None) -> None:
    """Deliver until nothing is left, in this process; `later`: by how much its clock is ahead."""
    doom()

    async def run() -> None:
        with Ledger.open(url) as ledger:
            opened = open_channels(channels, {})
            dispatcher = Dispatcher(ledger, "nvr-a", opened, lambda: time.time_ns() // 1000 + later)
            task = asyncio.create_task(dispatcher.run())
            while any(state is Sending.PENDING for state in states(ledger)):
                await asyncio.sleep(0.02)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(run())


def states(ledger: Ledger) -> list[Sending]:
    with ledger.reading() as connection:
        return [sent.state for one in ledger.outbox.recent(connection, 1000) for sent in one.deliveries]


def raise_one(ledger: Ledger, since: int, channels: list[AlarmChannel]) -> None:
    """What a service does that notices an outage: the outage and its alarm in one transaction."""
    alarm = kinds.server_failed(
        server="nvr-b", observer="nvr-a", since=since, at=time.time_ns() // 1000 - AN_HOUR, reason="no route"
    )
    with ledger.writing() as connection:
        ledger.history.outage_began(connection, "nvr-b", Cause.SERVER, since, "no route", camera=str(since))
        ledger.outbox.raise_(connection, alarm, "nvr-a", channels)


def kill_in(step: str) -> Callable[[], None]:
    """Die where the outcome would be recorded, or right after a try was counted."""

    def doom() -> None:
        real = getattr(Outbox, step)

        def deadly(*arguments: object) -> object:
            if step == "taken":
                # Not inside: its transaction has to be committed first.
                Outbox.delivered = Outbox.failed = deadly_now  # type: ignore[method-assign, assignment]
                return real(*arguments)
            return deadly_now()

        setattr(Outbox, step, deadly)

    def deadly_now(*_: object) -> object:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    return doom


def run(url: str, channels: list[AlarmChannel], later: int = 0, doom: Callable[[], None] = lambda: None) -> int | None:
    process = forked.Process(target=service, args=(url, channels, later, doom))
    process.start()
    process.join(30)
    code = process.exitcode
    process.kill()
    process.join()
    return code


Told = tuple[str, str, bytes]
"""What a receiver can know an alarm by: its key, its time, and the whole of it."""

Receiver = tuple[AlarmChannel, Callable[[], list[Told]]]


@contextmanager
def webhook(_: Path) -> Iterator[Receiver]:
    with receivers.web() as web:

        def told() -> list[Told]:
            return [(headers["idempotency-key"], json.loads(body)["at"], body) for headers, body in web.got]

        yield AlarmChannel(name="c", kind="webhook", url=web.url), told


@contextmanager
def mail(_: Path) -> Iterator[Receiver]:
    with receivers.post() as post:

        def told() -> list[Told]:
            return [
                (mail["Message-ID"], iso(round(mail["Date"].datetime.timestamp()) * SECOND), mail.as_bytes())
                for mail in post.mails
            ]

        channel = AlarmChannel(
            name="c", kind="smtp", server=post.address, sender="a@b.example", to=["c@d.example"], starttls=False
        )
        yield channel, told


@contextmanager
def log_server(folder: Path) -> Iterator[Receiver]:
    with receivers.log_server("tcp", folder) as (url, got):

        def told() -> list[Told]:
            lines = [line.partition(b" ")[2].decode() for line in got]
            # The number of the process that sent it is the only thing that may differ.
            whole = [re.sub(r"recorder-sync \d+ ", "", line).encode() for line in lines]
            keys = [re.findall(r'\[alarm@32473 key="([^"]*)"', line)[0] for line in lines]
            return list(zip(keys, [line.split()[1] for line in lines], whole, strict=True))

        yield AlarmChannel(name="c", kind="syslog", url=url), told


@contextmanager
def program(folder: Path) -> Iterator[Receiver]:
    out = folder / "told"
    said = "$RECORDER_SYNC_ALARM_KEY $RECORDER_SYNC_ALARM_AT $RECORDER_SYNC_ALARM_KIND"

    def told() -> list[Told]:
        lines = out.read_text().splitlines() if out.exists() else []
        return [(*line.split(" ")[:2], line.encode()) for line in lines]  # type: ignore[misc]

    script = f'document=$(cat); echo "{said} $document" >> {out}'
    yield AlarmChannel(name="c", kind="command", command=receivers.program(folder, script)), told


@pytest.mark.parametrize("receiver", [webhook, mail, log_server, program])
def test_killed_between_the_answer_and_the_record_it_is_sent_again_with_the_same_key_and_time(
    url: str, tmp_path: Path, receiver: Callable[[Path], AbstractContextManager[Receiver]]
) -> None:
    with receiver(tmp_path) as (channel, told):
        with Ledger.open(url) as ledger:
            raise_one(ledger, T0, [channel])
            with ledger.reading() as connection:
                alarm = ledger.outbox.recent(connection)[0].alarm
        assert run(url, [channel], doom=kill_in("delivered")) == -signal.SIGKILL
        receivers.wait_until(lambda: len(told()) == 1)
        assert run(url, [channel], AFTER_THE_CRASH) == 0
        receivers.wait_until(lambda: len(told()) == 2)
        assert run(url, [channel], 2 * AFTER_THE_CRASH) == 0
        assert len(told()) == 2
        one, other = told()
        assert one == other
        key, at, _ = one
        assert key == alarm.key or channel.kind == "smtp"  # made of the key there
        assert at[:19] == iso(alarm.at)[:19], "when it was noticed, an hour before it was told"


def test_killed_before_it_was_sent_it_is_sent_once_with_its_own_time(url: str) -> None:
    """The receiver is away, the service dies, comes back a minute later, and so does the receiver."""
    with receivers.web() as web:
        web.answers = [503, 204]
        channels = [AlarmChannel(name="hook", kind="webhook", url=web.url)]
        with Ledger.open(url) as ledger:
            raise_one(ledger, T0, channels)
        assert run(url, channels, doom=kill_in("failed")) == -signal.SIGKILL
        assert run(url, channels, AFTER_THE_CRASH) == 0
        assert len(web.got) == 2
        assert web.got[0][1] == web.got[1][1]  # the time in it too
    with Ledger.open(url) as ledger:
        assert states(ledger) == [Sending.DELIVERED]


def test_a_try_that_kills_the_service_is_not_made_in_a_tight_loop(url: str) -> None:
    with receivers.web() as web:
        channels = [AlarmChannel(name="hook", kind="webhook", url=web.url)]
        with Ledger.open(url) as ledger:
            raise_one(ledger, T0, channels)
        assert run(url, channels, doom=kill_in("taken")) == -signal.SIGKILL
        assert len(web.got) == 1
        process = forked.Process(target=service, args=(url, channels, 0))
        process.start()
        process.join(1.0)
        process.kill()
        process.join()
        assert len(web.got) == 1
        with Ledger.open(url) as ledger, ledger.reading() as connection:
            [one] = ledger.outbox.recent(connection)
        assert one.deliveries[0].attempts == 1


def noticing(url: str, channels: list[AlarmChannel], count: int) -> None:
    with Ledger.open(url) as ledger:
        for number in range(count):
            raise_one(ledger, T0 + number, channels)


def test_killed_at_any_moment_every_event_is_told_and_none_under_two_keys(url: str) -> None:
    """Twelve rounds: one process notices outages, another sends, both are killed at random and start over."""
    chance, events = random.Random(20), 40
    with receivers.web() as web:
        channels = [AlarmChannel(name="hook", kind="webhook", url=web.url)]
        for number in range(12):
            pair = [
                forked.Process(target=noticing, args=(url, channels, events)),
                forked.Process(target=service, args=(url, channels, number * AFTER_THE_CRASH)),
            ]
            for process in pair:
                process.start()
            time.sleep(chance.uniform(0.02, 0.4))
            for process in pair:
                process.kill()
                process.join()
        noticing(url, channels, events)
        assert run(url, channels, 20 * AFTER_THE_CRASH) == 0
        expected = {kinds.key_of(kinds.AlarmKind.SERVER_FAILED, "nvr-b", T0 + number) for number in range(events)}
        assert set(web.keys) == expected
        # A kill can leave one delivery in doubt, and no more.
        assert len(web.keys) <= events + 12
        assert {
            key: len({body for headers, body in web.got if headers["idempotency-key"] == key}) for key in expected
        } == (dict.fromkeys(expected, 1))
    with Ledger.open(url) as ledger, ledger.reading() as connection:
        assert len(ledger.history.outages(connection, None, T0)) == events
