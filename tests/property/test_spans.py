"""The span algebra against a naive one: every unit of a short time axis is looked at by itself.

Every gap, plan and report rests on these functions. What must hold: they agree with sets of units, give merged lists
(sorted, disjoint, free of empty spans), and joining in parts equals joining at once.
"""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from schema.spans import (
    Run,
    Span,
    certain,
    clip,
    early,
    intersect,
    longer_than,
    merge,
    runs,
    subtract,
    total,
    uncovered,
)

moments = st.integers(0, 40)
loose = st.lists(st.tuples(moments, moments).map(lambda ends: Span(*ends)), max_size=12)
"""Spans in any order, overlapping, empty and reversed ones among them."""

merged = loose.map(merge)
some = st.tuples(moments, st.integers(1, 12)).map(lambda pair: Span(pair[0], pair[0] + pair[1]))
segments = st.lists(some, max_size=14)


def units(spans: list[Span]) -> set[int]:
    """Return every unit of time that some span covers."""
    return {unit for span in spans for unit in range(span.start, span.end)}


def is_merged(spans: list[Span]) -> bool:
    return all(span.start < span.end for span in spans) and all(a.end <= b.start for a, b in pairwise(spans))


@given(loose)
def test_merging_covers_what_the_spans_cover(spans: list[Span]) -> None:
    assert units(merge(spans)) == units(spans)


@given(loose, st.integers(0, 6))
def test_merging_bridges_holes_up_to_the_joint_and_no_others(spans: list[Span], joint: int) -> None:
    result = merge(spans, joint)
    assert is_merged(result)
    assert all(b.start - a.end > joint for a, b in pairwise(result))
    bridged = units(result) - units(spans)
    holes = [Span(a.end, b.start) for a, b in pairwise(merge(spans))]
    assert bridged == units([hole for hole in holes if hole.length <= joint])


@given(loose, st.integers(0, 6))
def test_merging_again_changes_nothing(spans: list[Span], joint: int) -> None:
    assert merge(merge(spans, joint), joint) == merge(spans, joint)


@given(some, merged)
def test_uncovered_is_the_window_less_what_is_covered(window: Span, covered: list[Span]) -> None:
    left = list(uncovered(window, covered))
    assert is_merged(left)
    assert units(left) == units([window]) - units(covered)


@given(some, merged)
def test_filling_every_hole_leaves_none(window: Span, covered: list[Span]) -> None:
    assert list(uncovered(window, merge([*covered, *uncovered(window, covered)]))) == []


@given(merged, merged)
def test_subtracting_leaves_what_is_only_in_the_first(spans: list[Span], holes: list[Span]) -> None:
    left = subtract(spans, holes)
    assert is_merged(left)
    assert units(left) == units(spans) - units(holes)


@given(merged, merged)
def test_the_intersection_is_what_both_have(one: list[Span], other: list[Span]) -> None:
    shared = intersect(one, other)
    assert is_merged(shared)
    assert units(shared) == units(one) & units(other)
    assert units(intersect(other, one)) == units(shared)


@given(merged, st.tuples(moments, moments).map(lambda ends: Span(*ends)))
def test_clipping_is_intersecting_with_the_window(spans: list[Span], window: Span) -> None:
    assert units(clip(spans, window)) == units(spans) & units([window])
    assert is_merged(clip(spans, window))


@given(merged, st.integers(0, 10))
def test_length_and_threshold_count_units(spans: list[Span], threshold: int) -> None:
    assert total(spans) == len(units(spans))
    assert longer_than(spans, threshold) == [span for span in spans if len(units([span])) > threshold]


@given(some, some)
def test_spans_overlap_when_they_share_a_unit(one: Span, other: Span) -> None:
    assert one.overlaps(other) == bool(units([one]) & units([other]))


def rows(spans: list[Span]) -> list[tuple[int, int, int]]:
    """Return segments as the ledger gives them: each alone."""
    return [(span.start, span.end, 0) for span in spans]


@given(st.lists(segments, max_size=5), st.integers(0, 4))
def test_joining_in_parts_is_joining_at_once(parts: list[list[Span]], joint: int) -> None:
    at_once = runs(rows([span for part in parts for span in part]), joint)
    assert runs([run for part in parts for run in runs(rows(part), joint)], joint) == at_once


@given(segments, st.integers(0, 4))
def test_runs_cover_what_merging_covers(spans: list[Span], joint: int) -> None:
    assert [Span(run.start, run.end) for run in runs(rows(spans), joint)] == merge(spans, joint)


@given(segments, st.integers(0, 4))
def test_a_run_knows_how_far_all_but_its_first_segment_reach(spans: list[Span], joint: int) -> None:
    for run in runs(rows(spans), joint):
        mine = sorted(span for span in spans if run.start <= span.start < run.end)
        others = [span.end for span in mine[1:]]
        assert (run.rest if run.rest > run.start else None) == max(others, default=None)


@given(segments, st.integers(0, 4), st.integers(0, 5), st.booleans())
def test_what_is_certain_never_goes_beyond_what_names_claim(
    spans: list[Span], joint: int, late: int, from_start: bool
) -> None:
    joined = runs(rows(spans), joint)
    sure = certain(joined, late, from_start=from_start)
    assert is_merged(sure)
    assert units(sure) <= units(merge(spans, joint))
    assert certain(joined, 0, from_start=from_start) == merge(spans, joint)


def test_the_end_of_a_lone_file_is_taken_back_for_it_may_have_been_named_late() -> None:
    joined = [Run(0, 10, 0), Run(30, 40, 0), Run(60, 63, 0)]
    assert certain(joined, 5, from_start=False) == [Span(0, 5), Span(30, 35)]


def test_the_first_file_ever_known_follows_no_start() -> None:
    assert certain([Run(0, 10, 0), Run(30, 40, 0)], 5, from_start=True) == [Span(0, 10), Span(30, 35)]


def test_the_next_file_corrects_a_late_end_only_as_far_as_it_reaches() -> None:
    # True: a first file 95..105, named at 100; the second 105..107, then nothing. The first seems to end at 110.
    joined = runs(rows([Span(100, 110), Span(105, 107)]), 1)
    assert certain(joined, 5, from_start=False) == [Span(100, 107)]
    steady = runs(rows([Span(100, 110), Span(105, 115), Span(115, 125)]), 1)
    assert certain(steady, 5, from_start=False) == [Span(100, 125)]


def test_before_each_run_lies_what_its_first_file_may_hold() -> None:
    joined = [Run(10, 20, 0), Run(30, 60, 60)]
    assert early(joined, 5) == [Span(5, 10), Span(25, 30)]
    assert early(joined, 0) == []
