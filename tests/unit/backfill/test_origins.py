"""Origin records: durable or not there at all, found for that very file only, and damage costs one record."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from backfill.origins import Origin, OriginLog
from schema.spans import HOUR, SECOND
from tests import make
from tests.faults import as_root, mounted

DAY = 24 * HOUR


def origin(start: int = make.T0, path: str = "front/one.mp4", **changes: object) -> Origin:
    values: dict[str, object] = {
        "path": path,
        "server": "b",
        "camera": "front",
        "start": start,
        "end": start + 10 * SECOND,
        "size": 5000,
        "mtime_ns": 7,
        "digest": "00" * 16,
        "source_path": path,
        "landed": make.LATER,
    }
    return Origin(**{**values, **changes})  # type: ignore[arg-type]


def find(folder: Path, one: Origin) -> Origin | None:
    """Return what somebody who opens the records now finds of `one`."""
    return OriginLog(str(folder)).find(one.path, one.start, one.size, one.mtime_ns)


def days(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "origins").iterdir())


def test_what_was_appended_is_found_by_everyone(tmp_path: Path) -> None:
    first, second = origin(), origin(path="front/two.mp4")
    log = OriginLog(str(tmp_path))
    assert log.find(first.path, first.start, first.size, first.mtime_ns) is None
    log.append([first])
    log.append([second])
    for one in (first, second):
        assert log.find(one.path, one.start, one.size, one.mtime_ns) == one == find(tmp_path, one)


@pytest.mark.parametrize(
    "change", [{"size": 5001}, {"mtime_ns": 8}, {"path": "front/three.mp4"}, {"start": make.T0 + 3 * DAY}]
)
def test_a_record_speaks_for_that_very_file_only(tmp_path: Path, change: dict[str, object]) -> None:
    OriginLog(str(tmp_path)).append([origin()])
    assert find(tmp_path, origin(**change)) is None  # type: ignore[arg-type]


def test_a_file_that_may_have_been_moved_is_looked_for_by_camera_size_and_time(tmp_path: Path) -> None:
    first, second, own = origin(), origin(path="front/two.mp4"), origin(path="front/own.mp4")
    OriginLog(str(tmp_path)).append([first, second, own, origin(path="yard/x.mp4", camera="yard")])
    OriginLog(str(tmp_path)).append([origin(path="front/own.mp4", server="")])
    log = OriginLog(str(tmp_path))
    assert log.elsewhere("archive/new.mp4", "front", make.T0, 5000) == [first, second]
    assert log.elsewhere(first.path, "front", make.T0 + HOUR, 5000) == [second]
    assert log.elsewhere("archive/new.mp4", "front", make.T0, 5001) == []
    assert log.elsewhere("archive/new.mp4", "front", make.T0 + HOUR + 1, 5000) == []


@pytest.mark.parametrize("by", [-HOUR, HOUR])
def test_a_name_may_be_an_hour_off_also_over_midnight(tmp_path: Path, by: int) -> None:
    one = origin(make.T0 + 12 * HOUR if by < 0 else make.T0 + 12 * HOUR - SECOND)
    OriginLog(str(tmp_path)).append([one])
    assert OriginLog(str(tmp_path)).find(one.path, one.start + by, one.size, one.mtime_ns) == one


def test_each_day_of_recording_has_a_file_of_its_own(tmp_path: Path) -> None:
    OriginLog(str(tmp_path)).append([origin(), origin(make.T0 + DAY)])
    assert days(tmp_path) == ["2026-11-22.jsonl", "2026-11-23.jsonl"]


Damage = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    "damage",
    [lambda text: text[:-20], lambda text: text[:-1], lambda text: text + b"\xff\0torn"],
    ids=["a torn line", "without its end", "junk behind"],
)
def test_what_follows_a_torn_line_is_not_torn_with_it(tmp_path: Path, damage: Damage) -> None:
    OriginLog(str(tmp_path)).append([origin(), origin(path="front/two.mp4")])
    file = tmp_path / "origins/2026-11-22.jsonl"
    file.write_bytes(damage(file.read_bytes()))
    third = origin(path="front/three.mp4")
    OriginLog(str(tmp_path)).append([third])
    assert find(tmp_path, third) == third
    assert find(tmp_path, origin()) == origin()


def test_a_write_that_is_cut_short_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that is nearly full: the kernel takes a part, and says so by a number that is easily overlooked."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, content: real(fd, bytes(content)[:100]))
    all_of_them = [origin(path=f"front/{number}.mp4") for number in range(9)]
    OriginLog(str(tmp_path)).append(all_of_them)
    assert [find(tmp_path, one) for one in all_of_them] == all_of_them


@pytest.mark.parametrize("taken", [[], [100]])
def test_a_disk_that_takes_no_more_is_an_error_and_leaves_no_half_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: list[int]
) -> None:
    OriginLog(str(tmp_path)).append([origin()])
    before = (tmp_path / "origins/2026-11-22.jsonl").read_bytes()
    real, left = os.write, iter(taken)
    monkeypatch.setattr(os, "write", lambda fd, content: real(fd, bytes(content)[: next(left, 0)]))
    with pytest.raises(OSError, match="No space left"):
        OriginLog(str(tmp_path)).append([origin(path="front/two.mp4")])
    assert (tmp_path / "origins/2026-11-22.jsonl").read_bytes() == before


def test_records_that_do_not_get_to_the_disk_are_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    OriginLog(str(tmp_path)).append([origin()])
    before = (tmp_path / "origins/2026-11-22.jsonl").read_bytes()

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        OriginLog(str(tmp_path)).append([origin(path="front/two.mp4")])
    assert (tmp_path / "origins/2026-11-22.jsonl").read_bytes() == before


@as_root
def test_on_a_full_disk_all_that_was_said_to_be_there_is_there(tmp_path: Path) -> None:
    with mounted("-t", "tmpfs", "-o", "size=64k", "tmpfs", at=tmp_path / "disk") as disk:
        said: list[Origin] = []
        with pytest.raises(OSError, match="No space left"):
            for batch in range(1000):
                new = [origin(path=f"front/{batch}-{number}.mp4") for number in range(7)]
                OriginLog(str(disk)).append(new)
                said += new
        assert said
        assert [find(disk, one) for one in said] == said
