"""The kinds of values a configuration holds: lengths of time, sizes and rates with their units, and strict tables.

Rule: a number without a unit is an error, and so is a key that is not known.
"""

import msgspec

NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}"
"""What a server or a storage may be called: one component of a path, never one that climbs."""


class Duration(int):
    """Microseconds, written as `90s`, `2h`, `10d`."""


class Size(int):
    """Bytes, written as `5 GB`, `4 MiB`."""


class Rate(int):
    """Bytes per second, written as `50 MB/s` or `200 Mbit/s`."""


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file: unknown keys are errors."""
