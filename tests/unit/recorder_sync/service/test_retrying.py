"""What was refused is tried again soon, then ever more seldom, and forgotten once it came."""

from backfill.plan import refuse
from recorder_sync.service.retrying import Retrying
from schema.spans import HOUR, MINUTE
from schema.values import Refusal, Segment, Task


def task(path: str) -> Task:
    source = Segment(storage_id=1, camera="front", path=path, start=0, end=1, size=1, mtime_ns=0, inode=0)
    return Task(server="a", peer="b", source=source, storage_id=2, path=path, new=1)


ONE, TWO = task("one.mp4"), task("two.mp4")


def test_what_was_never_tried_is_ready() -> None:
    assert Retrying().ready([ONE, TWO], 0) == [ONE, TWO]


def test_what_was_refused_waits_longer_each_time_and_at_most_an_hour() -> None:
    retrying, now, waits = Retrying(), 0, []
    for _ in range(10):
        retrying.note([ONE], [refuse(ONE, Refusal.SOURCE_UNREADABLE)], now)
        again = retrying.next([ONE], now)
        assert again is not None
        assert retrying.ready([ONE, TWO], again - 1) == [TWO]
        assert retrying.ready([ONE, TWO], again) == [ONE, TWO]
        waits.append(again - now)
        now = again
    assert waits[0] == MINUTE
    assert waits == sorted(waits)
    assert waits[-1] == HOUR


def test_what_came_is_forgotten() -> None:
    retrying = Retrying()
    retrying.note([ONE], [refuse(ONE, Refusal.SOURCE_UNREADABLE)], 0)
    retrying.note([ONE], [], MINUTE)
    assert retrying.ready([ONE], MINUTE) == [ONE]
    assert retrying.next([ONE], MINUTE) is None


def test_what_may_be_tried_already_is_nothing_to_come_back_for() -> None:
    retrying = Retrying()
    retrying.note([ONE, TWO], [refuse(ONE, Refusal.SOURCE_UNREADABLE)], 0)
    again = retrying.next([ONE, TWO], 0)
    assert again is not None
    assert retrying.next([ONE, TWO], again) is None
