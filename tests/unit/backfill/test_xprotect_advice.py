"""What a bank needs around it: space that its recorder does not delete for, and passwords that fit."""

import pytest

from backfill.layouts.capabilities import Advice, Advising, Around, Known, Limits, Sight
from backfill.layouts.xprotect import XProtect
from schema.settings import StorageSettings
from schema.spans import DAY

PLAIN = Known("a/main", 5)
SHARED = {"passwords": "shared"}


def advised(around: Around, options: dict[str, str] | None = None) -> list[Advice]:
    layout = XProtect.from_settings(StorageSettings(root="/bank", layout="xprotect", options=options or {}))
    assert isinstance(layout, Advising)
    return list(layout.advise(around))


def test_a_virus_scanner_is_to_stay_away() -> None:
    scanner = advised(Around(free=None, own=PLAIN))[0]
    assert scanner.sight is Sight.UNSEEN
    assert ".blk" in scanner.do


@pytest.mark.parametrize(
    ("free", "says"),
    [
        (None, ""),
        (5 * 10**9, ""),
        (5 * 10**9 - 1, "below 5 GB free the recorder archives or deletes"),
        (10**9, "below 5 GB free the recorder archives or deletes"),
        (10**9 - 1, "below 1 GB free the recorder only deletes"),
        (250 * 10**6, "below 1 GB free the recorder only deletes"),
        (250 * 10**6 - 1, "below 250 MB free the recorder stops recording"),
    ],
)
def test_space_below_which_the_recorder_deletes_or_stops_is_said(free: int | None, says: str) -> None:
    wrong = [one for one in advised(Around(free=free, own=PLAIN)) if one.sight is Sight.WRONG]
    assert len(wrong) == (1 if says else 0)
    assert not says or says in wrong[0].says


@pytest.mark.parametrize(
    ("own", "sight", "says"),
    [
        (PLAIN, Sight.GOOD, "none of its 5 tables is encrypted"),
        (Known("a/main", 1200, 1100), Sight.UNSEEN, "1,100 of its 1,200 tables are encrypted, so in a peer's bank"),
        (Known("a/main", 0), Sight.UNSEEN, "whether its tables are encrypted is not known"),
    ],
)
def test_whether_the_tables_of_a_bank_are_encrypted_is_said(own: Known, sight: Sight, says: str) -> None:
    found = advised(Around(free=None, own=own))[-1]
    assert found.sight is sight
    assert says in found.says
    assert bool(found.do) is (sight is not Sight.GOOD)


@pytest.mark.parametrize(
    ("source", "options", "sight", "says", "do"),
    [
        (Known("b/main", 7), {}, Sight.GOOD, "none of b/main's 7 tables is encrypted", ""),
        (Known("b/main", 7), SHARED, Sight.GOOD, "none of b/main's 7 tables is encrypted", ""),
        (Known("b/main", 7, 3), {}, Sight.WRONG, "3 of b/main's 7 tables are encrypted, and refused", '"shared"'),
        (Known("b/main", 7, 3), SHARED, Sight.UNSEEN, "3 of b/main's 7 tables are encrypted, and brought", "look"),
        (Known("b/main", 0), {}, Sight.UNSEEN, "whether b/main's tables are encrypted is not known", "scan"),
        (Known("b/main", None), SHARED, Sight.UNSEEN, "is known on its own host only", "doctor' there"),
    ],
)
def test_what_encryption_of_a_peers_tables_means_here_is_said(
    source: Known, options: dict[str, str], sight: Sight, says: str, do: str
) -> None:
    found = advised(Around(free=None, own=PLAIN, sources=[source]), options)[-1]
    assert found.sight is sight
    assert says in found.says
    assert do in found.do


@pytest.mark.parametrize(
    ("retention", "limits", "sight", "said"),
    [
        (30 * DAY, [Limits(keeps=30 * DAY)], None, ""),
        (10 * DAY, [Limits(keeps=30 * DAY)], None, ""),
        (31 * DAY, [Limits(keeps=30 * DAY)], Sight.WRONG, "deletes after 30 d"),
        (31 * DAY, [Limits(), Limits(keeps=7 * DAY), Limits(keeps=60 * DAY)], None, ""),
        (31 * DAY, [Limits(), Limits()], None, ""),
        (None, [Limits(keeps=30 * DAY)], Sight.UNSEEN, "retention is not configured"),
        (None, [], None, ""),
    ],
)
def test_how_long_the_recorder_keeps_is_held_against_the_configuration(
    retention: int | None, limits: list[Limits], sight: Sight | None, said: str
) -> None:
    found = advised(Around(free=None, own=PLAIN, retention=retention, limits=limits))
    about = [one for one in found if "deletes after" in one.says]
    assert [one.sight for one in about] == ([] if sight is None else [sight])
    assert all(said in one.says for one in about)
