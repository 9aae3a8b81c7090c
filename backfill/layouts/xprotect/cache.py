"""Reading what a bank's `cache.xml` or `archives_cache.xml` says: tables with their columns, times and sizes.

Rule: pure, and nothing that another program wrote is trusted. A document type is refused before anything is parsed,
entities, external files and the network are off, sizes, depth and numbers are capped. A file that is not whole - the
recorder writes it in place - is refused as a whole.

A cache of a month and 50 cameras has some 70 MB. Where it is plain, the tables that are asked for are found by their
text and only these are parsed, 0.05 s against 1.8 s; any comment, CDATA section or instruction in it and the whole is
parsed as one. Source of the shapes: exports of XProtect 2025 that were measured; see docs/guide/xprotect.md.
"""

import re
from collections.abc import Collection, Iterator
from io import BytesIO
from typing import NamedTuple

from lxml import etree

MOST_BYTES = 512 * 2**20
"""Seven times the cache of a month and 50 cameras."""

_TABLE_BYTES = 256 * 1024
_DEPTH = 8
_COLUMNS = 256
_TEXT = 512
_LATEST_MS = 7_258_118_400_000
"""The year 2200: no recorder wrote later."""

_LARGEST = 2**53
_MEDIA = "7ea9b53b-749e-420b-891b-43b238f6144e"
"""The column that holds the pictures; the others are signatures and small tracks."""

_BOM = b"\xef\xbb\xbf"
_DECLARATION = re.compile(rb"<\?xml\s[^>]{0,200}?\?>")
_ENCODING = re.compile(rb"encoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")
_START = re.compile(rb"\s*<bank(?:\s[^<>]{0,500})?>")
_EMPTY = re.compile(rb"\s*<bank(?:\s[^<>]{0,500})?/>\s*")
_NAMED_TABLE = re.compile(rb"<table>\s*<name>([^<]{1,300})</name>")
_TOO_DEEP = etree.XPath("boolean(/*" + "/*" * _DEPTH + ")")


class CacheBad(Exception):
    """A cache is not what a whole one looks like; the message says why."""


class Column(NamedTuple):
    """One track of a table. Times in milliseconds UTC, None where it holds nothing."""

    name: str
    begin_ms: int | None
    end_ms: int | None
    size: int


class Table(NamedTuple):
    """One table as the recorder's index describes it."""

    name: str
    size: int
    description: str = ""
    """What people call the device."""
    device_type: str = ""
    encrypted: bool = False
    columns: tuple[Column, ...] = ()
    problem: str = ""
    """Why what the index says of it cannot be used."""

    @property
    def media(self) -> Column | None:
        """The column that holds the pictures."""
        return next((one for one in self.columns if one.name.lower() == _MEDIA), None)


def tables(content: bytes, wanted: Collection[str] | None = None) -> dict[str, Table]:
    """Return the tables of a cache by the name of their folder, of those `wanted` the ones that it has.

    Raises CacheBad.
    """
    body = _body(content)
    elements = _plain(content, body, wanted) if body is not None else _all(content)
    found = {}
    for element in elements:
        table = _table(element)
        if table.name and (wanted is None or table.name in wanted):
            found[table.name] = table
    return found


def raw_tables(content: bytes) -> dict[str, bytes]:
    """Return the text of each table of a cache that we wrote, by the name of its folder. Raises CacheBad."""
    body = _body(content)
    if body is None:
        return {}
    found = {}
    for match in _NAMED_TABLE.finditer(content, body):
        end = content.find(b"</table>", match.end(), match.start() + _TABLE_BYTES)
        if end < 0:
            raise CacheBad(f"what it says of a table at byte {match.start():,} does not end")
        found[match[1].decode(errors="replace").strip()] = content[match.start() : end + len(b"</table>")]
    return found


def document(content: bytes) -> etree._Element:
    """Return the root of a small file of the recorder's, such as a table's `config.xml`. Raises CacheBad."""
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content or b"\0" in content[:256]:
        raise CacheBad("it declares a document type, or is not in UTF-8")
    try:
        root = etree.fromstring(content.removeprefix(_BOM), _parser())
    except etree.XMLSyntaxError as error:
        raise CacheBad(f"it is broken: {error.msg}") from None
    if _TOO_DEEP(root):
        raise CacheBad("its elements lie in one another too deep")
    return root


def _body(content: bytes) -> int | None:
    """Return where the tables of a plain, whole cache begin; None if it must be parsed as one. Raises CacheBad."""
    if len(content) > MOST_BYTES:
        raise CacheBad(f"it has more than {MOST_BYTES // 2**20} MiB")
    start = len(_BOM) if content.startswith(_BOM) else 0
    declaration = _DECLARATION.match(content, start)
    if declaration:
        encoding = _ENCODING.search(declaration[0])
        if encoding and encoding[1].lower() not in (b"utf-8", b"us-ascii", b"ascii"):
            raise CacheBad(f"it is in {encoding[1].decode()}, not in UTF-8")
        start = declaration.end()
    if b"\0" in content[:256]:
        raise CacheBad("it is not in UTF-8")
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise CacheBad("it declares a document type, which no recorder writes")
    if content.find(b"<!", start) >= 0 or content.find(b"<?", start) >= 0 or _EMPTY.fullmatch(content, start):
        return None
    root = _START.match(content, start)
    if root is None or not content[-64:].rstrip().endswith(b"</bank>"):
        raise CacheBad("it does not end where it should: it is being written, or was cut off")
    return root.end()


def _plain(content: bytes, start: int, wanted: Collection[str] | None) -> Iterator[etree._Element]:
    """Yield the elements of the tables that are asked for, found by their text. Raises CacheBad."""
    keys = None if wanted is None else frozenset(name.encode() for name in wanted)
    for match in _NAMED_TABLE.finditer(content, start):
        name = match[1].strip()
        if keys is not None and name not in keys and b"&" not in name:
            continue
        end = content.find(b"</table>", match.end(), match.start() + _TABLE_BYTES)
        if end < 0:
            raise CacheBad(f"what it says of a table at byte {match.start():,} does not end")
        try:
            element = etree.fromstring(content[match.start() : end + len(b"</table>")], _parser())
        except etree.XMLSyntaxError as error:
            raise CacheBad(f"what it says of a table at byte {match.start():,} is broken: {error.msg}") from None
        if _TOO_DEEP(element):
            raise CacheBad("its elements lie in one another too deep")
        yield element


def _all(content: bytes) -> Iterator[etree._Element]:
    """Yield the elements of all tables of a cache, parsed as one document. Raises CacheBad."""
    depth = 0
    try:
        for event, element in etree.iterparse(
            BytesIO(content),
            events=("start", "end"),
            resolve_entities=False,
            load_dtd=False,
            no_network=True,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        ):
            depth += 1 if event == "start" else -1
            if depth == 1 and event == "start" and element.tag != "bank":
                raise CacheBad("it is no bank's index")
            if depth > _DEPTH + 1:
                raise CacheBad("its elements lie in one another too deep")
            if event == "end" and depth == 1 and element.tag == "table":
                yield element
                element.clear()
                parent = element.getparent()
                if parent is not None:
                    parent.remove(element)
    except etree.XMLSyntaxError as error:
        raise CacheBad(f"it is broken: {error.msg}") from None


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)


def _table(element: etree._Element) -> Table:
    """Return what one `table` element says; what makes no sense in it is its problem, not the whole cache's."""
    name = _text(element, "name")
    try:
        columns = _columns(element)
        size = _number(_text(element, "size") or "0", _LARGEST)
    except ValueError as error:
        return Table(name, 0, problem=f"the recorder's index makes no sense of it: {error}")
    kind = next((one for one in element.iterfind("meta_data/entry") if one.get("key") == "device_type"), None)
    return Table(
        name=name,
        size=size,
        description=_text(element, "description"),
        device_type="" if kind is None or kind.text is None else kind.text.strip()[:_TEXT],
        encrypted=element.find("encryption") is not None,
        columns=columns,
    )


def _columns(element: etree._Element) -> tuple[Column, ...]:
    """Return the columns of a table. Raises ValueError."""
    columns = tuple(_column(one) for one in element.iterfind("column"))
    if len(columns) > _COLUMNS:
        raise ValueError(f"it has {len(columns):,} columns")
    if len({one.name.lower() for one in columns}) < len(columns):
        raise ValueError("it names a column twice")
    return columns


def _column(element: etree._Element) -> Column:
    """Return one column. Raises ValueError."""
    begin, end = _text(element, "begin_time"), _text(element, "end_time")
    if bool(begin) != bool(end):
        raise ValueError("a column has one time of two")
    begin_ms = _number(begin, _LATEST_MS) if begin else None
    end_ms = _number(end, _LATEST_MS) if end else None
    if begin_ms is not None and end_ms is not None and end_ms < begin_ms:
        raise ValueError("a column ends before it begins")
    return Column(_text(element, "name"), begin_ms, end_ms, _number(_text(element, "size"), _LARGEST))


def _text(element: etree._Element, tag: str) -> str:
    """Return the printable text of a child, capped; nothing if there is none."""
    text = (element.findtext(tag) or "")[:_TEXT].strip()
    return "".join(letter for letter in text if letter.isprintable())


def _number(text: str, most: int) -> int:
    """Return a whole number from 0 to `most`. Raises ValueError."""
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII) or int(text) > most:
        raise ValueError(f"{text[:40]!r} is no number that it could be")
    return int(text)


def media_column() -> str:
    """Return the GUID of the column that holds the pictures."""
    return _MEDIA
