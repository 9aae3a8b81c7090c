"""Shinobi: `videos/<group key>/<monitor id>/%Y-%m-%dT%H-%M-%S.mp4`, local time, end by mtime.

Source (read in a copy of 2020): names are local unless `useUTC`; the row's end is the file's mtime; while it records it
takes **any new name in a monitor's folder for the open recording**, so nothing may be dropped in there; its orphan scan
takes a 48-byte stub for a recording.
"""

from typing import Self

from backfill.layouts.base import EndRule, Traits
from backfill.layouts.pattern import PathPattern, one_of
from backfill.layouts.patterned import PatternLayout, refuse_unknown_options
from schema.settings import StorageSettings
from schema.spans import SECOND


class Shinobi(PatternLayout):
    """`root` is Shinobi's `videos` folder; option `useUTC = "true"` as in its conf.json."""

    @classmethod
    def from_settings(cls, storage: StorageSettings) -> Self:
        """Return the layout. Raises ValueError."""
        refuse_unknown_options("shinobi", storage.options, {"useUTC"})
        utc = storage.options.get("useUTC", "false")
        if utc not in ("true", "false"):
            raise ValueError(f"useUTC is 'true' or 'false', not {utc!r}")
        traits = Traits(
            name="shinobi",
            title="Shinobi",
            summary="Folders by group and monitor; takes any new name for its open recording, so fills go to the side.",
            end=EndRule.MTIME,
            segment=900 * SECOND,
            joint=2 * SECOND,
            fill="side",
            after="to be imported from the side folder by hand, while the monitor is off",
            local=utc == "false",
        )
        pattern = PathPattern(
            "{group}/{camera}/%Y-%m-%dT%H-%M-%S.{suffix}",
            clock_is_utc=utc == "true",
            bodies={"suffix": one_of(("mp4", "webm"))},
        )
        return cls(traits, [pattern], storage.zone)
