"""Path patterns with named fields: `{camera}/%Y-%m-%d/%H-%M-%S.mp4`, read and written, always anchored.

Rule: a pattern matches a whole path or not at all. MediaMTX's own unanchored match takes `X.mp4.part` for `X.mp4`;
ours must not, or a half-written file would count as coverage.

Fields: `%Y %y %m %d %H %M %S` digits of a clock, `%f` microseconds (six digits), `%z` offset (`Z` or `+0200`), `%s`
epoch seconds, `{ms}` and `{us}` epoch milliseconds and microseconds, `{duration_ms}` and `{duration_s}` the length,
`{end_s}` and `{end_ms}` the end, `{camera}`, `{camera*}` (may contain `/`), `{stream}`. Any other `{word}` matches
anything but `/` and is kept, so that the same path can be written again; `{suffix}` is the container's by custom. A
field that occurs twice must say the same twice. No field matches a hidden file or folder, nor a control character.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from backfill.layouts.base import Named, Stamp, Unplaceable
from schema.spans import DAY, HOUR, MINUTE, SECOND

_BODIES = {
    "%Y": r"\d{4}",
    "%y": r"\d{2}",
    "%m": r"\d{2}",
    "%d": r"\d{2}",
    "%H": r"\d{2}",
    "%M": r"\d{2}",
    "%S": r"\d{2}",
    "%f": r"\d{6}",
    "%z": r"Z|[+-](?:0\d|1[0-4])[0-5]\d",
    "%s": r"[1-9]\d{8,9}",
    "ms": r"[1-9]\d{11,12}",
    "us": r"[1-9]\d{14,15}",
    "duration_ms": r"\d{1,12}",
    "duration_s": r"\d{1,9}",
    "end_s": r"[1-9]\d{8,9}",
    "end_ms": r"[1-9]\d{11,12}",
}
"""What digits a field takes. All are capped: a name is nobody's promise, and what it says must fit the ledger."""

_FREE_AT_MOST = 2
"""Fields in one name that may be any word. The ways to share out a name among more are too many to try: whoever may
write into a recorder's folder could stop a scan with one name."""

_LETTER = r"[^/\x00-\x1f\x7f]"
_YEARS = range(1970, 2200)


def one_of(words: Sequence[str]) -> str:
    """Return the regular expression of a field that can only be one of `words`."""
    return "|".join(map(re.escape, words))


_TOKEN = re.compile(r"%(?P<code>.)|\{(?P<field>[a-z_]+)(?P<deep>\*?)\}")
_CLOCK = frozenset({"%Y", "%y", "%m", "%d", "%H", "%M", "%S", "%f", "%z"})
_EPOCH_DAY = date(1970, 1, 1).toordinal()


@lru_cache(maxsize=1024)
def _day_us(year: str, month: str, day: str) -> int:
    """Return midnight of a date in microseconds. Raises ValueError for a date that does not or cannot exist."""
    if int(year) not in _YEARS:
        raise ValueError(f"no recorder wrote in {year}")
    return (date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY) * DAY


class PathPattern:
    """One compiled pattern.

    Args:
        pattern: text with fields as above.
        camera: the camera of every file, for patterns that have no `{camera}`.
        bodies: regular expressions of single fields, where "anything but `/`" is too wide.
        clock_is_utc: whether digits without `%z` are UTC rather than local.

    Raises ValueError if the pattern can tell no camera, is no relative path, has what is no field, or too many that may
    be any word.
    """

    def __init__(
        self,
        pattern: str,
        *,
        camera: str = "",
        clock_is_utc: bool = False,
        bodies: Mapping[str, str] | None = None,
    ) -> None:
        self.pattern = pattern
        self._bodies = {**_BODIES, **(bodies or {})}
        self._camera = camera
        self._utc = clock_is_utc
        self._parts: list[tuple[str, str]] = []  # (literal before, field after)
        self._regex = re.compile(self._compile(pattern), re.ASCII)
        fields = {field for _, field in self._parts}
        if "camera" not in fields and not camera:
            raise ValueError(f"pattern {pattern!r} has no {{camera}} and no camera is configured for it")
        if "camera" in fields and camera:
            raise ValueError(f"pattern {pattern!r} has a {{camera}}; the configured camera {camera!r} would not count")
        has_year = "%Y" in fields or "%y" in fields
        self._has_clock = has_year and {"%m", "%d", "%H", "%M", "%S"} <= fields
        self._has_epoch = bool(fields & {"%s", "ms", "us"})
        if not self._has_epoch and fields & {"%H", "%M", "%S"} and not self._has_clock:
            raise ValueError(f"pattern {pattern!r} has a time of day but not a whole date and time")
        timeless = not (self._has_clock or self._has_epoch)
        self._has_day = timeless and has_year and {"%m", "%d"} <= fields
        self._fields = fields
        kept = {field for field in fields if field and field not in _BODIES and field not in ("camera", "stream")}
        if timeless:
            kept |= fields & _CLOCK  # no stamp to write them from
        self._kept = tuple(sorted(kept))

    def _compile(self, pattern: str) -> str:
        literals = _TOKEN.sub("", pattern)
        stray = next((letter for letter in "{}%" if letter in literals), None)
        if stray:
            raise ValueError(f"pattern {pattern!r} has a {stray!r} that belongs to no field")
        if any(part in ("", ".", "..") for part in pattern.split("/")):
            raise ValueError(f"pattern {pattern!r} is not a relative path")
        regex, at, free = "", 0, 0
        seen: set[str] = set()
        for token in _TOKEN.finditer(pattern):
            literal = pattern[at : token.start()]
            at = token.end()
            field = f"%{token['code']}" if token["code"] else token["field"]
            if token["code"] and field not in _BODIES:
                raise ValueError(f"pattern {pattern!r} has the unknown code {field!r}")
            group = _group(field)
            free = 0 if "/" in literal else free
            if field in seen:
                regex += f"{re.escape(literal)}(?P={group})"
            else:
                begins = not pattern[: token.start()].rpartition("/")[2]
                free += field not in self._bodies
                if free > _FREE_AT_MOST:
                    raise ValueError(
                        f"pattern {pattern!r} has more than {_FREE_AT_MOST} fields of any word in one name"
                    )
                body = self._bodies.get(field) or _free(begins=begins, deep=bool(token["deep"]))
                regex += f"{re.escape(literal)}(?P<{group}>{body})"
            seen.add(field)
            self._parts.append((literal, field))
        self._parts.append((pattern[at:], ""))
        return regex + re.escape(pattern[at:])

    def read(self, path: str) -> Named | None:
        """Return what `path` says, or None if it does not match or names a time that does not exist."""
        match = self._regex.fullmatch(path)
        if match is None:
            return None
        groups = match.groupdict()
        try:
            stamp = self._stamp(groups)
            day = self._day(groups)
        except ValueError:
            return None
        return Named(
            camera=groups.get("g_camera") or self._camera,
            stream=groups.get("g_stream") or "",
            stamp=stamp,
            duration=self._duration(groups, stamp),
            fields={field: groups[_group(field)] for field in self._kept},
            day=day,
        )

    def _stamp(self, groups: dict[str, str]) -> Stamp | None:
        micros = int(groups.get("g_pct_f") or 0)
        if "%s" in self._fields:
            return Stamp(int(groups["g_pct_s"]) * SECOND + micros, local=False)
        if "ms" in self._fields:
            return Stamp(int(groups["g_ms"]) * 1000, local=False)
        if "us" in self._fields:
            return Stamp(int(groups["g_us"]), local=False)
        if not self._has_clock:
            return None
        year = _year(groups)
        hour, minute, second = int(groups["g_pct_H"]), int(groups["g_pct_M"]), int(groups["g_pct_S"])
        if hour > 23 or minute > 59 or second > 60:  # 60: a leap second, read as the next second
            raise ValueError("no such time of day")
        clock = _day_us(year, groups["g_pct_m"], groups["g_pct_d"])
        clock += hour * HOUR + minute * MINUTE + second * SECOND + micros
        offset = groups.get("g_pct_z")
        if offset:
            return Stamp(clock - _offset_us(offset), local=False)
        return Stamp(clock, local=not self._utc)

    def _day(self, groups: dict[str, str]) -> int | None:
        return _day_us(_year(groups), groups["g_pct_m"], groups["g_pct_d"]) if self._has_day else None

    def _duration(self, groups: dict[str, str], stamp: Stamp | None) -> int | None:
        if "duration_ms" in self._fields:
            return int(groups["g_duration_ms"]) * 1000
        if "duration_s" in self._fields:
            return int(groups["g_duration_s"]) * SECOND
        if stamp is not None and not stamp.local:
            if "end_s" in self._fields:
                return int(groups["g_end_s"]) * SECOND - stamp.us
            if "end_ms" in self._fields:
                return int(groups["g_end_ms"]) * 1000 - stamp.us
        return None

    def write(self, named: Named, zone: ZoneInfo | None = None) -> str:
        """Return the path that says `named`. A local pattern wants a local stamp; `zone` gives `%z` its offset.

        Raises Unplaceable if a field has no value.
        """
        values = self._values(named, zone)
        path = ""
        for literal, field in self._parts:
            path += literal
            if field:
                value = values.get(field) or named.fields.get(field)
                if value is None:
                    raise Unplaceable(f"a name like {self.pattern} needs {field!r}")
                path += value
        return path

    def _values(self, named: Named, zone: ZoneInfo | None) -> dict[str, str]:
        values = {"camera": named.camera, "stream": named.stream}
        stamp = named.stamp
        if stamp is None:
            return values
        if self._has_clock and "%z" not in self._fields and stamp.local == self._utc:
            raise Unplaceable(f"a name like {self.pattern} needs a {'UTC' if self._utc else 'local'} time")
        if not stamp.local:
            values["%s"] = str(stamp.us // SECOND)
            values["ms"] = str(stamp.us // 1000)
            values["us"] = str(stamp.us)
        if named.duration is not None:
            values["duration_ms"] = str(named.duration // 1000)
            values["duration_s"] = str(named.duration // SECOND)
            if not stamp.local:
                values["end_s"] = str((stamp.us + named.duration) // SECOND)
                values["end_ms"] = str((stamp.us + named.duration) // 1000)
        clock = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=stamp.us)
        if "%z" in self._fields and not stamp.local and zone is not None:
            clock = clock.astimezone(zone)
            offset = clock.strftime("%z")[:5]
            values["%z"] = "Z" if offset == "+0000" else offset
        elif "%z" in self._fields:
            values["%z"] = "Z"
        for code in _CLOCK - {"%z"}:
            values[code] = clock.strftime(code)
        return values


def _group(field: str) -> str:
    """Return the name of a field's group in the regular expression."""
    return "g_" + field.replace("%", "pct_")


def _free(*, begins: bool, deep: bool) -> str:
    """Return the regular expression of a field that may be any word; `begins`: a path component begins with it."""
    word = f"{_LETTER}+?"
    if deep:
        word += rf"(?:/(?!\.){_LETTER}+?)*?"
    return rf"(?!\.){word}" if begins else word


def _year(groups: dict[str, str]) -> str:
    return groups.get("g_pct_Y") or f"20{groups['g_pct_y']}"


def _offset_us(offset: str) -> int:
    """Return microseconds of `Z` or `+0200`."""
    if offset == "Z":
        return 0
    size = int(offset[1:3]) * HOUR + int(offset[3:5]) * MINUTE
    return size if offset[0] == "+" else -size
