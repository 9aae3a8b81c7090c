"""A finished file gets its final name once, at once, and never in place of something else.

The recorder may write that very name at any moment, so looking first is no protection. What must hold on both paths,
`renameat2` and the hard link for where that is missing: an existing name wins, whatever it is; who loses keeps the
staged file; a folder appears with all that is in it or not at all.
"""

import ctypes
import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from backfill import publish as publishing
from backfill.publish import publish, same_mount
from schema.errors import CannotPublish
from tests.faults import as_root, mounted


def unsupported(*_: object) -> int:
    """Answer as a file system does that has no RENAME_NOREPLACE."""
    ctypes.set_errno(errno.EINVAL)
    return -1


@pytest.fixture(params=["rename", "no renameat2", "refuses the flag"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How names are given: the kernel's own way, and both reasons for the fallback."""
    if request.param == "no renameat2":
        monkeypatch.setattr(publishing, "_renameat2", None)
    elif request.param == "refuses the flag":
        monkeypatch.setattr(publishing, "_renameat2", unsupported)
    elif publishing._renameat2 is None:
        pytest.skip("this system has no renameat2")
    return str(request.param)


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    (tmp_path / "staging").mkdir()
    (tmp_path / "final").mkdir()
    path = tmp_path / "staging/one.part"
    path.write_bytes(b"whole")
    return path


def give(staged: Path, name: str = "one.mp4") -> None:
    fd = os.open(staged.parent.parent / "final", os.O_RDONLY)
    try:
        publish(str(staged), fd, name)
    finally:
        os.close(fd)


def test_a_file_moves_to_its_name(way: str, staged: Path) -> None:
    inode = staged.stat().st_ino
    give(staged)
    final = staged.parent.parent / "final/one.mp4"
    assert final.read_bytes() == b"whole"
    assert (final.stat().st_ino, final.stat().st_nlink) == (inode, 1)
    assert not staged.exists()


@pytest.mark.parametrize("there", ["a recording", "an empty file", "a folder", "an empty folder", "a dangling link"])
def test_what_has_the_name_stays_as_it_is(way: str, staged: Path, there: str) -> None:
    final = staged.parent.parent / "final/one.mp4"
    if there.endswith("folder"):
        final.mkdir()
        if there == "a folder":
            (final / "x").touch()
    elif there == "a dangling link":
        final.symlink_to("nowhere")
    else:
        final.write_bytes(b"the recorder's" if there == "a recording" else b"")
    before = final.lstat()
    with pytest.raises(FileExistsError):
        give(staged)
    assert final.lstat() == before
    assert staged.read_bytes() == b"whole"


def test_of_many_that_want_one_name_exactly_one_gets_it(way: str, staged: Path) -> None:
    rivals = [staged.with_name(f"{number}.part") for number in range(8)]
    for number, rival in enumerate(rivals):
        rival.write_bytes(bytes([number]))
    together = Barrier(len(rivals))

    def attempt(rival: Path) -> bool:
        together.wait()
        try:
            give(rival)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(len(rivals)) as pool:
        won = list(pool.map(attempt, rivals))
    assert won.count(True) == 1
    assert (staged.parent.parent / "final/one.mp4").read_bytes() == bytes([won.index(True)])
    assert [rival.exists() for rival in rivals] == [not one for one in won]


def test_a_folder_appears_with_everything_in_it(staged: Path) -> None:
    table = staged.with_name("table.part")
    (table / "below").mkdir(parents=True)
    (table / "a.blk").write_bytes(b"a")
    (table / "below/b.blk").write_bytes(b"b")
    give(table, "table")
    final = staged.parent.parent / "final/table"
    assert {path.name for path in final.rglob("*")} == {"a.blk", "below", "b.blk"}
    assert not table.exists()


def test_a_folder_replaces_no_folder_not_even_an_empty_one(staged: Path) -> None:
    table = staged.with_name("table.part")
    table.mkdir()
    (table / "a.blk").write_bytes(b"a")
    final = staged.parent.parent / "final/table"
    final.mkdir()
    with pytest.raises(FileExistsError):
        give(table, "table")
    assert list(final.iterdir()) == []
    assert (table / "a.blk").exists()


@pytest.mark.parametrize("way", ["no renameat2"], indirect=True)
def test_a_folder_is_refused_where_only_links_could_publish(way: str, staged: Path) -> None:
    table = staged.with_name("table.part")
    table.mkdir()
    with pytest.raises(CannotPublish, match="a folder cannot be linked"):
        give(table, "table")
    assert table.is_dir()


@pytest.mark.parametrize("way", ["no renameat2"], indirect=True)
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.EPERM, CannotPublish),
        (errno.EOPNOTSUPP, CannotPublish),
        (errno.ENOSPC, OSError),
        (errno.EACCES, PermissionError),
        (errno.EIO, OSError),
    ],
)
def test_no_links_and_a_failing_disk_are_told_apart(
    way: str, staged: Path, monkeypatch: pytest.MonkeyPatch, code: int, expected: type[Exception]
) -> None:
    """The one is a matter of configuration, and its hint says so; the other of the disk."""

    def failing(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", failing)
    with pytest.raises(expected) as caught:
        give(staged)
    assert isinstance(caught.value, CannotPublish) == (expected is CannotPublish)
    assert staged.read_bytes() == b"whole"


def test_a_name_that_no_file_system_holds_is_an_error_of_that_name(way: str, staged: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        give(staged, "x" * 300)
    assert staged.exists()


def test_two_folders_side_by_side_are_one_mount(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert same_mount(str(tmp_path / "a"), str(tmp_path / "b"))
    assert list(tmp_path.rglob("*.*")) == []


@as_root
def test_two_mounts_of_one_disk_are_not_one_mount(tmp_path: Path) -> None:
    """Two bind mounts, as in a container: the device is the same, and renaming from one to the other fails."""
    (tmp_path / "disk/staging").mkdir(parents=True)
    (tmp_path / "disk/root").mkdir()
    with mounted("--bind", str(tmp_path / "disk"), at=tmp_path / "again") as again:
        assert (tmp_path / "disk").stat().st_dev == again.stat().st_dev
        assert not same_mount(str(tmp_path / "disk/staging"), str(again / "root"))


def test_another_file_system_is_not_one_mount(tmp_path: Path) -> None:
    if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    assert not same_mount(str(tmp_path), "/dev/shm")
