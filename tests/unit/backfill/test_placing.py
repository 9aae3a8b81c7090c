"""Where a filled segment goes: under the right camera's name, at the right time, or nowhere with a reason.

A recording that lands under another camera's name is worse than a hole: it is evidence of something that never was. So
whatever the two servers call their cameras and however they write their clocks, what lands is read here as the camera
that both mean.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from backfill.placing import other_names, place
from backfill.storage import Storage
from schema.spans import SECOND
from schema.values import Kind, Refusal, Segment
from tests import make
from tests.make import T0, Bench

Benches = Callable[[str], AbstractContextManager[Bench]]


def server(name: str, *storages: str, cameras: str = "") -> str:
    """Return a server's tables; each storage is given as `layout`, or as `layout` and more lines."""
    text = f'\n[[servers]]\nname = "{name}"\n' + (f"cameras = {{ {cameras} }}\n" if cameras else "")
    for number, storage in enumerate(storages):
        layout, _, more = storage.partition("\n")
        text += f'[[servers.storages]]\nname = "s{number}"\nroot = "{name}/{number}"\nlayout = "{layout}"\n{more}\n'
    return text


def segment(path: str, camera: str, start: int = T0, seconds: float = 10, kind: Kind = Kind.FILE) -> Segment:
    end = start + round(seconds * SECOND)
    return Segment(
        storage_id=1, camera=camera, path=path, start=start, end=end, size=9, mtime_ns=end * 1000, inode=1, kind=kind
    )


def of(bench: Bench, name: str, number: int = 0) -> Storage:
    return [storage for storage in bench.site.storages if storage.server == name][number]


def placed(bench: Bench, one: Segment) -> tuple[str, str]:
    """Return what becomes on `a` of a segment of `b`: storage and path, or why not."""
    where, path = place(bench.site, "a", of(bench, "b"), one)
    return where.name, path


FRIGATE_PATH = "2026-11-22/12/front/00.00.mp4"
MEDIAMTX_PATH = "front/2026-11-22_12-00-00-000000.mp4"
KERBEROS_PATH = "1795348800_1-0_front_0-0-0-0_-1_10000.mp4"
TEMPLATE = 'template\n[servers.storages.template]\nfill = "tree"\npattern = "{}"\n'


@pytest.mark.parametrize(
    ("layout", "path"),
    [
        ("frigate", FRIGATE_PATH),
        ("mediamtx", "front/2026-11-22_12-00-00-000000.ts"),
        ("mediamtx", "front/2026-11-22_11-59-60-000000.mp4"),
        ('mediamtx\noptions = { recordPath = "%path/%Y%m%dT%H%M%S%z" }', "front/20261122T173000+0530.mp4"),
        ("motioneye", "front/2026-11-22/12-00-00.mkv"),
        ("kerberos", "1795348800_3-474_front_1-2-3-4_17_10000.mp4"),
        (TEMPLATE.format("{camera}/{us}_{duration_ms}.{suffix}"), "front/1795348800000000_000010000.flv"),
    ],
)
def test_between_two_of_a_kind_the_name_is_kept_to_the_letter(layout: str, path: str, benches: Benches) -> None:
    with benches(make.CONFIG + server("a", layout) + server("b", layout)) as bench:
        assert placed(bench, segment(path, "front")) == ("s0", path)


def test_the_camera_gets_its_own_name_here(benches: Benches) -> None:
    config = (
        make.CONFIG + server("a", "frigate", cameras='Tor_1 = "gate"') + server("b", "frigate", cameras='cam7 = "gate"')
    )
    with benches(config) as bench:
        assert placed(bench, segment("2026-11-22/12/cam7/00.00.mp4", "gate")) == ("s0", "2026-11-22/12/Tor_1/00.00.mp4")
        assert placed(bench, segment("2026-11-22/12/yard/00.00.mp4", "yard")) == ("s0", "2026-11-22/12/yard/00.00.mp4")


def test_a_camera_whose_name_here_is_another_cameras_is_not_mixed_up_with_it(benches: Benches) -> None:
    config = make.CONFIG + server("a", "frigate", cameras='front = "entrance"') + server("b", "frigate")
    with benches(config) as bench:
        assert placed(bench, segment("2026-11-22/12/entrance/00.00.mp4", "entrance")) == ("s0", FRIGATE_PATH)
        why, detail = placed(bench, segment(FRIGATE_PATH, "front"))
        assert (why, detail) == (
            "UNPLACEABLE",
            f"{FRIGATE_PATH} would be read as camera 'entrance' here, not as camera 'front'",
        )


def test_a_case_of_its_own_is_a_camera_of_its_own(benches: Benches) -> None:
    with benches(make.CONFIG + server("a", "frigate", cameras='Front = "door"') + server("b", "frigate")) as bench:
        assert placed(bench, segment(FRIGATE_PATH, "front")) == ("s0", FRIGATE_PATH)


@pytest.mark.parametrize(
    ("theirs", "path", "ours", "expected"),
    [
        ("frigate", FRIGATE_PATH, "mediamtx", MEDIAMTX_PATH),
        ("mediamtx", MEDIAMTX_PATH, "frigate", FRIGATE_PATH),
        ("mediamtx", MEDIAMTX_PATH, 'mediamtx\nzone = "Asia/Tokyo"', "front/2026-11-22_21-00-00-000000.mp4"),
        ("mediamtx", MEDIAMTX_PATH, 'mediamtx\noptions = { recordPath = "%path/%s" }', "front/1795348800.mp4"),
        ('mediamtx\noptions = { recordPath = "%path/%s" }', "front/1795348800.mp4", "mediamtx", MEDIAMTX_PATH),
        (
            "mediamtx",
            MEDIAMTX_PATH,
            'mediamtx\nzone = "Europe/Berlin"\noptions = { recordPath = "%path/%H-%M-%S%z_%Y-%m-%d" }',
            "front/13-00-00+0100_2026-11-22.mp4",
        ),
        ("frigate", FRIGATE_PATH, 'motioneye\nzone = "Europe/Berlin"', "front/2026-11-22/13-00-00.mp4"),
        ("frigate", FRIGATE_PATH, "kerberos", KERBEROS_PATH),
        ("kerberos", KERBEROS_PATH, "frigate", FRIGATE_PATH),
        ("frigate", FRIGATE_PATH, TEMPLATE.format("{camera}-{ms}-{end_s}.mp4"), "front-1795348800000-1795348810.mp4"),
        (TEMPLATE.format("{camera}/%s.mp4"), "front/1795348800.mp4", TEMPLATE.format("%Y-%m-%d_%H%M%S_{camera}.mp4"),
         "2026-11-22_120000_front.mp4"),
        ('frigate\nzone = "Asia/Tokyo"', FRIGATE_PATH, "frigate", FRIGATE_PATH),
    ],
)  # fmt: skip
def test_between_layouts_a_name_is_written_from_camera_and_time(
    theirs: str, path: str, ours: str, expected: str, benches: Benches
) -> None:
    with benches(make.CONFIG + server("a", ours) + server("b", theirs)) as bench:
        assert placed(bench, segment(path, "front")) == ("s0", expected)


def test_what_a_name_kept_of_its_own_is_kept_where_the_other_name_has_it_too(benches: Benches) -> None:
    ours = 'motion\noptions = { movie_filename = "%$/%Y%m%d/%H%M%S-%v" }'
    theirs = 'motion\noptions = { movie_filename = "%$-%v-%Y%m%d%H%M%S" }'
    with benches(make.CONFIG + server("a", ours) + server("b", theirs)) as bench:
        one = segment("front-07-20261122120002.mkv", "front", T0)  # named 2 s late: the true start is in the ledger
        assert placed(bench, one) == ("s0", "front/20261122/120000-07.mkv")


@pytest.mark.parametrize(
    ("theirs", "path", "camera", "ours", "says"),
    [
        ("frigate", FRIGATE_PATH, "front", "motion\noptions = { camera = 'front' }", "needs 'event'"),
        ("mediamtx", "front/2026-11-22_12-00-00-000000.ts", "front", "frigate", "no files that end in .ts"),
        ("mediamtx", "site/front/2026-11-22_12-00-00-000000.mp4", "site/front", "frigate", "'site/front'"),
        ("motioneye", "front door/2026-11-22/12-00-00.mp4", "front door", "frigate", "'front door'"),
        ("frigate", FRIGATE_PATH, "front", TEMPLATE.format("{camera}/{floor}/%s.mp4"), "needs 'floor'"),
        ("frigate", FRIGATE_PATH, "front", TEMPLATE.format("{camera}/{stream}/%s.mp4"), "needs 'stream'"),
        ("frigate", "somewhere/else.mp4", "front", "frigate", "not a name of Frigate"),
        ("frigate", "../../12/front/00.00.mp4", "front", "frigate", "not a name of Frigate"),
    ],
)
def test_what_cannot_be_named_here_is_refused_with_what_is_missing(
    theirs: str, path: str, camera: str, ours: str, says: str, benches: Benches
) -> None:
    with benches(make.CONFIG + server("a", ours) + server("b", theirs)) as bench:
        why, detail = placed(bench, segment(path, camera))
        assert why == "UNPLACEABLE" and says in detail


def test_each_camera_goes_to_the_storage_that_is_its_own(benches: Benches) -> None:
    ours = [f'motion\noptions = {{ movie_filename = "%Y%m%d%H%M%S", camera = "{name}" }}' for name in ("front", "yard")]
    with benches(make.CONFIG + server("a", *ours) + server("b", "frigate")) as bench:
        assert placed(bench, segment(FRIGATE_PATH, "front")) == ("s0", "20261122120000.mp4")
        assert placed(bench, segment("2026-11-22/12/yard/00.00.mp4", "yard")) == ("s1", "20261122120000.mp4")
        why, detail = placed(bench, segment("2026-11-22/12/gate/00.00.mp4", "gate"))
        assert why == "UNPLACEABLE" and "'gate'" in detail


def test_a_stream_keeps_its_stream_and_may_be_mapped_with_it(benches: Benches) -> None:
    theirs, ours = TEMPLATE.format("{camera}/{stream}/%s.mp4"), TEMPLATE.format("%s-{camera}-{stream}.mp4")
    config = make.CONFIG + server("a", ours, cameras='tor = "gate", "hof/hd" = "yard/main"')
    with benches(config + server("b", theirs, cameras='c1 = "gate"')) as bench:
        assert placed(bench, segment("c1/main/1795348800.mp4", "gate/main")) == ("s0", "1795348800-tor-main.mp4")
        assert placed(bench, segment("yard/sub/1795348800.mp4", "yard/sub")) == ("s0", "1795348800-yard-sub.mp4")
        assert placed(bench, segment("yard/main/1795348800.mp4", "yard/main"))[0] == "UNPLACEABLE", "hof/hd has no main"


def test_where_the_tree_is_not_safe_it_goes_to_the_side_as_the_peer_named_it(benches: Benches) -> None:
    with benches(make.CONFIG + server("a", "shinobi") + server("b", "frigate", cameras='front = "door"')) as bench:
        where, path = place(bench.site, "a", of(bench, "b"), segment(FRIGATE_PATH, "door"))
        assert isinstance(where, Storage)
        assert (where.origin, path) == ("b", FRIGATE_PATH)
        assert where.root != of(bench, "a").root and not where.root.startswith(of(bench, "a").root + "/")
        named = where.layout.read(path)
        assert named is not None and where.shared_channel(named.channel) == "door"


def test_the_side_takes_what_no_tree_can_name(benches: Benches) -> None:
    config = make.CONFIG + server("a", "frigate", 'frigate\nfill = "side"') + server("b", "mediamtx")
    with benches(config) as bench:
        assert placed(bench, segment(MEDIAMTX_PATH, "front")) == ("s0", FRIGATE_PATH)
        deep = "site/front/2026-11-22_12-00-00-000000.mp4"
        assert placed(bench, segment(deep, "site/front")) == ("s1 from b/s0", deep)


def test_a_server_that_takes_nothing_says_so(benches: Benches) -> None:
    with benches(make.CONFIG + server("a", 'frigate\nfill = "never"') + server("b", "frigate")) as bench:
        assert place(bench.site, "a", of(bench, "b"), segment(FRIGATE_PATH, "front")) == (Refusal.LAYOUT_UNSAFE, "")


@pytest.mark.parametrize(
    ("layout", "path", "first", "last"),
    [
        ("frigate", "2026-11-22/12/front/59.50.mp4", "2026-11-22/12/front/59.51.mp4", "2026-11-22/13/front/00.20.mp4"),
        ("mediamtx", MEDIAMTX_PATH, "front/2026-11-22_12-00-00-000001.mp4", "front/2026-11-22_12-00-00-000030.mp4"),
        ("motioneye", "a/2026-12-31/23-59-59.mkv", "a/2027-01-01/00-00-00.mkv", "a/2027-01-01/00-00-29.mkv"),
        ("kerberos", KERBEROS_PATH, KERBEROS_PATH.replace("800_", "801_"), KERBEROS_PATH.replace("800_", "830_")),
    ],
)  # fmt: skip
def test_a_taken_name_leads_to_the_next_ones_of_the_same_camera(
    layout: str, path: str, first: str, last: str, benches: Benches
) -> None:
    with benches(make.CONFIG + server("a", layout)) as bench:
        storage = of(bench, "a")
        names = list(other_names(storage, path))
        assert (names[0], names[-1], len(names)) == (first, last, 30)
        read = [storage.layout.read(name) for name in [path, *names]]
        assert (
            len({named.stamp for named in read if named}) == 31 and len({named.camera for named in read if named}) == 1
        )


@pytest.mark.parametrize(("layout", "path"), [("zoneminder", "1/2026-11-22/7/7-video.mp4"), ("frigate", "not/its.mp4")])
def test_a_name_without_a_time_has_no_next_one(layout: str, path: str, benches: Benches) -> None:
    with benches(make.CONFIG + server("a", layout)) as bench:
        assert list(other_names(of(bench, "a"), path)) == []


def test_a_folder_goes_to_no_layout_of_files(benches: Benches) -> None:
    with benches(make.CONFIG + server("a", "mediamtx") + server("b", "frigate")) as bench:
        why, detail = placed(bench, segment(FRIGATE_PATH, "front", kind=Kind.FOLDER))
        assert why == "UNPLACEABLE" and "a folder of Frigate" in detail
