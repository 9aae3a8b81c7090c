"""A storage that is not as it should be: a damaged identity, and what this user may not read.

What cannot be read is never taken for swapped, what is damaged can be adopted, and neither costs anything known.
"""

import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schema.errors import OperatorError, PermissionMissing, StorageAway, StorageSwapped
from schema.values import State
from tests import make
from tests.unit.backfill.test_scan import held, path, scan, segments

NOBODY = 65534


@pytest.fixture
def one(pair: make.Bench) -> make.Bench:
    """`a` with six segments, scanned."""
    make.record(pair.root("a"), "front", make.tens(0, 60))
    pair.scan()
    return pair


def identity_file(bench: make.Bench) -> Path:
    return bench.base / "a/.recorder-sync/recordings/identity.json"


DAMAGED = {
    "empty": b"",
    "zeros": b"\0" * 200,
    "cut": b'{"storage": "06b',
    "no text": b"\xff\xfe{",
    "a list": b"[]",
    "no identity": b"{}",
    "a number": b'{"storage": 5}',
    "an empty one": b'{"storage": ""}',
    "an endless one": b'{"storage": "' + b"x" * 100_000 + b'"}',
    "a long one": b'{"storage": "' + b"x" * 37 + b'"}',
    "deep": b"[" * 60_000,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_identity_is_said_and_can_be_adopted(one: make.Bench, content: bytes) -> None:
    identity_file(one).write_bytes(content)
    for options in ({}, {"full": True}):
        with pytest.raises(StorageSwapped, match="its identity file is damaged"):
            scan(one, **options)
    assert held(one) == [(0, 60)]
    report = scan(one, adopt=True)
    assert any("is now the one" in note for note in report.notes)
    assert identity_file(one).with_name("identity.json.damaged-1").read_bytes() == content
    assert one.site.of("a")[0].identity()
    assert (scan(one).deleted, held(one)) == (0, [(0, 60)])


def test_each_damaged_identity_is_kept(one: make.Bench) -> None:
    for number in (1, 2):
        identity_file(one).write_bytes(b"%d" % number)
        scan(one, adopt=True)
    kept = sorted(identity_file(one).parent.glob("identity.json.damaged-*"))
    assert [file.read_bytes() for file in kept] == [b"1", b"2"]


def test_an_identity_that_cannot_be_read_is_no_swapped_disk(one: make.Bench) -> None:
    identity_file(one).unlink()
    identity_file(one).mkdir()
    for options in ({}, {"adopt": True}):
        with pytest.raises(StorageAway, match="cannot be read: Is a directory"):
            scan(one, **options)
    assert identity_file(one).is_dir(), "nothing is set aside that was not looked at"


@pytest.fixture
def as_nobody(tmp_path: Path) -> Iterator[Callable[[Callable[[], object]], str]]:
    """Run something in a child as a user without rights; returns the class and text of what it raised."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path(folder.root) and folder.stat().st_uid == 0 and folder.name.startswith(("pytest-", "test_")):
            folder.chmod(folder.stat().st_mode | 0o055)

    def run(do: Callable[[], object]) -> str:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            answer = ""
            try:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                do()
            except OperatorError as error:
                answer = f"{type(error).__name__}: {error}"
            except BaseException:  # noqa: BLE001
                answer = traceback.format_exc()
            os.write(writing, answer.encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answer_of_child:
            said = answer_of_child.read()
        os.waitpid(child, 0)
        return said

    yield run


def test_a_root_that_may_not_be_read_is_said(one: make.Bench, as_nobody: Callable[[Callable[[], object]], str]) -> None:
    one.root("a").chmod(0o700)
    said = as_nobody(one.site.of("a")[0].check_present)
    assert (
        said
        == f"{PermissionMissing.__name__}: not permitted: reading storage a/main: {one.root('a')}: Permission denied"
    )


def test_an_identity_that_may_not_be_read_is_said(
    one: make.Bench, as_nobody: Callable[[Callable[[], object]], str]
) -> None:
    identity_file(one).chmod(0o600)
    for ask in (one.site.of("a")[0].identity, one.site.of("a")[0].adopt):
        said = as_nobody(ask)
        assert said.startswith("PermissionMissing: not permitted: reading the identity of a/main")


def test_what_may_not_be_read_is_told_and_nothing_known_of_it_is_lost(
    one: make.Bench, as_nobody: Callable[[Callable[[], object]], str]
) -> None:
    make.record(one.root("a"), "yard", make.tens(0, 60))
    scan(one)
    (one.root("a") / path(0, "yard")).parent.chmod(0o700)
    make.record(one.root("a"), "front", [60])
    (one.root("a") / path(60)).chmod(0o600)
    for folder, _, names in os.walk(one.base):
        for name in names:
            if ".db" in name:
                os.chown(os.path.join(folder, name), NOBODY, NOBODY)
    os.chown(one.base, NOBODY, NOBODY)
    one.ledger.close()

    def look() -> None:
        report = scan(one, full=True)
        assert sorted(report.foreign) == [
            (path(60), "cannot be read: Permission denied"),
            (path(0, "yard").rpartition("/")[0], "folder cannot be read: Permission denied"),
        ]
        assert (report.added, report.deleted, report.retired) == (0, 0, 0)

    assert as_nobody(look) == ""
    assert held(one) == held(one, "yard") == [(0, 60)]
    assert segments(one, State.GONE) == []
    (one.root("a") / path(60)).chmod(0o644)
    assert scan(one).added == 1
