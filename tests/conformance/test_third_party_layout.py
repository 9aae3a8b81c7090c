"""A layout from a package we have never heard of, whose segments are folders, works from configuration alone.

This is the road that a vendor's own format takes (an XProtect table is a folder of files that mean something only
together). Nothing of ours may know the layout, a folder must appear whole or not at all, and a package that is broken
may hurt only who configured it.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from backfill.detect import detect
from backfill.gate import Gate
from backfill.layouts import available, build
from backfill.layouts.registry import layout_class
from backfill.verify import verify
from schema.errors import ConfigInvalid
from schema.settings import StorageSettings
from schema.spans import SECOND
from schema.values import Kind, Refusal, Segment, State
from tests import make

CODE = '''
import calendar, re, time
from backfill.layouts import CompleteRule, EndRule, Named, Stamp, Traits
from backfill.layouts.base import Unplaceable
from backfill.layouts.patterned import refuse_unknown_options

NAME = re.compile(r"([a-z][a-z0-9]*)/(\\\\d{8}T\\\\d{6})(?:_(\\\\d{1,5})s)?")

class Acme:
    """Tables: `<camera>/<UTC time>_<seconds>s/`, renamed from `<camera>/rec` when closed."""

    def __init__(self, says_length):
        self.traits = Traits(
            name="acme", title="Acme", summary="Folders.", fill="tree", segment=10_000_000, blur=0,
            end=EndRule.NAME if says_length else EndRule.CONTAINER, complete=CompleteRule.NAME,
        )

    @classmethod
    def from_settings(cls, storage):
        refuse_unknown_options("acme", storage.options, {"lengths"})
        return cls(storage.options.get("lengths", "yes") == "yes")

    def read(self, path):
        match = NAME.fullmatch(path)
        if match is None:
            return None
        start = calendar.timegm(time.strptime(match[2], "%Y%m%dT%H%M%S")) * 1_000_000
        length = None if match[3] is None else int(match[3]) * 1_000_000
        return Named(match[1], "", Stamp(start, False), length, {})

    def write(self, named):
        if named.stamp is None:
            raise Unplaceable("Acme needs a time")
        start = time.strftime("%Y%m%dT%H%M%S", time.gmtime(named.stamp.us // 1_000_000))
        length = "" if named.duration is None else f"_{named.duration // 1_000_000}s"
        return f"{named.camera}/{start}{length}"

    def enter(self, folder):
        return "/" not in folder

    def is_unit(self, folder):
        return NAME.fullmatch(folder) is not None
'''.replace("\\\\", "\\")


def config(lengths: str) -> str:
    """Return a configuration of two servers with Acme's recorders."""
    return make.config_text("a", "b", layout="acme", more=f'options = {{ lengths = "{lengths}" }}')


def install(site: Path, name: str, module: str, code: str) -> None:
    """Put a package with an entry point where an installer would."""
    info = site / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[recorder_sync.layouts]\n{name} = {module}:{name.title()}\n")
    (site / f"{module}.py").write_text(code)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages with Acme's in it."""
    folder = tmp_path / "site-packages"
    install(folder, "acme", "acme_layout", CODE)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for module in ("acme_layout", "broken_layout"):
        sys.modules.pop(module, None)


@dataclass
class Pair:
    """Two servers with Acme's recorders."""

    bench: make.Bench
    says_length: bool

    def path(self, second: int) -> str:
        """Return the path of the segment that starts at `second`."""
        start = time.strftime("%Y%m%dT%H%M%S", make.utc(make.T0 + second * SECOND))
        return f"front/{start}" + ("_10s" if self.says_length else "")

    def folder(self, server: str, second: int) -> Path:
        """Return the folder of the segment that starts at `second`."""
        return self.bench.root(server) / self.path(second)

    def record(self, server: str, second: int) -> None:
        """Write one segment of ten seconds as Acme does: an index, blocks below, last written when it ends."""
        folder = self.folder(server, second)
        written = make.T0 + (second + 10) * SECOND
        for name in ("index.dat", "blocks/0001.blk", "blocks/deep/0002.blk"):
            make.put(folder, name, f"{server} {second} {name} ".encode() * 50, written - SECOND)
        make.put(folder, "empty.lock", b"", written - SECOND)
        self.close(server, second)

    def close(self, server: str, second: int) -> None:
        """Let a segment have been closed when it ends: names made or removed in a folder are writes to it."""
        os.utime(self.folder(server, second), ns=((make.T0 + (second + 10) * SECOND) * 1000,) * 2)

    def rows(self, server: str) -> list[Segment]:
        """Return what the ledger holds of a server."""
        storage = next(one for one in self.bench.site.storages if one.server == server)
        with self.bench.ledger.reading() as connection:
            found = [self.bench.ledger.segments.after(connection, storage.id, state, 0) for state in State]
        return sorted((row for rows in found for _, row in rows if row), key=lambda row: row.path)


@pytest.fixture(params=["yes", "no"], ids=["length in the name", "end by the last write"])
def acme(
    request: pytest.FixtureRequest, site: Path, benches: Callable[[str], AbstractContextManager[make.Bench]]
) -> Iterator[Pair]:
    """Two servers; `a` was away from 20 to 40."""
    with benches(config(request.param)) as bench:
        pair = Pair(bench, request.param == "yes")
        for second in make.tens(0, 60):
            pair.record("b", second)
            if second not in (20, 30):
                pair.record("a", second)
        yield pair


def test_it_is_offered_like_our_own(site: Path) -> None:
    assert "acme" in available()
    assert layout_class("acme").__name__ == "Acme"


def test_its_folders_are_segments_and_a_missing_one_is_a_gap(acme: Pair) -> None:
    acme.bench.scan()
    rows = acme.rows("b")
    assert [(row.kind, row.state, row.end - row.start) for row in rows] == [
        (Kind.FOLDER, State.SEALED, 10 * SECOND)
    ] * 6
    assert [row.size for row in rows] == [
        sum(map(len, make.tree(acme.bench.root("b") / row.path).values())) for row in rows
    ]
    assert acme.bench.states("a") == [("fillable", 20, 40)]
    assert acme.bench.states("b") == []


def test_a_fill_brings_whole_folders_and_a_second_one_moves_nothing(acme: Pair) -> None:
    bench = acme.bench
    bench.scan()
    before = make.tree(bench.root("a"))
    result = bench.fill("a")
    assert len(result.landed) == 2 and not result.refused
    theirs, ours = make.tree(bench.root("b")), make.tree(bench.root("a"))
    brought = {path for path in ours if path not in before}
    assert len(brought) == 8 and {ours[path] == theirs[path] for path in brought} == {True}
    assert {path: ours[path] for path in before} == before
    assert bench.states("a") == [("filled", 20, 40)]
    bench.scan(full=True)
    again = bench.fill("a")
    assert (again.sent, again.landed, again.refused) == (0, (), ())
    assert bench.states("a") == [("filled", 20, 40)]
    report = verify(bench.ledger, list(bench.site.storages), chunk_size=bench.settings.fill.chunk, gate=Gate())
    assert (report.damage, report.read) == ([], 12)


def test_a_lost_ledger_is_rebuilt_and_knows_what_was_filled(acme: Pair) -> None:
    bench = acme.bench
    bench.scan()
    bench.fill("a")
    before = [(row.path, row.start, row.end, row.state, row.origin) for row in acme.rows("a")]
    assert [row[4] for row in before] == [None, None, "b", "b", None, None]
    with bench.ledger.writing() as connection:
        for storage in bench.site.storages:
            bench.ledger.segments.forget_storage(connection, storage.id)
    bench.scan()
    assert [(row.path, row.start, row.end, row.state, row.origin) for row in acme.rows("a")] == before
    assert bench.fill("a").sent == 0


def test_an_unfinished_or_an_empty_folder_covers_nothing(acme: Pair) -> None:
    acme.folder("b", 20).rename(acme.bench.root("b") / "front/rec")
    shutil.rmtree(acme.folder("b", 30))
    acme.folder("b", 30).mkdir()
    acme.close("b", 30)
    acme.bench.scan()
    found = {row.path: (row.state, row.reason) for row in acme.rows("b")}
    assert "front/rec" not in found
    assert found[acme.path(30)] == (State.QUARANTINED, "its folder holds nothing")
    assert acme.bench.plan("a").tasks == ()


def test_a_name_that_is_taken_by_another_folder_is_kept_beside_it(acme: Pair) -> None:
    acme.bench.scan()
    foreign = make.put(acme.folder("a", 20), "notes.txt", b"an operator was here", make.T0)
    result = acme.bench.fill("a")
    assert foreign.read_bytes() == b"an operator was here"
    assert [one.renamed for one in sorted(result.landed, key=lambda one: one.path)] == [True, False]
    assert make.tree(acme.folder("a", 21)) == make.tree(acme.folder("b", 20))


def test_links_in_a_folder_are_neither_followed_nor_brought(acme: Pair, tmp_path: Path) -> None:
    secret = make.put(tmp_path, "secret", b"not a recording", make.T0)
    (acme.folder("b", 20) / "blocks/0003.blk").symlink_to(secret)
    (acme.folder("b", 20) / "up").symlink_to(tmp_path)
    acme.close("b", 20)
    acme.bench.scan()
    acme.bench.fill("a")
    brought = sorted(path.name for path in acme.folder("a", 20).rglob("*"))
    assert brought == ["0001.blk", "0002.blk", "blocks", "deep", "empty.lock", "index.dat"]


def test_a_broken_package_hurts_only_who_uses_it(site: Path, tmp_path: Path) -> None:
    install(site, "broken", "broken_layout", "import a_library_that_is_not_there")
    make.record(tmp_path / "recordings", "front", make.tens(0, 30))
    found = detect(str(tmp_path / "recordings"), "UTC")
    assert found.layout == "frigate"
    assert [note for note in found.notes if "'broken' was not tried" in note and "a_library_that_is_not_there" in note]
    with pytest.raises(ConfigInvalid, match=r"'broken' of broken_layout cannot be loaded.*a_library_that_is_not_there"):
        build(StorageSettings(root="/r", layout="broken"), "nvr")


def test_its_options_are_as_strict_as_ours(site: Path) -> None:
    with pytest.raises(ConfigInvalid, match="did you mean 'lengths'"):
        build(StorageSettings(root="/r", layout="acme", options={"length": "no"}), "nvr")


def test_another_layout_does_not_take_its_folders(
    site: Path, benches: Callable[[str], AbstractContextManager[make.Bench]]
) -> None:
    mixed = config("yes").replace('layout = "acme"', 'layout = "frigate"', 1).replace("options", "# options", 1)
    with benches(mixed) as bench:
        pair = Pair(bench, says_length=True)
        make.record(bench.root("a"), "front", [0, 10, 40, 50])
        for second in make.tens(0, 60):
            pair.record("b", second)
        bench.scan()
        assert {refused.why for refused in bench.plan("a").refused} == {Refusal.UNPLACEABLE}
        assert "a folder of Acme means nothing to Frigate" in bench.plan("a").refused[0].detail
