"""Who is silent: one camera is the camera, all of them the recorder, and lawful silence is none."""

from recorder_sync.service.observe import REMEMBERED, Silence, patience, silence
from schema.spans import DAY, MINUTE, SECOND

NOW = 10 * DAY
FRESH = NOW - 20 * SECOND
OLD = NOW - 10 * MINUTE


def found(newest: dict[str, int], elsewhere: dict[str, int] | None = None, *, continuous: bool = True) -> Silence:
    return silence(newest, elsewhere or {}, now=NOW, patience=MINUTE, continuous=continuous)


def test_who_records_is_not_silent() -> None:
    assert found({"front": FRESH, "yard": FRESH}) == Silence()


def test_one_camera_of_two_is_the_camera() -> None:
    assert found({"front": FRESH, "yard": OLD}) == Silence(cameras={"yard": OLD})


def test_all_cameras_are_the_recorder_since_the_last_of_them() -> None:
    assert found({"front": OLD, "yard": OLD - MINUTE}) == Silence(recorder=OLD)


def test_recording_on_motion_is_lawfully_silent() -> None:
    assert found({"front": OLD, "yard": OLD}, continuous=False) == Silence()


def test_recording_on_motion_is_silent_where_a_peer_recorded_meanwhile() -> None:
    assert found({"front": OLD, "yard": FRESH}, {"front": FRESH}, continuous=False) == Silence(cameras={"front": OLD})
    assert found({"front": OLD, "yard": OLD}, {"front": FRESH}, continuous=False).recorder == OLD


def test_a_camera_that_was_taken_away_is_forgotten() -> None:
    assert found({"front": FRESH, "gone": NOW - REMEMBERED - 1}) == Silence()
    assert found({"gone": NOW - REMEMBERED - 1}) == Silence()


def test_patience_follows_the_segments_unless_it_is_configured() -> None:
    assert patience(10 * SECOND, None) == 60 * SECOND
    assert patience(5 * MINUTE, None) == 15 * MINUTE
    assert patience(5 * MINUTE, 7 * SECOND) == 7 * SECOND
