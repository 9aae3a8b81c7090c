"""A slice of a fill ends with its window and after ten minutes, and an account adds up what several came to."""

from collections.abc import Sequence

from backfill.plan import refuse
from backfill.timing import Timing
from recorder_sync.service import slices
from recorder_sync.service.slices import Account, enough
from schema.spans import DAY, HOUR, MINUTE, SECOND, Span
from schema.values import FillResult, Gap, GapState, Landed, Plan, Refusal, Segment, Task
from tests import make

NIGHT = Timing.of(["22:00-06:00"], "UTC", 0)
NOON = make.T0 - make.T0 % DAY + 12 * HOUR
CLOSES = NOON + 18 * HOUR


def task(name: str, size: int = 1, start: int = NOON, length: int = MINUTE) -> Task:
    source = Segment(
        storage_id=1, camera="front", path=name, start=start, end=start + length, size=size, mtime_ns=0, inode=0
    )
    return Task(server="a", peer="b", source=source, storage_id=2, path=name, new=1)


def landed(one: Task) -> Landed:
    return Landed(storage_id=2, task=one, path=one.path, size=one.source.size, sent=one.source.size, digest=b"")


def gap(start: int, end: int) -> Gap:
    return Gap(server="a", camera="front", span=Span(start, end), state=GapState.FILLABLE)


class Clocks:
    """The time of day and a clock that only goes forward, moved by hand."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.steady = 0.0

    def ask(self, timing: Timing) -> "list[bool]":
        """Begin a slice; the result says whether it is enough after one, and after ten minutes."""
        told = enough(timing, lambda: self.at, lambda: self.steady)
        said = []
        for minute in (0, 1, 9, 10):
            self.steady = minute * 60.0
            said.append(told())
        return said


def test_a_slice_lasts_ten_minutes() -> None:
    always = Timing.of([], "UTC", 0)
    assert Clocks(NOON).ask(always) == [False, False, False, True]
    assert Clocks(NOON).ask(NIGHT) == [False, False, False, True], "what may be filled now waits for no window"


def test_a_slice_ends_when_its_window_closes_also_where_the_clock_is_set_meanwhile() -> None:
    clocks = Clocks(CLOSES - MINUTE)
    told = enough(NIGHT, lambda: clocks.at, lambda: 0.0)
    assert not told()
    clocks.at = CLOSES - 1
    assert not told()
    clocks.at = CLOSES
    assert told()


def names(tasks: Sequence[Task]) -> list[str]:
    return [one.path for one in tasks]


def test_what_was_not_begun_was_not_tried() -> None:
    came, left, gone = task("came"), task("left"), task("gone")
    result = FillResult(landed=(landed(came),), refused=(refuse(gone, Refusal.SOURCE_GONE),))
    assert names(slices.tried(Plan(tasks=(came, left, gone)), result)) == ["came", "gone"]


def test_an_account_counts_what_of_the_gaps_came_back() -> None:
    account = Account(started=0)
    account = account.after([gap(30 * SECOND, HOUR)], FillResult(landed=(landed(task("1", 3, 0)),)))
    account = account.after([gap(MINUTE, HOUR)], FillResult(landed=(landed(task("2", 4, MINUTE)),)))
    assert account.spans == {"front": (Span(30 * SECOND, 2 * MINUTE),)}
    assert (account.segments, account.size) == (2, 7)


def test_what_was_refused_counts_once_and_not_if_it_came_after_all() -> None:
    account = Account(started=0)
    one, other = task("one"), task("other")
    for _ in range(3):
        refused = (refuse(one, Refusal.SOURCE_UNREADABLE), refuse(other, Refusal.SOURCE_UNREADABLE))
        account = account.after([], FillResult(refused=refused))
    account = account.after([], FillResult(landed=(landed(one),)))
    assert account.refused == {("b", "other")}
