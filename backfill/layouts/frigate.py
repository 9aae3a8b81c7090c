"""Frigate 0.12 and later: `recordings/%Y-%m-%d/%H/<camera>/%M.%S.mp4`, UTC, faststart MP4 of about ten seconds.

Source (read in Frigate's code at 0.18 beta): names in UTC whole seconds; the mover writes the final name in place with
`+faststart`, so a file grows under its name until `moov` stands in front; a file without a row in `recordings` is not
shown, and a media sync deletes it; camera names are `[A-Za-z0-9_-]+`.
"""

from typing import Self

from backfill.layouts.base import Traits
from backfill.layouts.pattern import PathPattern
from backfill.layouts.patterned import PatternLayout, refuse_unknown_options
from schema.settings import StorageSettings
from schema.spans import SECOND

_HINT = """\
[servers.storages.frigate]           # without it Frigate does not show filled files, and its upkeep deletes them
database = "/config/frigate.db"      # as this machine sees it
rows = "dry-run"                     # says which rows are missing; "write" adds them
"""


class Frigate(PatternLayout):
    """`root` is Frigate's `recordings` folder."""

    @classmethod
    def from_settings(cls, storage: StorageSettings) -> Self:
        """Return the layout; Frigate has no options."""
        refuse_unknown_options("frigate", storage.options, set())
        traits = Traits(
            name="frigate",
            title="Frigate 0.12 and later",
            summary="Folders by UTC date, hour and camera; ten-second MP4 files named by minute and second.",
            segment=10 * SECOND,
            joint=SECOND + SECOND // 2,
            late=5 * SECOND,
            fill="tree",
            after="a row in Frigate's database (see 'frigate' in the configuration); without it Frigate does not show"
            " the file, and its upkeep deletes it",
            hint=_HINT,
        )
        pattern = PathPattern("%Y-%m-%d/%H/{camera}/%M.%S.mp4", clock_is_utc=True, bodies={"camera": r"[a-zA-Z0-9_-]+"})
        return cls(traits, [pattern], "UTC")
