"""The configuration: one strict TOML file, every key with its unit and its default.

Rule: a typo is an error that names the file, the place and the nearest key; a value is checked here once, so that
nobody checks it again. Relative paths are relative to the file's folder.
"""

import difflib
import os
import re
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from schema.errors import ConfigInvalid, ConfigMissing
from schema.moments import parse_duration, parse_rate, parse_size
from schema.spans import SECOND

DEFAULT_CONFIG = "recorder-sync.toml"


class Duration(int):
    """Microseconds, written as `90s`, `2h`, `10d`."""


class Size(int):
    """Bytes, written as `5 GB`, `4 MiB`."""


class Rate(int):
    """Bytes per second, written as `50 MB/s` or `200 Mbit/s`."""


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file: unknown keys are errors."""


class Gaps(Strict, frozen=True):
    """What counts as a gap."""

    policy: Literal["always", "outages"] = "always"
    """`always`: fill whatever the peer has (continuous recording); `outages`: only what an outage explains."""
    threshold: Duration = Duration(2 * SECOND)
    """Holes up to this long are no gaps."""
    settle: Duration | None = None
    """Leave the newest recordings alone for this long; default two segment lengths, at least 120 s."""


class Fill(Strict, frozen=True):
    """How filling treats the disk and the line."""

    in_flight: int = 4
    """Segments under way at once; two saturate two cores, more hide the disk's latency."""
    bandwidth: Rate | None = None
    """Upper limit for all segments together; default none."""
    reserve: Size = Size(2 * 10**9)
    """Free space at the destination that filling never touches."""
    chunk: Size = Size(4 * 2**20)
    """Unit of resume and of naming damage; a power of two from 64 KiB to 1 GiB."""
    readback: bool = False
    """Read every copy back from the disk before it is published."""


class Scan(Strict, frozen=True):
    """How storages are read."""

    digests: Literal["sealed", "transfer"] = "transfer"
    """When a segment's digest is taken: when it is found sealed, or when it is first read for a fill."""
    rate: Rate = Rate(100 * 10**6)
    """Upper limit for reading recordings to take digests."""
    rescan: Duration = Duration(300 * SECOND)
    """While watching: how often to rescan although nothing was heard."""


class TemplateRules(Strict, frozen=True):
    """A layout described by the operator: see docs/reference/layouts.md."""

    pattern: str
    """Path below the root, such as `{camera}/%Y-%m-%d/%H-%M-%S.mp4`."""
    end: Literal["container", "mtime", "name", "next"] = "container"
    """What tells where a segment ends."""
    complete: Literal["container", "quiet", "name"] = "container"
    """What tells that a segment is whole: its container, that it rests, or that its name matches."""
    segment: Duration | None = None
    """Nominal segment length; needed for end = "next"."""
    joint: Duration = Duration(1 * SECOND)
    """Holes between segments up to this long are no holes."""
    late: Duration = Duration(0)
    """How late the first file after a start may be named."""
    fill: Literal["tree", "side"] = "side"
    """`tree` if the recorder takes files that appear in its tree, else `side`."""


class FrigateRules(Strict, frozen=True):
    """What Frigate needs to know of a filled segment."""

    database: str
    """Path of `frigate.db`."""
    rows: Literal["dry-run", "write"] = "dry-run"
    """`dry-run` only says which rows are missing; `write` inserts them."""
    container_root: str = "/media/frigate/recordings"
    """The root as Frigate sees it; its rows hold such paths."""


class StorageSettings(Strict, frozen=True):
    """One folder that a recorder writes into."""

    root: str
    layout: str
    name: str = "main"
    zone: str = "UTC"
    """IANA zone of the times in names, where the layout leaves it open."""
    retention: Duration | None = None
    """How long the recorder keeps recordings; default unknown."""
    state: str | None = None
    """Folder for incoming files and our own notes; default `.recorder-sync` beside the root."""
    side: str | None = None
    """Folder for filled segments where the recorder's tree is not safe; default in `state`."""
    fill: Literal["auto", "tree", "side", "never"] = "auto"
    """Where filled segments go; `auto` follows the layout."""
    after_fill: list[str] | None = None
    """Command to run once after a fill; it gets the landed paths on standard input, one a line."""
    template: TemplateRules | None = None
    frigate: FrigateRules | None = None
    options: dict[str, str] = {}
    """Settings of the layout, such as MediaMTX's `recordPath`."""


class ServerSettings(Strict, frozen=True):
    """One recording server."""

    name: str
    storages: list[StorageSettings]
    cameras: dict[str, str] = {}
    """The recorder's camera name -> the name both servers share, where they differ."""


class Settings(Strict, frozen=True):
    """The whole file."""

    servers: list[ServerSettings]
    ledger: str = "recorder-sync.db"
    """A file, or a database address such as `postgresql+psycopg://user@host/name`."""
    gaps: Gaps = Gaps()
    fill: Fill = Fill()
    scan: Scan = Scan()

    def server(self, name: str) -> ServerSettings | None:
        """Return the server called `name`, if there is one."""
        return next((server for server in self.servers if server.name == name), None)


def load(path: Path) -> Settings:
    """Read, check and resolve the configuration at `path`. Raises ConfigMissing, ConfigInvalid."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise ConfigMissing(path) from None
    except OSError as error:
        raise ConfigInvalid(path, f"it cannot be read: {error.strerror}") from None
    return parse(text, path)


def parse(text: bytes, path: Path) -> Settings:
    """Check `text` as the content of `path`. Raises ConfigInvalid."""
    try:
        settings = msgspec.toml.decode(text, type=Settings, dec_hook=_read_unit)
    except msgspec.ValidationError as error:
        raise ConfigInvalid(path, _explain(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(path, f"it is not TOML: {error}") from None
    problem = _problem(settings)
    if problem:
        raise ConfigInvalid(path, problem)
    return _resolve(settings, path.absolute().parent)


def _read_unit(kind: type, value: Any) -> Any:
    """Turn the text of a unit into its number; msgspec adds the place to what is raised here."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} needs quotes and a unit")  # noqa: TRY004  msgspec reports ValueError only
    if kind is Duration:
        return Duration(parse_duration(value))
    if kind is Size:
        return Size(parse_size(value))
    if kind is Rate:
        return Rate(parse_rate(value))
    raise NotImplementedError(kind)


_TABLES: dict[str, type[Strict]] = {
    "": Settings,
    "gaps": Gaps,
    "fill": Fill,
    "scan": Scan,
    "servers": ServerSettings,
    "storages": StorageSettings,
    "template": TemplateRules,
    "frigate": FrigateRules,
}


def _explain(message: str) -> str:
    """Turn msgspec's message into ours: `servers[0].storages[1]: unknown key 'rot'; did you mean 'root'?`."""
    what, _, place = message.partition(" - at `$")
    place = place.rstrip("`").lstrip(".")
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", what)
    if unknown:
        parts = re.sub(r"\[.*?\]", "", place).split(".")
        keys = msgspec.structs.fields(_TABLES.get(parts[-1], Settings))
        near = difflib.get_close_matches(unknown[1], [key.name for key in keys], n=1)
        what = f"unknown key {unknown[1]!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    missing = re.fullmatch(r"Object missing required field `(.*)`", what)
    if missing:
        what = f"key {missing[1]!r} is missing"
    return f"at {place}: {what}" if place else what


_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")


def _problem(settings: Settings) -> str | None:
    """Return the first thing that is wrong although every key has the right shape."""
    fill = settings.fill
    if fill.chunk & (fill.chunk - 1) or not 2**16 <= fill.chunk <= 2**30:
        return "fill.chunk must be a power of two from 64 KiB to 1 GiB"
    if not 1 <= fill.in_flight <= 64:
        return f"fill.in_flight must be from 1 to 64, not {fill.in_flight}"
    if not settings.servers:
        return "there is no server; add a [[servers]] table for each"
    names = [server.name for server in settings.servers]
    for name in names:
        if not _NAME.fullmatch(name):
            return f"server name {name!r} is not plain letters, digits, dots, dashes and underscores"
        if names.count(name) > 1:
            return f"two servers are called {name!r}"
    roots: dict[str, str] = {}
    for server in settings.servers:
        problem = _server_problem(server, roots)
        if problem:
            return f"server {server.name!r}: {problem}"
    return None


def _server_problem(server: ServerSettings, roots: dict[str, str]) -> str | None:
    """Return what is wrong with one server; `roots` collects the roots of all, root -> server."""
    if not server.storages:
        return "it has no storage; add a [[servers.storages]] table"
    names = [storage.name for storage in server.storages]
    for storage in server.storages:
        if not _NAME.fullmatch(storage.name):
            return f"storage name {storage.name!r} is not plain letters, digits, dots, dashes and underscores"
        if names.count(storage.name) > 1:
            return f"two storages are called {storage.name!r}"
        problem = zone_problem(storage.zone)
        if problem:
            return f"storage {storage.name!r}: {problem}"
        if (storage.layout == "template") != (storage.template is not None):
            return f'storage {storage.name!r}: layout = "template" and a [template] table go together'
        root = os.path.normpath(storage.root)
        for other, owner in roots.items():
            if root == other or root.startswith(other + os.sep) or other.startswith(root + os.sep):
                return f"storage {storage.name!r}: root {root} and {other} of server {owner!r} lie in one another"
        roots[root] = server.name
    shared = list(server.cameras.values())
    twice = next((name for name in shared if shared.count(name) > 1), None)
    return f"two cameras are both mapped to {twice!r}" if twice else None


def zone_problem(zone: str) -> str | None:
    """Return why `zone` is not an IANA zone this machine knows, or None."""
    try:
        ZoneInfo(zone)
    except Exception:  # noqa: BLE001  zoneinfo raises six kinds for a bad name; each means the same here
        from zoneinfo import available_timezones

        near = difflib.get_close_matches(zone, available_timezones(), n=1)
        return f"zone {zone!r} is not a known IANA zone" + (f"; did you mean {near[0]!r}?" if near else "")
    return None


def _resolve(settings: Settings, base: Path) -> Settings:
    """Make every path absolute, relative to the configuration's folder."""

    def absolute(path: str | None) -> str | None:
        return None if path is None else os.path.normpath(base / Path(path).expanduser())

    def storage(one: StorageSettings) -> StorageSettings:
        frigate = one.frigate and msgspec.structs.replace(one.frigate, database=absolute(one.frigate.database))
        return msgspec.structs.replace(
            one, root=absolute(one.root), state=absolute(one.state), side=absolute(one.side), frigate=frigate
        )

    servers = [
        msgspec.structs.replace(server, storages=[storage(one) for one in server.storages])
        for server in settings.servers
    ]
    ledger = settings.ledger
    if "://" not in ledger:
        ledger = f"sqlite:///{absolute(ledger)}"
    return msgspec.structs.replace(settings, servers=servers, ledger=ledger)
