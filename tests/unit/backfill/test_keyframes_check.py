"""Two real recorders of one stream whose clocks differ by a known amount, and what is told of it from their files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("av", reason="PyAV is not installed (pip install 'recorder-sync[media]')")

from backfill.clocks import Basis, Offset
from backfill.keyframes.check import LOOK, Budget, Finding, Side, check, windows
from backfill.keyframes.known import TRUSTED, offsets, remember
from backfill.keyframes.match import SLACK, Doubt, Matched, Unmatched
from backfill.keyframes.measure import measure, shared_cameras, together
from backfill.peer import FolderPeer
from recorder_sync.demo.barcode import frames_in_tree
from schema.errors import PeerUnreachable
from schema.ledger.contacts import Contact
from schema.spans import HOUR, SECOND, Span
from schema.values import Reach, Segment
from tests import film, make
from tests.make import T0, frigate_path, mediamtx_path

FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof"


@pytest.fixture(scope="module")
def stream() -> bytes:
    """Sixty seconds of one camera."""
    return film.stream(600)


@contextmanager
def two(base: Path, layout: str = "mediamtx") -> Iterator[make.Bench]:
    """Give two servers `a` and `b`, not scanned yet."""
    with make.bench(base, make.config_text("a", "b", layout=layout)) as bench:
        yield bench


def sides(bench: make.Bench) -> dict[str, Side]:
    return {name: Side(peer=FolderPeer(name, bench.site, bench.ledger), storages=bench.site.of(name)) for name in "ab"}


def looked(bench: make.Bench, **question: object) -> Finding:
    """Scan and return what is found for `front`."""
    bench.scan()
    return measure(bench.survey(**question), sides(bench), "front", "a", "b")


def told(finding: Finding) -> Matched:
    assert isinstance(finding.result, Matched), finding
    return finding.result


def refused(finding: Finding) -> Unmatched:
    assert isinstance(finding.result, Unmatched), finding
    return finding.result


@pytest.mark.parametrize("ahead", [0, 1_700_000, -12_345_000, 29_000_000])
def test_a_clock_that_is_ahead_is_measured_whatever_the_cuts(tmp_path: Path, stream: bytes, ahead: int) -> None:
    with two(tmp_path) as bench:
        film.record(stream, bench.root("a"))
        film.record(stream, bench.root("b"), first=30, length=7, clock=ahead, movflags=FRAGMENTS)
        found = told(looked(bench))
    blur = SECOND // 5
    assert abs(found.offset - ahead) <= 1000
    assert found.uncertainty <= blur + SLACK
    assert found.disputed == 0


def test_whole_second_names_give_it_to_a_second(tmp_path: Path, stream: bytes) -> None:
    with two(tmp_path, "frigate") as bench:
        film.record(stream, bench.root("a"), named=frigate_path)
        film.record(stream, bench.root("b"), first=34, length=7, clock=4 * SECOND + 300_000, named=frigate_path)
        found = told(looked(bench))
    assert abs(found.offset - 4_300_000) <= found.uncertainty <= SECOND + SLACK


def test_the_same_cuts_at_the_same_key_frames_do_as_well(tmp_path: Path, stream: bytes) -> None:
    with two(tmp_path) as bench:
        for server, clock in (("a", 0), ("b", 2 * SECOND)):
            film.record(stream, bench.root(server), clock=clock)
        assert told(looked(bench)).offset == 2 * SECOND


def test_the_overlap_is_true_to_the_frame_though_a_file_is_named_late(tmp_path: Path, stream: bytes) -> None:
    with two(tmp_path, "frigate") as bench:
        film.record(stream, bench.root("a"), first=400, late=5 * SECOND, named=frigate_path)
        film.record(stream, bench.root("b"), first=200, until=550, length=7, named=frigate_path)
        found = told(looked(bench))
        held = [frames_in_tree(bench.root(name).rglob("*.mp4")) for name in "ab"]
    assert found.overlap == pytest.approx(len(held[0] & held[1]) * SECOND // film.RATE, abs=1000)


def test_transport_streams_match_mp4(tmp_path: Path, stream: bytes) -> None:
    with two(tmp_path) as bench:
        film.record(stream, bench.root("a"))
        path = bench.root("b") / mediamtx_path("front", T0 + 3 * SECOND).replace(".mp4", ".ts")
        path.parent.mkdir(parents=True)
        film.remux(stream, path, "mpegts")
        found = told(looked(bench))
    # Its file is the only one, so it may be named late by what MediaMTX may be late.
    assert abs(found.offset - 3 * SECOND) <= found.uncertainty < 2 * SECOND
    assert found.matches > 30


def test_a_still_picture_is_refused(tmp_path: Path) -> None:
    still = film.stream(300, still=True)
    with two(tmp_path) as bench:
        for server in "ab":
            film.record(still, bench.root(server))
        assert refused(looked(bench)).why is Doubt.REPEATED


def test_a_recorder_that_re_encodes_is_refused(tmp_path: Path, stream: bytes) -> None:
    with two(tmp_path) as bench:
        film.record(stream, bench.root("a"))
        film.record(film.reencode(stream), bench.root("b"))
        found = refused(looked(bench))
    assert found.sentence.startswith("re-encoded: no equal picture in ")


def test_one_that_was_away_while_the_other_recorded_is_refused(tmp_path: Path, stream: bytes) -> None:
    with two(tmp_path) as bench:
        film.record(stream, bench.root("a"), until=200)
        film.record(stream, bench.root("b"), first=300)
        assert refused(looked(bench)).why is Doubt.NO_OVERLAP


def test_a_recording_that_went_away_is_told_and_the_others_count(tmp_path: Path, stream: bytes) -> None:
    with two(tmp_path) as bench:
        for server in "ab":
            film.record(stream, bench.root(server))
        bench.scan()
        gone = sorted(bench.root("b").rglob("*.mp4"))[-1]
        gone.unlink()
        found = measure(bench.survey(), sides(bench), "front", "a", "b")
    assert told(found).offset == 0
    assert [gone.name in problem and "gone" in problem for problem in found.problems] == [True]


def test_a_damaged_recording_is_told_and_the_others_count(tmp_path: Path, stream: bytes) -> None:
    with two(tmp_path) as bench:
        for server in "ab":
            film.record(stream, bench.root(server))
        bench.scan()
        hurt = sorted(bench.root("b").rglob("*.mp4"))[-1]
        info = hurt.stat()
        hurt.write_bytes(b"\xff" * info.st_size)
        os.utime(hurt, ns=(info.st_atime_ns, info.st_mtime_ns))
        found = measure(bench.survey(), sides(bench), "front", "a", "b")
    assert told(found).offset == 0
    assert found.problems == (f"b: front/{hurt.name}: no container that we know",)


def test_no_more_is_read_than_allowed(tmp_path: Path, stream: bytes) -> None:
    with two(tmp_path) as bench:
        for server in "ab":
            film.record(stream, bench.root(server))
        bench.scan()
        window = Span(T0, T0 + 60 * SECOND)
        both = sides(bench)
        by_size = check("front", both["a"], both["b"], window, budget=Budget(size=200_000))
        assert by_size.read <= 400_000
        assert any("enough was read" in problem for problem in by_size.problems)
        by_number = check("front", both["a"], both["b"], window, budget=Budget(segments=2))
    assert told(by_number).matches == 20
    assert "a: 4 older segments were not looked at" in by_number.problems


def test_a_peer_that_does_not_answer_is_a_reason(tmp_path: Path, stream: bytes) -> None:
    class Silent(FolderPeer):
        def segments(self, *asked: object) -> list[Segment]:
            raise PeerUnreachable("b", "no route to host")

    with two(tmp_path) as bench:
        for server in "ab":
            film.record(stream, bench.root(server))
        bench.scan()
        both = sides(bench) | {"b": Side(peer=Silent("b", bench.site, bench.ledger), storages=bench.site.of("b"))}
        found = measure(bench.survey(), both, "front", "a", "b")
    assert refused(found).sentence == "not read: peer b does not answer: no route to host"


def test_around_a_gap_the_last_seconds_before_and_the_first_after_are_looked_at() -> None:
    common = [Span(0, 100 * SECOND), Span(300 * SECOND, 310 * SECOND)]
    gap = Span(100 * SECOND, 300 * SECOND)
    assert windows(common) == [Span(300 * SECOND, 310 * SECOND)]
    assert windows(common, gap) == [
        Span(300 * SECOND, 310 * SECOND),
        Span(100 * SECOND - LOOK, 100 * SECOND),
    ]
    assert windows([], gap) == windows([]) == []


def test_where_the_newest_tells_nothing_the_edges_of_the_gap_are_asked(tmp_path: Path, stream: bytes) -> None:
    with two(tmp_path) as bench:
        film.record(stream, bench.root("a"), until=300)
        film.record(stream, bench.root("b"), until=300)
        film.record(stream, bench.root("b"), first=300, until=500)
        # After its outage the recorder on `a` re-encodes.
        film.record(film.reencode(stream), bench.root("a"), first=500)
        film.record(stream, bench.root("b"), first=500)
        found = looked(bench)
    assert told(found).offset == 0
    assert found.window.end <= T0 + 31 * SECOND


def test_an_offset_is_remembered_for_a_day_and_made_finer_by_the_link(pair: make.Bench) -> None:
    now = pair.now
    measured = Offset(us=3_000_000, uncertainty=1_000_000, basis=Basis.FRAMES)
    remember(pair.ledger, "a", "b", measured, now)
    assert offsets(pair.ledger, pair.site, now + TRUSTED) == {"b": measured}
    assert offsets(pair.ledger, pair.site, now + TRUSTED + 1) == {}
    seen = Contact(observer="b", server="a", state=Reach.UP, since=now, seen=now, offset=-2_500_000, offset_error=5_000)
    with pair.ledger.writing() as connection:
        pair.ledger.contacts.note(connection, seen)
    finer = Offset(us=2_500_000, uncertainty=5_000, basis=Basis.BOTH)
    assert offsets(pair.ledger, pair.site, now + HOUR) == {"b": finer}
    remember(pair.ledger, "a", "b", None, now)
    assert offsets(pair.ledger, pair.site, now) == {"b": Offset(us=2_500_000, uncertainty=5_000, basis=Basis.LINK)}


def test_a_gap_is_filled_to_the_frame_from_a_peer_whose_clock_is_minutes_ahead(tmp_path: Path, stream: bytes) -> None:
    ahead = 20 * SECOND
    with two(tmp_path) as bench:
        film.record(stream, bench.root("a"), until=200)
        film.record(stream, bench.root("a"), first=400)
        film.record(stream, bench.root("b"), length=7, clock=ahead)
        before = frames_in_tree(bench.root("a").rglob("*.mp4"))
        finding = looked(bench)
        offset = together([finding])
        assert offset is not None and abs(offset.us - ahead) <= offset.uncertainty
        assert shared_cameras(bench.survey(), "a", "b") == ["front"]
        gaps = [gap for gap in bench.survey(offsets={"b": offset}).gaps if gap.server == "a"]
        assert [gap.span.seconds for gap in gaps] == [pytest.approx(20, abs=0.5)]
        assert gaps[0].span.start == pytest.approx(T0 + 20 * SECOND, abs=SECOND // 2)
        bench.fill("a", offsets={"b": offset})
        assert frames_in_tree(bench.root("a").rglob("*.mp4")) >= set(range(600)) > before
        bench.scan()
        assert bench.fill("a", offsets={"b": offset}).sent == 0
