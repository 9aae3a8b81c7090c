"""The part `link` of a run: on loopback, between two namespaces, over a slow line, and what a service costs at rest."""

import os
from collections.abc import Callable
from pathlib import Path

from benchmarks import measure
from benchmarks.cases import Task, beside, compare
from benchmarks.data import Trees
from benchmarks.document import Case, Figure
from benchmarks.link import idle, lines
from benchmarks.link.pair import LinkedPair
from benchmarks.link.peers import BARE, EVERYBODY, IN_NAMESPACES, TABLES, TLS, ours, usable
from benchmarks.peers import OURS, Peer
from benchmarks.sizes import Sizes

LINE_BITS = 200_000_000
LIMIT_BITS = 100_000_000


class LinkSuite:
    """What was measured so far."""

    def __init__(self, folder: Path, sizes: Sizes, rounds: int, *, keep: bool, say: Callable[[str], None]) -> None:
        self._folder = folder / "link"
        self._sizes = sizes
        self._rounds = rounds
        self._keep = keep
        self._say = say
        self.cases: list[Case] = []
        self.figures: list[Figure] = []
        self.absent: list[str] = []

    def run(self) -> None:
        """Run it all."""
        self._folder.mkdir(exist_ok=True)
        for name, shape in (("large", self._sizes.large), ("small", self._sizes.small)):
            self._compare(f"link-{name}", shape, lines.LOOPBACK, EVERYBODY, "on loopback")
        reason = lines.unable()
        if reason:
            self.absent.append(f"link between namespaces, and over a slow line: {reason}")
        else:
            for name, shape in (("large", self._sizes.large), ("small", self._sizes.small)):
                with lines.namespaces() as line:
                    self._compare(f"link-{name}-apart", shape, line, IN_NAMESPACES, "between two namespaces")
            self._slow()
        self._back()
        self._idle()

    def tables(self) -> None:
        """Fill whole tables of XProtect, and nothing else."""
        self._folder.mkdir(exist_ok=True)
        self._compare("link-tables", self._sizes.tables, lines.LOOPBACK, TABLES, "on loopback")

    def _compare(self, name: str, shape: Trees, line: lines.Line, peers: tuple[Peer, ...], where: str) -> None:
        here, absent = usable(peers)
        pair = self._pair(name, shape, line)
        title = f"{shape.lost_title}, over the link, {where}"
        task = Task(name=name, title=title, peers=here, seconds=150, prepare=beside)
        case, others = compare(pair, task, self._rounds, self._say)
        self.cases.append(case)
        self.absent += [sentence for sentence in (*absent, *others) if sentence not in self.absent]
        self._drop(pair)

    def _slow(self) -> None:
        """Fill over a line of 200 Mbit/s: how much of it is used, and whether the limits hold."""
        shape = self._sizes.slow
        with lines.namespaces(f"{LINE_BITS // 10**6}mbit") as line:
            pair = self._pair("link-slow", shape, line)
            for peer, name in ((TLS, "line used"), (BARE, "line used, bare")):
                rate, sent = self._over(pair, peer)
                self._figure(name, sent / LINE_BITS, "", f"{peer.who}: share of the 200 Mbit/s line, headers and all")
                self._figure(f"{name}, data", rate / LINE_BITS, "", f"{peer.who}: share of it that is recordings")
            self._drop(pair)
        limit = f'bandwidth = "{LIMIT_BITS // 10**6} Mbit/s"'
        with lines.namespaces() as line:
            pair = self._pair("link-limited", shape, line)
            for key, peer in (
                ("fill.bandwidth", ours(f"{OURS}, fill.bandwidth", "tls", fill=limit)),
                ("link.bandwidth", ours(f"{OURS}, link.bandwidth", "tls", link=limit)),
            ):
                rate, _ = self._over(pair, peer)
                self._figure(key, rate / LIMIT_BITS, "", f"{key} = 100 Mbit/s: recordings a second, of that")
            self._drop(pair)

    def _over(self, pair: LinkedPair, peer: Peer) -> tuple[float, float]:
        """Return bits a second of recordings, and of everything that left the source's interface."""
        self._say(f"{pair.base.name}: {peer.who}")
        pair.reset()
        os.sync()
        with peer.serve(pair) as servers:
            before = pair.line.sent()
            sample = measure.run(
                peer.command(pair), written=pair.destination, syncs=peer.syncs, works=peer.works, servers=servers
            )
            sent = pair.line.sent() - before
        if not pair.complete(to_the_bit=True):
            raise RuntimeError(f"{peer.who} did not bring over what is missing")
        return 8 * pair.shape.lost_bytes / sample.seconds, 8 * sent / sample.seconds

    def _back(self) -> None:
        shape = self._sizes.back
        pair = self._pair("link-back", shape, lines.LOOPBACK)
        took = [self._came_back(pair) for _ in range(self._sizes.backs)]
        title = "from the first answer of a peer that was away to the first missing segment under its name"
        self._figure("back", max(took), "s", f"{title}, the longest of {len(took)}")
        self._drop(pair)

    def _came_back(self, pair: LinkedPair) -> float:
        self._say("link-back: away, and back")
        pair.reset()
        return idle.back(pair)

    def _idle(self) -> None:
        number = self._sizes.segments
        self._say(f"link-idle: a service with {number:,} segments, {self._sizes.idle_seconds:.0f} s")
        folder = self._folder / "idle"
        folder.mkdir()
        found = idle.idle(folder, number, self._sizes.idle_seconds)
        among = f"an idle service, {found.segments:,} segments, its peer answering"
        self._figure("idle cpu", 100 * found.share, "%", f"share of a core of {among}")
        self._figure("idle memory", found.resident / 2**20, "MiB", f"memory of {among}")

    def _pair(self, name: str, shape: Trees, line: lines.Line) -> LinkedPair:
        self._say(f"{name}: writing, scanning, pairing")
        pair = LinkedPair(self._folder / name, shape, line)
        pair.make()
        return pair

    def _drop(self, pair: LinkedPair) -> None:
        if not self._keep:
            pair.drop()

    def _figure(self, name: str, value: float, unit: str, title: str) -> None:
        self.figures.append(Figure(name=name, value=value, unit=unit, title=title))
