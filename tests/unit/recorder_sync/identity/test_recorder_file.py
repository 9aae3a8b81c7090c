"""Files that are no recorder's configuration, or might be read in two ways: each refused by name, none touched."""

import pytest

from recorder_sync.identity import document
from recorder_sync.identity.document import DEEPEST, LARGEST, read, with_id
from schema.errors import RecorderFileInvalid

ID = "5e0c4d7a-91b3-4c26-a8f0-7b1d3e9f2a64"
NEW = "0b8f6a52-6c1e-4d0e-9a57-2d6b1c4e7f31"


def around(inner: str, head: str = "") -> bytes:
    return f"{head}<recorderconfig>{inner}</recorderconfig>".encode()


def recorder(inner: str, head: str = "") -> bytes:
    return around(f"<recorder>{inner}</recorder>", head)


GOOD = recorder(f"<id>{ID}</id>")
BOMBS = {
    "external entity": '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    "external document type": '<!DOCTYPE recorderconfig SYSTEM "http://192.0.2.1/x.dtd">',
    "billion laughs": '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
    "a harmless one": "<!DOCTYPE recorderconfig>",
    "after a comment": "<!-- x --><?y?>\n <!DOCTYPE recorderconfig>",
    "in small letters": "<!doctype recorderconfig>",
}


@pytest.mark.parametrize("head", BOMBS.values(), ids=BOMBS)
def test_a_document_type_is_refused_before_any_parser_sees_it(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "_Finder", None)
    monkeypatch.setattr(document, "_tree", None)
    with pytest.raises(RecorderFileInvalid, match="DOCTYPE"):
        read(recorder("<id>&x;</id>", head), "x")


@pytest.mark.parametrize("head", BOMBS.values(), ids=BOMBS)
def test_each_parser_refuses_it_by_itself(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = recorder(f"<id>{ID}</id>", head)
    with pytest.raises(RecorderFileInvalid, match=r"DOCTYPE|no XML"):
        document._Finder(raw, "utf-8", "x").find()
    with pytest.raises(RecorderFileInvalid, match=r"DOCTYPE|no XML"):
        document._tree(raw, "x")


REFUSED = {
    "nothing": (b"", "no XML"),
    "a mark only": (b"\xef\xbb\xbf", "no XML"),
    "no XML": (b"id = 5", "no XML"),
    "cut in a tag": (GOOD[:-20], "no XML"),
    "cut in the id": (GOOD[:40], "no XML"),
    "two documents": (GOOD + GOOD, "no XML"),
    "another root": (GOOD.replace(b"recorderconfig", b"servers"), "root is 'servers'"),
    "a root of another namespace": (GOOD.replace(b"<recorderconfig>", b'<recorderconfig xmlns="x">'), "two parsers"),
    "no recorder": (around(f"<id>{ID}</id>"), "no recorder element"),
    "two recorders": (around(f"<recorder><id>{ID}</id></recorder>" * 2), "2 recorder elements"),
    "no id": (recorder("<name>x</name>"), "no recorder id"),
    "two ids": (recorder(f"<id>{ID}</id><id>{ID}</id>"), "2 recorder ids"),
    "an id of another namespace": (recorder(f'<id xmlns="x">{ID}</id>'), "two parsers"),
    "an empty id": (recorder("<id></id>"), "no GUID"),
    "an id that is none": (recorder("<id>recorder-1</id>"), "no GUID"),
    "an id of zeros": (recorder("<id>00000000-0000-0000-0000-000000000000</id>"), "no GUID"),
    "an id without hyphens": (recorder(f"<id>{ID.replace('-', '')}</id>"), "no GUID"),
    "half a brace": (recorder(f"<id>{{{ID}</id>"), "no GUID"),
    "two ids in one": (recorder(f"<id>{ID} {ID}</id>"), "no GUID"),
    "an id in two pieces": (recorder(f"<id>{ID[:9]}<!-- x -->{ID[9:]}</id>"), "in one piece"),
    "an id half in CDATA": (recorder(f"<id>{ID[:9]}<![CDATA[{ID[9:]}]]></id>"), "in one piece"),
    "an id with an element": (recorder(f"<id><b>{ID}</b></id>"), "elements in it"),
    "an id with a character by number": (recorder(f"<id>&#53;{ID[1:]}</id>"), "one piece|plain letters"),
    "an entity that is not known": (recorder(f"<id>{ID}</id><x>&y;</x>"), "no XML"),
    "too deep": (around("<a>" * DEEPEST + "</a>" * DEEPEST), "deep"),
    "far too deep": (b"<recorderconfig>" + b"<a>" * 100_000, "deep"),
    "too long": (recorder(f"<id>{ID}</id>") + b" " * LARGEST, "bytes, more than"),
    "zero bytes": (b"\0" * 4096, "zero bytes"),
    "UTF-16 without a mark": (GOOD.decode().encode("utf-16-le"), "zero bytes"),
    "UTF-32": (GOOD.decode().encode("utf-32"), "zero bytes|no UTF-16"),
    "no UTF-8": (recorder("<id>%s</id><x>\xe9</x>").decode().encode("latin-1"), "no UTF-8 text from byte"),
    "UTF-16 cut in half a letter": (b"\xff\xfe" + GOOD.decode().encode("utf-16-le")[:-1], "no UTF-16"),
    "said to be UTF-16": (b'<?xml version="1.0" encoding="utf-16"?>' + GOOD, "says that it is utf-16"),
    "said to be Latin 1": (b"<?xml version='1.0' encoding='iso-8859-1'?>" + GOOD, "says that it is iso-8859-1"),
    "UTF-16 said to be UTF-8": (
        b"\xff\xfe" + ('<?xml version="1.0" encoding="utf-8"?>' + GOOD.decode()).encode("utf-16-le"),
        "says that it is utf-8",
    ),
}


@pytest.mark.parametrize(("raw", "why"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_relied_on_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(RecorderFileInvalid, match=why):
        read(raw, "RecorderConfig.xml")


def test_the_deepest_that_is_read() -> None:
    inner = "<a>" * (DEEPEST - 1) + "</a>" * (DEEPEST - 1)
    assert read(around(f"<recorder><id>{ID}</id></recorder>{inner}"), "x").id == ID


def test_only_an_id_is_put_in() -> None:
    found = read(GOOD, "x")
    for new in ("", "x", "</id>", "00000000-0000-0000-0000-000000000000", f"{NEW}<"):
        with pytest.raises(RecorderFileInvalid, match="no recorder id"):
            with_id(found, new, "x")


def test_an_id_put_in_at_the_wrong_place_is_noticed() -> None:
    raw = recorder(f"<id>{ID}</id><other>{ID}</other>")
    found = read(raw, "x")
    at = raw.index(ID.encode(), found.end)
    wrong = document.RecorderFile(raw, ID, at, at + len(ID), "utf-8")
    with pytest.raises(RecorderFileInvalid, match="more than its id"):
        with_id(wrong, NEW, "x")


def test_a_place_that_eats_a_neighbour_is_noticed() -> None:
    raw = recorder(f"<id>{ID}</id><other>1</other>")
    found = read(raw, "x")
    wrong = document.RecorderFile(raw, ID, found.start - 1, found.end, "utf-8")
    with pytest.raises(RecorderFileInvalid):
        with_id(wrong, NEW, "x")


def test_two_parsers_must_agree_on_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "_id_of", lambda *_: NEW)
    with pytest.raises(RecorderFileInvalid, match="two parsers read its id differently"):
        read(GOOD, "x")
