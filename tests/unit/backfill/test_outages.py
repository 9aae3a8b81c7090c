"""Outages inferred from recordings: what silence is whose, by unit against the definition, and what disproves one."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from backfill.outages import ENOUGH, disproved, infer
from schema.spans import SECOND, Span, merge
from schema.values import Cause, Outage

some = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda pair: Span(pair[0], pair[0] + pair[1]))
merged = st.lists(some, max_size=5).map(merge)
cameras = st.dictionaries(st.sampled_from(["front", "yard", "gate"]), merged, max_size=3)
ends = st.dictionaries(st.sampled_from(["front", "yard", "gate"]), st.integers(0, 60), max_size=3)


def units(spans: Iterable[Span]) -> set[int]:
    return {unit for span in spans for unit in range(span.start, span.end)}


def of(found: Iterable[Outage], cause: Cause, camera: str | None = None) -> set[int]:
    return units(one.span for one in found if one.cause is cause and one.camera == camera)


@given(cameras, ends)
def test_the_recorder_was_away_exactly_when_no_camera_recorded(
    own: dict[str, list[Span]], until: dict[str, int]
) -> None:
    found = infer("a", own, until=until, shortest=0, edge=0)
    recorded = units(span for spans in own.values() for span in spans)
    if not recorded:
        assert found == []
        return
    last = max([max(recorded) + 1, *(end for camera, end in until.items() if own.get(camera))])
    silent = set(range(min(recorded), last)) - recorded
    assert of(found, Cause.RECORDER) == silent
    for camera, spans in own.items():
        if spans:
            mine = range(spans[0].start, max(spans[-1].end, until.get(camera, 0)))
            assert of(found, Cause.CAMERA, camera) == set(mine) - units(spans) - silent
    assert [one.span for one in found] == sorted(one.span for one in found)


@given(cameras, ends, st.integers(0, 6), st.integers(0, 8))
def test_short_holes_and_ragged_edges_are_left_out_and_nothing_is_added(
    own: dict[str, list[Span]], until: dict[str, int], shortest: int, edge: int
) -> None:
    strict = infer("a", own, until=until, shortest=shortest, edge=edge)
    assert all(one.span.length > shortest for one in strict)
    everything = units(one.span for one in infer("a", own, until=until, shortest=0, edge=0))
    assert units(one.span for one in strict) <= everything


def test_a_camera_that_stops_a_little_before_its_recorder_was_not_away_itself() -> None:
    own = {"front": [Span(0, 97), Span(203, 300)], "yard": [Span(0, 100), Span(200, 300)]}
    [outage] = infer("a", own, until={}, shortest=2, edge=20)
    assert (outage.cause, outage.camera, outage.span, outage.over) == (Cause.RECORDER, None, Span(100, 200), True)


def test_silence_at_the_end_lasts_as_long_as_others_recorded_and_is_not_over() -> None:
    [outage] = infer("a", {"front": [Span(0, 100)]}, until={"front": 150}, shortest=2, edge=20)
    assert (outage.span, outage.over) == (Span(100, 150), False)


def away(own: dict[str, list[Span]], peers: dict[str, list[Span]], *, until: int = 10**12) -> list[tuple[Span, bool]]:
    found = disproved("a", own, peers, until=until, shortest=2, edge=20)
    assert all((one.cause, one.camera, one.server) == (Cause.RECORDER, None, "a") for one in found)
    return [(one.span, one.over) for one in found]


OWN = {"front": [Span(0, 100), Span(1000, 1100)], "yard": [Span(50, 120)]}


def test_a_silence_is_disproved_by_several_recordings_of_its_own_cameras() -> None:
    assert away(OWN, {}) == []
    assert away(OWN, {"front": [Span(300, 400)]}) == [], "one clip is one sensor more eager than the other"
    assert away(OWN, {"front": [Span(300, 400), Span(500, 501)]}) == [], "the second is too short"
    assert away(OWN, {"front": [Span(300, 400), Span(500, 600)]}) == [(Span(120, 1000), True)]
    assert away(OWN, {"front": [Span(300, 400)], "yard": [Span(310, 390)]}) == [(Span(120, 1000), True)]
    assert away(OWN, {"front": [Span(300, 400)], "gate": [Span(310, 390)]}) == [], "gate never was its camera"


def test_a_silence_is_disproved_by_one_long_recording() -> None:
    back = 120 + 2 * ENOUGH
    own = {"front": [Span(0, 120), Span(back, back + 100)]}
    assert away(own, {"front": [Span(0, back + 100)]}) == [(Span(120, back), True)]
    assert away(own, {"front": [Span(500, 500 + ENOUGH - SECOND)]}) == []


def test_what_only_begins_or_ends_otherwise_disproves_nothing() -> None:
    ragged = {"front": [Span(0, 135), Span(990, 1100)], "yard": [Span(110, 130)]}
    assert away(OWN, ragged) == []
    assert away(OWN, {"front": [Span(0, 141), Span(500, 510)]}) == [(Span(120, 1000), True)]


def test_a_recorder_that_did_not_come_back_is_away_as_far_as_it_was_read() -> None:
    peers = {"front": [Span(1200, 1300), Span(1400, 1500), Span(1600, 1700)]}
    assert away(OWN, peers) == [(Span(1100, 1700), False)]
    assert away(OWN, peers, until=1550) == [(Span(1100, 1550), False)]
    assert away(OWN, peers, until=1350) == [], "of what comes after nothing is known"


@given(cameras, cameras, st.integers(0, 60))
def test_nothing_recorded_here_lies_in_a_disproved_silence(
    own: dict[str, list[Span]], peers: dict[str, list[Span]], until: int
) -> None:
    found = disproved("a", own, peers, until=until, shortest=0, edge=0)
    recorded = units(span for spans in own.values() for span in spans)
    assert not units(one.span for one in found) & recorded
    assert all(one.span.end <= max(until, max(recorded) + 1) for one in found)
