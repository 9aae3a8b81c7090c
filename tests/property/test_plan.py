"""The plan against brute force: the fewest whole segments, nothing coverable left out, nothing counted twice.

A fill moves what the plan says and no byte more, so a segment too many is bandwidth taken from live recording, and a
segment too few is footage lost. Up to eight segments every choice is tried. Files named late and recorders that take
over from each other are in test_nothing_lost.py, where true times are known.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from backfill.plan import AT_RISK, Order, Source, choose, offer, order, refuse, sure, widen, windows, within_space
from schema.spans import HOUR, SECOND, Span, merge
from schema.values import Refusal, Segment, Task

some = st.tuples(st.integers(0, 30), st.integers(1, 12)).map(lambda pair: Span(pair[0], pair[0] + pair[1]))
merged = st.lists(some, min_size=1, max_size=4).map(merge)


def units(spans: Iterable[Span]) -> set[int]:
    return {unit for span in spans for unit in range(span.start, span.end)}


def segment(span: Span, number: int = 0, size: int = 1, storage_id: int = 1) -> Segment:
    return Segment(
        storage_id=storage_id,
        camera="front",
        path=f"{number:03d}.mp4",
        start=span.start,
        end=span.end,
        size=size,
        mtime_ns=0,
        inode=number,
    )


def source(span: Span, number: int = 0, size: int = 1, peer: str = "b") -> Source:
    return Source(peer=peer, segment=segment(span, number, size), start=span.start, end=span.end)


offered = st.lists(st.tuples(some, st.integers(1, 3), st.sampled_from("bc")), max_size=8).map(
    lambda found: [source(span, number, size, peer) for number, (span, size, peer) in enumerate(found)]
)


def spans(sources: Iterable[Source]) -> list[Span]:
    return [Span(one.start, one.end) for one in sources]


@given(merged, offered)
def test_no_smaller_choice_covers_as_much(wanted: list[Span], sources: list[Source]) -> None:
    chosen = [one for one, _ in choose(wanted, sources, wanted)]
    coverable = units(spans(sources)) & units(wanted)
    assert units(spans(chosen)) & units(wanted) == coverable
    fewest = next(
        size
        for size in range(len(sources) + 1)
        for few in combinations(sources, size)
        if units(spans(few)) & units(wanted) == coverable
    )
    assert len(chosen) == fewest


@given(merged, offered, st.randoms())
def test_the_same_input_gives_the_same_plan_in_whatever_order_it_comes(
    wanted: list[Span], sources: list[Source], random: st.DataObject
) -> None:
    shuffled = list(sources)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert choose(wanted, shuffled, wanted) == choose(wanted, sources, wanted)


@given(merged, offered)
def test_gains_sum_to_what_is_filled_and_never_exceed_a_segment(gaps: list[Span], sources: list[Source]) -> None:
    chosen = choose(widen(gaps, 2, 2), sources, gaps)
    assert sum(gain for _, gain in chosen) == len(units(gaps) & units(spans(one for one, _ in chosen)))
    assert all(0 <= gain <= one.segment.end - one.segment.start for one, gain in chosen)


@given(merged, st.lists(some, max_size=8), st.integers(0, 8))
def test_gains_are_never_negative_although_files_named_late_overlap(
    gaps: list[Span], found: list[Span], late: int
) -> None:
    sources = offer("b", [segment(one, number) for number, one in enumerate(found)], late=late, **STEADY)
    chosen = choose(gaps, sources, gaps)
    assert all(gain >= 0 for _, gain in chosen)
    assert sum(gain for _, gain in chosen) == len(units(gaps) & units(one.segment.span for one, _ in chosen))


@given(merged, offered)
def test_each_segment_is_fetched_once_and_only_if_it_is_of_use(wanted: list[Span], sources: list[Source]) -> None:
    chosen = [one for one, _ in choose(wanted, [*sources, *sources], wanted)]
    assert len({one.segment.path for one in chosen}) == len(chosen)
    assert all(units(spans([one])) & units(wanted) for one in chosen)


def test_of_two_that_reach_equally_far_the_smaller_is_taken() -> None:
    large, small = source(Span(0, 10), 1, size=9), source(Span(1, 10), 2, size=5)
    assert [one for one, _ in choose([Span(2, 10)], [large, small], [Span(2, 10)])] == [small]


def test_a_segment_that_reaches_into_the_next_gap_is_not_fetched_twice_over() -> None:
    first, between, last = source(Span(0, 10), 1), source(Span(7, 15), 2), source(Span(9, 20), 3)
    gaps = [Span(0, 6), Span(8, 20)]
    assert [one for one, _ in choose(gaps, [first, between, last], gaps)] == [first, last]


STEADY = {"joint": 1, "blur": 0, "retention": None}


@given(st.lists(some, max_size=8).map(sorted), st.integers(0, 8), st.integers(0, 3))
def test_what_is_sure_lies_within_what_the_name_says(found: list[Span], late: int, joint: int) -> None:
    segments = [segment(one, number) for number, one in enumerate(found)]
    for one, covered in zip(segments, sure(segments, late, joint, 0), strict=True):
        assert one.start == covered.start <= covered.end <= one.end
    assert sure(segments, 0, joint, 0) == [one.span for one in segments]


def test_what_a_late_file_seems_to_hold_of_its_successor_is_counted_for_the_successor() -> None:
    late, following, steady = (segment(Span(*ends)) for ends in ((100, 110), (105, 115), (115, 125)))
    assert sure([late, following, steady], 5, 1, 0) == [Span(100, 105), Span(105, 115), Span(115, 125)]


def test_a_whole_second_name_may_overlap_a_late_file_by_a_second_more() -> None:
    late, following = segment(Span(0, 10_100_000)), segment(Span(5_000_000, 9_000_000))
    assert sure([late, following], 5 * SECOND, SECOND, SECOND)[0] == Span(0, 5_000_000)


def test_a_lone_file_may_end_as_early_as_it_may_be_named_late() -> None:
    lone, pair, other = segment(Span(0, 10)), segment(Span(30, 40)), segment(Span(41, 50))
    assert sure([lone, pair, other], 5, 1, 0) == [Span(0, 5), Span(30, 40), Span(41, 50)]


def test_a_first_file_is_offered_from_before_its_name_and_deletion_is_foreseen() -> None:
    segments = [segment(Span(*ends), number) for number, ends in enumerate([(41, 50), (0, 10), (30, 41), (11, 20)])]
    found = offer("b", segments, late=5, joint=1, blur=2, retention=1000)
    assert [(one.segment.start, one.early, one.blur, one.deleted_at) for one in found] == [
        (0, 5, 2, 1000),
        (11, 0, 2, 1011),
        (30, 5, 2, 1030),
        (41, 0, 2, 1041),
    ]


@given(merged, st.integers(0, 5), st.integers(0, 5))
def test_widening_reaches_exactly_so_far_beyond_each_gap(gaps: list[Span], before: int, after: int) -> None:
    reached = {unit + step for unit in units(gaps) for step in range(-before, after + 1)}
    assert units(widen(gaps, before, after)) == reached


@given(st.lists(some, max_size=6), st.integers(0, 6))
def test_windows_cover_every_gap_in_few_windows(gaps: list[Span], slack: int) -> None:
    found = windows(gaps, slack)
    assert all(any(window.start <= gap.start and gap.end <= window.end for window in found) for gap in gaps)
    assert all(after.start - before.end > slack for before, after in pairwise(found))


def task(start: int, size: int = 1, peer: str = "b", deleted_at: int | None = None) -> Task:
    one = segment(Span(start, start + 10), start % 1000, size)
    return Task(server="a", peer=peer, source=one, storage_id=2, path=one.path, new=10, deleted_at=deleted_at)


tasks = st.lists(st.tuples(st.integers(0, 10), st.integers(1, 9), st.sampled_from("bc")), max_size=8).map(
    lambda found: [task(start * SECOND, size, peer) for start, size, peer in found]
)
deletions = st.one_of(st.none(), st.integers(0, 24).map(lambda hours: hours * HOUR))
kept_somehow = st.builds(
    task, st.integers(0, 10).map(lambda s: s * SECOND), st.integers(1, 9), st.sampled_from("bc"), deletions
)


@given(st.lists(kept_somehow, max_size=8))
def test_what_is_deleted_soonest_comes_first_and_then_the_newest(found: list[Task]) -> None:
    now = 12 * HOUR
    ordered = order(found, now)
    assert sorted(map(id, ordered)) == sorted(map(id, found))
    at_risk = [one.deleted_at is not None and one.deleted_at - now < AT_RISK for one in ordered]
    assert at_risk == sorted(at_risk, reverse=True)
    soon = [one.deleted_at for one, risk in zip(ordered, at_risk, strict=True) if risk]
    assert soon == sorted(soon, key=lambda at: at or 0)
    rest = [one.source.start for one, risk in zip(ordered, at_risk, strict=True) if not risk]
    assert rest == sorted(rest, reverse=True)


@given(st.lists(kept_somehow, max_size=8))
def test_by_age_alone_retention_does_not_count(found: list[Task]) -> None:
    now = 12 * HOUR
    newest = [one.source.start for one in order(found, now, "newest")]
    oldest = [one.source.start for one in order(found, now, "oldest")]
    assert newest == sorted((one.source.start for one in found), reverse=True)
    assert oldest == sorted(newest)


@given(st.lists(kept_somehow, max_size=6), st.randoms())
def test_the_order_does_not_depend_on_the_order_of_the_tasks(found: list[Task], random: st.DataObject) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    def key(one: Task) -> tuple[int, str, str]:
        return one.source.start, one.source.path, one.peer

    for by in get_args(Order):
        assert [key(one) for one in order(shuffled, 0, by)] == [key(one) for one in order(found, 0, by)]


@given(tasks, st.integers(-5, 30))
def test_what_fits_is_filled_and_the_rest_is_refused_by_name(found: Sequence[Task], free: int) -> None:
    kept, refused = within_space(found, free)
    assert sum(one.source.size for one in kept) <= max(free, 0)
    assert len(kept) + len(refused) == len(found)
    assert all(one.why is Refusal.NO_SPACE for one in refused)
    left = free - sum(one.source.size for one in kept)
    smallest = min((one.source.size for one in found if not any(one is other for other in kept)), default=None)
    assert smallest is None or smallest > left


def test_a_refusal_says_what_of_whom_and_why() -> None:
    one = task(SECOND)
    refused = refuse(one, Refusal.SOURCE_GONE, "renamed")
    assert (refused.server, refused.peer, refused.camera, refused.path) == ("a", "b", "front", one.source.path)
    assert refused.span == one.source.span
    assert refused.sentence == "the source was deleted before it could be read (renamed)"
