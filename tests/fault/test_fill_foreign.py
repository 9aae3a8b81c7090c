"""A file that the recorder here cannot read does harm in its tree: one plain MP4, and MediaMTX lists nothing of a path.

What a file holds is seen when it is here, before it gets its name: then it is refused with what it is, and not fetched
again to see it once more.
"""

import time
from pathlib import Path

import pytest

from schema.spans import SECOND
from schema.values import Refusal
from tests.make import T0, Bench, bench, box, config_text, mediamtx_path, put, record, tens, tree, utc
from tests.unit.backfill.boxes import fragmented

FRAGMENTS = b"".join(fragmented(10, stated=10_000))


def motioneye_path(camera: str, start: int) -> str:
    return time.strftime(f"{camera}/%Y-%m-%d/%H-%M-%S.mp4", utc(start))


def pair(more: str = "") -> str:
    """Return a configuration of a MediaMTX that lacks a minute and a motionEye that has it."""
    return config_text("a", layout="mediamtx", more=more) + config_text("b", layout="motioneye", head="")


def recorded(base: Bench, content: bytes | None) -> None:
    record(base.root("a"), "front", [*tens(0, 60), *tens(120, 180)], path=mediamtx_path)
    if content is None:
        record(base.root("b"), "front", tens(0, 180), path=motioneye_path, seed=1)
    else:
        for second in tens(0, 180):
            start = T0 + second * SECOND
            put(base.root("b"), motioneye_path("front", start), content, start + 10 * SECOND)
    base.scan()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "it is mp4, not fmp4 or ts"),
        (FRAGMENTS[:32] + box(b"free", b"\0" * 32) + FRAGMENTS[32:], "it is late fmp4"),
    ],
    ids=["plain", "moov not in front"],
)
def test_what_mediamtx_cannot_read_never_gets_a_name_in_its_tree(
    content: bytes | None, says: str, tmp_path: Path
) -> None:
    with bench(tmp_path, pair()) as base:
        recorded(base, content)
        before = tree(base.root("a"))
        result = base.fill("a")
        assert result.landed == () and result.refused and tree(base.root("a")) == before
        assert {one.why for one in result.refused} == {Refusal.UNREADABLE_HERE}
        assert all(says in one.detail for one in result.refused)
        assert {(state, start >= 60, end <= 120) for state, start, end in base.states("a")} == {("refused", True, True)}
        again = base.plan("a")
        assert again.tasks == () and len(again.refused) == len(result.refused), "fetched again to see it once more"


def test_fragments_go_into_the_tree(tmp_path: Path) -> None:
    with bench(tmp_path, pair()) as base:
        recorded(base, FRAGMENTS)
        assert base.fill("a").refused == ()
        assert base.states("a") == [("filled", 60, 120)]


def test_the_side_takes_anything(tmp_path: Path) -> None:
    with bench(tmp_path, pair(more='fill = "side"')) as base:
        recorded(base, None)
        assert base.fill("a").refused == ()
        assert base.states("a") == [("filled", 60, 120)]
