"""XProtect's media database as a layout: a bank of tables, or a folder of several banks.

Rule: decides; `index`, `stopped` and `writing` read. A table's folder is one segment. A live table is neither entered
nor measured while its recorder runs, and a fill puts nothing into a bank: what is filled goes beside it.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Self
from zoneinfo import ZoneInfo

from backfill.layouts.base import CompleteRule, EndRule, Named, Stamp, Traits, Unplaceable
from backfill.layouts.capabilities import Advice, Around, Entry, Limits, Recognised
from backfill.layouts.patterned import refuse_unknown_options
from backfill.layouts.xprotect import stopped
from backfill.layouts.xprotect.advice import ARCHIVES, advice
from backfill.layouts.xprotect.index import BankIndex, LastGood
from backfill.layouts.xprotect.names import TableName, What, is_device, of_a_bank, parse, spell, what
from backfill.layouts.xprotect.recognise import recognise
from backfill.layouts.xprotect.tables import Sizes
from backfill.layouts.xprotect.writing import index_files
from backfill.layouts.zones import to_local
from schema.settings import StorageSettings
from schema.spans import HOUR, SECOND

_OPTIONS = {
    "banks": ("one", "several"),
    "export": ("no", "yes"),
    "sizes": ("exact", "least"),
    "passwords": ("own", "shared"),
}
"""Each option with its values, the default first."""

_RECORDER_SPARE = ARCHIVES + 10**9
"""Below 5 GB free the recorder archives or deletes its oldest recordings; some of what is free is its to write in."""

LIVE = "live table, being written: never opened"
FOREIGN = "unknown folder: it is no table of this recorder"
MISPLACED = 'unknown folder: a table among banks; is banks = "several" right?'

_HINT = """\
What is filled goes beside the bank, and into it by 'recorder-sync import' alone: docs/guide/xprotect-pair.md.
options: export = "yes" for an export, passwords = "shared" where both banks have the same passwords.
"""


class XProtect:
    """`root` is one bank, or with `banks = "several"` the folder in which a recorder keeps its banks."""

    def __init__(self, traits: Traits, zone: str, *, several: bool, export: bool, sizes: Sizes) -> None:
        self._traits = traits
        self._zone = ZoneInfo(zone)
        self._several = several
        self._export = export
        self._sizes = sizes
        self._last = LastGood()

    @classmethod
    def from_settings(cls, storage: StorageSettings) -> Self:
        """Return the layout. Raises ValueError."""
        options = storage.options
        refuse_unknown_options("xprotect", options, set(_OPTIONS))
        for key, value in options.items():
            if value not in _OPTIONS[key]:
                raise ValueError(f"option {key!r} is {' or '.join(map(repr, _OPTIONS[key]))}, not {value!r}")
        if storage.fill == "tree":
            raise ValueError('fill = "tree" would write into a bank that its recorder owns; leave it out')
        chosen = {key: options.get(key, values[0]) for key, values in _OPTIONS.items()}
        traits = Traits(
            name="xprotect",
            title="Milestone XProtect",
            summary="A bank of table folders by device GUID, about one an hour; spans from the recorder's cache.xml.",
            end=EndRule.NAME,
            complete=CompleteRule.NAME,
            segment=HOUR,
            joint=2 * SECOND,
            blur=0,  # the index has the pictures' own times; whole tables are large, so none is fetched for nothing
            fill="side",
            after="a viewer opened on the bank beside, or 'recorder-sync import' while the recorder's service is"
            " stopped: see docs/guide/xprotect-pair.md",
            hint=_HINT,
            local=True,
            watched=False,
            own_names=True,
            decrypts=chosen["passwords"] == "shared",
            spare=_RECORDER_SPARE,
        )
        sizes = Sizes(chosen["sizes"])
        return cls(
            traits, storage.zone, several=chosen["banks"] == "several", export=chosen["export"] == "yes", sizes=sizes
        )

    @classmethod
    def recognise(cls, folder: str) -> Recognised | None:
        """Return what `folder` is, if XProtect wrote it. Raises OSError."""
        return recognise(folder)

    @property
    def traits(self) -> Traits:
        """The recorder's rules."""
        return self._traits

    def read(self, path: str) -> Named | None:
        """Return what the path of a closed table says; its stamp is about where the table ends, in local time."""
        bank, name = self._parts(path)
        table = parse(name) if bank is not None else None
        if table is None or what(name, export=self._export) is not What.CLOSED:
            return None
        fields = {"bank": bank, "device": table.device, "tag": table.tag, "rest": table.rest}
        return Named(
            camera=table.device.lower(),
            stream="",
            stamp=None if table.local_us is None else Stamp(table.local_us, local=True),
            duration=None,
            fields={key: value for key, value in fields.items() if value},
        )

    def write(self, named: Named) -> str:
        """Return the path of a table. Raises Unplaceable."""
        if not is_device(named.camera):
            raise Unplaceable(f"camera {named.camera!r} is no device GUID; map it to one in [servers.cameras]")
        spelt = named.fields.get("device", "")
        device = spelt if spelt.lower() == named.camera.lower() else named.camera
        local = None
        if named.stamp is not None:
            local = named.stamp.us if named.stamp.local else to_local(named.stamp.us, self._zone)
        name = spell(TableName(device, named.fields.get("tag") or "LOCAL", local, named.fields.get("rest", "")))
        bank = named.fields.get("bank", "")
        path = f"{bank}/{name}" if bank else name
        said = self.read(path)
        if said is None or said.camera != named.camera.lower() or said.stream != named.stream:
            raise Unplaceable(f"{path!r} would not be read as a table of camera {named.channel!r}")
        return path

    def enter(self, folder: str) -> bool:
        """Tell whether tables can lie in `folder`: only in a bank, never below a table."""
        return self._several and "/" not in folder and not folder.startswith(".") and _is_bank(folder)

    def is_unit(self, folder: str) -> bool:
        """Tell whether `folder` is a closed table."""
        bank, name = self._parts(folder)
        return bank is not None and what(name, export=self._export) is What.CLOSED

    def advise(self, around: Around) -> Sequence[Advice]:
        """Return what to say of the bank's needs."""
        return tuple(advice(around, shared=self._traits.decrypts))

    def remark(self, path: str, *, folder: bool) -> str | None:
        """Return why an entry that is neither a table nor a bank is skipped; nothing for what belongs there."""
        bank, name = self._parts(path)
        if not folder:
            if parse(name) is not None:
                return "a file, and no folder, of a table's name"
            return "" if of_a_bank(name) else None
        if bank is None:
            return None if name.startswith(".") else MISPLACED
        return LIVE if what(name, export=self._export) is What.LIVE else FOREIGN

    def index(self, root: str, zone: ZoneInfo, now: int, *, ours: bool) -> BankIndex:
        """Return what the recorder says of the tables below `root`."""
        return BankIndex(root, self, zone, now, sizes=self._sizes, last=self._last, ours=ours)

    def index_files(self, root: str, entries: Iterable[Entry]) -> Mapping[str, bytes]:
        """Return a `cache.xml` for each bank that `entries` lie in. Raises OSError."""
        return index_files(root, entries)

    def named_like(self, unit: str, folder: str, own: str | None) -> str:
        """Return the path of a filled table in a bank, with the tag of the recorder's `own` one. Raises Unplaceable."""
        table = parse(unit.rpartition("/")[2])
        if table is None or table.local_us is None:
            raise Unplaceable(f"{unit} is no name of a closed table; a recorder would take it for a live one")
        like = None if own is None else parse(own.rpartition("/")[2])
        name = spell(table._replace(tag=table.tag if like is None or not like.tag else like.tag))
        return f"{folder}/{name}" if folder else name

    def folders(self, root: str) -> list[str]:
        """Return the banks: "" where `root` is one. Raises OSError."""
        if not self._several:
            return [""]
        with os.scandir(root) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and self.enter(entry.name)]
        return sorted(names)

    def limits(self, root: str, folder: str) -> Limits:
        """Return what a bank's recorder keeps there. Raises OSError."""
        return stopped.limits(root, folder)

    def indexes(self, root: str, folder: str) -> list[str]:
        """Return the paths of a bank's indexes."""
        return stopped.index_paths(root, folder)

    def being_written(self, root: str, folder: str) -> Mapping[str, tuple[int, int]]:
        """Return all that a recorder writes in a bank. Only once its service is stopped. Raises OSError."""
        return stopped.being_written(root, folder)

    def told_of(self, root: str, folder: str, names: Collection[str]) -> set[str]:
        """Return which of the tables `names` the bank's index tells of."""
        return stopped.told_of(root, folder, names)

    def _parts(self, path: str) -> tuple[str | None, str]:
        """Return bank and name of what lies in a bank; None for the bank where it lies elsewhere."""
        bank, slash, name = path.rpartition("/")
        if not self._several:
            return (None if slash else ""), name
        return (bank if bank and "/" not in bank and _is_bank(bank) else None), name


def _is_bank(name: str) -> bool:
    """Tell whether a folder may be a bank: usually a GUID, but nobody promised that it is not described."""
    table = parse(name)
    return not name.startswith(".") and name.isprintable() and (table is None or table.local_us is None)
