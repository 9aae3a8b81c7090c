"""Which layouts there are: ours, and those that installed packages add.

Rule: a layout is loaded when it is asked for, so that a broken third-party one hurts only who uses it.
"""

import difflib
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from backfill.layouts.base import Layout
from schema.errors import ConfigInvalid
from schema.settings import StorageSettings

GROUP = "recorder_sync.layouts"

_BUILT_IN = {
    "frigate": "backfill.layouts.frigate:Frigate",
    "kerberos": "backfill.layouts.kerberos:Kerberos",
    "mediamtx": "backfill.layouts.mediamtx:MediaMTX",
    "motion": "backfill.layouts.motion:Motion",
    "motioneye": "backfill.layouts.motion:MotionEye",
    "shinobi": "backfill.layouts.shinobi:Shinobi",
    "template": "backfill.layouts.template:Template",
    "xprotect": "backfill.layouts.xprotect:XProtect",
    "zoneminder": "backfill.layouts.zoneminder:ZoneMinder",
}


def _third_party() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in _BUILT_IN}


def available() -> list[str]:
    """Return the names of all layouts, ours and installed ones."""
    return sorted([*_BUILT_IN, *_third_party()])


def layout_class(name: str) -> type[Layout]:
    """Return the class of layout `name`. Raises KeyError if there is none, ValueError if it cannot be loaded."""
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        found: type[Layout] = getattr(import_module(module), attribute)
        return found
    point = _third_party()[name]
    try:
        loaded: type[Layout] = point.load()
    except Exception as error:
        package = point.dist.name if point.dist else point.value
        raise ValueError(f"layout {name!r} of {package} cannot be loaded: {error!r}") from error
    return loaded


def build(storage: StorageSettings, server: str) -> Layout:
    """Return the layout of a configured storage. Raises ConfigInvalid."""
    where = f"for storage {storage.name!r} of server {server!r}"
    if storage.layout not in _BUILT_IN and storage.layout not in _third_party():
        near = difflib.get_close_matches(storage.layout, available(), n=1)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigInvalid(where, f"unknown layout {storage.layout!r}{guess}; known: {', '.join(available())}")
    try:
        return layout_class(storage.layout).from_settings(storage)
    except ValueError as error:
        raise ConfigInvalid(where, str(error)) from None
