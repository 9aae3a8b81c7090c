"""What a host is asked: mounts read as the kernel writes them, and nothing is made by looking."""

from pathlib import Path

import pytest

from recorder_sync.doctor import facts
from tests import make

MOUNTS = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 8:17 / /srv/nvr rw,noatime - xfs /dev/sdb1 rw
31 22 0:45 / /srv/nvr\040b rw - nfs4 nas:/b rw
40 22 0:50 / /mnt/a rw - tmpfs tmpfs rw
41 22 8:33 / /mnt/a rw - btrfs /dev/sdc1 rw
a line that says nothing
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/srv", "ext4"),
        ("/srv/nvr", "xfs"),
        ("/srv/nvr/recordings/front", "xfs"),
        ("/srv/nvr-b", "ext4"),
        ("/srv/nvr b/recordings", "nfs4"),
        ("/mnt/a/x", "btrfs"),
    ],
)
def test_the_file_system_is_that_of_the_innermost_and_latest_mount(path: str, kind: str) -> None:
    assert facts.filesystem_in(MOUNTS, path) == kind


def test_without_any_mount_nothing_is_known() -> None:
    assert facts.filesystem_in("", "/srv") is None


def test_of_what_does_not_exist_the_folder_above_is_looked_at_and_nothing_is_made(tmp_path: Path) -> None:
    wanted = tmp_path / "not" / "yet"
    found = facts.place(str(wanted))
    assert (found.exists, found.writable) == (False, True)
    assert found.disk == tmp_path.stat().st_dev
    assert found.free is not None and found.free > 0
    assert make.tree(tmp_path) == {}
    assert not wanted.parent.exists()


def test_a_clock_that_cannot_be_asked_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts.sys, "platform", "win32")
    assert facts.clock_synchronised() is None


def test_the_kernel_tells_whether_a_time_service_keeps_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kernel:
        status = 0

        def adjtimex(self, told) -> int:  # type: ignore[no-untyped-def]
            told[facts._TIMEX_STATUS : facts._TIMEX_STATUS + 4] = self.status.to_bytes(4, "little")
            return 0

    kernel = Kernel()
    monkeypatch.setattr(facts.ctypes, "CDLL", lambda *_, **__: kernel)
    assert facts.clock_synchronised() is True
    kernel.status = facts._STA_UNSYNC
    assert facts.clock_synchronised() is False
