"""`init` looks at folders and writes a configuration: what it says must be right, or said to be in doubt.

A wrong layout reads nothing, a wrong zone puts every recording into the wrong hour, and a wrong root gives the camera
another name than on the other server: each would show holes where there are none, or none where there are.
"""

import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from backfill.detect import Detected, detect
from backfill.sampling import sample
from schema.errors import LayoutUnknown, NothingToDetect
from schema.spans import DAY, SECOND
from tests.make import T0, frigate_path, mp4, put, unpack, utc

Namer = Callable[[str, int], str]


def named(pattern: str, zone: str = "UTC") -> Namer:
    """Return a namer: strftime codes in a zone, `{camera}`, `{n}` a running number, `{s}` epoch seconds."""

    def name(camera: str, start: int) -> str:
        clock = datetime.fromtimestamp(start // SECOND, ZoneInfo(zone))
        number = start // SECOND % 100_000
        return clock.strftime(pattern).format(camera=camera, n=number, s=start // SECOND, f=f"{start % SECOND:06d}")

    return name


def fill(
    root: Path,
    name: Namer,
    cameras: tuple[str, ...] = ("front", "yard"),
    count: int = 12,
    step: int = 600,
    late: int = 0,
) -> Path:
    """Write recordings of ten seconds, each last written when it ends or `late` seconds after."""
    for camera in cameras:
        for number in range(count):
            start = T0 + number * step * SECOND
            put(root, name(camera, start), mp4(10), start + (10 + late) * SECOND)
    return root


MEDIAMTX = named("{camera}/%Y-%m-%d_%H-%M-%S-{f}.mp4")
NAMERS = [
    ("frigate", frigate_path, ("front", "yard")),
    ("mediamtx", MEDIAMTX, ("front", "site/yard")),
    ("kerberos", named("{s}_1-0_{camera}_0-0-0-0_-1_10000.mp4"), ("front", "back_yard")),
    ("motioneye", named("{camera}/%Y-%m-%d/%H-%M-%S.mp4"), ("Camera1", "Camera2")),
    ("motion", named("{n:02d}-%Y%m%d%H%M%S.mkv"), ("camera",)),
    ("zoneminder", named("{camera}/%Y-%m-%d/{n}/{n}-video.mp4"), ("1", "2")),
    ("zoneminder", named("{camera}/%y/%m/%d/%H/%M/%S/{n}-video.h264.mp4"), ("1", "2")),
    ("shinobi", named("group/{camera}/%Y-%m-%dT%H-%M-%S.mp4"), ("mon1", "mon2")),
]


@pytest.mark.parametrize(("layout", "name", "cameras"), NAMERS)
def test_every_recorder_is_recognised_by_its_names(
    layout: str, name: Namer, cameras: tuple[str, ...], tmp_path: Path
) -> None:
    found = detect(str(fill(tmp_path, name, cameras)), "UTC")
    assert (found.layout, found.root, found.zone) == (layout, str(tmp_path), "UTC")
    assert found.cameras == tuple(sorted(cameras))
    assert (found.files, found.others) == (12 * len(cameras), 0)
    assert found.title


@pytest.mark.parametrize("below", ["recordings", "videos", "media", "data/recordings", "output"])
@pytest.mark.parametrize("name", [frigate_path, MEDIAMTX], ids=["frigate", "mediamtx"])
def test_the_root_is_found_where_recorders_put_it(below: str, name: Namer, tmp_path: Path) -> None:
    fill(tmp_path / below, name)
    found = detect(str(tmp_path), "UTC")
    assert (found.root, found.cameras) == (str(tmp_path / below), ("front", "yard"))
    assert detect(str(tmp_path / below), "UTC").root == found.root


def test_a_folder_of_an_unusual_name_is_looked_into_as_well(tmp_path: Path) -> None:
    fill(tmp_path / "disk-7", frigate_path)
    fill(tmp_path / ".snapshots", frigate_path, count=40)
    assert detect(str(tmp_path), "UTC").root == str(tmp_path / "disk-7")


def test_a_camera_may_lie_many_folders_deep(tmp_path: Path) -> None:
    fill(tmp_path, MEDIAMTX, ("site/gate/front", "site/gate/yard"))
    found = detect(str(tmp_path), "UTC")
    assert (found.root, found.cameras) == (str(tmp_path), ("site/gate/front", "site/gate/yard"))


def many(root: Path, name: Namer, camera: str, count: int) -> None:
    for number in range(count):
        path = root / name(camera, T0 + number * 60 * SECOND)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_camera_with_very_many_files_hides_no_other(tmp_path: Path) -> None:
    many(tmp_path, MEDIAMTX, "front", 50)
    many(tmp_path, MEDIAMTX, "yard", 3100)
    assert detect(str(tmp_path), "UTC").cameras == ("front", "yard")


def test_a_site_with_very_many_files_is_not_the_root(tmp_path: Path) -> None:
    many(tmp_path, MEDIAMTX, "site1/front", 40)
    many(tmp_path, MEDIAMTX, "site2/front", 3100)
    for stray in ("zz.mp4", "site2/export.mp4"):
        (tmp_path / stray).touch()
    found = detect(str(tmp_path), "UTC")
    assert (found.root, found.cameras) == (str(tmp_path), ("site1/front", "site2/front"))


def test_a_camera_called_like_a_usual_place_is_not_the_root(tmp_path: Path) -> None:
    for camera in ("media/front", "media/yard", "gate"):
        many(tmp_path, MEDIAMTX, camera, 30)
    assert detect(str(tmp_path), "UTC").cameras == ("gate", "media/front", "media/yard")


@pytest.mark.parametrize("name", [frigate_path, named("{camera}/%Y-%m-%d/%H-%M-%S.mp4")], ids=["frigate", "motioneye"])
def test_every_camera_of_many_days_is_seen(name: Namer, tmp_path: Path) -> None:
    cameras = [f"cam-{number}" for number in range(12)]
    for hour in range(0, 24 * 20, 3):
        for camera in cameras:
            path = tmp_path / name(camera, T0 - hour * 3600 * SECOND)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    assert detect(str(tmp_path), "UTC").cameras == tuple(sorted(cameras))


def test_a_million_other_files_are_not_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(tmp_path, MEDIAMTX, "front", 5)
    for folder in range(30):
        below = tmp_path / f"zz-thumbs/{folder}"
        below.mkdir(parents=True)
        for number in range(40):
            (below / f"{number}.jpg").touch()
    monkeypatch.setattr("backfill.sampling._LOOKS", 300)
    found = sample(str(tmp_path))
    assert len(found.files) == 5
    assert found.looks <= 310


def test_the_samples_are_recognised(tmp_path: Path) -> None:
    frigate = detect(str(unpack("frigate_two_nvrs", tmp_path) / "nvr-a"), "Europe/Berlin")
    assert (frigate.layout, frigate.cameras, frigate.zone, frigate.files) == ("frigate", ("front", "yard"), "UTC", 9)
    mediamtx = detect(str(unpack("mediamtx_like", tmp_path) / "nvr-b"), "Europe/Berlin")
    assert (mediamtx.layout, mediamtx.cameras, mediamtx.zone) == ("mediamtx", ("front",), "UTC")
    assert mediamtx.root.endswith("nvr-b/recordings")


BERLIN = named("{camera}/%Y-%m-%d_%H-%M-%S-{f}.mp4", "Europe/Berlin")


@pytest.mark.parametrize(
    ("names", "machine", "zone", "note"),
    [
        ("Europe/Berlin", "Europe/Berlin", "Europe/Berlin", ""),
        ("UTC", "Europe/Berlin", "UTC", ""),
        ("UTC", "UTC", "UTC", ""),
        ("UTC", "Etc/UTC", "Etc/UTC", ""),
        ("Asia/Tokyo", "Europe/Berlin", "Etc/GMT-9", "names are +9 h from UTC"),
        ("America/New_York", "Europe/Berlin", "Etc/GMT+5", "names are -5 h from UTC"),
        ("Asia/Kolkata", "Europe/Berlin", "Asia/Kolkata", "names fit Asia/Kolkata: check it"),
        ("Asia/Kathmandu", "UTC", "Asia/Kathmandu", "names fit Asia/Kathmandu: check it"),
        ("Australia/Adelaide", "UTC", "Australia/Adelaide", "names fit Australia/Adelaide"),
        ("America/St_Johns", "UTC", "America/St_Johns", "names fit America/St_Johns: check it"),
        ("UTC", "Europe/London", "Europe/London", "names fit Europe/London and UTC alike"),
    ],
)
def test_the_zone_of_local_names_follows_from_the_last_writes(
    names: str, machine: str, zone: str, note: str, tmp_path: Path
) -> None:
    found = detect(str(fill(tmp_path, named("{camera}/%Y-%m-%d_%H-%M-%S-{f}.mp4", names))), machine)
    assert found.zone == zone
    assert [text.startswith(note) for text in found.notes] == ([True] if note else [])


@pytest.mark.parametrize(("summer", "winter"), [(30, 10), (10, 30)])
def test_names_from_both_sides_of_a_clock_change_are_of_one_zone(summer: int, winter: int, tmp_path: Path) -> None:
    for number in range(-summer, winter):
        start = T0 - 28 * DAY + number * DAY  # 2026-10-25 12:00 UTC: the clock was put back that morning
        put(tmp_path, BERLIN("front", start), mp4(10), start + 10 * SECOND)
    found = detect(str(tmp_path), "Europe/Berlin")
    assert (found.zone, found.notes) == ("Europe/Berlin", ())


@pytest.mark.parametrize(
    ("names", "note"),
    [
        ("America/New_York", "names fit America/New_York"),
        ("Australia/Adelaide", "names fit Australia/Adelaide"),
        ("Pacific/Chatham", "names fit Pacific/Chatham"),
    ],
)
def test_names_from_both_sides_of_a_clock_change_tell_a_foreign_place(names: str, note: str, tmp_path: Path) -> None:
    for number in range(24):
        start = T0 - number * 15 * DAY
        put(tmp_path, named("{camera}/%Y-%m-%d_%H-%M-%S-{f}.mp4", names)("front", start), mp4(10), start + 10 * SECOND)
    found = detect(str(tmp_path), "Asia/Tokyo")
    assert found.zone == names and found.notes[0].startswith(note)


def test_a_clock_that_is_wrong_in_no_zones_way_is_said(tmp_path: Path) -> None:
    found = detect(str(fill(tmp_path, MEDIAMTX, late=5 * 3600 + 900)), "Europe/Berlin")
    assert found.zone == "Europe/Berlin"
    assert found.notes[0].startswith("names are -5.25 h from UTC, as in no zone")


def test_the_zone_that_the_operator_names_is_taken_and_what_speaks_against_it_said(tmp_path: Path) -> None:
    fill(tmp_path, named("{camera}/%Y-%m-%d_%H-%M-%S-{f}.mp4", "Asia/Tokyo"))
    right, wrong = (detect(str(tmp_path), "UTC", zone) for zone in ("Asia/Tokyo", "Asia/Kolkata"))
    assert (right.zone, right.notes) == ("Asia/Tokyo", ())
    assert wrong.zone == "Asia/Kolkata" and "check it" in wrong.notes[0]
    frigate = fill(tmp_path / "other", frigate_path)
    assert detect(str(frigate), "UTC", "Asia/Tokyo").zone == "UTC", "names that are UTC have no other zone"


def test_a_mover_that_is_seconds_late_does_not_change_the_zone(tmp_path: Path) -> None:
    assert detect(str(fill(tmp_path, BERLIN, late=8)), "Europe/Berlin").notes == ()


def test_copied_files_do_not_tell_their_zone_and_that_is_said(tmp_path: Path) -> None:
    fill(tmp_path, MEDIAMTX)
    written = [*sorted(tmp_path.rglob("*.mp4"))]
    for number, path in enumerate(written):
        os.utime(path, (T0 // SECOND + 900_000 + number * 37,) * 2)  # one of them fits some zone by chance
    found = detect(str(tmp_path), "Europe/Berlin")
    assert found.zone == "Europe/Berlin"
    assert found.notes == ("the files do not tell the zone of their names; Europe/Berlin is this machine's, check it",)


def test_a_server_that_mixes_schemes_with_and_without_a_time_is_read(tmp_path: Path) -> None:
    for number in range(6):
        start = T0 + number * 600 * SECOND
        deep = time.strftime(f"1/%y/%m/%d/%H/%M/%S/{number}-video.mp4", utc(start))
        medium = time.strftime(f"2/%Y-%m-%d/9{number}/9{number}-video.mp4", utc(start))
        for path in (deep, medium):
            put(tmp_path, path, mp4(10), start + 10 * SECOND)
    found = detect(str(tmp_path), "UTC")
    assert (found.layout, found.cameras, found.zone) == ("zoneminder", ("1", "2"), "UTC")


def test_other_files_beside_are_counted_and_half_of_them_is_too_many(tmp_path: Path) -> None:
    fill(tmp_path, frigate_path)
    for number in range(24):
        assert outcome(tmp_path) == (24, number)
        put(tmp_path, f"2026-11-22/export/clip-{number}.mp4", mp4(10), T0)
        put(tmp_path, f"2026-11-22/export/.hidden-{number}.mp4", mp4(10), T0)
        put(tmp_path, f"2026-11-22/export/thumb-{number}.jpg", b"jpeg", T0)
    assert outcome(tmp_path) == (24, 24)
    put(tmp_path, "2026-11-22/export/clip-24.mp4", mp4(10), T0)
    with pytest.raises(LayoutUnknown, match="49 media files have names that no layout reads"):
        detect(str(tmp_path), "UTC")


def outcome(folder: Path) -> tuple[int, int]:
    found: Detected = detect(str(folder), "UTC")
    return found.files, found.others


def test_what_holds_no_recordings_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(NothingToDetect, match=r"no files ending in \.mp4"):
        detect(str(tmp_path), "UTC")
    put(tmp_path, "readme.txt", b"nothing here", T0)
    fill(tmp_path / ".recorder-sync" / "staging", frigate_path)
    with pytest.raises(NothingToDetect, match=r"no files ending in \.mp4"):
        detect(str(tmp_path), "UTC")
    with pytest.raises(NothingToDetect, match="not a folder"):
        detect(str(tmp_path / "readme.txt"), "UTC")
    with pytest.raises(NothingToDetect, match="not a folder"):
        detect(str(tmp_path / "nowhere"), "UTC")


def test_a_large_flat_folder_is_sampled_from_its_newest_end(tmp_path: Path) -> None:
    kerberos = named("{s}_1-0_{camera}_0-0-0-0_-1_10000.mp4")
    for number in range(200):
        (tmp_path / f"0000000{number:03d}_old name.mp4").touch()
    for number in range(3_000):
        (tmp_path / kerberos("front", T0 + number * 10 * SECOND)).touch()
    found = detect(str(tmp_path), "UTC")
    assert (found.layout, found.files, found.others) == ("kerberos", 3_000, 0)


def test_a_folder_that_cannot_be_listed_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, frigate_path)
    locked = str(tmp_path / "2026-11-22/13")
    listing = os.scandir

    def refusing(path: str) -> object:
        if str(path).startswith(locked):
            raise PermissionError(13, "Permission denied")
        return listing(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert detect(str(tmp_path), "UTC").cameras == ("front", "yard")
