"""Two benches with a real link between them, on loopback: `b` serves, `a` asks."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from backfill.link.answers import Answers, Observed
from backfill.link.client import LinkClient
from backfill.link.mirror import Follower
from backfill.link.peer import LinkPeer
from backfill.link.serve import LinkServer
from backfill.link.trust import Trust
from backfill.site import build_site
from backfill.storage import Storage
from schema.ledger import Ledger
from schema.settings import parse
from schema.wire import IdentityMessage
from tests import make

TIMEOUT = 5.0


class Serving:
    """A `LinkServer` on a loop in a thread of its own."""

    def __init__(self, server: LinkServer, port: int = 0) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(server.start("127.0.0.1", port), self._loop).result(10)

    def stop(self) -> None:
        """Stop listening and end the thread; does nothing the second time."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def paired(base: Path, *names: str) -> dict[str, Trust]:
    """Return the trust folders of servers that were all paired with each other."""
    trusts = {name: Trust(str(base / f"link-{name}"), name) for name in names}
    identities = {name: trust.prepare() for name, trust in trusts.items()}
    for name, trust in trusts.items():
        for other, identity in identities.items():
            if other != name:
                trust.add_peer(other, identity.pem)
    return trusts


@dataclass
class Pair:
    """Bench `a`, which has `b` as its peer over the link, and bench `b`."""

    a: make.Bench
    b: make.Bench
    trusts: dict[str, Trust]
    client: LinkClient
    serving: Serving

    def peer(self) -> LinkPeer:
        """Return how a fill sees `b`."""
        return LinkPeer(self.client, self._storage, self.a.settings.fill.chunk)

    def _storage(self, ident: int) -> Storage:
        return self.a.site.storage(ident)

    def follow(self) -> bool:
        """Let `a` learn what `b` has; returns whether anything was new."""
        news = Follower(self.client, self.a.ledger, "a", self.a.clock).follow(self.client.pulse())
        self.a.site = build_site(self.a.settings, self.a.ledger)
        self.a.peers["b"] = self.peer()
        return news


@contextmanager
def linked(
    base: Path,
    *,
    encrypted: bool = True,
    observed: Observed | None = None,
    identity: Callable[[], IdentityMessage] = IdentityMessage,
    layout: str = "frigate",
    more: str = "",
) -> Iterator[Pair]:
    """Give a pair whose recordings are below `base`, with a ledger for each; `more` goes into each storage."""
    trusts = paired(base, "a", "b")
    known = {identity.name: name for name, identity in trusts["b"].peers().items()}
    with _bench(base, "b", "", layout, more) as b:
        answers = Answers(
            lambda: b.site,
            b.ledger,
            "b",
            release="0",
            boot="one",
            now=b.clock,
            observed=lambda: observed or Observed(),
        )
        server = LinkServer(
            answers,
            context=trusts["b"].server_context() if encrypted else None,
            known=lambda: known,
            bandwidth=None,
            timeout=TIMEOUT,
            identity=identity,
        )
        serving = Serving(server)
        peers = f'[[peers]]\nname = "b"\naddress = "127.0.0.1:{serving.port}"\n'
        client = LinkClient(
            "b",
            ("127.0.0.1", serving.port),
            context=(lambda: trusts["a"].client_context("b")) if encrypted else (lambda: None),
            timeout=TIMEOUT,
        )
        try:
            with _bench(base, "a", peers, layout, more) as a:
                yield Pair(a, b, trusts, client, serving)
        finally:
            client.close()
            serving.stop()


@contextmanager
def _bench(base: Path, name: str, peers: str, layout: str, more: str) -> Iterator[make.Bench]:
    head = make.CONFIG.replace("ledger.db", f"ledger-{name}.db")
    text = make.config_text(name, layout=layout, more=more, head=head) + peers
    settings = parse(text.encode(), base / f"{name}.toml")
    with Ledger.open(settings.ledger) as ledger:
        yield make.Bench(base, settings, ledger, build_site(settings, ledger))
