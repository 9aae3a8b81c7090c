"""A paired peer that is hostile or broken, with a real server on loopback: it is refused by name, in bounded memory.

Each script is what such a peer answers for as long as it is asked. What must hold: an error of the catalogue that says
what is wrong, a ledger that is as it was, and no more memory than a page or a limit is worth. The ceiling is generous.
"""

import contextlib
import json
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text

from backfill.link import client as client_module
from backfill.link.client import LinkClient
from backfill.link.mirror import Follower
from backfill.link.peer import LinkPeer
from schema.errors import OperatorError, PeerInvalid, PeerUnreachable
from schema.ledger import Ledger
from schema.ledger.coverage import BUCKET
from schema.limits import NAMES_AT_MOST
from schema.spans import HOUR, Span
from schema.values import Segment
from schema.wire import BUCKETS_AT_ONCE, PROTOCOL, SEGMENTS_AT_ONCE, SegmentsAsked, SegmentsPage, written
from tests.links import linked

MIB = 2**20
CEILING = 150 * MIB
"""Of what Python allocates, over what there was before; decoding one message of the longest takes a good part of it."""

Said = dict[str, object] | bytes
Script = Callable[[str, dict[str, list[str]], bytes, int], Said]
"""From what is asked, its query and body, and which question this is, to what is answered."""

HELLO = {
    "protocols": [PROTOCOL],
    "release": "1",
    "server": "b",
    "ledger": "other",
    "storages": [{"name": "main", "layout": "frigate", "zone": "UTC"}],
}
PULSE = {"now": 1, "boot": "x", "storages": [{"name": "main", "epoch": "e", "seq": 2**40, "scanned": 1}]}


class Hostile:
    """A server that answers what a script says."""

    def __init__(self, script: Script) -> None:
        self.asked = 0
        hostile = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65536  # head and body in one packet: the other end waits for the second one else

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                where = urlsplit(self.path)
                hostile.asked += 1
                said = script(where.path.removeprefix("/v1/"), parse_qs(where.query), body, hostile.asked)
                whole = said if isinstance(said, bytes) else json.dumps(said).encode()
                with contextlib.suppress(ConnectionError):
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(whole)))
                    self.end_headers()
                    self.wfile.write(whole)

            do_POST = do_GET  # noqa: N815  what http.server calls

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.client = LinkClient("b", ("127.0.0.1", self._server.server_port), context=lambda: None, timeout=10)

    def close(self) -> None:
        self.client.close()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path}/a.db") as opened:
        yield opened


@contextlib.contextmanager
def hostile(script: Script) -> Iterator[Hostile]:
    one = Hostile(script)
    try:
        yield one
    finally:
        one.close()


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Assert that what is done here stays below the ceiling."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < CEILING, f"{peak / MIB:.0f} MiB"


def held(ledger: Ledger) -> dict[str, list[object]]:
    """Return everything that the ledger holds of peers."""
    with ledger.reading() as connection:
        return {
            name: [tuple(row) for row in connection.execute(text(f"SELECT * FROM {name}"))]
            for name in ("servers", "cameras", "storages", "coverage", "outages", "segments")
        }


def segment(number: int, **other: object) -> dict[str, object]:
    return {
        "camera": "front",
        "path": f"{number:09d}.mp4",
        "start": number * 1000,
        "end": number * 1000 + 1,
        "size": 1,
        "mtime_ns": 1,
    } | other


def page(first: int, more: bool = True, number: int = SEGMENTS_AT_ONCE, **other: object) -> dict[str, object]:
    return {"segments": [segment(first + one, **other) for one in range(number)], "more": more}


SEGMENTS: dict[str, tuple[Script, str]] = {
    "endless pages": (lambda what, query, body, n: page(n * SEGMENTS_AT_ONCE), "more segments of camera front"),
    "endless pages of one": (lambda what, query, body, n: page(n, number=1), "no end within"),
    "a page that repeats": (lambda what, query, body, n: page(0), "goes back, or stands still"),
    "pages in turn": (lambda what, query, body, n: page(n % 2 * SEGMENTS_AT_ONCE), "goes back, or stands still"),
    "a segment over and over": (
        lambda what, query, body, n: {"segments": [segment(1)] * SEGMENTS_AT_ONCE, "more": False},
        "goes back, or stands still",
    ),
    "more, and nothing": (lambda what, query, body, n: page(0, number=0), "goes on, and tells none"),
    "a camera nobody asked for": (lambda what, query, body, n: page(0, camera="yard"), "nobody asked for"),
    "another time": (lambda what, query, body, n: page(0, start=-(10**15), end=1 - 10**15), "nobody asked for"),
    "an absurd time": (lambda what, query, body, n: page(0, end=2**61), "SegmentsPage"),
    "a giant number": (
        lambda what, query, body, n: b'{"segments": [{"size": ' + b"9" * 7 * MIB + b"}]}",
        "SegmentsPage",
    ),
    "a giant fraction": (lambda what, query, body, n: b'{"more": 0.' + b"1" * 7 * MIB + b"}", "SegmentsPage"),
    "deep nesting": (lambda what, query, body, n: b'{"segments": ' + b"[" * 7 * MIB, "SegmentsPage"),
    "deep nesting of what nobody knows": (lambda what, query, body, n: b'{"x": ' + b'{"x":' * MIB, "SegmentsPage"),
    "too many at once": (lambda what, query, body, n: page(0, number=SEGMENTS_AT_ONCE + 1), "SegmentsPage"),
}


@pytest.mark.parametrize("name", SEGMENTS)
def test_a_list_of_segments_that_cannot_be_is_refused(name: str, ledger: Ledger) -> None:
    script, expected = SEGMENTS[name]
    before = held(ledger)
    storage = SimpleNamespace(name="main", id=1)
    with hostile(script) as there, bounded(), pytest.raises(PeerInvalid, match=expected):
        peer = LinkPeer(there.client, lambda _: storage, 65536)  # type: ignore[arg-type,return-value]
        peer.segments(storage, {"front": [Span(0, 6 * HOUR)]})  # type: ignore[arg-type]
    assert held(ledger) == before


def test_of_more_segments_than_are_held_at_once_the_first_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill.link.taking.SEGMENTS_HELD", 30_000)
    storage = SimpleNamespace(name="main", id=1)

    def endless(what: str, query: object, body: bytes, n: int) -> Said:
        return page((n - 1) * SEGMENTS_AT_ONCE)

    with hostile(endless) as there, bounded():
        peer = LinkPeer(there.client, lambda _: storage, 65536)  # type: ignore[arg-type,return-value]
        found: list[Segment] = peer.segments(storage, {"front": [Span(0, 10**6 * HOUR)]})["front"]  # type: ignore[arg-type]
    assert (len(found), there.asked) == (30_000, 7)


def bucket(number: int, camera: str = "front") -> list[object]:
    start = number * BUCKET
    return [camera, number, 1, [[start, start + 1, start]], {}, [], {}]


def changes(buckets: list[list[object]], cursor: int, more: bool = True, **other: object) -> dict[str, object]:
    return {"epoch": "e", "cursor": f"{cursor}.1.1", "more": more, "longest": 1, "buckets": buckets} | other


def telling(coverage: Callable[[int], Said]) -> Script:
    """Return the script of a peer that is honest up to its coverage."""
    number = 0

    def script(what: str, query: object, body: bytes, n: int) -> Said:
        nonlocal number
        if what != "coverage":
            return {"hello": HELLO, "pulse": PULSE, "outages": {"outages": []}}[what]
        number += 1
        return coverage(number)

    return script


def names(n: int) -> Said:
    """Return a page of cameras that nobody has told of, up to a million."""
    first = n * BUCKETS_AT_ONCE
    return changes([bucket(1, f"camera {first + one}") for one in range(BUCKETS_AT_ONCE)], n, n < 500)


COVERAGE: dict[str, tuple[Callable[[int], Said], str]] = {
    "a million cameras": (names, f"more than {NAMES_AT_MOST:,} different cameras"),
    "a page that repeats": (lambda n: changes([bucket(1)], 1), "go back, or stand still"),
    "an absurd time": (lambda n: changes([["front", 1, 1, [[0, 2**61, 0]], {}, [], {}]], 1), "CoveragePage"),
    "a bucket of no calendar": (lambda n: changes([bucket(2**27)], 1), "CoveragePage"),
    "recordings of another time": (lambda n: changes([bucket(1)[:3] + bucket(2)[3:]], 1), "that they are not of"),  # type: ignore[list-item]
    "a giant number": (lambda n: b'{"longest": ' + b"9" * 7 * MIB + b"}", "CoveragePage"),
    "deep nesting": (lambda n: b'{"buckets": ' + b"[" * 7 * MIB, "CoveragePage"),
    "too long": (lambda n: b" " * 9 * MIB, "longer than"),
}


@pytest.mark.parametrize("name", COVERAGE)
def test_coverage_that_cannot_be_is_refused(name: str, ledger: Ledger) -> None:
    """Nothing but the names that were within the limit, and their buckets, is left of a million cameras."""
    script, expected = COVERAGE[name]
    with hostile(telling(script)) as there, bounded():
        follower = Follower(there.client, ledger, "a", lambda: 1)
        follower.outages()
        with pytest.raises(PeerInvalid, match=expected):
            follower.follow(there.client.pulse())
        before = held(ledger)
        with pytest.raises(PeerInvalid):
            follower.follow(there.client.pulse())
    after = held(ledger)
    assert after == before
    assert len(after["cameras"]) <= NAMES_AT_MOST and len(after["coverage"]) <= NAMES_AT_MOST
    assert bool(after["coverage"]) is (name in ("a million cameras", "a page that repeats"))


ANSWERS: dict[str, Said] = {
    "pulse": {"now": 10**400},
    "hello": b'{"server": "b", "release": "' + b"x" * 7 * MIB + b'"}',
    "outages": b'{"outages": ' + b"[" * 7 * MIB,
    "manifest": b'{"mtime_ns": -' + b"9" * 7 * MIB + b"}",
}


@pytest.mark.parametrize("what", ANSWERS)
def test_other_answers_that_cannot_be_are_refused(what: str) -> None:
    with hostile(lambda *_: ANSWERS[what]) as there, bounded(), pytest.raises(PeerInvalid):
        asked = () if what != "manifest" else ("main", "x.mp4", 1, 1)
        getattr(there.client, what)(*asked)


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"])
def test_an_answer_that_drips_is_given_up(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte is an answer within the time that a peer may say nothing; all of them take hours."""
    monkeypatch.setattr("backfill.link.timely.WITHIN", 0.5)
    monkeypatch.setattr(client_module, "_PAUSE", 0.01)
    stopped = threading.Event()

    def drip(sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            sock.recv(65536)
            sock.sendall(said)
            while not stopped.wait(0.02):
                sock.sendall(b"x")

    def serve(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        client = LinkClient("b", listening.getsockname(), context=lambda: None, timeout=5)
        try:
            with pytest.raises(PeerUnreachable, match="did not end within"):
                client.pulse()
        finally:
            stopped.set()
            client.close()


def test_a_question_that_is_longer_than_a_page_is_worth_is_refused(tmp_path: Path) -> None:
    """The other way round: a peer that asks for a million windows does not keep this server's ledger busy."""
    with linked(tmp_path) as pair:
        windows = [(one, one + 1) for one in range(1000)]
        asked = SegmentsAsked(storage="main", wanted={f"c{number}": windows for number in range(50)})
        with pytest.raises(OperatorError, match="50,000 windows"):
            pair.client._ask(SegmentsPage, "segments", {}, body=written(asked))
