"""What of a peer's list of segments is taken: what was asked for, once, in order, and no more than there can be."""

import pytest

from backfill.link.taking import Room, Taking, questions
from schema.errors import PeerInvalid
from schema.limits import LETTERS_OF_ONE, SEGMENTS_HELD
from schema.spans import SECOND, Span
from schema.wire import SegmentMessage

WINDOWS = {"back": [(0, 100)], "front": [(100, 200), (0, 20), (50, 50)]}


def told(start: int, *, camera: str = "front", path: str = "x.mp4", length: int = 5) -> SegmentMessage:
    return SegmentMessage(camera=camera, path=path, start=start, end=start + length, size=1, mtime_ns=1)


def test_what_overlaps_a_window_is_taken() -> None:
    taking = Taking("b", WINDOWS)
    taking.take(told(99, camera="back"))
    for start in (-4, 0, 19, 96, 199):
        taking.take(told(start))


@pytest.mark.parametrize("start", [-5, 20, 48, 95, 200])
def test_what_overlaps_none_is_refused(start: int) -> None:
    with pytest.raises(PeerInvalid, match="nobody asked for"):
        Taking("b", WINDOWS).take(told(start))


def test_a_camera_nobody_asked_for_is_refused() -> None:
    with pytest.raises(PeerInvalid, match="nobody asked for"):
        Taking("b", WINDOWS).take(told(5, camera="side"))


@pytest.mark.parametrize(
    "second",
    [
        told(110, path="a/2.mp4"),
        told(110, path="a/1.mp4"),
        told(109, path="b/3.mp4"),
        told(5, camera="back"),
        told(110, path="a/10.mp4"),
    ],
)
def test_a_list_never_goes_back_nor_stands_still(second: SegmentMessage) -> None:
    taking = Taking("b", WINDOWS)
    taking.take(told(110, path="a/2.mp4"))
    with pytest.raises(PeerInvalid, match="goes back"):
        taking.take(second)


def test_the_order_is_that_of_folder_and_name_not_of_the_whole_path() -> None:
    taking = Taking("b", WINDOWS)
    for path in ("2.mp4", "a/3.mp4", "a!/1.mp4"):
        taking.take(told(110, path=path))


def test_more_than_one_for_each_second_cannot_be() -> None:
    taking = Taking("b", {"front": [(0, 60 * SECOND)]})
    taken = 0
    with pytest.raises(PeerInvalid, match="more segments of camera front than one for each second"):
        for number in range(10_000):
            taking.take(told(number))
            taken += 1
    assert taken == 1060


@pytest.mark.parametrize(("letters", "fit"), [(5, SEGMENTS_HELD), (16 * LETTERS_OF_ONE, SEGMENTS_HELD // 17)])
def test_room_is_for_so_many_segments_and_letters(letters: int, fit: int) -> None:
    room, one = Room(), told(1, path="p" * letters)
    assert all(room.holds(one) for _ in range(fit))
    assert not room.holds(one)


def test_questions_hold_all_that_is_wanted_in_bearable_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill.link.taking.WINDOWS_AT_ONCE", 4)
    monkeypatch.setattr("backfill.link.taking.CAMERAS_AT_ONCE", 2)
    wanted = {camera: [Span(at, at + 1) for at in range(number)] for camera, number in (("a", 5), ("b", 1), ("c", 3))}
    parts = list(questions(wanted))
    assert all(len(part) <= 2 and sum(map(len, part.values())) <= 4 for part in parts)
    assert [(camera, *one) for part in parts for camera in part for one in part[camera]] == [
        (camera, *one) for camera, spans in wanted.items() for one in spans
    ]
