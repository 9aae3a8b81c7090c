"""What a recorder can be given of what was filled beside its bank, into which bank, and why something stays."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.importing.choose import NOWHERE, Choice, Folder, Tree, choose
from backfill.layouts import build
from backfill.layouts.capabilities import Importing, Limits
from backfill.layouts.xprotect.bank import bank_limits
from backfill.layouts.xprotect.cache import CacheBad
from backfill.storage import Storage
from schema.settings import StorageSettings
from schema.spans import DAY, HOUR, MINUTE
from schema.values import Kind, Mark, Refusal, Segment
from tests.make import T0
from tests.xprotect import FRONT, YARD

NOW = T0 + 10 * DAY
GB = 10**9


def table(hour: int, *, device: str = FRONT, bank: str = "", tag: str = "LOCAL", origin: str | None = None) -> Segment:
    name = f"{device}_{tag}_2026-11-{22 + hour // 24:02}_{hour % 24:02}-00-00"
    return Segment(
        storage_id=1,
        camera=device,
        path=f"{bank}/{name}" if bank else name,
        start=T0 + hour * HOUR,
        end=T0 + (hour + 1) * HOUR,
        size=GB,
        mtime_ns=0,
        inode=0,
        kind=Kind.FOLDER,
        origin=origin,
    )


def tree(own: list[Segment], **more: object) -> Tree:
    settings = StorageSettings(name="main", root="/a", layout="xprotect", options={"banks": "several"})
    layout = build(settings, "a")
    assert isinstance(layout, Importing)
    by_camera: dict[str, list[Segment]] = {}
    for one in own:
        by_camera.setdefault(one.camera, []).append(one)
    folders = {bank: Folder(limits=Limits()) for bank in ("live", "archive")}
    given = Tree(
        storage=Storage(id=1, server="a", name="main", root="/a", layout=layout, settings=settings),
        layout=layout,
        decrypts=False,
        folders=folders,
        own=by_camera,
        free=100 * GB,
        spare=6 * GB,
        now=NOW,
        retention=None,
    )
    return replace(given, **more)


def chosen(found: Choice) -> list[str]:
    return [move.path for move in found.moves]


def why(found: Choice) -> str:
    assert not found.moves
    return found.left[0].why


OWN = [table(hour, bank="archive", tag="ARCHIVE") for hour in (0, 1)] + [table(hour, bank="live") for hour in (8, 9)]


def filled(*hours: int, **more: str) -> list[tuple[str, Segment]]:
    return [("beside", table(hour, origin="b", **more)) for hour in hours]


def test_each_goes_beside_the_nearest_own_table_and_is_named_like_it() -> None:
    found = choose(tree(OWN), filled(2, 7))
    assert chosen(found) == [f"archive/{table(2, tag='ARCHIVE').path}", f"live/{table(7).path}"]
    assert [move.twice for move in found.moves] == [0, 0] and not found.left


def test_what_the_recorder_has_itself_is_counted() -> None:
    late = msgspec.structs.replace(table(1, origin="b"), start=T0 + 90 * MINUTE, end=T0 + 150 * MINUTE)
    assert [move.twice for move in choose(tree(OWN), [("beside", late)]).moves] == [30 * MINUTE]


def test_a_name_that_is_taken_leads_to_the_next() -> None:
    names = {"live": Folder(limits=Limits(), names=[table(7).path]), "archive": Folder(limits=Limits())}
    assert chosen(choose(tree(OWN, folders=names), filled(7))) == ["live/" + table(7).path.replace("00-00", "00-01")]
    twice = [*filled(7), ("other", table(7, origin="c"))]
    assert len(set(chosen(choose(tree(OWN), twice)))) == 2


@pytest.mark.parametrize("said", ["keeps", "retention"])
def test_what_would_be_deleted_at_once_stays(said: str) -> None:
    old, keeps = filled(7), NOW - (T0 + 8 * HOUR) - 1
    if said == "keeps":
        short = tree(OWN, folders={"live": Folder(limits=Limits(keeps=keeps)), "archive": Folder(limits=Limits())})
    else:
        short = tree(OWN, retention=keeps)
    assert "would delete it at once" in why(choose(short, old))
    assert choose(tree(OWN, retention=keeps + 2), old).moves


def test_where_there_is_not_room_for_all_the_newest_go_in() -> None:
    full = Folder(limits=Limits(most=10 * GB), held=8 * GB)
    found = choose(tree(OWN, folders={"live": full, "archive": Folder(limits=Limits())}), filled(5, 6, 7))
    assert chosen(found) == [f"live/{table(hour).path}" for hour in (6, 7)]
    assert "delete its oldest" in found.left[0].why


def test_below_its_limit_of_free_space_the_recorder_deletes() -> None:
    assert "are free" in why(choose(tree(OWN, free=5 * GB), filled(7)))


def test_what_it_could_not_open_or_has_no_device_for_stays() -> None:
    [(side, one)] = filled(7)
    locked = msgspec.structs.replace(one, marks=int(Mark.ENCRYPTED))
    assert why(choose(tree(OWN), [(side, locked)])) == Refusal.ENCRYPTED
    assert choose(tree(OWN, decrypts=True), [(side, locked)]).moves
    assert why(choose(tree(OWN), filled(7, device=YARD))) == Refusal.STRANGE_DEVICE
    mapped = tree(OWN)
    mapped = replace(mapped, storage=replace(mapped.storage, cameras={YARD: YARD}))
    assert why(choose(mapped, filled(7, device=YARD))) == NOWHERE
    alone = replace(mapped, folders={"live": Folder(limits=Limits())})
    assert chosen(choose(alone, filled(7, device=YARD))) == [f"live/{table(7, device=YARD).path}"]


def test_a_name_without_a_time_is_a_live_one_to_a_recorder() -> None:
    bare = msgspec.structs.replace(table(7, origin="b"), path=FRONT)
    assert "live one" in why(choose(tree(OWN), [("beside", bare)]))


@given(hours=st.lists(st.integers(0, 23), max_size=12), room=st.integers(0, 8), taken=st.sets(st.integers(0, 23)))
def test_nothing_is_named_twice_lost_or_beyond_the_room(hours: list[int], room: int, taken: set[int]) -> None:
    names = [table(hour).path for hour in taken]
    folders = {"live": Folder(limits=Limits(most=room * GB), names=names), "archive": Folder(limits=Limits())}
    given_ = filled(*hours)
    found = choose(tree([table(30, bank="live")], folders=folders), given_)
    assert len(found.moves) + len(found.left) == len(given_)
    assert len(found.moves) <= room
    assert len(set(chosen(found))) == len(found.moves) and not set(chosen(found)) & {f"live/{name}" for name in names}
    assert found == choose(tree([table(30, bank="live")], folders=folders), given_[::-1])


XML = '<?xml version="1.0" encoding="UTF-8"?><bank id="X" version="1.2">{}</bank>'


@pytest.mark.parametrize(
    ("inside", "rules"),
    [
        ("", Limits(keeps=None, most=None)),
        (
            "<max_size_in_mb>500000</max_size_in_mb><max_minutes>43200</max_minutes>",
            Limits(keeps=30 * DAY, most=495 * GB),
        ),
        (
            "<max_minutes>60</max_minutes><archive><link><destination_bank>E:\\Archive</destination_bank></link></archive>",
            Limits(keeps=None, most=None),
        ),
        ("<max_size_in_mb>-3</max_size_in_mb><max_minutes>many</max_minutes>", Limits(keeps=None, most=None)),
        ("<max_size_in_mb>1000</max_size_in_mb><max_minutes>0</max_minutes>", Limits(keeps=None, most=0)),
        (f"<max_minutes>{'9' * 40}</max_minutes>", Limits(keeps=None, most=None)),
    ],
)
def test_what_a_bank_says_that_it_keeps(inside: str, rules: Limits) -> None:
    assert bank_limits(XML.format(inside).encode()) == rules


@pytest.mark.parametrize(
    "content",
    [b"", b"<bank", b"<other/>", b'<!DOCTYPE bank [<!ENTITY a "b">]><bank><max_minutes>&a;</max_minutes></bank>'],
)
def test_what_is_no_bank_s_configuration_says_nothing(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(CacheBad):
        bank_limits(content)
    layout = build(StorageSettings(name="main", root=str(tmp_path), layout="xprotect"), "a")
    assert isinstance(layout, Importing)
    (tmp_path / "config.xml").write_bytes(content)
    assert layout.limits(str(tmp_path), "") == Limits()
