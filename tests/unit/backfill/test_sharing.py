"""The one guard for files that a recorder must be able to rename and delete while we read them.

Windows is not here: what is asked of it is checked with a stand-in for `CreateFileW`, and no more than that.
"""

import os
from pathlib import Path

import pytest

from backfill import sharing
from backfill.sharing import TooLarge, open_by, read_whole


def test_a_file_is_opened_on_windows_for_reading_and_shared_for_everything() -> None:
    asked: list[object] = []

    def create(*given: object) -> int:
        asked.extend(given)
        return 42

    assert open_by(create, lambda handle, _: handle + 1, r"\\nas\video\cache.xml") == 43
    path, access, share, security, disposition, flags, template = asked
    assert path == r"\\nas\video\cache.xml"
    assert access == 0x80000000, "GENERIC_READ"
    assert share == 0x7, "read, write and delete"
    assert (security, disposition, template) == (None, 3, None), "only what exists"
    assert flags == 0x00200000, "a link itself, never what it leads to"


@pytest.mark.parametrize("handle", [None, -1])
def test_a_handle_that_is_none_is_an_error(handle: int | None) -> None:
    with pytest.raises(OSError, match="cannot be opened"):
        open_by(lambda *_: handle, lambda handle, _: handle, "x")


def test_what_is_read_whole_is_closed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "cache.xml"
    path.write_bytes(b"x" * 100_000)
    before = os.listdir("/proc/self/fd")
    content, mtime_ns = read_whole(str(path), 100_000)
    assert (content, mtime_ns) == (b"x" * 100_000, path.stat().st_mtime_ns)
    assert os.listdir("/proc/self/fd") == before


def test_too_much_a_link_a_folder_and_a_pipe_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "cache.xml"
    path.write_bytes(b"12345")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(TooLarge):
        read_whole(str(path), 4)
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder", "absent"):
        with pytest.raises(OSError):
            read_whole(str(tmp_path / name), 1000)
    assert os.listdir("/proc/self/fd") == before


def test_everything_below_a_root_is_opened_through_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from backfill import beneath

    (tmp_path / "file").write_bytes(b"x")
    opened: list[str] = []

    def noting(path: str, *, dir_fd: int | None = None) -> int:
        opened.append(path)
        return sharing.open_shared(path, dir_fd=dir_fd)

    monkeypatch.setattr(beneath, "open_shared", noting)
    os.close(beneath.open_beneath(str(tmp_path), "file"))
    assert opened == ["file"]
