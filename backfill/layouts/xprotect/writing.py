"""The index of what was filled beside a bank: a `cache.xml` like the recorder's, with exactly the tables there.

Rule: says nothing that is not known: a table's own `config.xml` tells description, device, encryption and signing, its
folder the sizes, our notes the media's times. What a table's small columns begin and end with is not known where only
the table was brought; they get the media's times. A bank's `config.xml` and `synckey` are not made: passwords and ids
in them are the recorder's.
"""

import os
from collections.abc import Iterable, Iterator, Mapping

from lxml import etree

from backfill.layouts.capabilities import Entry
from backfill.layouts.xprotect.cache import MOST_BYTES, CacheBad, document, media_column, raw_tables
from backfill.layouts.xprotect.names import CACHES, is_device
from backfill.layouts.xprotect.tables import Weight, weigh
from backfill.sharing import TooLarge, read_whole
from backfill.units import unit_files

_HEAD = b'<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<bank version="1.2">\n'
_TAIL = b"</bank>\n"
_CONFIG_BYTES = 2**20
_TEXT = 512
"""A peer's table may say anything of itself; what is longer than any name must not spoil the index of all others."""
_OF_ENCRYPTION = ("algorithm", "size_to_encrypt", "password_selection")
_ALWAYS_ZERO = ("meta_data_first_record", "meta_data_last_record", "begin_time_last_record", "end_time_first_record")
"""Source: in every column that was measured."""


def index_files(root: str, entries: Iterable[Entry]) -> dict[str, bytes]:
    """Return the `cache.xml` of every bank below `root` that holds any of `entries` or has one already.

    What an index here says of a table already is kept to the letter. Raises OSError.
    """
    banks: dict[str, dict[str, Entry]] = {bank: {} for bank in _indexed_banks(root)}
    for entry in entries:
        bank, _, name = entry.path.rpartition("/")
        banks.setdefault(bank, {})[name] = entry
    found = {}
    for bank, here in sorted(banks.items()):
        path = f"{bank}/{CACHES[0]}" if bank else CACHES[0]
        known = _known(os.path.join(root, path))
        texts = [known.get(name) or _table_text(root, name, entry) for name, entry in sorted(here.items())]
        found[path] = b"".join([_HEAD, *(text + b"\n" for text in texts), _TAIL])
    return found


def _indexed_banks(root: str) -> Iterator[str]:
    """Yield the banks below `root` that have an index: "" for `root` itself. Raises OSError."""
    if os.path.lexists(os.path.join(root, CACHES[0])):
        yield ""
    with os.scandir(root) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    yield from (name for name in names if os.path.lexists(os.path.join(root, name, CACHES[0])))


def _known(path: str) -> Mapping[str, bytes]:
    """Return what an index of ours says of each table, as it says it; nothing if there is none or it is damaged."""
    try:
        return raw_tables(read_whole(path, MOST_BYTES).content)
    except (FileNotFoundError, CacheBad, TooLarge):
        return {}


def _table_text(root: str, name: str, entry: Entry) -> bytes:
    """Return the element that tells of one table. Raises OSError."""
    folder = os.path.join(root, entry.path)
    files = [(path, info.st_size, info.st_mtime_ns) for path, info in unit_files(folder)]
    weight = weigh(files, 0)
    beside = sum(size for path, size, _ in files if "/" not in path)
    table = etree.Element("table")
    _add(table, "name", name)
    _add(table, "size", str(sum(weight.columns.values()) + beside))
    _describe(table, _config(os.path.join(folder, "config.xml")))
    for column in sorted(_column_folders(files), key=lambda one: (one.lower() != media_column(), one.lower())):
        _add_column(table, column, weight, entry)
    text: bytes = etree.tostring(table, encoding="UTF-8", xml_declaration=False)
    return text


def _column_folders(files: Iterable[tuple[str, int, int]]) -> set[str]:
    """Return the folders of a table that are columns: a peer may have put others there."""
    return {folder for path, _, _ in files if is_device(folder := path.rpartition("/")[0])}


def _add_column(table: etree._Element, folder: str, weight: Weight, entry: Entry) -> None:
    """Add one column; one that holds nothing but empty indexes has no times. Source: measured."""
    size = weight.columns[folder.lower()]
    column = etree.SubElement(table, "column")
    _add(column, "name", folder)
    if folder.lower() in weight.with_blocks:
        _add(column, "begin_time", str(entry.start // 1000))
        _add(column, "end_time", str(entry.end // 1000))
        for tag in _ALWAYS_ZERO:
            _add(column, tag, "0")
    _add(column, "size", str(size))


def _config(path: str) -> etree._Element | None:
    """Return what a table says of itself; None if it does not, or not so that it can be read. Raises OSError."""
    try:
        return document(read_whole(path, _CONFIG_BYTES).content)
    except (FileNotFoundError, CacheBad, TooLarge):
        return None


def _describe(table: etree._Element, config: etree._Element | None) -> None:
    """Add what a table's own `config.xml` says of it, in the order of a recorder's index."""
    if config is None:
        return
    description = config.find(".//description")
    if description is not None:
        _add(table, "description", description.text or "")
    encryption = config.find(".//encryption")
    if encryption is not None:
        copy = etree.SubElement(table, "encryption")
        for tag in _OF_ENCRYPTION:
            if encryption.find(tag) is not None:
                _add(copy, tag, encryption.findtext(tag) or "")
    kind = config.find(".//entry[@key='device_type']")
    if kind is not None:
        entry = etree.SubElement(etree.SubElement(table, "meta_data"), "entry", key="device_type")
        entry.text = (kind.text or "")[:_TEXT]
    signing = config.find(".//signing_algorithm")
    if signing is not None:
        _add(table, "signing_algorithm", signing.text or "")


def _add(parent: etree._Element, tag: str, text: str) -> None:
    etree.SubElement(parent, tag).text = text[:_TEXT]
