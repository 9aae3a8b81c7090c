"""Filling beside a bank of XProtect: whole tables, verified, with an index that tells of exactly them.

What must hold: not one byte below the destination's bank changes, a table appears whole or not at all, what the
recorder here could not open or has no device for is refused with that reason, and the index is always what lies there.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from backfill.after import after_fill
from backfill.gate import Gate
from backfill.layouts.xprotect import layout as xprotect_layout
from backfill.layouts.xprotect.cache import tables
from backfill.verify import verify
from schema.errors import ConfigInvalid
from schema.settings import parse
from schema.spans import HOUR, MINUTE
from schema.values import FillResult, Mark, Refusal, Segment, State
from tests import make
from tests.make import T0, Bench
from tests.xprotect import FRONT, MEDIA, SMALL, YARD, Recorder

Benches = Callable[[str], AbstractContextManager[Bench]]

PAIR = make.config_text("a", "b", layout="xprotect")
THEIRS = "5d0c2f9e-7a6b-4c3d-9e8f-0a1b2c3d4e5f"
"""The device on `b` that is the camera FRONT on `a`."""


@pytest.fixture(autouse=True)
def _small_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine for tests need not have the free space of a recorder."""
    monkeypatch.setattr(xprotect_layout, "_RECORDER_SPARE", 1_000_000)


def record(bench: Bench, lost: tuple[int, ...] = (2, 3), **more: object) -> tuple[Recorder, Recorder]:
    """Let two recorders record six hours; the first was dead in the hours `lost`."""
    a = Recorder(bench.root("a"), seed=1, **more)  # type: ignore[arg-type]
    b = Recorder(bench.root("b"), seed=2, **more)  # type: ignore[arg-type]
    b.hours(FRONT, T0, 6)
    for hour in range(6):
        if hour not in lost:
            a.hours(FRONT, T0 + hour * HOUR, 1)
    return a, b


def side(bench: Bench) -> Path:
    """Return where `a` keeps what `b` gave it."""
    [store] = [one for one in bench.site.side.values() if one.server == "a"]
    return Path(store.root)


def fill(bench: Bench, **question: object) -> FillResult:
    """Fill `a` and do what follows, as the commands do."""
    result = bench.fill("a", **question)
    notes = after_fill(bench.ledger, bench.site, "a", result.landed)
    return FillResult(landed=result.landed, refused=result.refused, sent=result.sent, notes=tuple(notes))


@pytest.fixture
def bench(benches: Benches) -> Iterator[Bench]:
    with benches(PAIR) as bench:
        yield bench


def filled(bench: Bench) -> list[Segment]:
    """Return what the ledger has of the side store."""
    [store] = [one for one in bench.site.side.values() if one.server == "a"]
    with bench.ledger.reading() as connection:
        return bench.ledger.segments.filled(connection, store.id)


def test_whole_tables_come_beside_the_bank_and_never_into_it(bench: Bench) -> None:
    _, b = record(bench)
    bench.scan()
    assert bench.states("a", FRONT) == [("fillable", 7200, 14400)]
    bank = make.tree(bench.root("a"))
    result = fill(bench)
    assert len(result.landed) == 2 and not result.refused
    assert make.tree(bench.root("a")) == bank
    theirs = make.tree(b.bank)
    brought = {path: content for path, content in make.tree(side(bench)).items() if path != "cache.xml"}
    assert brought == {path: theirs[path] for path in brought} and len(brought) > 20
    assert {path.split("/")[0] for path in brought} == {one.name for one in b.closed[2:4]}
    assert bench.states("a", FRONT) == [("filled", 7200, 14400)]
    bench.scan(full=True)
    assert bench.states("a", FRONT) == [("filled", 7200, 14400)]
    again = fill(bench)
    assert (again.sent, again.landed, again.refused, again.notes) == (0, (), (), ())
    report = verify(bench.ledger, list(bench.site.side.values()), chunk_size=65536, gate=Gate())
    assert (report.damage, report.read) == ([], 2)


def test_the_index_beside_tells_of_exactly_what_lies_there(bench: Bench) -> None:
    _, b = record(bench, signed=True)
    bench.scan()
    result = fill(bench)
    assert "cache.xml tells of 2 filled" in " ".join(result.notes)
    ours, theirs = tables((side(bench) / "cache.xml").read_bytes()), tables(b.cache_text().encode())
    assert list(ours) == [one.name for one in b.closed[2:4]]
    for name, table in ours.items():
        peer = theirs[name]
        assert (table.size, table.description, table.device_type) == (peer.size, "Shoe Store", "Camera")
        assert set(table.columns) == set(peer.columns), "times, sizes and what is empty, column by column"
    text = (side(bench) / "cache.xml").read_text()
    assert "<signing_algorithm>SHA2</signing_algorithm>" in text and "<encryption>" not in text


def test_the_side_store_is_a_bank_that_another_scan_reads(bench: Bench, benches: Benches) -> None:
    record(bench)
    bench.scan()
    fill(bench)
    shutil.copytree(side(bench), bench.base / "c/recordings", copy_function=shutil.copy2)
    with benches(make.config_text("c", layout="xprotect", head=make.CONFIG.replace("ledger.db", "other.db"))) as other:
        other.scan()
        assert other.survey().coverage[FRONT]["c"].own == [(T0 + 2 * HOUR, T0 + 4 * HOUR)]


def test_a_second_fill_adds_to_the_index_and_keeps_what_it_said(bench: Bench) -> None:
    a, b = record(bench)
    bench.scan()
    fill(bench)
    index = side(bench) / "cache.xml"
    first = index.read_text().replace("Shoe Store", "As it was said first")
    index.write_text(first)
    b.hours(FRONT, T0 + 6 * HOUR, 2)
    a.hours(FRONT, T0 + 7 * HOUR, 1)
    bench.scan()
    fill(bench)
    found = tables(index.read_bytes())
    assert [one.description for one in found.values()] == ["As it was said first"] * 2 + ["Shoe Store"]


def test_what_an_operator_takes_away_is_told_of_no_more(bench: Bench) -> None:
    record(bench)
    bench.scan()
    fill(bench)
    for table in sorted(path for path in side(bench).iterdir() if path.is_dir()):
        shutil.rmtree(table)
        bench.scan(accept_loss=True)
        fill(bench)
        left = {path.name for path in side(bench).iterdir() if path.is_dir()}
        assert set(tables((side(bench) / "cache.xml").read_bytes())) == left
    assert bench.fill("a").sent == 0, "deleted is not asked for again"


def test_an_index_that_was_lost_or_damaged_is_made_again(bench: Bench) -> None:
    record(bench)
    bench.scan()
    fill(bench)
    index = side(bench) / "cache.xml"
    whole = index.read_bytes()
    for harm in (index.unlink, lambda: index.write_bytes(whole[: len(whole) // 2])):
        harm()
        bench.scan(full=True)
        assert bench.states("a", FRONT) == [("filled", 7200, 14400)]
        assert "cache.xml tells of 2 filled" in " ".join(fill(bench).notes)
        assert index.read_bytes() == whole


def test_a_lost_ledger_is_rebuilt_and_knows_what_was_filled(bench: Bench) -> None:
    record(bench)
    bench.scan()
    fill(bench)
    (side(bench) / "cache.xml").unlink()  # not even that is needed
    before = [(one.path, one.start, one.end, one.origin) for one in filled(bench)]
    with bench.ledger.writing() as connection:
        for storage in (*bench.site.storages, *bench.site.side.values()):
            bench.ledger.segments.forget_storage(connection, storage.id)
    bench.scan()
    assert [(one.path, one.start, one.end, one.origin) for one in filled(bench)] == before
    assert {one[3] for one in before} == {"b"}
    assert bench.fill("a").sent == 0


@pytest.mark.parametrize(
    "said",
    [
        f"<bank><description>{'x' * 900_000}</description></bank>",
        '<!DOCTYPE b [<!ENTITY s SYSTEM "file:///etc/hostname">]><bank><description>&s;</description></bank>',
        "<bank><description>half",
        "<bank>" + "<x>" * 200 + "</x>" * 200 + "</bank>",
        "<bank><description/><encryption/><meta_data><entry key='device_type'/></meta_data></bank>",
        "\0" * 100,
    ],
    ids=["long", "entity", "half", "deep", "empty", "zeros"],
)
def test_what_a_peers_table_says_of_itself_spoils_no_index(said: str, bench: Bench) -> None:
    _, b = record(bench)
    name = b.closed[2].name
    (b.bank / name / "config.xml").write_text(said)
    make.put(b.bank / name, "\x01 <&\u202e/block0.blk", b"no column", T0)
    make.put(b.bank / name, f"{SMALL[0]}/deeper/block0.blk", b"no column either", T0)
    bench.scan()
    assert len(fill(bench).landed) == 2
    found = tables((side(bench) / "cache.xml").read_bytes())
    assert [one.description for one in found.values()][1] == "Shoe Store"
    assert {column.name for column in found[name].columns} == {MEDIA, *SMALL}
    assert len(found[name].description) <= 512 and not found[name].problem


def test_encrypted_tables_are_refused_with_that_reason(bench: Bench) -> None:
    record(bench, encrypted=True)
    bench.scan()
    result = fill(bench)
    assert (result.sent, result.landed) == (0, ())
    assert {one.why for one in result.refused} == {Refusal.ENCRYPTED}
    assert bench.states("a", FRONT) == [("refused", 7200, 10800), ("refused", 10800, 14400)]


def test_encrypted_tables_are_brought_where_both_banks_have_the_same_passwords(benches: Benches) -> None:
    shared = make.config_text("a", "b", layout="xprotect", more='options = { passwords = "shared" }')
    with benches(shared) as bench:
        record(bench, encrypted=True)
        bench.scan()
        assert len(fill(bench).landed) == 2
        assert {one.marks for one in filled(bench)} == {Mark.ENCRYPTED}
        bench.scan(full=True)
        assert {one.marks for one in filled(bench)} == {Mark.ENCRYPTED}
        text = (side(bench) / "cache.xml").read_text()
        assert text.count("<password_selection>2</password_selection>") == 2
        assert all(one.encrypted for one in tables(text.encode()).values())


def test_of_two_storages_what_is_encrypted_goes_to_the_one_that_can_open_it(benches: Benches) -> None:
    second = '\n[[servers.storages]]\nname = "locked"\nroot = "a/locked"\nlayout = "xprotect"\n'
    second += 'options = { passwords = "shared" }\n'
    text = PAIR.replace('[[servers]]\nname = "b"', f'{second}\n[[servers]]\nname = "b"')
    with benches(text) as bench:
        record(bench, encrypted=True)
        bench.scan()
        result = fill(bench)
        assert not result.refused and len(result.landed) == 2
        [beside] = {bench.site.storage(one.storage_id).name for one in result.landed}
        assert beside.startswith("locked ")


def test_a_table_that_is_renamed_beside_the_bank_stays_what_it_is(benches: Benches) -> None:
    shared = make.config_text("a", "b", layout="xprotect", more='options = { passwords = "shared" }')
    with benches(shared) as bench:
        record(bench, encrypted=True)
        bench.scan()
        fill(bench)
        bench.scan()
        for table in [path for path in side(bench).iterdir() if path.is_dir()]:
            table.rename(table.with_name(table.name.replace("_LOCAL_", "_ARCHIVE_")))
        bench.scan()
        assert {(one.origin, one.marks) for one in filled(bench)} == {("b", Mark.ENCRYPTED)}
        assert bench.states("a", FRONT) == [("filled", 7200, 14400)]
        fill(bench)
        assert all("_ARCHIVE_" in name for name in tables((side(bench) / "cache.xml").read_bytes()))


def test_what_another_layout_gives_is_no_strange_device(benches: Benches) -> None:
    text = make.config_text("a", "b", layout="xprotect")
    mixed = text.replace('root = "b/recordings"\nlayout = "xprotect"', 'root = "b/recordings"\nlayout = "frigate"')
    with benches(mixed) as bench:
        Recorder(bench.root("a")).hours(FRONT, T0, 1)
        make.record(bench.root("b"), "front", make.tens(0, 60))
        bench.scan()
        assert len(fill(bench, since=T0).landed) == 6


def mapped(a: str, b: str) -> str:
    """Return a configuration in which both recorders' devices are mapped."""
    text = make.config_text("a", "b", layout="xprotect")
    for name, cameras in (("a", a), ("b", b)):
        text = text.replace(f'name = "{name}"\n', f'name = "{name}"\ncameras = {{ {cameras} }}\n')
    return text


def other_device(bench: Bench) -> Recorder:
    """Let `a` and `b` record one camera under different GUIDs; `a` was dead in the third hour."""
    a = Recorder(bench.root("a"), {FRONT: "Shoe Store"}, seed=1)
    b = Recorder(bench.root("b"), {THEIRS: "Shoe Store"}, seed=2)
    b.hours(THEIRS, T0, 4)
    a.hours(FRONT, T0, 2)
    a.hours(FRONT, T0 + 3 * HOUR, 1)
    return b


@pytest.mark.parametrize(
    ("a", "b"),
    [(f'{FRONT} = "entrance"', f'{THEIRS} = "entrance"'), ("", f'{THEIRS} = "{FRONT}"')],
    ids=["both to a name", "theirs to ours"],
)
def test_a_mapped_device_lands_under_the_guid_of_the_recorder_here(a: str, b: str, benches: Benches) -> None:
    with benches(mapped(a, b)) as bench:
        recorder = other_device(bench)
        bench.scan()
        result = fill(bench)
        assert not result.refused
        name = recorder.closed[2].name.replace(THEIRS, FRONT)
        assert [one.path for one in result.landed] == [name]
        assert list(tables((side(bench) / "cache.xml").read_bytes())) == [name]
        assert make.tree(side(bench) / name) == make.tree(bench.root("b") / recorder.closed[2].name)
        bench.scan(full=True)
        camera = "entrance" if a else FRONT
        assert bench.states("a", camera) == [("filled", 7200, 10800)]


def test_a_device_that_the_recorder_here_does_not_have_is_refused(bench: Bench) -> None:
    other_device(bench)
    bench.scan()
    result = fill(bench, since=T0)
    assert result.landed == () and {one.why for one in result.refused} == {Refusal.STRANGE_DEVICE}


def test_a_bank_that_lost_everything_is_filled_whole(bench: Bench) -> None:
    Recorder(bench.root("a"))
    Recorder(bench.root("b")).hours(FRONT, T0, 3)
    bench.scan()
    assert len(fill(bench, since=T0).landed) == 3


def test_a_bank_that_lost_everything_is_filled_whole_where_some_devices_are_mapped(benches: Benches) -> None:
    with benches(mapped(f'{YARD} = "yard"', "")) as bench:
        Recorder(bench.root("a"))
        Recorder(bench.root("b")).hours(FRONT, T0, 3)
        bench.scan()
        assert len(fill(bench, since=T0).landed) == 3


def test_a_mapped_table_is_known_by_its_camera_without_any_note_of_it(benches: Benches) -> None:
    with benches(mapped(f'{FRONT} = "entrance"', f'{THEIRS} = "entrance"')) as bench:
        other_device(bench)
        bench.scan()
        fill(bench)
        [store] = [one for one in bench.site.side.values() if one.server == "a"]
        shutil.rmtree(Path(store.state_folder()) / "origins")
        with bench.ledger.writing() as connection:
            bench.ledger.segments.forget_storage(connection, store.id)
        bench.scan()
        assert [(one.camera, one.origin) for one in filled(bench)] == [("entrance", "b")]


def test_a_name_that_is_no_device_is_refused_with_what_to_do(benches: Benches) -> None:
    with benches(mapped("", f'{THEIRS} = "entrance"')) as bench:
        b = Recorder(bench.root("b"), {THEIRS: "Shoe Store"})
        b.hours(THEIRS, T0, 2)
        bench.scan()
        [one, *_] = bench.plan("a", since=T0).refused
        assert one.why is Refusal.UNPLACEABLE and "'entrance' is no device GUID" in one.sentence


def test_free_space_that_the_recorder_needs_is_left_alone(bench: Bench, benches: Benches) -> None:
    record(bench)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xprotect_layout, "_RECORDER_SPARE", 10**18)
        with benches(PAIR) as other:
            other.scan()
            result = fill(other)
    assert result.landed == () and {one.why for one in result.refused} == {Refusal.NO_SPACE}


def test_a_table_that_is_damaged_on_its_way_never_appears(bench: Bench) -> None:
    _, b = record(bench, lost=(2,))
    bench.scan()
    planned = bench.plan("a")
    table = b.bank / b.closed[2].name
    with (table / MEDIA / "block0.blk").open("ab") as file:
        file.write(b"the recorder repairs it")
    result = bench.fill("a", planned)
    assert [one.why for one in result.refused] == [Refusal.SOURCE_CHANGED]
    assert not side(bench).exists() or make.tree(side(bench)) == {}


def test_several_banks_beside_have_an_index_each(benches: Benches) -> None:
    with benches(make.config_text("a", "b", layout="xprotect", more='options = { banks = "several" }')) as bench:
        first, second = "11f3a5c0-6f0f-4d0e-9b58-7f2f2a0c9e10", "2c2b1d6e-0d1a-4a44-8a7e-5b9a1c0f7702"
        Recorder(bench.root("b") / second, seed=2, tag="ARCHIVE").hours(FRONT, T0, 3)
        Recorder(bench.root("b") / first, seed=2).hours(FRONT, T0 + 3 * HOUR, 3)
        recorder = Recorder(bench.root("a") / first, seed=1)
        recorder.hours(FRONT, T0, 1)
        recorder.hours(FRONT, T0 + 5 * HOUR, 1)
        bench.scan()
        assert len(fill(bench).landed) == 4
        for bank in (first, second):
            found = tables((side(bench) / bank / "cache.xml").read_bytes())
            assert set(found) == {path.name for path in (side(bench) / bank).iterdir() if path.is_dir()}
            assert len(found) == 2


def test_filling_into_the_tree_is_no_configuration(tmp_path: Path) -> None:
    text = make.config_text("a", layout="xprotect", more='fill = "tree"')
    settings = parse(text.encode(), tmp_path / "recorder-sync.toml")
    from backfill.layouts import build

    with pytest.raises(ConfigInvalid, match="a bank that its recorder owns"):
        build(settings.servers[0].storages[0], "a")


def test_small_columns_may_differ_between_twins(bench: Bench) -> None:
    a, _ = record(bench, lost=())
    for table in a.closed:
        make.put(a.bank / table.name, f"{SMALL[1]}/block0.blk", b"motion here", T0)
    bench.scan()
    assert bench.states("a", FRONT) == []
    assert bench.plan("a").tasks == ()


def test_a_live_table_of_the_peer_is_no_gap_here(bench: Bench) -> None:
    _, b = record(bench, lost=())
    b.record(FRONT, T0 + 6 * HOUR, T0 + 6 * HOUR + 10 * MINUTE)
    bench.scan()
    assert bench.states("a", FRONT) == []


def test_uncertain_tables_are_neither_coverage_nor_given_away(bench: Bench) -> None:
    _, b = record(bench)
    os.unlink(b.bank / "cache.xml")
    bench.scan()
    assert bench.plan("a").tasks == ()
    storage = next(one for one in bench.site.storages if one.server == "b")
    with bench.ledger.reading() as connection:
        rows = bench.ledger.segments.after(connection, storage.id, State.SEALED, 0)
    assert all(row.marks & Mark.UNCERTAIN for _, row in rows if row)
