"""The configuration: one strict TOML file, every key with its unit and its default.

Rule: a typo is an error that names the file, the place and the nearest key; a value is checked here once, so that
nobody checks it again. Relative paths are relative to the file's folder.
"""

import difflib
import os
import re
from codecs import BOM_UTF8
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints
from zoneinfo import ZoneInfo

import msgspec

from schema.errors import ConfigInvalid, ConfigMissing
from schema.identity import IdentityRules, identity_problem
from schema.moments import parse_duration, parse_rate, parse_size
from schema.service import AlarmChannel, Link, PeerSettings, Service, alarm_problem, link_problem, parse_window
from schema.spans import HOUR, SECOND
from schema.units import NAME, Duration, Rate, Size, Strict

OWN = "own"
"""What reports say instead of a server's name of what the recorder here wrote."""


IGNORED = ".recorder-sync"
"""A folder of this name in a root is the one place there where our notes may lie: recorders and scans ignore it."""


class Gaps(Strict, frozen=True):
    """What counts as a gap."""

    policy: Literal["always", "outages"] = "always"
    """`always`: fill whatever the peer has (continuous recording); `outages`: only what an outage explains."""
    threshold: Duration = Duration(2 * SECOND)
    """Holes up to this long are no gaps."""
    settle: Duration | None = None
    """Leave the newest recordings alone for this long; default two of the longest segments, from 2 min to 2 h."""


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
    order: Literal["retention", "newest", "oldest"] = "retention"
    """What is fetched first: `retention`, what the source deletes soonest, then the newest; or by age alone."""
    windows: list[str] = []
    """When the service may fill, such as `["22:00-06:00"]`, in `service.zone`; default always."""
    fresh: Duration = Duration(24 * HOUR)
    """Gaps younger than this are filled at once, outside the windows too."""
    latency: Duration = Duration(SECOND // 5)
    """Fill more slowly while a small durable write beside the recordings takes longer than this; `0s` for never."""
    priority: Literal["low", "normal"] = "low"
    """Whether the service asks the system to let others use processor and disk first."""


class Scan(Strict, frozen=True):
    """How storages are read."""

    digests: Literal["sealed", "transfer"] = "sealed"
    """When digests are taken: `sealed`, by `scan --watch` as soon as a segment is sealed; else when it is fetched."""
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
    """The folder that the recorder writes into; no other storage may lie in it."""
    layout: str
    """How the recorder names its files; `recorder-sync layouts` lists what is known."""
    name: str = "main"
    """What this storage is called in reports, where a server has several."""
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
    """How names are to be read, for layout `template`."""
    frigate: FrigateRules | None = None
    """Where Frigate's database is, so that filled segments are shown."""
    options: dict[str, str] = {}
    """Settings of the layout, such as MediaMTX's `recordPath`."""


class ServerSettings(Strict, frozen=True):
    """One recording server."""

    name: str
    """What this server is called in reports and commands; plain letters, digits, dots, dashes and underscores."""
    storages: list[StorageSettings]
    """The folders that its recorder writes into."""
    cameras: dict[str, str] = {}
    """The recorder's camera name -> the name both servers share, where they differ."""


class Settings(Strict, frozen=True):
    """The whole file."""

    servers: list[ServerSettings]
    """The servers that record the same cameras, a table for each."""
    ledger: str = "recorder-sync.db"
    """A file, or a database address such as `postgresql+psycopg://user@host/name`."""
    gaps: Gaps = Gaps()
    """What counts as a gap."""
    fill: Fill = Fill()
    """How filling treats the disk and the line."""
    scan: Scan = Scan()
    """How storages are read."""
    pair: str | None = None
    """What these servers are called together, where one ledger holds many pairs; default their names."""
    peers: list[PeerSettings] = []
    """The servers on other hosts that record the same cameras."""
    link: Link = Link()
    """How this host's service talks to its peers."""
    service: Service = Service()
    """How `recorder-sync run` works."""
    alarms: list[AlarmChannel] = []
    """Where alarms are sent."""
    identity: IdentityRules = IdentityRules()
    """With which id the recorder here answers, and whose it may take."""

    @property
    def pair_name(self) -> str:
        """What these servers are called together."""
        return self.pair or "+".join(sorted([*(one.name for one in self.servers), *(one.name for one in self.peers)]))

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
        # Windows editors put a mark of byte order in front, which TOML does not know.
        settings = msgspec.toml.decode(text.removeprefix(BOM_UTF8), type=Settings, dec_hook=_read_unit)
    except msgspec.ValidationError as error:
        raise ConfigInvalid(path, _explain(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(path, f"it is not TOML: {error}") from None
    try:
        settings = _resolve(settings, path.absolute().parent)
    except ValueError as error:
        raise ConfigInvalid(path, str(error)) from None
    problem = _problem(settings)
    if problem:
        raise ConfigInvalid(path, problem)
    return settings


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
    "peers": PeerSettings,
    "link": Link,
    "service": Service,
    "alarms": AlarmChannel,
    "identity": IdentityRules,
    "servers": ServerSettings,
    "storages": StorageSettings,
    "template": TemplateRules,
    "frigate": FrigateRules,
}


def _explain(message: str) -> str:
    """Turn msgspec's message into ours: `at servers[0].storages[1]: unknown key 'rot'; did you mean 'root'?`."""
    what, _, place = message.partition(" - at `$")
    place = place.rstrip("`").lstrip(".")
    parts = re.sub(r"\[.*?\]", "", place).split(".")
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", what)
    if unknown:
        keys = [key.name for key in msgspec.structs.fields(_TABLES.get(parts[-1], Settings))]
        what = f"unknown key {unknown[1]!r}{_guess(unknown[1], keys)}"
    missing = re.fullmatch(r"Object missing required field `(.*)`", what)
    if missing:
        what = f"key {missing[1]!r} is missing"
    value = re.fullmatch(r"Invalid enum value '(.*)'", what)
    table = _TABLES.get(parts[-2] if len(parts) > 1 else "")
    if value and table:
        known = get_args(get_type_hints(table)[parts[-1]])
        what = f"{value[1]!r} is none of {', '.join(map(repr, known))}{_guess(value[1], known)}"
    return f"at {place}: {what}" if place else what


def _guess(text: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'root'?`, or nothing if nothing is near."""
    near = difflib.get_close_matches(text, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


_NAME = re.compile(NAME)


def name_problem(name: str) -> str | None:
    """Return why nothing can be called `name`, or None."""
    if _NAME.fullmatch(name):
        return None
    return f"name {name!r} is not plain letters, digits, dots, dashes and underscores"


def _problem(settings: Settings) -> str | None:
    """Return the first thing that is wrong although every key has the right shape."""
    fill = settings.fill
    if fill.chunk & (fill.chunk - 1) or not 2**16 <= fill.chunk <= 2**30:
        return "fill.chunk must be a power of two from 64 KiB to 1 GiB"
    if not 1 <= fill.in_flight <= 64:
        return f"fill.in_flight must be from 1 to 64, not {fill.in_flight}"
    if settings.scan.rescan < SECOND:
        return "scan.rescan must be at least 1s"
    if not settings.servers:
        return "there is no server; add a [[servers]] table for each"
    names = [server.name for server in settings.servers]
    for name in names:
        problem = name_problem(name)
        if problem:
            return f"server {problem}"
        if name == OWN:
            return f"no server can be called {OWN!r}: reports say it of what a recorder wrote itself"
        if names.count(name) > 1:
            return f"two servers are called {name!r}"
    for server in settings.servers:
        problem = _server_problem(server)
        if problem:
            return f"server {server.name!r}: {problem}"
    return _nested(settings) or _service_problem(settings)


def _service_problem(settings: Settings) -> str | None:
    """Return what is wrong with what only the service reads."""
    ours = [server.name for server in settings.servers]
    theirs = [peer.name for peer in settings.peers]
    for name in theirs:
        if name_problem(name) or name == OWN:
            return f"peer name {name!r} is not plain letters, digits, dots, dashes and underscores"
        if name in ours or theirs.count(name) > 1:
            return f"two servers are called {name!r}"
    try:
        for window in settings.fill.windows:
            parse_window(window)
    except ValueError as error:
        return f"fill.windows: {error}"
    return (
        zone_problem(settings.service.zone)
        or link_problem(settings.peers, settings.link, settings.service)
        or alarm_problem(settings.alarms)
        or identity_problem(settings.identity, ours, theirs)
    )


def _server_problem(server: ServerSettings) -> str | None:
    """Return what is wrong with one server by itself."""
    if not server.storages:
        return "it has no storage; add a [[servers.storages]] table"
    names = [storage.name for storage in server.storages]
    for storage in server.storages:
        problem = name_problem(storage.name)
        if problem:
            return f"storage {problem}"
        if names.count(storage.name) > 1:
            return f"two storages are called {storage.name!r}"
        problem = zone_problem(storage.zone)
        if problem:
            return f"storage {storage.name!r}: {problem}"
        if (storage.layout == "template") != (storage.template is not None):
            return f'storage {storage.name!r}: layout = "template" and a [template] table go together'
    shared = list(server.cameras.values())
    twice = next((name for name in shared if shared.count(name) > 1), None)
    return f"two cameras are both mapped to {twice!r}" if twice else None


def _nested(settings: Settings) -> str | None:
    """Return which folders must not lie in one another but do: one recorder's files, or ours, would count as another's.

    Links are not followed: nothing here looks at the disk.
    """
    servers = settings.servers
    roots: list[tuple[str, str]] = []
    states: list[str] = []
    for server in servers:
        for storage in server.storages:
            title = f"server {server.name!r}: storage {storage.name!r}:"
            for other, owner in roots:
                if _inside(storage.root, other) or _inside(other, storage.root):
                    return f"{title} root {storage.root} and {other} of server {owner!r} lie in one another"
            roots.append((storage.root, server.name))
    for server in servers:
        for storage in server.storages:
            title = f"server {server.name!r}: storage {storage.name!r}:"
            for key, folder in (("side", storage.side), ("state", storage.state)):
                for root, owner in roots:
                    ignored = key == "state" and folder == os.path.join(root, IGNORED) and root == storage.root
                    if folder and not ignored and (_inside(folder, root) or _inside(root, folder)):
                        return f"{title} {key} {folder} and root {root} of server {owner!r} lie in one another"
            if storage.state in states:
                return f"{title} another storage has the state {storage.state}, too"
            states += [storage.state] if storage.state else []
    for root, owner in roots:
        if "://" not in settings.ledger and _inside(settings.ledger, root):
            return f"ledger {settings.ledger} lies in root {root} of server {owner!r}"
    return None


def _inside(path: str, folder: str) -> bool:
    """Tell whether an absolute path is `folder` or lies in it."""
    return os.path.commonpath((path, folder)) == folder


def zone_problem(zone: str) -> str | None:
    """Return why `zone` is not an IANA zone this machine knows, or None."""
    try:
        ZoneInfo(zone)
    except Exception:  # noqa: BLE001  zoneinfo raises six kinds for a bad name; each means the same here
        from zoneinfo import available_timezones

        # Only places: an abbreviation such as EST is a zone without daylight saving, and hardly what was meant.
        places = {name.casefold(): name for name in available_timezones() if "/" in name or name == "UTC"}
        near = difflib.get_close_matches(zone.casefold(), places, n=1)
        guess = f"; did you mean {places[near[0]]!r}?" if near else ""
        return f"zone {zone!r} is not a known IANA zone{guess}"
    return None


def _resolve(settings: Settings, base: Path) -> Settings:
    """Make every path absolute, relative to the configuration's folder. Raises ValueError."""

    def absolute(key: str, path: str | None) -> str | None:
        if path is None:
            return None
        if not path.strip() or "\0" in path:
            raise ValueError(f"{key} {path!r} is no path")
        try:
            return os.path.normpath(base / Path(path).expanduser())
        except RuntimeError:
            raise ValueError(f"{key} {path!r} begins with the home folder of somebody unknown here") from None

    def storage(one: StorageSettings) -> StorageSettings:
        frigate = one.frigate
        if frigate is not None:
            frigate = msgspec.structs.replace(frigate, database=absolute("database", frigate.database))
        return msgspec.structs.replace(
            one,
            root=absolute("root", one.root),
            state=absolute("state", one.state),
            side=absolute("side", one.side),
            frigate=frigate,
        )

    servers = [
        msgspec.structs.replace(server, storages=[storage(one) for one in server.storages])
        for server in settings.servers
    ]
    # A path stays one: in an address a `?` in a folder's name would end it.
    ledger = settings.ledger if "://" in settings.ledger else absolute("ledger", settings.ledger)
    link = msgspec.structs.replace(settings.link, folder=absolute("link.folder", settings.link.folder))
    rules = settings.identity
    places = {key: absolute(f"identity.{key}", getattr(rules, key)) for key in ("config", "folder", "primary_config")}
    identity = msgspec.structs.replace(rules, **places)
    return msgspec.structs.replace(settings, servers=servers, ledger=ledger, link=link, identity=identity)
