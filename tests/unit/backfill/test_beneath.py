"""Nothing outside a root is ever opened, whatever a name says and whatever someone plants in the tree.

Paths come from a peer, and the tree may be writable by others. What must hold: a name that could climb is refused
before the disk is asked, no symbolic link is followed below the root, nothing waits for ever, and no descriptor is left
open.
"""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backfill import beneath
from backfill.beneath import CaseClash, check_relative, folder_beneath, open_beneath
from schema.errors import PathRefused
from tests.faults import as_root, deadline

CLIMBING = [
    "",
    "/",
    "/etc/passwd",
    "..",
    "../x",
    "a/../b",
    "a/..",
    ".",
    "./a",
    "a/./b",
    "a//b",
    "a/",
    "//a",
    "a\0b",
    "\0",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a recording, beside it a secret that nobody may reach."""
    (tmp_path / "root/front").mkdir(parents=True)
    (tmp_path / "root/front/one.mp4").write_bytes(b"recording")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(b"secret")
    return tmp_path / "root"


@pytest.fixture(autouse=True)
def no_descriptor_stays_open() -> Iterator[None]:
    def opened() -> set[str]:
        return {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _alive(fd)}

    before = opened()
    yield
    assert {path for path in opened() - before if "/root" in path or "/outside" in path} == set()


def _alive(fd: str) -> bool:
    return os.path.islink(f"/proc/self/fd/{fd}")


def content(root: Path, path: str) -> bytes:
    fd = open_beneath(str(root), path)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


@pytest.mark.parametrize("path", CLIMBING)
def test_a_name_that_could_climb_is_refused_before_the_disk_is_asked(path: str) -> None:
    with pytest.raises(PathRefused):
        check_relative(path)
    with pytest.raises(PathRefused):
        open_beneath("/", path)


@pytest.mark.parametrize("path", CLIMBING[1:])
def test_no_folder_is_made_under_such_a_name(root: Path, path: str) -> None:
    with pytest.raises(PathRefused), folder_beneath(str(root), path, create=True):
        pass
    assert sorted(os.listdir(root.parent)) == ["outside", "root"]


@pytest.mark.parametrize(
    "path", ["..a", "a..", "...", "ein Name", "日本/録画.mp4", "-rf", "a\nb", ".hidden", "a:b", "a\\b"]
)
def test_an_odd_but_harmless_name_is_opened(root: Path, path: str) -> None:
    (root / path).parent.mkdir(exist_ok=True)
    (root / path).write_bytes(b"odd")
    assert content(root, path) == b"odd"


def test_a_recording_is_read(root: Path) -> None:
    assert content(root, "front/one.mp4") == b"recording"


def test_the_root_itself_may_be_a_link(root: Path) -> None:
    (root.parent / "link").symlink_to(root)
    assert content(root.parent / "link", "front/one.mp4") == b"recording"


@pytest.mark.parametrize("target", ["../../outside/secret", "one.mp4", "/etc/passwd", "nowhere"])
def test_a_link_at_the_end_is_refused(root: Path, target: str) -> None:
    (root / "front/link.mp4").symlink_to(target)
    with pytest.raises(PathRefused, match="symbolic link"):
        open_beneath(str(root), "front/link.mp4")


@pytest.mark.parametrize("target", ["../outside", "front", "/"])
def test_a_link_in_the_middle_is_refused(root: Path, target: str) -> None:
    (root / "link").symlink_to(target)
    for path in ("link/secret", "link/one.mp4", "link/etc/passwd"):
        with pytest.raises(PathRefused, match="symbolic link"):
            open_beneath(str(root), path)
    with pytest.raises(PathRefused), folder_beneath(str(root), "link/new", create=True):
        pass
    assert not (root / "front/new").exists()
    assert not (root.parent / "outside/new").exists()


def test_a_pipe_is_refused_and_nobody_waits_for_its_writer(root: Path) -> None:
    os.mkfifo(root / "front/pipe.mp4")
    with deadline(5, "it waits for a writer"), pytest.raises(PathRefused, match="not a regular file"):
        open_beneath(str(root), "front/pipe.mp4")


def test_a_folder_and_a_socket_are_no_files(root: Path) -> None:
    with pytest.raises(PathRefused, match="not a regular file"):
        open_beneath(str(root), "front")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.open(root, os.O_RDONLY)
        try:
            listening.bind(f"/proc/self/fd/{here}/socket")  # the name of a socket may only be short
        finally:
            os.close(here)
    with pytest.raises(PathRefused, match="socket"):
        open_beneath(str(root), "socket")


def test_what_is_not_there_is_said_so(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_beneath(str(root), "front/gone.mp4")
    with pytest.raises(FileNotFoundError), folder_beneath(str(root), "yard"):
        pass
    assert not (root / "yard").exists()


def test_missing_folders_are_made(root: Path) -> None:
    with folder_beneath(str(root), "2026/11/22", create=True) as fd:
        os.close(os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    assert (root / "2026/11/22/x").exists()


def test_a_file_in_the_way_is_refused_and_stays(root: Path) -> None:
    with pytest.raises(PathRefused, match="not a folder"), folder_beneath(str(root), "front/one.mp4/x", create=True):
        pass
    assert (root / "front/one.mp4").read_bytes() == b"recording"


@as_root
def test_a_new_folder_belongs_to_whom_its_parent_belongs(root: Path) -> None:
    os.chown(root / "front", 1234, 2345)
    with folder_beneath(str(root), "front/new/deep", create=True):
        pass
    made = (root / "front/new/deep").stat()
    assert (made.st_uid, made.st_gid) == (1234, 2345)


def test_the_recorder_may_make_the_folder_first(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.mkdir

    def recorder_is_faster(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        real(path, mode, dir_fd=dir_fd)
        real(path, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", recorder_is_faster)
    with folder_beneath(str(root), "yard", create=True):
        assert (root / "yard").is_dir()


def test_a_link_planted_between_looking_and_making_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def attacker_is_faster(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        os.symlink("../outside", path, dir_fd=dir_fd)
        raise FileExistsError(path)

    monkeypatch.setattr(os, "mkdir", attacker_is_faster)
    with pytest.raises(PathRefused), folder_beneath(str(root), "yard", create=True):
        pass


def test_a_folder_swapped_for_a_link_again_and_again_never_leads_outside(root: Path) -> None:
    """The root's `front` alternates between a folder and a link to where the secret is."""
    (root / "front/secret").write_bytes(b"own")
    spare, link = root / "spare", root / "link"
    link.symlink_to("../outside")
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            os.rename(root / "front", spare)
            os.rename(link, root / "front")
            os.rename(root / "front", link)
            os.rename(spare, root / "front")

    swapping = threading.Thread(target=swap)
    swapping.start()
    seen = set()
    try:
        for _ in range(3000):
            try:
                seen.add(content(root, "front/secret"))
            except (PathRefused, FileNotFoundError) as error:
                seen.add(type(error).__name__.encode())
    finally:
        done.set()
        swapping.join()
    assert b"own" in seen
    assert b"secret" not in seen


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("./ab\0é\\:~"), max_size=12))
def test_any_name_is_opened_below_the_root_or_not_at_all(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    root = tmp_path_factory.getbasetemp() / "any-root"
    root.mkdir(exist_ok=True)
    try:
        with folder_beneath(str(root), path, create=True) as fd:
            where = os.readlink(f"/proc/self/fd/{fd}")
    except PathRefused:
        return
    assert os.path.commonpath([where, root]) == str(root)


class Folding:
    """`os`, on a file system for which upper and lower case are one."""

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    @staticmethod
    def _real(name: str, dir_fd: int | None) -> str:
        if dir_fd is None:
            return name
        return next((one for one in os.listdir(dir_fd) if one.casefold() == name.casefold()), name)

    def open(self, name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        return os.open(self._real(name, dir_fd), flags, mode, dir_fd=dir_fd)

    def stat(self, name: str, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
        return os.stat(self._real(name, dir_fd), dir_fd=dir_fd, follow_symlinks=follow_symlinks)


def test_where_case_does_not_count_another_spelling_is_not_filled(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the next scan would find `front/x` as `Front/x`, which no origin record names, and offer it back."""
    (root / "Front").mkdir()
    (root / "front/one.mp4").unlink()
    (root / "front").rmdir()
    monkeypatch.setattr(beneath, "os", Folding())
    with pytest.raises(CaseClash, match="upper and lower case"), folder_beneath(str(root), "front/new", create=True):
        pass
    with folder_beneath(str(root), "Front/new", create=True):
        assert (root / "Front/new").is_dir()
    with folder_beneath(str(root), "front"):  # reading is harmless
        pass


def test_where_case_counts_both_spellings_are_two_folders(root: Path) -> None:
    (root / "FRONT").mkdir()
    with folder_beneath(str(root), "Front/new", create=True):
        pass
    assert sorted(os.listdir(root)) == ["FRONT", "Front", "front"]
