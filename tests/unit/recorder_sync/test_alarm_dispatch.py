"""The dispatcher: what is raised goes out once, what fails is tried again, and nothing ends it but being cancelled."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from recorder_sync.alarms.channels import ChannelFailed
from recorder_sync.alarms.dispatch import Dispatcher
from schema.errors import LedgerBusy
from schema.ledger import Ledger
from schema.ledger.alarms import EXPIRES, Sending
from schema.service import AlarmChannel
from schema.spans import MINUTE, SECOND
from schema.values import Alarm, AlarmKind
from tests.make import T0

A_WHILE = 5.0


@dataclass
class Pager:
    """A channel that does what its script says, call by call; then it takes everything."""

    name: str = "pager"
    timeout: float = 5.0
    ordered: bool = False
    script: list[Exception | float] = field(default_factory=list)
    got: list[str] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)

    async def send(self, alarm: Alarm) -> str:
        self.tried.append(alarm.key)
        if self.script:
            step = self.script.pop(0)
            if isinstance(step, Exception):
                raise step
            await asyncio.sleep(step)
        self.got.append(alarm.key)
        return "beep"


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.time = T0

    def __call__(self) -> int:
        return self.time


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        yield ledger


def raised(ledger: Ledger, *keys: str, channels: tuple[str, ...] = ("pager",), observer: str = "a") -> None:
    settings = [AlarmChannel(name=name, kind="command", command=["x"]) for name in channels]
    with ledger.writing() as connection:
        for key in keys:
            alarm = Alarm(key=key, kind=AlarmKind.LOST, server="b", at=T0, text=key)
            ledger.outbox.raise_(connection, alarm, observer, settings)


def states(ledger: Ledger) -> dict[str, Sending]:
    with ledger.reading() as connection:
        return {one.alarm.key: sent.state for one in ledger.outbox.recent(connection) for sent in one.deliveries}


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(A_WHILE):
        while not true():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(dispatcher: Dispatcher) -> AsyncIterator[None]:
    task = asyncio.create_task(dispatcher.run())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        async with asyncio.timeout(A_WHILE):
            with suppress(asyncio.CancelledError):
                await task


def test_what_waits_goes_out_once_in_the_order_in_which_it_happened(book: Ledger) -> None:
    async def scenario() -> None:
        pager = Pager()
        raised(book, "1", "2", "3")
        async with running(Dispatcher(book, "a", [pager], Clock())):
            await until(lambda: set(states(book).values()) == {Sending.DELIVERED})
        async with running(Dispatcher(book, "a", [pager], Clock())):
            await asyncio.sleep(0.2)
        assert pager.got == ["1", "2", "3"]

    asyncio.run(scenario())


def test_it_wakes_when_it_is_told_from_any_thread(book: Ledger) -> None:
    async def scenario() -> None:
        pager, clock = Pager(), Clock()
        dispatcher = Dispatcher(book, "a", [pager], clock)
        dispatcher.notify()  # before it runs: harmless
        async with running(dispatcher):
            await asyncio.sleep(0.1)

            def elsewhere() -> None:
                raised(book, "1")
                dispatcher.notify()

            threading.Thread(target=elsewhere).start()
            await until(lambda: pager.got == ["1"])
        dispatcher.notify()

    asyncio.run(scenario())


def test_a_channel_that_is_down_is_tried_with_one_alarm_and_then_gets_all(book: Ledger) -> None:
    async def scenario() -> None:
        clock, pager = Clock(), Pager(script=[ChannelFailed("no route")])
        dispatcher = Dispatcher(book, "a", [pager], clock)
        raised(book, "1", "2", "3")
        async with running(dispatcher):
            await until(lambda: pager.tried)
            await asyncio.sleep(0.2)
            assert pager.tried == ["1"]
            raised(book, "4")  # what is new is tried at once: the channel may be back
            dispatcher.notify()
            await until(lambda: len(pager.got) == 4)
            assert pager.got == ["4", "1", "2", "3"]

    asyncio.run(scenario())


def test_an_alarm_that_is_refused_does_not_hold_up_the_others(book: Ledger) -> None:
    async def scenario() -> None:
        clock, pager = Clock(), Pager(script=[ChannelFailed("422", answered=True)])
        raised(book, "1", "2")
        dispatcher = Dispatcher(book, "a", [pager], clock)
        async with running(dispatcher):
            await until(lambda: pager.got == ["2"])
            clock.time += MINUTE
            dispatcher.notify()
            await until(lambda: pager.got == ["2", "1"])

    asyncio.run(scenario())


@pytest.mark.parametrize("answered", [False, True])
def test_where_the_order_counts_nothing_overtakes_what_failed(book: Ledger, answered: bool) -> None:
    async def scenario() -> None:
        refused = ChannelFailed("no event of this name", answered=answered)
        clock, pager = Clock(), Pager(ordered=True, script=[refused, refused])
        dispatcher = Dispatcher(book, "a", [pager], clock)
        raised(book, "1", "2")
        async with running(dispatcher):
            await until(lambda: pager.tried)
            await asyncio.sleep(0.2)
            assert pager.tried == ["1"]
            raised(book, "3")  # it would be due at once, and the others are not
            dispatcher.notify()
            await until(lambda: len(pager.tried) == 2)
            await asyncio.sleep(0.2)
            assert pager.tried == ["1", "1"]
            clock.time += MINUTE
            dispatcher.notify()
            await until(lambda: pager.got == ["1", "2", "3"])

    asyncio.run(scenario())


def test_where_the_order_counts_many_that_wait_are_not_tried_in_a_tight_loop(book: Ledger) -> None:
    async def scenario() -> None:
        clock, pager = Clock(), Pager(ordered=True, script=[ChannelFailed("no route")] * 1000)
        raised(book, *(str(number) for number in range(150)))
        async with running(Dispatcher(book, "a", [pager], clock)):
            await until(lambda: pager.tried)
            await asyncio.sleep(0.3)
        assert pager.tried == ["0"]

    asyncio.run(scenario())


def test_a_slow_channel_delays_no_other_and_is_cut(book: Ledger) -> None:
    async def scenario() -> None:
        slow, pager = Pager(name="slow", timeout=-0.9, script=[60.0]), Pager()
        raised(book, "1", channels=("slow", "pager"))
        async with running(Dispatcher(book, "a", [slow, pager], Clock())):
            await until(lambda: pager.got == ["1"])

            def noted() -> bool:
                with book.reading() as connection:
                    [one] = book.outbox.recent(connection)
                return [sent.error for sent in one.deliveries if sent.channel == "slow"] == ["not done within -0.9 s"]

            await until(noted)
        assert slow.got == []

    asyncio.run(scenario())


def test_a_defect_in_a_channel_is_a_failed_try(book: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        clock, pager = Clock(), Pager(script=[ZeroDivisionError("https://hook/s3cret")])
        dispatcher = Dispatcher(book, "a", [pager], clock)
        raised(book, "1")
        async with running(dispatcher):
            await until(lambda: pager.tried == ["1"])
            await until(
                lambda: "defect in this channel: ZeroDivisionError" in str([r.__dict__ for r in caplog.records])
            )
            clock.time += MINUTE
            dispatcher.notify()
            await until(lambda: pager.got == ["1"])

    asyncio.run(scenario())
    assert "s3cret" not in str([record.__dict__ for record in caplog.records])


def test_what_was_sent_while_the_ledger_was_away_is_not_sent_again(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder_sync.alarms.dispatch._LEDGER_PAUSES", (0.01,))
    real, failures = book.outbox.delivered, [LedgerBusy("x", "locked"), OSError("gone"), LedgerBusy("x", "locked")]

    def delivered(*arguments: object) -> None:
        if failures:
            raise failures.pop()
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(book.outbox, "delivered", delivered)

    async def scenario() -> None:
        pager = Pager()
        raised(book, "1")
        async with running(Dispatcher(book, "a", [pager], Clock())):
            await until(lambda: states(book) == {"1": Sending.DELIVERED})
        assert pager.tried == ["1"]
        assert failures == []

    asyncio.run(scenario())


def test_two_processes_of_one_server_send_each_alarm_once(book: Ledger) -> None:
    async def scenario() -> None:
        keys = [str(number) for number in range(20)]
        one, other = Pager(), Pager()
        raised(book, *keys)
        async with running(Dispatcher(book, "a", [one], Clock())), running(Dispatcher(book, "a", [other], Clock())):
            await until(lambda: set(states(book).values()) == {Sending.DELIVERED})
        assert sorted(one.got + other.got, key=int) == keys

    asyncio.run(scenario())


def test_another_servers_alarms_and_channels_that_are_gone_are_left_alone(book: Ledger) -> None:
    async def scenario() -> None:
        pager = Pager()
        raised(book, "theirs", observer="c")
        raised(book, "gone", channels=("former",))
        raised(book, "ours")
        async with running(Dispatcher(book, "a", [pager], Clock())):
            await until(lambda: pager.got)
            await asyncio.sleep(0.1)
        assert pager.got == ["ours"]
        assert states(book)["theirs"] is states(book)["gone"] is Sending.PENDING

    asyncio.run(scenario())


def test_what_nobody_took_for_a_week_is_given_up_and_said(book: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        clock = Clock()
        clock.time += EXPIRES + SECOND
        raised(book, "1", channels=("former",))
        async with running(Dispatcher(book, "a", [], clock)):
            await until(lambda: "alarms.expired" in caplog.text)
        assert states(book) == {"1": Sending.EXPIRED}

    asyncio.run(scenario())


def test_stopped_while_it_sends_it_ends_at_once_and_the_next_run_sends_again(book: Ledger) -> None:
    async def scenario() -> None:
        clock, pager = Clock(), Pager(script=[60.0])
        raised(book, "1")
        async with running(Dispatcher(book, "a", [pager], clock)):
            await until(lambda: pager.tried == ["1"])
        assert states(book) == {"1": Sending.PENDING}
        clock.time += MINUTE
        async with running(Dispatcher(book, "a", [pager], clock)):
            await until(lambda: pager.got == ["1"])

    asyncio.run(scenario())
