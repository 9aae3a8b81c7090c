"""Every key of the configuration with its type, its default and the sentence that the reference says of it.

Rule: no key without a sentence; `docs/reference/configuration.md` is written from this module and from
`schema.service`, which has the keys that the service alone reads.
"""

from typing import Literal

from schema.identity import IdentityRules
from schema.service import AlarmChannel, Link, PeerSettings, Service
from schema.spans import HOUR, SECOND
from schema.units import Duration, Rate, Size, Strict


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
