"""What a bank needs around it: its recorder deletes where space is short, which is said before it does."""

import pytest

from backfill.layouts.base import Advising
from backfill.layouts.xprotect import XProtect
from schema.settings import StorageSettings


@pytest.mark.parametrize(
    ("free", "says"),
    [
        (None, ""),
        (5 * 10**9, ""),
        (5 * 10**9 - 1, "below 5 GB free the recorder archives or deletes"),
        (10**9, "below 5 GB free the recorder archives or deletes"),
        (10**9 - 1, "below 1 GB free the recorder only deletes"),
    ],
)
def test_space_below_which_the_recorder_deletes_is_said(free: int | None, says: str) -> None:
    layout = XProtect.from_settings(StorageSettings(root="/bank", layout="xprotect"))
    assert isinstance(layout, Advising)
    scanner, *space = layout.advise(free)
    assert not scanner.wrong
    assert ".blk" in scanner.do
    assert [one.wrong for one in space] == ([True] if says else [])
    assert not says or says in space[0].says
