"""What two lists of key frames tell, and when nothing may be told."""

from collections.abc import Sequence

from backfill.keyframes.match import SLACK, Doubt, Filmed, KeyFrame, Matched, Unmatched, match
from schema.spans import SECOND, Span
from tests.make import T0


def filmed(start: float, pictures: Sequence[object], *, blur: float = 0, early: float = 0, gop: float = 1) -> Filmed:
    """Return a segment named `start` seconds after T0 with these pictures, one every `gop` seconds."""
    at = T0 + round(start * SECOND)
    step = round(gop * SECOND)
    return Filmed(
        path=f"{start}",
        span=Span(at, at + len(pictures) * step),
        frames=[KeyFrame(at + number * step, str(one).encode()) for number, one in enumerate(pictures)],
        blur=round(blur * SECOND),
        early=round(early * SECOND),
    )


def matched(ours: Sequence[Filmed], theirs: Sequence[Filmed]) -> Matched:
    found = match(ours, theirs)
    assert isinstance(found, Matched), found
    return found


def unmatched(ours: Sequence[Filmed], theirs: Sequence[Filmed], about: int = 0) -> Unmatched:
    found = match(ours, theirs, about=about)
    assert isinstance(found, Unmatched), found
    return found


def test_exact_names_give_the_offset_whatever_the_cuts() -> None:
    ours = [filmed(0, range(10)), filmed(10, range(10, 20))]
    theirs = [filmed(4.5 + 3, range(3, 11)), filmed(4.5 + 11, range(11, 20))]
    found = matched(ours, theirs)
    assert (found.offset, found.uncertainty, found.matches, found.disputed) == (4.5 * SECOND, SLACK, 17, 0)
    assert found.overlap == 17 * SECOND


def test_the_offset_is_turned_round_when_the_sides_are() -> None:
    one, other = [filmed(0, range(10))], [filmed(2.25, range(10), blur=1, early=5)]
    here, there = matched(one, other), matched(other, one)
    assert (here.offset, here.uncertainty) == (-there.offset, there.uncertainty)


def test_whole_second_names_leave_a_second_each_way_and_more_files_leave_less() -> None:
    # True offset 0.3 s; their names are cut off, so one file says 0 and another 1.
    ours = [filmed(0.0, range(10)), filmed(10.8, range(20, 30))]
    theirs = [filmed(0, range(10), blur=1), filmed(11, range(20, 30), blur=1)]
    one = matched(ours[:1], theirs[:1])
    assert (one.offset, one.uncertainty) == (SECOND // 2, SECOND // 2 + SLACK)
    both = matched(ours, theirs)
    assert abs(both.offset - 0.3 * SECOND) <= both.uncertainty < one.uncertainty


def test_a_file_named_late_widens_what_it_says_and_is_outvoted_by_none() -> None:
    late = [filmed(5, range(10), blur=1, early=5), filmed(10, range(10, 20), blur=1)]
    theirs = [filmed(0, range(10), blur=1), filmed(10, range(10, 20), blur=1)]
    found = matched(late, theirs)
    assert (found.offset, found.uncertainty, found.matches) == (0, SECOND + SLACK, 20)
    assert found.overlap == 20 * SECOND  # though by names ours cover no more than 15 s


def test_a_file_named_late_that_nobody_expected_is_disputed() -> None:
    ours = [filmed(0, range(10)), filmed(10, range(10, 20)), filmed(20, range(20, 30))]
    theirs = [filmed(0, range(10)), filmed(10, range(10, 20)), filmed(25, range(20, 30))]
    found = matched(ours, theirs)
    assert (found.offset, found.matches, found.disputed) == (0, 20, 10)


def test_half_against_half_is_no_agreement() -> None:
    ours = [filmed(0, range(10)), filmed(10, range(10, 20))]
    theirs = [filmed(0, range(10)), filmed(15, range(10, 20))]
    found = unmatched(ours, theirs)
    assert found.sentence == "no agreement: of 20 equal pictures no more than 10 say the same offset"


def test_pictures_of_two_files_that_do_not_keep_their_distance_say_nothing() -> None:
    shuffled = [3, 8, 1, 9, 0, 7, 2, 6, 4, 5]
    assert unmatched([filmed(0, range(10))], [filmed(0, shuffled)]).why is Doubt.DISPUTED


def test_a_still_picture_tells_nothing() -> None:
    assert unmatched([filmed(0, "x" * 10)], [filmed(3, "x" * 10)]).why is Doubt.REPEATED
    assert unmatched([filmed(0, "xy" * 5)], [filmed(3, "yx" * 5)]).why is Doubt.REPEATED


def test_a_picture_that_repeats_on_one_side_alone_is_left_out_too() -> None:
    found = unmatched([filmed(0, "abcx")], [filmed(7, "xxxxx")])
    assert (found.why, found.detail) == (Doubt.REPEATED, "1 key frames that both hold look like others, 0 do not")


def test_pictures_that_are_unique_count_though_others_repeat() -> None:
    found = matched([filmed(0, "xabcdx")], [filmed(0.5, "xabcdx")])
    assert (found.offset, found.matches) == (SECOND // 2, 4)


def test_a_few_unique_pictures_among_many_that_repeat_are_not_trusted() -> None:
    # An encoder that settles on a still scene: at first each key frame is a little better than the one before.
    settling = ["a", "b", "c", *"xyxyxyxy"]
    assert unmatched([filmed(0, settling)], [filmed(0, settling)]).why is Doubt.REPEATED


def test_a_picture_in_two_overlapping_files_is_one_picture() -> None:
    # motion begins each file with what it showed just before: 7, 8 and 9 are in both, named within the same second.
    ours = [filmed(0, range(10), blur=1), filmed(7, range(7, 20), blur=1)]
    found = matched(ours, [filmed(0, range(20))])
    assert found.matches == 20


def test_the_same_look_far_apart_is_another_picture() -> None:
    ours = [filmed(0, range(5)), filmed(30, range(5))]
    assert unmatched(ours, [filmed(0, range(5))]).why is Doubt.REPEATED


def test_two_equal_pictures_may_be_chance() -> None:
    found = unmatched([filmed(0, "abcd")], [filmed(0, "abxy")])
    assert found.sentence == "too few: 2 equal, 3 are needed"


def test_a_recorder_that_re_encodes_is_named() -> None:
    found = unmatched([filmed(0, range(40))], [filmed(0, range(100, 140))])
    assert found.sentence.startswith("re-encoded: no equal picture in 40 s of overlap")


def test_servers_that_recorded_at_different_times_have_no_overlap() -> None:
    assert unmatched([filmed(0, range(10))], [filmed(100, range(100, 110))]).why is Doubt.NO_OVERLAP


def test_what_is_believed_of_the_clocks_moves_the_overlap_by_names() -> None:
    ours, theirs = [filmed(0, range(10))], [filmed(100, range(100, 110))]
    assert unmatched(ours, theirs, about=100 * SECOND).why is Doubt.RECODED


def test_nothing_read_is_said_with_the_side() -> None:
    assert unmatched([], [filmed(0, range(10))]).sentence == "no pictures: no key frame could be read here"
    assert unmatched([filmed(0, range(10))], [filmed(0, [])]).detail == "no key frame could be read there"


def test_one_key_frame_in_ten_seconds_is_too_few_to_call_anybody_a_re_encoder() -> None:
    found = unmatched([filmed(0, "ab", gop=5)], [filmed(0, "cd", gop=5)])
    assert found.sentence == "too few: 2 key frames in 10 s of overlap, 3 are needed"
