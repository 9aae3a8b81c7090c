"""Motion and motionEye: one movie per event, named when it starts, moov written last.

Source: measured on motion 4.5.1 - a file holds 1 to 3 s *before* its name, because it starts at the key frame before;
its last write minus its duration is the true start. motionEye reads its folders for each view and goes by mtime.
Motion names a movie by its `movie_filename`; our option takes it as it stands in motion.conf.
"""

import re
from typing import Self

from backfill.layouts.base import EndRule, StartRule, Traits
from backfill.layouts.pattern import PathPattern, one_of
from backfill.layouts.patterned import PatternLayout, refuse_unknown_options
from schema.settings import StorageSettings
from schema.spans import SECOND

DEFAULT_MOVIE_FILENAME = "%v-%Y%m%d%H%M%S"

_SPECIFIERS = {
    "v": "{event}",
    "q": "{frame}",
    "$": "{camera}",
    "D": "{changed}",
    "N": "{noise}",
    "i": "{width}",
    "J": "{height}",
    "K": "{x}",
    "L": "{y}",
    "C": "{text}",
    "w": "{picturewidth}",
    "h": "{pictureheight}",
    "T": "%H:%M:%S",
    "F": "%Y-%m-%d",
}
_TEXTS = ("$", "C", "T", "F")
_NUMBERS = {field.strip("{}"): r"\d{1,10}" for code, field in _SPECIFIERS.items() if code not in _TEXTS}
_SUFFIXES = ("mkv", "mp4", "avi", "mov", "flv", "webm", "3gp")


def to_pattern(movie_filename: str) -> str:
    """Return motion's template as one of ours. Raises ValueError for a specifier that holds no known value.

    The camera is its name (`%$`), or where names do not hold that its number (`%t`).
    """
    number = "{number}" if "%$" in movie_filename else "{camera}"

    def translate(match: re.Match[str]) -> str:
        code = match[1]
        if code in "YymdHMSs":
            return f"%{code}"
        if code == "t":
            return number
        if code in _SPECIFIERS:
            return _SPECIFIERS[code]
        raise ValueError(f"movie_filename {movie_filename!r} has the specifier '%{code}', which is not supported")

    if "{" in movie_filename:
        raise ValueError(f"movie_filename {movie_filename!r} has braces, which are not supported")
    return re.sub(r"%(.)", translate, movie_filename.lstrip("/"))


class Motion(PatternLayout):
    """`root` is motion's `target_dir`; options `movie_filename` and, where names have no camera, `camera`."""

    @classmethod
    def from_settings(cls, storage: StorageSettings) -> Self:
        """Return the layout for the configured `movie_filename`. Raises ValueError."""
        refuse_unknown_options("motion", storage.options, {"movie_filename", "camera"})
        name = to_pattern(storage.options.get("movie_filename", DEFAULT_MOVIE_FILENAME)) + ".{suffix}"
        camera = storage.options.get("camera", "" if "{camera}" in name else "camera")
        traits = Traits(
            name="motion",
            title="Motion",
            summary="One movie per event, named by its start; keeps no index, so a file that appears just lies there.",
            start=StartRule.END,
            end=EndRule.MTIME,
            segment=60 * SECOND,
            joint=2 * SECOND,
            fill="tree",
            staging_inside=True,
            local="%s" not in name,
        )
        bodies = {"suffix": one_of(_SUFFIXES), "number": r"\d{1,10}", **_NUMBERS}
        return cls(traits, [PathPattern(name, camera=camera, bodies=bodies)], storage.zone)


class MotionEye(PatternLayout):
    """`root` is motionEye's media folder, with one folder a camera."""

    @classmethod
    def from_settings(cls, storage: StorageSettings) -> Self:
        """Return the layout; motionEye has no options."""
        refuse_unknown_options("motioneye", storage.options, set())
        traits = Traits(
            name="motioneye",
            title="motionEye",
            summary="A folder per camera and date, movies named by time of day; shows whatever lies there, by mtime.",
            start=StartRule.END,
            end=EndRule.MTIME,
            segment=60 * SECOND,
            joint=2 * SECOND,
            fill="tree",
            staging_inside=True,
            local=True,
        )
        pattern = PathPattern("{camera}/%Y-%m-%d/%H-%M-%S.{suffix}", bodies={"suffix": one_of(_SUFFIXES)})
        return cls(traits, [pattern], storage.zone)
