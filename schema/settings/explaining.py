"""What is said of a key that cannot be read: where it stands, and the nearest name that is known.

Rule: pure, and in our words; what msgspec says is taken apart here and nowhere else.
"""

import difflib
import re
from collections.abc import Iterable
from typing import get_args, get_type_hints

import msgspec

from schema.identity import IdentityRules
from schema.service import AlarmChannel, Link, PeerSettings, Service
from schema.settings.keys import (
    Fill,
    FrigateRules,
    Gaps,
    Scan,
    ServerSettings,
    Settings,
    StorageSettings,
    TemplateRules,
)
from schema.units import Strict

_TABLES: dict[str, type[Strict]] = {
    "": Settings,
    "gaps": Gaps,
    "fill": Fill,
    "scan": Scan,
    "peers": PeerSettings,
    "link": Link,
    "service": Service,
    "alarms": AlarmChannel,
    "identity": IdentityRules,
    "servers": ServerSettings,
    "storages": StorageSettings,
    "template": TemplateRules,
    "frigate": FrigateRules,
}


def explain(message: str) -> str:
    """Turn msgspec's message into ours: `at servers[0].storages[1]: unknown key 'rot'; did you mean 'root'?`."""
    what, _, place = message.partition(" - at `$")
    place = place.rstrip("`").lstrip(".")
    parts = re.sub(r"\[.*?\]", "", place).split(".")
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", what)
    if unknown:
        keys = [key.name for key in msgspec.structs.fields(_TABLES.get(parts[-1], Settings))]
        what = f"unknown key {unknown[1]!r}{_guess(unknown[1], keys)}"
    missing = re.fullmatch(r"Object missing required field `(.*)`", what)
    if missing:
        what = f"key {missing[1]!r} is missing"
    value = re.fullmatch(r"Invalid enum value '(.*)'", what)
    table = _TABLES.get(parts[-2] if len(parts) > 1 else "")
    if value and table:
        known = get_args(get_type_hints(table)[parts[-1]])
        what = f"{value[1]!r} is none of {', '.join(map(repr, known))}{_guess(value[1], known)}"
    return f"at {place}: {what}" if place else what


def _guess(text: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'root'?`, or nothing if nothing is near."""
    near = difflib.get_close_matches(text, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
