"""Whatever lies in a bank: names and caches are read as what they are or refused, and nothing else ever happens."""

import contextlib
from pathlib import PurePosixPath

from hypothesis import given, settings
from hypothesis import strategies as st

from backfill.layouts import build
from backfill.layouts.xprotect.cache import CacheBad, raw_tables, tables
from backfill.layouts.xprotect.names import TableName, What, parse, spell, what
from schema.settings import StorageSettings
from tests.unit.backfill.test_xprotect_cache import MEASURED

CONTENT = MEASURED.encode()
ONE = build(StorageSettings(root="/r", layout="xprotect"), "a")
SEVERAL = build(StorageSettings(root="/r", layout="xprotect", options={"banks": "several"}), "a")
EXPORT = build(StorageSettings(root="/r", layout="xprotect", options={"export": "yes"}), "a")

guids = st.uuids().flatmap(lambda one: st.sampled_from([str(one), str(one).upper()]))
times = st.integers(0, 7_258_118_399).map(lambda seconds: seconds * 1_000_000)
tags = st.text("ABCDEFGHIJ_0123456789abc", min_size=1, max_size=20)
rests = st.sampled_from(["", " (Edge)", "(SMTP)", "_2", "_x_y", " (a b-c)"])
closed = st.builds(TableName, guids, tags, times, rests)
near = st.builds(
    lambda name, at, text: name[: at % len(name)] + text + name[at % len(name) :],
    closed.map(spell),
    st.integers(0, 200),
    st.text(max_size=4),
)


@given(closed)
def test_a_name_is_read_as_it_is_spelt(name: TableName) -> None:
    read = parse(spell(name))
    assert read is not None
    assert (read.device, read.local_us, spell(read)) == (name.device, name.local_us, spell(name))


@given(st.one_of(st.text(max_size=120), near, guids))
def test_any_name_is_something_and_what_is_read_is_written_back(text: str) -> None:
    kind = what(text, export=False)
    for layout, path in ((ONE, text), (SEVERAL, f"bank/{text}"), (EXPORT, text)):
        named = layout.read(path)
        assert layout.is_unit(path) == (named is not None)
        if named is not None:
            assert layout.write(named) == path
            assert not layout.enter(path), "nobody looks for tables in a table"
    if kind is What.LIVE:
        assert not ONE.enter(text) and not ONE.is_unit(text) and ONE.read(text) is None
        assert not SEVERAL.enter(f"bank/{text}") and not SEVERAL.is_unit(f"bank/{text}")


@given(st.lists(st.one_of(near, guids, st.sampled_from(["..", ".", "", ".x", "bank"])), max_size=4).map("/".join))
def test_nothing_deeper_than_a_bank_is_entered_or_read(path: str) -> None:
    for layout, depth in ((ONE, 1), (SEVERAL, 2), (EXPORT, 1)):
        if layout.is_unit(path):
            assert len(PurePosixPath(path).parts) == depth and ".." not in path
        if layout.enter(path):
            assert depth == 2 and "/" not in path


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_cache_or_are_refused(content: bytes) -> None:
    with contextlib.suppress(CacheBad):
        tables(content)


@settings(max_examples=500)
@given(st.integers(0, len(CONTENT) - 1), st.integers(0, 30), st.binary(max_size=30))
def test_a_cache_that_was_changed_anywhere_is_read_or_refused(at: int, gone: int, new: bytes) -> None:
    content = CONTENT[:at] + new + CONTENT[at + gone :]
    for read in (tables, raw_tables):
        try:
            found = read(content)
        except CacheBad:
            continue
        assert all(isinstance(name, str) for name in found)


element = st.sampled_from(["description", "archive_source", "type", "x"])
words = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF), max_size=12)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@given(
    st.lists(
        st.tuples(
            closed.map(spell), st.integers(0, 10**12), st.integers(0, 10**9), st.lists(st.tuples(element, words))
        ),
        max_size=6,
    )
)
def test_what_is_found_by_its_text_is_what_the_whole_document_says(
    rows: list[tuple[str, int, int, list[tuple[str, str]]]],
) -> None:
    body = "".join(
        f"<table><name>{name}</name><size>{size}</size>"
        + "".join(f"<{tag}>{_escaped(text)}</{tag}>" for tag, text in more)
        + f"<column><name>c</name><begin_time>{begin}</begin_time><end_time>{begin + size}</end_time>"
        f"<size>{size}</size></column></table>"
        for name, begin, size, more in rows
    )
    plain = f'<bank version="1.2">{body}</bank>'.encode()
    whole = f'<bank version="1.2"><!-- parsed as one -->{body}</bank>'.encode()
    assert tables(plain) == tables(whole)
    names = {row[0] for row in rows[:2]}
    assert tables(plain, names) == {name: table for name, table in tables(whole).items() if name in names}
