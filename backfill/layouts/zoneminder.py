"""ZoneMinder: a folder per event, in one of three schemes; read, and filled only to the side.

Source (read in its code, measured on 1.36.33): Medium `<monitor>/%Y-%m-%d/<event>/<event>-video.mp4`, Deep
`<monitor>/%y/%m/%d/%H/%M/%S/<event>-video.mp4` with a symbolic link `.<event>` in the day's folder, Shallow
`<monitor>/<event>/<event>-video.mp4`; one server may mix them. Local time. mvhd.duration stays 0 for ever, `mfra` at
the end tells a closed file; 1.37 and later write `incomplete.*` first and end in `-video.<codec>.<container>`. Event
ids are per database, so another server's event has no free place in the tree, and `zmaudit` deletes folders without a
row: the side folder is the safe place, `zmrecover.pl` (which goes by mtime and duration) the way from there.
"""

from typing import Self

from backfill.layouts.base import EndRule, StartRule, Traits
from backfill.layouts.pattern import PathPattern, one_of
from backfill.layouts.patterned import PatternLayout, refuse_unknown_options
from schema.settings import StorageSettings
from schema.spans import SECOND


class ZoneMinder(PatternLayout):
    """`root` is a ZoneMinder storage; cameras are monitor ids (map them in `cameras`)."""

    @classmethod
    def from_settings(cls, storage: StorageSettings) -> Self:
        """Return the layout; ZoneMinder has no options."""
        refuse_unknown_options("zoneminder", storage.options, set())
        traits = Traits(
            name="zoneminder",
            title="ZoneMinder 1.34 and later",
            summary="A folder per event below the monitor's id; read as it is, filled to a side folder.",
            start=StartRule.END,
            end=EndRule.MTIME,
            segment=600 * SECOND,
            joint=2 * SECOND,
            fill="side",
            after="zmrecover.pl on the side folder, after each event is given a new id",
            local=True,
        )
        bodies = {"event": r"\d+", "codec": r"(?:\.[a-z0-9]+)?", "suffix": one_of(("mp4", "mkv", "webm"))}
        folders = ("{camera}/%y/%m/%d/%H/%M/%S", "{camera}/%Y-%m-%d/{event}", "{camera}/{event}")
        patterns = [PathPattern(f"{folder}/{{event}}-video{{codec}}.{{suffix}}", bodies=bodies) for folder in folders]
        return cls(traits, patterns, storage.zone)
