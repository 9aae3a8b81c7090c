"""Making recordings, storages and sites for tests: small, valid, and as a recorder would have left them."""

import os
import struct
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from backfill.fill import Enough, MakeRoom, fill
from backfill.gate import Gate
from backfill.peer import FolderPeer, Peer
from backfill.progress import Listener, nobody
from backfill.scan import scan
from backfill.scanned import ScanOptions, ScanReport
from backfill.site import Site, build_site
from backfill.survey import Question, Survey, plan, survey
from schema.ledger import Ledger
from schema.settings import Settings, parse
from schema.spans import SECOND
from schema.values import FillResult, Plan

SAMPLES = Path(__file__).parent / "samples"

T0 = 1_795_348_800 * SECOND
"""2026-11-22 12:00:00 UTC, a whole hour: the zero of made-up recordings."""

LATER = T0 + 30 * 86_400 * SECOND
"""The `now` of tests on made-up recordings, long after all of them have settled."""


def box(name: bytes, body: bytes) -> bytes:
    """Return one MP4 box."""
    return struct.pack(">I4s", 8 + len(body), name) + body


def mp4(seconds: float, size: int = 2000, seed: int = 0) -> bytes:
    """Return a whole, closed MP4 of so many seconds and bytes, faststart; its content follows from `seed`."""
    ftyp = box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41")
    mvhd = box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, 1000, round(seconds * 1000)) + b"\0" * 80)
    moov = box(b"moov", mvhd)
    fill_bytes = max(0, size - len(ftyp) - len(moov) - 8)
    pattern = struct.pack(">Q", seed * 2_654_435_761 % 2**64)
    return ftyp + moov + box(b"mdat", (pattern * (fill_bytes // 8 + 1))[:fill_bytes])


def utc(us: int) -> time.struct_time:
    """Return the UTC clock of `us`."""
    return time.gmtime(us // SECOND)


def frigate_path(camera: str, start: int) -> str:
    """Return Frigate's path of a segment."""
    return time.strftime(f"%Y-%m-%d/%H/{camera}/%M.%S.mp4", utc(start))


def mediamtx_path(camera: str, start: int) -> str:
    """Return MediaMTX's path of a segment (UTC)."""
    return time.strftime(f"{camera}/%Y-%m-%d_%H-%M-%S", utc(start)) + f"-{start % SECOND:06d}.mp4"


def put(root: Path, path: str, content: bytes, written: int) -> Path:
    """Write a file below `root` and give it its time of last write, in microseconds."""
    full = root / path
    full.parent.mkdir(parents=True, exist_ok=True)
    full.write_bytes(content)
    os.utime(full, ns=(written * 1000, written * 1000))
    return full


def record(
    root: Path,
    camera: str,
    seconds: Iterable[float],
    *,
    length: float = 10,
    size: int = 2000,
    seed: int = 0,
    path=frigate_path,  # type: ignore[no-untyped-def]
) -> list[Path]:
    """Write one segment of `length` seconds at each of `seconds` after T0; contents differ by seed and time."""
    files = []
    for second in seconds:
        start = T0 + round(second * SECOND)
        content = mp4(length, size, seed * 1_000_003 + round(second * 10) + 1)
        files.append(put(root, path(camera, start), content, start + round(length * SECOND)))
    return files


def tens(start: int, end: int) -> range:
    """Return the starts of ten-second segments from `start` up to `end` seconds after T0."""
    return range(start, end, 10)


CONFIG = """
ledger = "ledger.db"

[gaps]
settle = "1s"

[fill]
reserve = "1 MB"
chunk = "64 KiB"
"""

SERVER = """
[[servers]]
name = "{name}"

[[servers.storages]]
root = "{name}/recordings"
layout = "{layout}"
{more}
"""


def config_text(*servers: str, layout: str = "frigate", more: str = "", head: str = CONFIG) -> str:
    """Return a configuration with a storage for each server; `more` goes into each storage."""
    return head + "".join(SERVER.format(name=name, layout=layout, more=more) for name in servers)


@dataclass
class Bench:
    """A site on a temporary folder with everything to drive it, as one process in the embedded set-up would."""

    base: Path
    settings: Settings
    ledger: Ledger
    site: Site
    now: int = LATER
    peers: dict[str, Peer] = field(default_factory=dict)

    def root(self, server: str) -> Path:
        """Return the folder that `server` records into."""
        return Path(next(one.root for one in self.site.storages if one.server == server))

    def clock(self) -> int:
        """Return the bench's time."""
        return self.now

    def scan(self, **options: object) -> list[ScanReport]:
        """Scan every storage that exists, side stores too."""
        stores = [*self.site.storages, *(one for one in self.site.side.values() if Path(one.root).is_dir())]
        wanted = ScanOptions(**options)  # type: ignore[arg-type]
        return [scan(self.ledger, one, now=self.clock, options=wanted, others=self.site.near(one)) for one in stores]

    def _peers(self) -> dict[str, Peer]:
        return {name: FolderPeer(name, self.site, self.ledger) for name in self.site.servers} | self.peers

    def survey(self, **question: object) -> Survey:
        """Return the survey of now."""
        return survey(self.ledger, self.site, Question(now=self.now, **question))  # type: ignore[arg-type]

    def plan(self, server: str, **question: object) -> Plan:
        """Return the plan for `server`."""
        return plan(self.ledger, self.site, self.survey(**question), server, self._peers())

    def fill(
        self,
        server: str,
        planned: Plan | None = None,
        *,
        gate: Gate | None = None,
        listener: Listener = nobody,
        make_room: MakeRoom | None = None,
        enough: Enough = lambda: False,
        **question: object,
    ) -> FillResult:
        """Fill `server` and return the result."""
        import asyncio

        peers = self._peers()
        chosen = planned if planned is not None else self.plan(server, **question)
        return asyncio.run(
            fill(
                chosen,
                server,
                site=self.site,
                ledger=self.ledger,
                peers=peers,
                now=self.clock,
                gate=gate or Gate(),
                listener=listener,
                make_room=make_room,
                enough=enough,
            )
        )

    def states(self, server: str, camera: str = "front") -> list[tuple[str, float, float]]:
        """Return the gaps of a camera as (state, start, end) in seconds after T0."""
        return [
            (str(gap.state), (gap.span.start - T0) / SECOND, (gap.span.end - T0) / SECOND)
            for gap in self.survey().gaps
            if (gap.server, gap.camera) == (server, camera)
        ]


@contextmanager
def bench(base: Path, config: str, ledger_url: str | None = None) -> Iterator[Bench]:
    """Give a bench for a configuration text whose paths are relative to `base`; the roots are made."""
    settings = parse(config.encode(), base / "recorder-sync.toml")
    for server in settings.servers:
        for storage in server.storages:
            Path(storage.root).mkdir(parents=True, exist_ok=True)
    with Ledger.open(ledger_url or settings.ledger) as ledger:
        yield Bench(base, settings, ledger, build_site(settings, ledger))


def unpack(name: str, into: Path) -> Path:
    """Unpack one of the sample archives and return its folder."""
    with tarfile.open(SAMPLES / f"{name}.tar.gz") as archive:
        archive.extractall(into, filter="data")
    return into / name


def tree(root: Path) -> dict[str, bytes]:
    """Return every file below `root` by relative path, for comparing whole trees."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def spans(pairs: Sequence[tuple[float, float]]) -> list[tuple[int, int]]:
    """Return (start, end) pairs in seconds after T0 as microseconds."""
    return [(T0 + round(start * SECOND), T0 + round(end * SECOND)) for start, end in pairs]
