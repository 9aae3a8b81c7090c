"""The outbox's contract, on SQLite and on PostgreSQL: raised once, sent by who raised it, tried until it is taken.

Every test runs on both; PostgreSQL's skip where there is no server program.
"""

import threading

import pytest
from sqlalchemy import text

from schema.ledger import Ledger
from schema.ledger.alarms import EXPIRES, KEPT, LONGEST_WAIT, Sending, wait_after
from schema.service import AlarmChannel
from schema.spans import MINUTE, SECOND
from schema.values import Alarm, AlarmKind
from tests.make import T0

PAGER = AlarmChannel(name="pager", kind="command", command=["page"])
MAIL = AlarmChannel(name="mail", kind="command", command=["mail"], only=["lost", "damage"])


def alarm(key: str = "server-failed:b:1", kind: AlarmKind = AlarmKind.SERVER_FAILED, **more: object) -> Alarm:
    return Alarm(key=key, kind=kind, server="b", at=T0, text="b is away", **more)  # type: ignore[arg-type]


def raised(ledger: Ledger, *told: Alarm, observer: str = "a", channels: tuple[AlarmChannel, ...] = (PAGER,)) -> None:
    with ledger.writing() as connection:
        for one in told:
            assert ledger.outbox.raise_(connection, one, observer, channels)


def due(ledger: Ledger, now: int = T0, observer: str = "a", channel: str = "pager") -> list[str]:
    with ledger.reading() as connection:
        return [found.key for _, found in ledger.outbox.due(connection, observer, channel, now)]


def first(ledger: Ledger, now: int = T0):  # type: ignore[no-untyped-def]
    with ledger.reading() as connection:
        return ledger.outbox.due(connection, "a", "pager", now)[0][0]


def states(ledger: Ledger) -> dict[tuple[str, str], Sending]:
    with ledger.reading() as connection:
        found = ledger.outbox.recent(connection, 1000)
    return {(one.alarm.key, sent.channel): sent.state for one in found for sent in one.deliveries}


def test_an_alarm_comes_out_as_it_was_raised(ledger: Ledger) -> None:
    told = alarm(camera="Ünïcode 🎥", facts={"spans": [{"seconds": 1.5}], "bytes": 2**40, "peer": None})
    raised(ledger, told)
    with ledger.reading() as connection:
        [(delivery, found)] = ledger.outbox.due(connection, "a", "pager", T0)
        [kept] = ledger.outbox.recent(connection)
    assert found == told
    assert (kept.alarm, kept.observer, kept.deliveries) == (told, "a", (delivery,))
    assert (delivery.state, delivery.attempts, delivery.error) == (Sending.PENDING, 0, "")


def test_the_same_event_is_raised_once_however_often_it_is_noticed(ledger: Ledger) -> None:
    raised(ledger, alarm())
    with ledger.writing() as connection:
        assert not ledger.outbox.raise_(connection, alarm(), "a", [PAGER])
        assert not ledger.outbox.raise_(connection, alarm(), "c", [PAGER])
    assert len(states(ledger)) == 1
    with ledger.writing() as connection:
        ledger.outbox.delivered(connection, first(ledger))
        assert not ledger.outbox.raise_(connection, alarm(), "a", [PAGER])
    assert due(ledger, T0 + EXPIRES) == []


def test_two_that_notice_the_same_event_at_the_same_moment_raise_it_once(ledger: Ledger, ledger_url: str) -> None:
    ready, outcomes = threading.Barrier(4), []

    def notice() -> None:
        with Ledger.open(ledger_url) as mine:
            ready.wait()
            for number in range(10):
                with mine.writing() as connection:
                    outcomes.append(mine.outbox.raise_(connection, alarm(f"k:{number}"), "a", [PAGER]))

    threads = [threading.Thread(target=notice) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 30 + [True] * 10
    assert sorted(due(ledger)) == [f"k:{number}" for number in range(10)]


def test_an_event_that_did_not_become_true_is_not_told(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), ledger.writing() as connection:
        ledger.outbox.raise_(connection, alarm(), "a", [PAGER])
        raise ZeroDivisionError
    assert due(ledger) == []
    raised(ledger, alarm())
    assert due(ledger) == ["server-failed:b:1"]


def test_a_channel_gets_the_kinds_it_wants(ledger: Ledger) -> None:
    raised(ledger, alarm(), alarm("lost:1", AlarmKind.LOST), channels=(PAGER, MAIL))
    assert due(ledger) == ["server-failed:b:1", "lost:1"]
    assert due(ledger, channel="mail") == ["lost:1"]


def test_an_alarm_without_a_channel_is_kept_for_the_status(ledger: Ledger) -> None:
    raised(ledger, alarm(), channels=())
    with ledger.reading() as connection:
        assert [one.deliveries for one in ledger.outbox.recent(connection)] == [()]


@pytest.mark.parametrize("key", ["k" * 257, "camera:Ünïcode", "a\nb"])
def test_a_key_that_one_database_could_not_hold_is_refused_on_both(ledger: Ledger, key: str) -> None:
    with ledger.writing() as connection, pytest.raises(ValueError, match="no alarm key"):
        ledger.outbox.raise_(connection, alarm(key), "a", [PAGER])


def test_in_a_fleet_each_service_sends_its_own(ledger: Ledger) -> None:
    raised(ledger, alarm("one"), observer="a")
    raised(ledger, alarm("other"), observer="c")
    assert (due(ledger, observer="a"), due(ledger, observer="c")) == (["one"], ["other"])
    with ledger.writing() as connection:
        ledger.outbox.failed(connection, first(ledger), T0, "no")
        ledger.outbox.hurried(connection, "c", "pager")
    assert due(ledger, observer="a") == []
    with ledger.reading() as connection:
        assert [one.observer for one in ledger.outbox.recent(connection, of=["c"])] == ["c"]
        assert len(ledger.outbox.recent(connection, of=["b"])) == 2  # both are about it


def test_asking_for_a_server_that_is_not_known_adds_none(ledger: Ledger) -> None:
    assert due(ledger, observer="nobody") == []
    with ledger.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM servers")).scalar() == 0


def test_of_two_that_take_a_delivery_one_gets_it(ledger: Ledger) -> None:
    raised(ledger, alarm())
    seen = first(ledger)
    with ledger.writing() as connection:
        assert ledger.outbox.taken(connection, seen, T0 + 15 * SECOND)
    with ledger.writing() as connection:
        assert not ledger.outbox.taken(connection, seen, T0 + 15 * SECOND)
    assert due(ledger) == []


def test_a_try_that_nobody_heard_of_again_is_made_once_more_and_was_counted(ledger: Ledger) -> None:
    raised(ledger, alarm())
    with ledger.writing() as connection:
        ledger.outbox.taken(connection, first(ledger), T0 + 15 * SECOND)
    assert due(ledger, T0 + 15 * SECOND - 1) == []
    assert due(ledger, T0 + 15 * SECOND) == ["server-failed:b:1"]
    assert first(ledger, T0 + MINUTE).attempts == 1


def test_tries_wait_longer_and_longer_up_to_fifteen_minutes(ledger: Ledger) -> None:
    raised(ledger, alarm())
    now, waits = T0, []
    for _ in range(12):
        delivery = first(ledger, now)
        with ledger.writing() as connection:
            assert ledger.outbox.taken(connection, delivery, now + MINUTE)
            after = ledger.outbox.failed(connection, delivery, now, "refused\0\udc80" + "x" * 2000)
        with ledger.reading() as connection:
            assert ledger.outbox.next_due(connection, "a", "pager") == after
        waits.append(after - now)
        assert due(ledger, after - 1) == []
        now = after
    assert waits[:4] == [5 * SECOND, 10 * SECOND, 20 * SECOND, 40 * SECOND]
    assert waits[-1] == LONGEST_WAIT == wait_after(10**9)
    last = first(ledger, now)
    assert (last.attempts, last.error[:9], len(last.error)) == (12, "refused\ufffd?", 1024)


def test_what_waits_for_a_channel_goes_out_once_it_works_again(ledger: Ledger) -> None:
    raised(ledger, alarm("one"), alarm("two"), alarm("three"))
    with ledger.reading() as connection:
        waiting = [delivery for delivery, _ in ledger.outbox.due(connection, "a", "pager", T0)]
    with ledger.writing() as connection:
        ledger.outbox.postponed(connection, waiting[1:], T0 + MINUTE)
    assert due(ledger) == ["one"]
    with ledger.writing() as connection:
        ledger.outbox.delivered(connection, waiting[0])
        ledger.outbox.hurried(connection, "a", "pager")
    assert due(ledger) == ["two", "three"]
    assert first(ledger).attempts == 0


def test_a_channel_can_be_held_with_all_that_waits_for_it(ledger: Ledger) -> None:
    raised(ledger, alarm("one"), alarm("two"), channels=(PAGER, MAIL))
    raised(ledger, alarm("theirs"), observer="c")
    with ledger.writing() as connection:
        ledger.outbox.held(connection, "a", "pager", T0 + MINUTE)
    assert (due(ledger), due(ledger, observer="c")) == ([], ["theirs"])
    assert due(ledger, T0 + MINUTE) == ["one", "two"]


def test_an_event_of_xprotect_is_triggered_only_for_the_kinds_that_have_one(ledger: Ledger) -> None:
    rules = AlarmChannel(name="rules", kind="xprotect-event", events={"lost": "Lost", "damage": "Bad"})
    fewer = AlarmChannel(name="fewer", kind="xprotect-event", events=rules.events, only=["lost", "server-failed"])
    told = (alarm("one"), alarm("lost:1", AlarmKind.LOST), alarm("bad:1", AlarmKind.DAMAGE))
    raised(ledger, *told, channels=(rules, fewer))
    assert due(ledger, channel="rules") == ["lost:1", "bad:1"]
    assert due(ledger, channel="fewer") == ["lost:1"]


def test_a_wrong_clock_does_not_put_an_alarm_off_for_years(ledger: Ledger) -> None:
    raised(ledger, alarm())
    wrong = T0 + 10 * 365 * 86_400 * SECOND
    with ledger.writing() as connection:
        ledger.outbox.failed(connection, first(ledger, wrong), wrong, "no")
    assert due(ledger, T0) == ["server-failed:b:1"]


def test_after_a_week_it_is_given_up_and_says_so(ledger: Ledger) -> None:
    raised(ledger, alarm("one"), alarm("two"))
    with ledger.writing() as connection:
        ledger.outbox.delivered(connection, first(ledger))
        assert ledger.outbox.expire(connection, T0 + EXPIRES) == 0
        assert ledger.outbox.expire(connection, T0 + EXPIRES + 1) == 1
    assert states(ledger) == {("one", "pager"): Sending.DELIVERED, ("two", "pager"): Sending.EXPIRED}
    assert due(ledger, T0 + EXPIRES) == []


def test_old_alarms_are_forgotten_but_not_what_is_still_to_be_seen(ledger: Ledger) -> None:
    raised(ledger, alarm("one"), alarm("lost:1", AlarmKind.LOST))
    with ledger.writing() as connection:
        assert ledger.outbox.prune(connection, T0 + KEPT) == 0
        assert ledger.outbox.prune(connection, T0 + KEPT + 1) == 1
        assert not ledger.outbox.raise_(connection, alarm("lost:1", AlarmKind.LOST), "a", [PAGER])
    assert list(states(ledger)) == [("lost:1", "pager")]
    with ledger.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM deliveries")).scalar() == 1


@pytest.mark.parametrize("change", ["kind = 'swerver-failed'", "body = '{\"a'", "body = '[]'"])
def test_a_damaged_alarm_is_still_told(ledger: Ledger, change: str) -> None:
    raised(ledger, alarm())
    with ledger.writing() as connection:
        connection.execute(text(f"UPDATE alarms SET {change}"))
    with ledger.reading() as connection:
        [(_, found)] = ledger.outbox.due(connection, "a", "pager", T0)
    assert found.kind is AlarmKind.DAMAGE
    assert "row in the ledger" in found.facts["unreadable"]
    assert found.text == "b is away"
