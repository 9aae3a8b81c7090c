"""The sample recordings, end to end: what is missing is found, filled, and then no frame is missing any more.

The truth is in tests/samples/truth.md and was established by decoding every frame.
"""

from pathlib import Path

import pytest

from tests import make

pytest.importorskip("av", reason="PyAV is not installed (pip install 'recorder-sync[media]')")

from backfill.keyframes.check import Side
from backfill.keyframes.match import Matched
from backfill.keyframes.measure import measure
from backfill.peer import FolderPeer
from recorder_sync.demo.barcode import frames_in_tree
from schema.spans import SECOND


def frames(root: Path, camera: str) -> set[int]:
    return frames_in_tree(path for path in root.rglob("*.mp4") if camera in path.relative_to(root).parts)


def second(us: int) -> str:
    from schema.moments import iso

    return iso(us)[11:19]


@pytest.fixture
def frigate(tmp_path: Path):
    make.unpack("frigate_two_nvrs", tmp_path)
    config = make.config_text("frigate_two_nvrs/nvr-a", "frigate_two_nvrs/nvr-b").replace(
        'name = "frigate_two_nvrs/', 'name = "'
    )
    with make.bench(tmp_path, config) as bench:
        bench.scan()
        yield bench


def test_the_outage_is_found_where_names_and_durations_put_it(frigate: make.Bench) -> None:
    found = {(gap.server, gap.camera): (second(gap.span.start), second(gap.span.end)) for gap in frigate.survey().gaps}
    assert found == {
        ("nvr-a", "front"): ("11:17:51", "11:18:33"),
        ("nvr-a", "yard"): ("11:17:52", "11:18:33"),
        ("nvr-b", "yard"): ("11:18:52", "11:19:00"),
    }


def test_after_the_fill_no_frame_that_somebody_held_is_missing(frigate: make.Bench) -> None:
    before = {(s, c): frames(frigate.root(s), c) for s in ("nvr-a", "nvr-b") for c in ("front", "yard")}
    for server in ("nvr-a", "nvr-b"):
        assert not frigate.fill(server).refused
    front = frames(frigate.root("nvr-a"), "front")
    yard = frames(frigate.root("nvr-a"), "yard")
    assert set(range(430, 800)) <= front - before["nvr-a", "front"]
    assert set(range(440, 800)) <= yard - before["nvr-a", "yard"]
    assert set(range(1040, 1120)) <= frames(frigate.root("nvr-b"), "yard")
    assert front >= set(range(330, 1100))
    assert yard >= set(range(240, 1120))


def test_a_second_fill_moves_nothing(frigate: make.Bench) -> None:
    assert sum(frigate.fill(server).sent for server in ("nvr-a", "nvr-b")) > 0
    frigate.scan()
    assert [frigate.fill(server).sent for server in ("nvr-a", "nvr-b")] == [0, 0]


def test_an_unclosed_file_counts_up_to_its_last_whole_fragment(tmp_path: Path) -> None:
    make.unpack("mediamtx_like", tmp_path)
    config = make.config_text("mediamtx_like/nvr-a", "mediamtx_like/nvr-b", layout="mediamtx").replace(
        'name = "mediamtx_like/', 'name = "'
    )
    with make.bench(tmp_path, config) as bench:
        bench.scan()
        gaps = [gap for gap in bench.survey().gaps if gap.server == "nvr-a"]
        assert [gap.span.seconds for gap in gaps] == [pytest.approx(22.5, abs=0.01)]  # 22.0 s, and a name 0.5 s late
        bench.fill("nvr-a")
        assert frames(bench.root("nvr-a"), "front") >= set(range(40, 780))


@pytest.mark.parametrize(
    ("archive", "layout", "overlaps"),
    [("frigate_two_nvrs", "frigate", {"front": 30.0, "yard": 24.0}), ("mediamtx_like", "mediamtx", {"front": 24.0})],
)
def test_the_clocks_of_the_two_samples_agree_and_what_both_hold_is_true_to_the_frame(
    tmp_path: Path, archive: str, layout: str, overlaps: dict[str, float]
) -> None:
    # Both recorders of a sample ran on one host. The seconds are counted in frames in truth.md: front 800..1099, yard
    # 800..1039 and mediamtx 540..779 after the outage, although the first file of each is named up to 5 s late.
    make.unpack(archive, tmp_path)
    config = make.config_text(f"{archive}/nvr-a", f"{archive}/nvr-b", layout=layout)
    with make.bench(tmp_path, config.replace(f'name = "{archive}/', 'name = "')) as bench:
        bench.scan()
        sides = {
            name: Side(peer=FolderPeer(name, bench.site, bench.ledger), storages=bench.site.of(name))
            for name in ("nvr-a", "nvr-b")
        }
        found = bench.survey()
        for camera, seconds in overlaps.items():
            result = measure(found, sides, camera, "nvr-a", "nvr-b").result
            assert isinstance(result, Matched)
            assert abs(result.offset) <= 1000
            assert result.disputed == 0
            assert result.overlap / SECOND == pytest.approx(seconds, abs=0.001)
