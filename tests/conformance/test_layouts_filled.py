"""Every layout from end to end: recordings in its names are scanned, the hole is found, and filled once."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests import make


def clock(pattern: str) -> Callable[[str, int], str]:
    return lambda _, start: time.strftime(pattern, make.utc(start))


HOW = {
    "frigate": ("", clock("%Y-%m-%d/%H/1/%M.%S.mp4")),
    "kerberos": ("", lambda _, start: f"{start // 10**6}_1-0_1_0-0-0-0_-1_10000.mp4"),
    "mediamtx": ("", clock("1/%Y-%m-%d_%H-%M-%S-000000.mp4")),
    "motion": ('[servers.storages.options]\nmovie_filename = "%t/%Y%m%d-%H%M%S"', clock("1/%Y%m%d-%H%M%S.mp4")),
    "motioneye": ("", clock("1/%Y-%m-%d/%H-%M-%S.mp4")),
    "shinobi": ("", clock("grp/1/%Y-%m-%dT%H-%M-%S.mp4")),
    "template": (
        '[servers.storages.template]\npattern = "{camera}/%Y-%m-%d_%H-%M-%S.mp4"\nsegment = "10s"\nlate = "2s"',
        clock("1/%Y-%m-%d_%H-%M-%S.mp4"),
    ),
    "zoneminder": ("", clock("1/%y/%m/%d/%H/%M/%S/%j%H%M%S-video.mp4")),
}


@pytest.mark.parametrize("layout", HOW)
def test_a_layout_is_scanned_surveyed_and_filled(
    layout: str, benches: Callable[[str], AbstractContextManager[make.Bench]]
) -> None:
    more, path = HOW[layout]
    config = make.config_text("a", "b", layout=layout, more=more)
    with benches(config) as bench:
        make.record(bench.root("a"), "1", [*make.tens(0, 100), *make.tens(200, 300)], seed=1, path=path)
        make.record(bench.root("b"), "1", make.tens(0, 300), seed=2, path=path)
        bench.scan()
        [camera] = bench.survey().coverage
        [(state, start, end)] = bench.states("a", camera)
        assert state == "fillable"
        assert start <= 100 and 190 <= end <= 200
        result = bench.fill("a")
        assert 10 <= len(result.landed) <= 12 and result.refused == ()
        bench.scan()
        assert [one for one in bench.states("a", camera) if one[0] != "filled"] == []
        assert bench.plan("a").tasks == ()
