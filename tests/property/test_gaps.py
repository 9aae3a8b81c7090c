"""Gaps against a definition by the unit: what every single unit of a short time axis is, said naively from the design.

A unit is *missing* when it lies in the window and is neither held nor deleted here. It is worth filling when a peer
offers it and it belongs to a missing stretch, offered but for moments, longer than the threshold. What nobody offers is
lost, where the recorder should have recorded. Nothing else may come out, nothing twice, and filling it leaves nothing.
"""

from collections.abc import Iterable

from hypothesis import assume, given
from hypothesis import strategies as st

from backfill.gaps import Coverage, Refusing, Rules, explain, fillable, find, hoped
from schema.spans import Span, intersect, merge
from schema.values import Cause, Gap, GapState, Outage

LAST = 40

some = st.tuples(st.integers(0, LAST - 1), st.integers(1, 12)).map(lambda pair: Span(pair[0], pair[0] + pair[1]))
merged = st.lists(some, max_size=6).map(merge)
few = st.lists(some, max_size=3).map(merge)


def units(spans: Iterable[Span]) -> set[int]:
    return {unit for span in spans for unit in range(span.start, span.end)}


def stretches(of: set[int], bridge: int = 0) -> list[set[int]]:
    """Return the stretches of consecutive units, with up to `bridge` units between them missing."""
    found: list[set[int]] = []
    for unit in sorted(of):
        if found and unit - max(found[-1]) <= bridge + 1:
            found[-1].add(unit)
        else:
            found.append({unit})
    return found


def outages_of(spans: Iterable[Span]) -> list[Outage]:
    return [
        Outage(server="a", camera=None, span=span, cause=Cause.RECORDER, evidence=f"number {number}")
        for number, span in enumerate(spans)
    ]


def by_state(gaps: Iterable[Gap], state: GapState) -> set[int]:
    return units(gap.span for gap in gaps if gap.state is state)


fetched = st.fixed_dictionaries({}, optional={"b": few, "c": few})
sites = st.fixed_dictionaries(
    {
        "here": st.builds(
            Coverage, own=merged, filled=st.fixed_dictionaries({}, optional={"b": few, "c": few}), gone=few
        ),
        "peers": st.dictionaries(st.sampled_from("bc"), st.builds(Coverage, own=merged), max_size=2),
        "rules": st.builds(
            Rules, window=some, threshold=st.integers(0, 4), continuous=st.booleans(), outages_only=st.booleans()
        ),
        "outages": st.lists(some, max_size=3).map(outages_of),
    }
)


def expected_open(site: dict) -> set[int]:  # type: ignore[type-arg]
    """Return the units worth filling, each judged by the definition."""
    here, rules = site["here"], site["rules"]
    missing = units([rules.window]) - units(here.held) - units(here.gone)
    offered = units(span for peer in site["peers"].values() for span in peer.own)
    steady = set(offered)
    for before, after in zip(stretches(offered), stretches(offered)[1:], strict=False):
        between = set(range(max(before) + 1, min(after)))
        steady |= between if len(between) <= rules.threshold else set()
    return {
        unit for stretch in stretches(missing & steady) if len(stretch) > rules.threshold for unit in stretch & offered
    }


@given(sites)
def test_every_unit_is_open_exactly_when_the_definition_says_so(site: dict) -> None:  # type: ignore[type-arg]
    gaps = find("a", "front", **site)
    assert by_state(gaps, GapState.FILLABLE) | by_state(gaps, GapState.REFUSED) == expected_open(site)
    if not site["rules"].outages_only:
        assert by_state(gaps, GapState.REFUSED) == set()


@given(sites)
def test_lost_is_what_nobody_offers_where_something_should_have_been_recorded(site: dict) -> None:  # type: ignore[type-arg]
    here, rules = site["here"], site["rules"]
    offered = units(span for peer in site["peers"].values() for span in peer.own)
    held = units(here.held)
    end = max(held | offered, default=-1)
    lost = {unit for unit in units([rules.window]) - held - units(here.gone) - offered if unit <= end}
    if not rules.continuous:
        lost &= units(outage.span for outage in site["outages"])
    wanted = {unit for stretch in stretches(lost) if len(stretch) > rules.threshold for unit in stretch}
    assert by_state(find("a", "front", **site), GapState.LOST) == wanted


@given(sites)
def test_filled_is_what_only_a_fetched_file_covers_and_is_told_once(site: dict) -> None:  # type: ignore[type-arg]
    here, window = site["here"], site["rules"].window
    filled = [gap for gap in find("a", "front", **site) if gap.state is GapState.FILLED]
    covered = units(span for spans in here.filled.values() for span in spans)
    assert units(gap.span for gap in filled) == (covered - units(here.own)) & units([window])
    assert all(gap.peer and units([gap.span]) <= units(here.filled[gap.peer]) for gap in filled)


@given(sites)
def test_gaps_do_not_overlap_and_come_in_order(site: dict) -> None:  # type: ignore[type-arg]
    gaps = find("a", "front", **site)
    assert sum(gap.span.length for gap in gaps) == len(units(gap.span for gap in gaps))
    assert [gap.span for gap in gaps] == sorted(gap.span for gap in gaps)


@given(sites)
def test_filling_every_gap_leaves_none(site: dict) -> None:  # type: ignore[type-arg]
    here = site["here"]
    spans = fillable(find("a", "front", **site))
    again = site | {"here": Coverage(own=here.own, gone=here.gone, filled={**here.filled, "d": merge(spans)})}
    assert fillable(find("a", "front", **again)) == []


@given(sites)
def test_a_gap_names_a_peer_that_has_some_of_it(site: dict) -> None:  # type: ignore[type-arg]
    for gap in find("a", "front", **site):
        if gap.state is GapState.FILLABLE:
            assert gap.peer and intersect([gap.span], site["peers"][gap.peer].own)


@given(sites)
def test_the_policy_of_outages_fills_only_what_an_outage_explains(site: dict) -> None:  # type: ignore[type-arg]
    for gap in find("a", "front", **site):
        if gap.state in (GapState.FILLABLE, GapState.REFUSED):
            explained = bool(units([gap.span]) & units(outage.span for outage in site["outages"]))
            refused = site["rules"].outages_only and not explained
            assert (gap.state is GapState.REFUSED) == refused
            assert not refused or (gap.peer is None and fillable([gap]) == [])


@given(sites)
def test_nothing_deleted_here_is_a_gap(site: dict) -> None:  # type: ignore[type-arg]
    gone = units(site["here"].gone)
    assert not gone & units(gap.span for gap in find("a", "front", **site) if gap.state is not GapState.FILLED)


@given(sites, st.lists(some, max_size=4))
def test_refusals_split_a_gap_and_change_nothing_of_what_is_tried_again(site: dict, refused: list[Span]) -> None:  # type: ignore[type-arg]
    assume(not site["rules"].outages_only)
    refusing = [Refusing(span=span, sentence=f"refusal {number}") for number, span in enumerate(refused)]
    gaps = find("a", "front", **site, refusing=refusing)
    assert units(fillable(gaps)) == expected_open(site)
    for gap in gaps:
        if gap.state is GapState.FILLABLE:
            assert not units([gap.span]) & units(refused)
        if gap.state is GapState.REFUSED:
            said = {one.sentence: one.span for one in refusing}[gap.reason]
            assert said.overlaps(gap.span)
            slivers = stretches(units([gap.span]) - units(refused))
            assert all(len(sliver) <= site["rules"].threshold for sliver in slivers)


@given(some, st.lists(some, max_size=5))
def test_a_gap_is_explained_by_the_outage_that_shares_most_with_it(span: Span, spans: list[Span]) -> None:
    outages = outages_of(spans)
    found = explain(span, outages)
    shared = [len(units([span]) & units([one])) for one in spans]
    if max(shared, default=0) == 0:
        assert found is None
    else:
        assert found is outages[shared.index(max(shared))]


def test_what_a_first_file_may_hold_before_its_name_is_no_gap_but_hoped_for_until_the_file_is_here() -> None:
    rules = Rules(window=Span(0, 100), threshold=2)
    peers = {"b": Coverage(own=[Span(50, 90)], early=[Span(45, 50)])}
    here = Coverage(own=[Span(0, 30), Span(50, 100)])
    assert [(gap.state, gap.span) for gap in find("a", "front", here, peers, rules)] == [(GapState.LOST, Span(30, 50))]
    assert hoped(here, peers, rules) == [Span(45, 50)]
    assert hoped(Coverage(own=here.own, filled={"b": [Span(50, 60)]}), peers, rules) == []
    other = Coverage(own=here.own, filled={"b": [Span(40, 45), Span(60, 70)], "c": [Span(50, 60)]})
    assert hoped(other, peers, rules) == [Span(45, 50)]
    assert hoped(Coverage(own=here.own, gone=[Span(40, 48)]), peers, rules) == [], "two units are not worth it"
    assert hoped(Coverage(own=here.own, gone=[Span(40, 47)]), peers, rules) == [Span(47, 50)]


def test_what_no_outage_explains_is_not_hoped_for_where_outages_alone_are_filled() -> None:
    rules = Rules(window=Span(0, 100), threshold=2, outages_only=True)
    peers = {"b": Coverage(own=[Span(50, 90)], early=[Span(45, 50)])}
    here = Coverage(own=[Span(0, 30), Span(50, 100)])
    assert hoped(here, peers, rules) == []
    assert hoped(here, peers, rules, outages_of([Span(30, 50)])) == [Span(45, 50)]


def test_what_a_lone_file_only_claims_is_offered_but_never_relied_on() -> None:
    rules = Rules(window=Span(0, 100), threshold=2)
    lone = Coverage(own=[Span(50, 55)], claimed=[Span(50, 60)])
    here = Coverage(own=[Span(0, 50), Span(60, 100)])
    assert fillable(find("a", "front", here, {"b": lone}, rules)) == [Span(50, 60)]
    steady = {"b": Coverage(own=[Span(0, 100)])}
    own = [Span(0, 40), *lone.own, Span(80, 100)]
    assert fillable(find("a", "front", Coverage(own=own, claimed=lone.claimed), steady, rules)) == [
        Span(40, 50),
        Span(55, 80),
    ]


def test_a_lost_span_says_of_each_peer_what_it_did_then() -> None:
    here = Coverage(own=[Span(0, 10), Span(20, 30)])
    peers = {
        "away": Coverage(own=[Span(0, 10), Span(20, 30)]),
        "stopped": Coverage(own=[Span(0, 10)]),
        "later": Coverage(own=[Span(20, 30)]),
        "empty": Coverage(),
    }
    [gap] = find("a", "front", here, peers, Rules(window=Span(0, 30), threshold=2))
    assert gap.reason == (
        "no server has it; away was away too, stopped had stopped before, later begins later, empty has nothing of it"
    )


def test_a_window_that_ends_before_it_starts_has_no_gaps() -> None:
    assert (
        find("a", "front", Coverage(), {"b": Coverage(own=[Span(0, 50)])}, Rules(window=Span(9, 5), threshold=0)) == []
    )


def test_what_a_fill_left_of_a_hole_is_fetched_however_short() -> None:
    """The end of an outage settles in pieces; the last one may be shorter than what counts as a gap by itself."""
    peer = Coverage(own=[Span(0, 100)])
    rules = Rules(window=Span(0, 100), threshold=5)
    rest = Coverage(own=[Span(0, 20), Span(40, 100)], filled={"b": [Span(19, 37)]})
    assert [gap.state for gap in find("a", "front", rest, {"b": peer}, rules)] == [GapState.FILLED]
    assert hoped(rest, {"b": peer}, rules) == [Span(37, 40)]
    joint = Coverage(own=[Span(0, 37), Span(40, 100)])
    assert hoped(joint, {"b": peer}, rules) == []
