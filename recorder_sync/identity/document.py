"""Where in the bytes of a `RecorderConfig.xml` the recorder's id stands, and the same bytes with another id.

Rule: pure, and distrustful. Only the id at /recorderconfig/recorder/id counts, and only its own bytes change: mark of
byte order, encoding, line ends, quotes, comments and CDATA stay as they are because nothing is written anew. Two
parsers must agree on what the id is (expat knows where it stands, lxml knows the tree), and after a change the two
trees must differ in that one text alone. A document type is refused before either parses; entities, DTDs and the
network are off.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.parsers import expat

from lxml import etree

from recorder_sync.identity.guid import canonical
from schema.digests import hasher
from schema.errors import RecorderFileInvalid

LARGEST = 4 * 2**20
"""Bytes; a real file has some 10,000."""

DEEPEST = 64
"""Elements within one another; a real file has 7."""

_ROOT, _RECORDER, _ID = "recorderconfig", "recorder", "id"
_SPACE = " \t\r\n"
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_DECLARED = {"utf-8": {"utf-8", "utf8", "us-ascii"}, "utf-16-le": {"utf-16", "utf-16le"}, "utf-16-be": {"utf-16"}}
_DECLARED["utf-16-be"] |= {"utf-16be"}
# What may stand before the root element, or before a document type.
_PROLOG = re.compile(r"(?:[ \t\r\n]+|<\?.*?\?>|<!--.*?-->)*", re.S)
_DECLARATION = re.compile(r"""<\?xml[ \t\r\n][^>]*?encoding[ \t\r\n]*=[ \t\r\n]*["']([A-Za-z0-9._-]+)["']""")


@dataclass(frozen=True, slots=True)
class RecorderFile:
    """A recorder's configuration as it was read. `start` and `end` are where its id stands, in bytes."""

    raw: bytes
    id: str
    """As it is written there."""
    start: int
    end: int
    encoding: str

    @property
    def canonical(self) -> str:
        """The id as ids are compared."""
        found = canonical(self.id)
        assert found is not None
        return found

    @property
    def line(self) -> int:
        """The number of the line on which the id stands."""
        return self.raw[: self.start].decode(self.encoding).count("\n") + 1

    @property
    def text_of_line(self) -> str:
        """That line as an editor shows it."""
        text = self.raw.removeprefix(_mark(self.raw)).decode(self.encoding)
        return text.split("\n")[self.line - 1].rstrip("\r")


def digest(raw: bytes) -> str:
    """Return what `xxhsum -H128` prints of a file with these bytes."""
    state = hasher()
    state.update(raw)
    return state.hexdigest()


def read(raw: bytes, name: str) -> RecorderFile:
    """Return where the id stands in the bytes of file `name`. Raises RecorderFileInvalid."""
    if len(raw) > LARGEST:
        raise RecorderFileInvalid(name, f"it has {len(raw):,} bytes, more than {LARGEST:,}")
    encoding = _checked_encoding(raw, name)
    found = _Finder(raw, encoding, name).find()
    told = _id_of(_tree(raw, name), name)
    if told != found.id:
        raise RecorderFileInvalid(name, f"two parsers read its id differently: {found.id!r} and {told!r}")
    return found


def with_id(document: RecorderFile, new: str, name: str) -> bytes:
    """Return the bytes of `document` with another id and nothing else changed, which is proven.

    Raises RecorderFileInvalid, also for what is no id.
    """
    if canonical(new) is None:
        raise RecorderFileInvalid(name, f"{new!r} is no recorder id to be put into it")
    raw = document.raw[: document.start] + new.encode(document.encoding) + document.raw[document.end :]
    after = read(raw, name)
    differing = [pair for pair in zip(_texts(document.raw, name), _texts(raw, name), strict=True) if len({*pair}) > 1]
    wanted = [] if new == document.id else [(document.id, new)]
    if (after.id, after.start) != (new, document.start) or [_stripped(pair) for pair in differing] != wanted:
        raise RecorderFileInvalid(name, "more than its id would have changed")
    return raw


def _stripped(pair: tuple[str, str]) -> tuple[str, str]:
    return pair[0].strip(_SPACE), pair[1].strip(_SPACE)


def _mark(raw: bytes) -> bytes:
    return next((mark for mark, _ in _MARKS if raw.startswith(mark)), b"")


def _checked_encoding(raw: bytes, name: str) -> str:
    """Return the encoding; refuses a document type, and what different readers would read differently."""
    encoding = next((encoding for mark, encoding in _MARKS if raw.startswith(mark)), "utf-8")
    try:
        text = raw.removeprefix(_mark(raw)).decode(encoding)
    except UnicodeDecodeError as error:
        raise RecorderFileInvalid(name, f"it is no {encoding.upper()} text from byte {error.start} on") from None
    if "\0" in text:
        raise RecorderFileInvalid(name, "it has zero bytes: it is damaged, or UTF-16 without a mark of byte order")
    declared = _DECLARATION.match(text)
    if declared and declared[1].lower() not in _DECLARED[encoding]:
        raise RecorderFileInvalid(name, f"it says that it is {declared[1]}, and it is {encoding.upper()}")
    prolog = _PROLOG.match(text)
    assert prolog is not None
    if text.startswith("<!", prolog.end()):
        raise RecorderFileInvalid(name, "it has a document type (DOCTYPE), which no recorder writes")
    return encoding


class _Finder:
    """One walk over the document with expat, which knows the byte at which each event began."""

    def __init__(self, raw: bytes, encoding: str, name: str) -> None:
        self._raw = raw
        self._encoding = encoding
        self._name = name
        self._path: list[str] = []
        self._recorders = 0
        self._ids = 0
        self._pieces: list[tuple[int, str]] = []
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = False
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype

    def find(self) -> RecorderFile:
        """Return where the id stands. Raises RecorderFileInvalid."""
        try:
            self._parser.Parse(self._raw, True)
        except expat.ExpatError as error:
            what = expat.ErrorString(error.code)
            raise self._refused(f"it is no XML, or cut off: {what}, line {error.lineno}") from None
        for what, count in (("recorder element", self._recorders), ("recorder id", self._ids)):
            if count != 1:
                raise self._refused(f"it has {count or 'no'} {what}{'s' if count else ''}, not one")
        return self._found()

    def _found(self) -> RecorderFile:
        pieces = [(at, text) for at, text in self._joined() if text.strip(_SPACE)]
        whole = "".join(text for _, text in pieces).strip(_SPACE)
        if len(pieces) != 1 or canonical(whole) is None:
            raise self._refused(f"its id {whole[:60]!r} is no GUID written in one piece")
        at, text = pieces[0]
        start = at + len(text[: text.index(whole)].encode(self._encoding))
        written = whole.encode(self._encoding)
        if self._raw[start : start + len(written)] != written:
            raise self._refused(f"its id {whole!r} is not written out in plain letters")
        return RecorderFile(self._raw, whole, start, start + len(written), self._encoding)

    def _joined(self) -> Iterator[tuple[int, str]]:
        """Yield the id's text in the pieces that the document has; expat may tell of one in parts."""
        at, text = -1, ""
        for start, part in self._pieces:
            if text and start == at + len(text.encode(self._encoding)):
                text += part
            else:
                if text:
                    yield at, text
                at, text = start, part
        if text:
            yield at, text

    def _start(self, tag: str, _: dict[str, str]) -> None:
        if len(self._path) >= DEEPEST:
            raise self._refused(f"its elements lie more than {DEEPEST} deep in one another")
        if not self._path and tag != _ROOT:
            raise self._refused(f"its root is {tag[:60]!r}, not {_ROOT!r}")
        if self._path[:3] == [_ROOT, _RECORDER, _ID]:
            raise self._refused("the recorder's id has elements in it")
        self._path.append(tag)
        self._recorders += self._path == [_ROOT, _RECORDER]
        self._ids += self._path == [_ROOT, _RECORDER, _ID]

    def _end(self, _: str) -> None:
        self._path.pop()

    def _text(self, text: str) -> None:
        if self._path == [_ROOT, _RECORDER, _ID]:
            self._pieces.append((self._parser.CurrentByteIndex, text))

    def _doctype(self, *_: object) -> None:
        raise self._refused("it has a document type (DOCTYPE), which no recorder writes")

    def _refused(self, why: str) -> RecorderFileInvalid:
        return RecorderFileInvalid(self._name, why)


def _tree(raw: bytes, name: str) -> etree._Element:
    """Return the root of the tree that lxml reads. Raises RecorderFileInvalid."""
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
        strip_cdata=False,
    )
    try:
        root = etree.fromstring(raw, parser)
    except etree.XMLSyntaxError as error:
        raise RecorderFileInvalid(name, f"it is no XML, or cut off: {error.msg}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise RecorderFileInvalid(name, "it has a document type (DOCTYPE), which no recorder writes")
    return root


def _id_of(root: etree._Element, name: str) -> str:
    recorders = root.findall(_RECORDER) if root.tag == _ROOT else []
    ids = [one for recorder in recorders for one in recorder.findall(_ID)]
    if len(recorders) != 1 or len(ids) != 1:
        raise RecorderFileInvalid(name, "two parsers see different elements in it")
    return str(ids[0].xpath("string()")).strip(_SPACE)


def _texts(raw: bytes, name: str) -> list[str]:
    """Return everything that a tree holds, in order: two documents are one if these lists are.

    Each thing has a fixed number of places, so that a text cannot be taken for an attribute or for a name.
    """
    root = _tree(raw, name)
    info = root.getroottree().docinfo
    before, after = root.itersiblings(preceding=True), root.itersiblings()
    told = [str(info.encoding), str(info.xml_version), str(info.standalone)]
    told += [text for one in (*before, *after) for text in (str(one.tag), str(one), one.text or "")]
    for event, node in etree.iterwalk(root, events=("start", "end", "comment", "pi")):
        tag = node.tag if isinstance(node.tag, str) else type(node).__name__
        attributes = repr(sorted(node.attrib.items())) if isinstance(node.tag, str) else ""
        told += [event, tag, repr(sorted(node.nsmap.items(), key=str)) if attributes else "", attributes]
        told += [(node.tail if event == "end" and node is not root else node.text) or "", _comment_tail(event, node)]
    return told


def _comment_tail(event: str, node: etree._Element) -> str:
    return (node.tail or "") if event in ("comment", "pi") else ""
