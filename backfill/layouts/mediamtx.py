"""MediaMTX: `recordPath` with its own variables, fragmented MP4 or MPEG-TS, written in place, no database.

Source (read in MediaMTX's code at 1.20): variables `%path %Y %m %d %H %M %S %f %z %s`; local time unless `%z` or `%s`;
`recordSegmentDuration` (1 h by default) is a minimum, cut at the next key frame; mvhd.duration is patched when a
segment is closed, 0 means open or died; the folder is walked for each request, so a dropped-in file is seen at once,
and **one unreadable file makes the listing of its path fail**. Its match is not anchored, but a name without a time
never matches, so our staging folder is ignored. It reads fragmented MP4 alone, with `moov` right behind `ftyp`: a plain
MP4 is such an unreadable file.
"""

import re
from typing import Self

from backfill.layouts.base import Traits
from backfill.layouts.pattern import PathPattern, one_of
from backfill.layouts.patterned import PatternLayout, refuse_unknown_options
from schema.settings import StorageSettings
from schema.spans import DAY, HOUR, MINUTE, SECOND

DEFAULT_RECORD_PATH = "%path/%Y-%m-%d_%H-%M-%S-%f"


class MediaMTX(PatternLayout):
    """`root` is the constant front of `recordPath`; options as in mediamtx.yml.

    `recordPath` is the rest, with or without the front; `recordSegmentDuration` is how long a segment is.
    """

    @classmethod
    def from_settings(cls, storage: StorageSettings) -> Self:
        """Return the layout for the configured `recordPath`. Raises ValueError."""
        refuse_unknown_options("mediamtx", storage.options, {"recordPath", "recordSegmentDuration"})
        below = below_root(storage.options.get("recordPath", DEFAULT_RECORD_PATH))
        pattern = PathPattern(to_pattern(below) + ".{suffix}", bodies={"suffix": one_of(("mp4", "ts"))})
        traits = Traits(
            name="mediamtx",
            title="MediaMTX",
            summary="A recordPath template per path; fragmented MP4 or TS, picked up as soon as it appears.",
            segment=_segment(storage.options.get("recordSegmentDuration", "1m")),
            joint=SECOND // 2,
            late=SECOND,
            blur=SECOND // 5 if "%f" in below else SECOND,
            fill="tree",
            reads=("fmp4", "ts"),
            name_step=1 if "%f" in below else SECOND,
            staging_inside=True,
            local="%z" not in below and "%s" not in below,
        )
        return cls(traits, [pattern], storage.zone)


def _segment(duration: str) -> int:
    """Return microseconds of a Go duration such as `1h` or `1h30m`. Raises ValueError."""
    parts = re.fullmatch(r"(?:(\d{1,3})h)?(?:(\d{1,4})m)?(?:(\d{1,5})s)?", duration)
    hours, minutes, seconds = (int(part or 0) for part in parts.groups()) if parts else (0, 0, 0)
    length = hours * HOUR + minutes * MINUTE + seconds * SECOND
    if not 0 < length <= DAY:
        raise ValueError(f"recordSegmentDuration {duration!r} is not a length up to a day such as '1h' or '10m30s'")
    return length


def below_root(record_path: str) -> str:
    """Return what of `recordPath` comes after its constant folders: `./recordings/%path/%s` -> `%path/%s`."""
    parts = record_path.split("/")
    first = next((index for index, part in enumerate(parts) if "%" in part), len(parts) - 1)
    return "/".join(parts[first:])


def to_pattern(record_path: str) -> str:
    """Return MediaMTX's template as one of ours. Raises ValueError for what it cannot say."""
    if "{" in record_path or "}" in record_path:
        raise ValueError(f"recordPath {record_path!r} has braces, which are not supported")
    if "%path" not in record_path:
        raise ValueError(f"recordPath {record_path!r} has no %path")
    unknown = re.search(r"%(?!path|[YmdHMSfzs])(.?)", record_path)
    if unknown:
        raise ValueError(f"recordPath {record_path!r} has the unknown variable '%{unknown[1]}'")
    return record_path.replace("%path", "{camera*}")
