"""The link as it should be: what one server has, the other learns, fetches and counts; a quiet hour costs nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backfill.link.answers import Observed
from schema.spans import HOUR, Span
from schema.values import GapState
from schema.wire import CameraState
from tests import make
from tests.links import Pair, linked

SIZE = 200_000


@pytest.fixture(params=[True, False], ids=["tls", "plain"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    make.record(tmp_path / "a/recordings", "front", [*range(0, 40, 10), *range(100, 140, 10)], seed=1, size=3000)
    make.record(tmp_path / "b/recordings", "front", range(5, 135, 10), seed=2, size=SIZE)
    with linked(tmp_path, encrypted=request.param) as pair:
        pair.a.scan()
        pair.b.scan()
        yield pair


def test_what_is_missing_here_comes_over_the_link_bit_for_bit(pair: Pair) -> None:
    pair.follow()
    before = pair.a.survey()
    assert [gap.state for gap in before.gaps if gap.server == "a"] == [GapState.FILLABLE]
    result = pair.a.fill("a")
    assert (result.refused, result.stopped) == ((), "")
    assert result.sent == SIZE * len(result.landed) > 0
    for one in result.landed:
        here, there = pair.a.root("a") / one.path, pair.b.root("b") / one.task.source.path
        assert here.read_bytes() == there.read_bytes()
        assert here.stat().st_mtime_ns == there.stat().st_mtime_ns
    assert {gap.state for gap in pair.a.survey().gaps if gap.server == "a"} == {GapState.FILLED}
    assert pair.a.fill("a").sent == 0


def test_what_came_over_the_link_is_never_offered_back(pair: Pair) -> None:
    pair.follow()
    brought = {one.path for one in pair.a.fill("a").landed}
    pair.b.settings  # noqa: B018
    with pair.a.ledger.reading() as connection:
        page = pair.a.ledger.segments.window(connection, pair.a.site.storages[0].id, "front", Span(0, make.LATER))
    assert {one.path for one in page if one.origin == "b"} == brought


def test_a_quiet_hour_costs_a_pulse_and_no_page(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pair.follow()
    asked: list[str] = []
    real = type(pair.client)._ask

    def count(self: object, kind: object, what: str, *rest: object, **named: object) -> object:
        asked.append(what)
        return real(self, kind, what, *rest, **named)  # type: ignore[arg-type]

    from backfill.link.mirror import Follower

    follower = Follower(pair.client, pair.a.ledger, "a", pair.a.clock)
    follower.follow(pair.client.pulse())
    monkeypatch.setattr(type(pair.client), "_ask", count)
    for _ in range(3):
        assert not follower.follow(pair.client.pulse())
    assert asked == ["pulse"] * 3
    make.record(pair.b.root("b"), "front", [145], seed=2)
    pair.b.scan()
    assert follower.follow(pair.client.pulse())
    assert asked[3:] == ["pulse", "coverage"]


def test_what_was_deleted_there_is_not_offered_here_any_more(pair: Pair) -> None:
    pair.follow()
    for path in sorted(pair.b.root("b").rglob("*.mp4"))[3:6]:
        path.unlink()
    pair.b.scan()
    pair.follow()
    states = {gap.state for gap in pair.a.survey().gaps if gap.server == "a"}
    assert states == {GapState.FILLABLE, GapState.LOST}


def test_a_ledger_built_anew_there_is_copied_anew_here(pair: Pair) -> None:
    pair.follow()
    before = pair.a.survey().coverage
    with pair.b.ledger.writing() as connection:
        pair.b.ledger.segments.forget_storage(connection, pair.b.site.storages[0].id)
    pair.b.scan()
    assert pair.follow()
    assert pair.a.survey().coverage == before


def test_a_damaged_copy_of_coverage_is_fetched_again(pair: Pair) -> None:
    from sqlalchemy import text

    pair.follow()
    before = pair.a.survey().coverage
    with pair.a.ledger.writing() as connection:
        ident = pair.a.site.remote[0].id
        connection.execute(text("UPDATE coverage SET body = x'00' WHERE storage_id = :one"), {"one": ident})
    assert pair.a.survey().coverage != before
    assert pair.follow()
    assert pair.a.survey().coverage == before


def test_pages_are_followed_to_their_end(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill.link.answers.SEGMENTS_AT_ONCE", 2)
    pair.follow()
    assert len(list(pair.client.segments("main", {"front": [Span(make.T0, make.T0 + 200_000_000)]}))) == 13


def test_a_pulse_says_what_the_service_sees(tmp_path: Path) -> None:
    make.record(tmp_path / "a/recordings", "front", [0])
    make.record(tmp_path / "b/recordings", "front", [0])
    seen = Observed(cameras=(CameraState(camera="front", newest=5, recording=False),), filling=True, paused="repair")
    with linked(tmp_path, observed=seen) as pair:
        pulse = pair.client.pulse()
    assert (pulse.cameras, pulse.filling, pulse.paused) == (list(seen.cameras), True, "repair")


def test_what_a_peer_that_was_not_heard_of_may_have_is_not_lost(tmp_path: Path) -> None:
    with linked(tmp_path) as pair:
        make.record(pair.a.root("a"), "front", [0, 10, 40, 50])
        make.record(pair.b.root("b"), "front", make.tens(0, 60), seed=1)
        pair.a.scan()
        assert pair.a.survey().gaps == []
        pair.b.scan()
        pair.follow()
        assert pair.a.states("a") == [("fillable", 20.0, 40.0)]


def test_a_copy_that_is_old_says_so(tmp_path: Path) -> None:
    with linked(tmp_path) as pair:
        make.record(pair.a.root("a"), "front", make.tens(0, 60))
        make.record(pair.b.root("b"), "front", make.tens(0, 60), seed=1)
        pair.a.scan()
        pair.b.scan()
        pair.follow()
        assert pair.a.survey().read.notes == ()
        pair.a.now += 2 * HOUR
        pair.a.scan()
        assert pair.a.survey().read.notes == ("what is known of b/main is 2 h old: nothing newer counts as missing",)


def test_pages_of_coverage_end_before_they_are_too_long(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    from schema.wire import written

    for camera in ("back", "side", "yard"):
        make.record(pair.b.root("b"), camera, [hour * 3600 + at for hour in range(0, 40, 4) for at in (0, 60, 120)])
    pair.b.scan()
    whole = len(written(pair.client.coverage("main", "")))
    monkeypatch.setattr("schema.ledger.mirror.PAGE_BYTES", 700)
    pages, cursor = [], ""
    while not pages or pages[-1].more:
        pages.append(pair.client.coverage("main", cursor))
        cursor = pages[-1].cursor
    assert max(len(written(page)) for page in pages) < 1000 < whole
    pair.follow()
    joint = pair.b.site.storages[0].layout.traits.joint
    ours = pair.a.ledger.held(pair.a.site.remote[0].id, joint)
    assert ours == pair.b.ledger.held(pair.b.site.storages[0].id, joint)
    assert set(ours) == {"back", "front", "side", "yard"}


def test_a_question_of_many_windows_is_asked_in_parts(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill.link.taking.WINDOWS_AT_ONCE", 7)
    pair.follow()
    wanted = {"front": [Span(at, at + 1) for at in range(make.T0, make.T0 + 200_000_000, 3_000_000)], "nobody": []}
    found = pair.peer().segments(pair.a.site.remote[0], wanted)
    assert len(found["front"]) == len({one.path for one in found["front"]}) == 13
    assert found["front"] == sorted(found["front"], key=lambda one: one.start)


def test_a_question_that_is_too_long_is_refused_by_name(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    from schema.errors import PeerInvalid

    monkeypatch.setattr("backfill.link.taking.WINDOWS_AT_ONCE", 10**9)
    wanted = {"front": [Span(make.T0 + at, make.T0 + at + 1) for at in range(200_000)]}
    with pytest.raises(PeerInvalid, match="a question of more than"):
        list(pair.client.segments("main", wanted))


def rename(pair: Pair, tmp_path: Path) -> None:
    """Let `b` call its storage otherwise."""
    from backfill.site import build_site
    from schema.settings import parse

    head = make.CONFIG.replace("ledger.db", "ledger-b.db")
    pair.b.settings = parse(make.config_text("b", head=head, more='name = "video"').encode(), tmp_path / "b.toml")
    pair.b.site = build_site(pair.b.settings, pair.b.ledger)
    pair.b.scan()


def test_a_storage_that_was_renamed_there_is_forgotten_here(pair: Pair, tmp_path: Path) -> None:
    pair.follow()
    before = pair.a.survey().coverage
    rename(pair, tmp_path)
    assert pair.follow()
    assert [one.title for one in pair.a.site.remote] == ["b/video"]
    assert pair.a.survey().coverage == before
    assert pair.a.fill("a").landed


def test_a_storage_that_is_renamed_meanwhile_is_passed_over(pair: Pair, tmp_path: Path) -> None:
    pair.follow()
    pulse = pair.client.pulse()
    old = pair.a.site.remote[0]
    rename(pair, tmp_path)
    assert pair.peer().segments(old, {"front": [Span(0, make.LATER)]}) == {}
    from backfill.link.mirror import Follower

    follower = Follower(pair.client, pair.a.ledger, "a", pair.a.clock)
    follower._storages, follower._boot = {"main": old.id}, pulse.boot
    with pair.a.ledger.writing() as connection:
        pair.a.ledger.segments.forget_storage(connection, old.id)
    assert not follower.follow(pulse)
    assert follower.follow(pair.client.pulse())


@pytest.mark.parametrize("gone", [False, True])
def test_a_page_goes_on_where_the_last_one_ended_although_that_is_deleted(
    pair: Pair, gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backfill.link.answers.SEGMENTS_AT_ONCE", 3)
    pair.follow()
    windows = [Span(make.T0 + 40_000_000, make.T0 + 140_000_000), Span(make.T0, make.T0 + 50_000_000)]
    told = pair.client.segments("main", {"front": windows, "back": windows})
    found = [next(told) for _ in range(3)]
    if gone:
        (pair.b.root("b") / found[-1].path).unlink()
        pair.b.scan()
    found += told
    assert len({one.path for one in found}) == len(found) == 13
    assert [one.start for one in found] == sorted(one.start for one in found)


def test_a_page_reads_no_more_than_it_tells(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    from schema.ledger import offered

    monkeypatch.setattr("backfill.link.answers.SEGMENTS_AT_ONCE", 2)
    read: list[object] = []
    real = offered.from_row

    def count(row: object) -> object:
        read.append(row)
        return real(row)  # type: ignore[arg-type]

    monkeypatch.setattr(offered, "from_row", count)
    pair.follow()
    assert len(list(pair.client.segments("main", {"front": [Span(make.T0, make.LATER)]}))) == 13
    assert len(read) == 13 + 6, "one more for each page that is not the last"


def test_pages_of_segments_end_before_they_are_too_long(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill.link.answers.PAGE_BYTES", 400)
    asked: list[str] = []
    real = type(pair.client)._ask

    def note(self: object, kind: object, what: str, *rest: object, **named: object) -> object:
        asked.append(what)
        return real(self, kind, what, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(type(pair.client), "_ask", note)
    assert len(list(pair.client.segments("main", {"front": [Span(make.T0, make.LATER)]}))) == 13
    assert len(asked) > 4


def test_what_is_beyond_the_room_of_one_plan_comes_with_the_next(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill.link.taking.SEGMENTS_HELD", 8)
    pair.follow()
    landed = [len(pair.a.fill("a").landed) for _ in range(3)]
    assert landed[0] and landed[1] and not landed[2]
    assert {gap.state for gap in pair.a.survey().gaps if gap.server == "a"} == {GapState.FILLED}
