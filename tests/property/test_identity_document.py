"""Any document at all: only the id's text changes, changing back gives the first bytes, and junk is refused by name."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from recorder_sync.identity.document import read, with_id
from recorder_sync.identity.guid import canonical
from schema.errors import RecorderFileInvalid
from tests.identities import WANTED, Bench, allowed

letters = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="￾￿")
words = st.text(letters, max_size=12)
names = st.sampled_from(["id", "recorder", "recorderconfig", "displayname", "x", "Ünïcode"])
spaces = st.text(st.sampled_from(" \t\n"), max_size=4)


@st.composite
def guids(draw: st.DrawFn) -> str:
    digits = draw(
        st.text(st.sampled_from("0123456789abcdefABCDEF"), min_size=32, max_size=32).filter(lambda x: set(x) != {"0"})
    )
    text = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return "{" + text + "}" if draw(st.booleans()) else text


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def nodes(depth: int) -> st.SearchStrategy[str]:
    leaf = st.one_of(
        words.map(escaped),
        words.map(lambda text: f"<!--{text.replace('-', '')}-->"),
        words.map(lambda text: f"<![CDATA[{text.replace(']', '')}]]>"),
        words.map(lambda text: f"<?pi {text.replace('?', '')}?>"),
    )
    if depth == 0:
        return leaf
    inner = st.lists(nodes(depth - 1), max_size=3).map("".join)
    element = st.builds(lambda name, value, text: f'<{name} a="{escaped(value)}">{text}</{name}>', names, words, inner)
    return st.one_of(leaf, element)


@st.composite
def documents(draw: st.DrawFn) -> tuple[bytes, bytes, str]:
    """Return a document as bytes with one id, the same with another, and that."""
    old, new = draw(guids()), draw(guids())
    noise = st.lists(nodes(2), max_size=3).map("".join)
    beside = noise.map(lambda text: text.replace("<recorder", "<other").replace("</recorder", "</other"))
    within = noise.map(lambda text: text.replace("<id", "<ident").replace("</id", "</ident"))
    held = draw(st.sampled_from(["{}", "<![CDATA[{}]]>", "<!-- x -->{}", "{}<?y?>"]))
    shown = held.replace("{}", draw(spaces) + "\0" + draw(spaces))
    middle = f"<id>{shown}</id>"
    body = f"<recorderconfig>{draw(beside)}<recorder>{draw(within)}{middle}{draw(within)}</recorder>{draw(beside)}"
    prolog = draw(st.sampled_from(["", "<!-- first -->", "<?first x?>\n"]))
    text = f"{prolog}{body}</recorderconfig>{draw(spaces)}"
    encoding, mark = draw(
        st.sampled_from(
            [("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")]
        )
    )
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    before, after = (mark + text.replace("\0", one).encode(encoding) for one in (old, new))
    return before, after, new


@settings(max_examples=300, deadline=None)
@given(documents())
def test_only_the_id_changes_and_back_again(made: tuple[bytes, bytes, str]) -> None:
    before, after, new = made
    found = read(before, "x")
    changed = with_id(found, new, "x")
    assert changed == after
    assert with_id(read(changed, "x"), new, "x") == changed
    assert with_id(read(changed, "x"), found.id, "x") == before
    tree = etree.fromstring(changed)
    assert str(tree.xpath("string(/recorderconfig/recorder/id)")).strip() == new


@settings(max_examples=300, deadline=None)
@given(documents(), st.data())
def test_damage_is_refused_by_name_or_leaves_one_id(made: tuple[bytes, bytes, str], data: st.DataObject) -> None:
    raw = bytearray(made[0])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        kind = data.draw(st.sampled_from(["flip", "cut", "insert"]))
        if kind == "flip":
            raw[at] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "cut":
            del raw[at : at + data.draw(st.integers(1, 40))]
        else:
            raw[at:at] = data.draw(st.sampled_from([b"<", b"&", b"\0", b"<!DOCTYPE x>", b"]]>", b"<id>", b"\xff"]))
        if not raw:
            break
    try:
        found = read(bytes(raw), "x")
    except RecorderFileInvalid:
        return
    assert canonical(found.id) is not None
    changed = with_id(found, made[2], "x")
    assert with_id(read(changed, "x"), found.id, "x") == bytes(raw)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_junk_is_refused_by_name(junk: bytes) -> None:
    try:
        read(junk, "x")
    except RecorderFileInvalid:
        return
    raise AssertionError("junk was taken for a recorder's file")


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(max_size=200), documents().map(lambda made: made[0][: len(made[0]) * 2 // 3])))
def test_a_file_of_junk_is_untouched(junk: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), content=junk)
        with pytest.raises(RecorderFileInvalid):
            bench.cloner().clone(WANTED, allowed)
        bench.is_as_before(junk)
        assert bench.driver.log == []
