"""The names of XProtect's folders: banks, live and closed tables, and what else lies in a bank.

Rule: pure. A bank's folder `<device GUID>` without more is being written and is nobody's to open; once closed it is
renamed to `<device GUID>_<tag>_<local time>`. Only in an export a bare GUID is closed, and nothing in the name tells
the two apart: that is configured.

Source: the pattern of Milestone's own tool `Get-BankTable`, which is not anchored at its end, and three exports that
were measured; see docs/guide/xprotect.md. The time is when the recorder renamed the folder, about where the table ends.
"""

import re
from datetime import UTC, datetime
from enum import Enum
from typing import NamedTuple

from schema.moments import from_datetime

_GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

_TABLE = re.compile(
    rf"(?P<device>{_GUID})"
    r"(?:_(?P<tag>\w{1,64})_(?P<time>\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d)"
    # Nobody has shown what may follow the time; what another program makes of a name (`.part`, `~`) is none.
    r"(?P<rest>_\w{1,64}|[ _]?\([\w .,+-]{1,64}\))?)?",
    re.ASCII,
)

_TIME = "%Y-%m-%d_%H-%M-%S"
_YEARS = range(1970, 2200)

CACHES = ("cache.xml", "archives_cache.xml")
"""A bank's indexes, the one that is asked first in front."""

_OF_A_BANK = frozenset({*CACHES, "config.xml", "synckey", "desktop.ini"})


class What(Enum):
    """What a folder in a bank is, by its name alone."""

    LIVE = "live"
    CLOSED = "closed"
    FOREIGN = "foreign"


class TableName(NamedTuple):
    """The name of a table's folder, in parts. `local_us`: its time's digits, read as if they were UTC."""

    device: str
    """The GUID as the name spells it."""
    tag: str = ""
    local_us: int | None = None
    rest: str = ""


def is_device(text: str) -> bool:
    """Tell whether `text` is a GUID."""
    return re.fullmatch(_GUID, text) is not None


def parse(name: str) -> TableName | None:
    """Return the parts of a table's name; None if it is none, or names a time that does not exist."""
    match = _TABLE.fullmatch(name)
    if match is None:
        return None
    if match["time"] is None:
        return TableName(match["device"])
    time = match["time"]
    if int(time[:4]) not in _YEARS:
        return None
    try:
        # By hand: `strptime` takes ten times as long, and a bank may hold tens of thousands of names.
        day = int(time[:4]), int(time[5:7]), int(time[8:10])
        clock = datetime(*day, int(time[11:13]), int(time[14:16]), int(time[17:19]), tzinfo=UTC)
    except ValueError:
        return None
    return TableName(match["device"], match["tag"], from_datetime(clock), match["rest"] or "")


def spell(table: TableName) -> str:
    """Return the name of a table's folder."""
    if table.local_us is None:
        return table.device
    seconds = datetime.fromtimestamp(table.local_us // 1_000_000, tz=UTC)
    return f"{table.device}_{table.tag}_{seconds.strftime(_TIME)}{table.rest}"


def what(name: str, *, export: bool) -> What:
    """Return what a folder of a bank is."""
    table = parse(name)
    if table is None:
        return What.FOREIGN
    return What.CLOSED if export or table.local_us is not None else What.LIVE


def of_a_bank(name: str) -> bool:
    """Tell whether a file of this name belongs into a bank beside its tables."""
    return name.lower() in _OF_A_BANK
