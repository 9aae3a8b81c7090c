"""The common case: a recorder whose paths follow one or a few patterns.

Rule: the first pattern that reads a path wins, and writing uses the first pattern that can say everything. A path that
would not be read back as the same camera is not written: the recording would be lost among another's.
"""

import difflib
from collections.abc import Collection, Mapping
from zoneinfo import ZoneInfo

from backfill.layouts.base import Named, Stamp, Traits, Unplaceable
from backfill.layouts.pattern import PathPattern
from backfill.layouts.zones import to_local


class PatternLayout:
    """A `Layout` made of patterns. Vendor modules subclass it and state their traits and patterns."""

    def __init__(self, traits: Traits, patterns: list[PathPattern], zone: str) -> None:
        self._traits = traits
        self._patterns = patterns
        self._zone = ZoneInfo(zone)

    @property
    def traits(self) -> Traits:
        """The recorder's rules."""
        return self._traits

    def read(self, path: str) -> Named | None:
        """Return what `path` says, or None if no pattern matches."""
        for pattern in self._patterns:
            named = pattern.read(path)
            if named is not None:
                return named
        return None

    def write(self, named: Named) -> str:
        """Return the path that says `named`; a UTC stamp becomes local where names are local. Raises Unplaceable."""
        stamp = named.stamp
        if stamp is not None and self._traits.local and not stamp.local:
            named = named._replace(stamp=Stamp(to_local(stamp.us, self._zone), local=True))
        problems = []
        for pattern in self._patterns:
            try:
                path = pattern.write(named, self._zone)
            except Unplaceable as error:
                problems.append(str(error))
                continue
            said = self.read(path)
            if said is not None and (said.camera, said.stream) == (named.camera, named.stream):
                return path
            problems.append(f"{self._traits.title} would not read {path!r} as camera {named.channel!r}")
        raise Unplaceable(problems[0])

    def enter(self, folder: str) -> bool:
        """Tell whether recordings can lie below `folder`: hidden folders hold none."""
        return not folder.rpartition("/")[2].startswith(".")

    def is_unit(self, folder: str) -> bool:  # noqa: ARG002  part of the Layout protocol
        """Tell whether `folder` is itself one segment: never, where segments are files."""
        return False


def refuse_unknown_options(layout: str, options: Mapping[str, str], known: Collection[str]) -> None:
    """Raise ValueError for an option that this layout does not have: a typo must not be silence."""
    for key in sorted(set(options) - set(known)):
        near = difflib.get_close_matches(key, known, n=1)
        guess = f"; did you mean {near[0]!r}?" if near else f"; it has: {', '.join(sorted(known)) or 'none'}"
        raise ValueError(f"layout {layout!r} has no option {key!r}{guess}")
