"""Peers that are not who they say, break off, drip, lie or never end: refused or cut with a reason, never believed."""

import contextlib
import dataclasses
import errno
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backfill.link import client as client_module
from backfill.link import peer as peer_module
from backfill.link.client import LinkClient
from backfill.link.peer import LinkPeer
from backfill.link.trust import Trust, host_name
from backfill.site import _side_store, build_site
from schema import wire
from schema.errors import (
    ConfigInvalid,
    DescriptorsExhausted,
    OperatorError,
    PathRefused,
    PeerInvalid,
    PeerRefused,
    PeerUnreachable,
    PeerUntrusted,
    SourceDamaged,
    SourceGone,
    TrustUnusable,
)
from schema.spans import Span
from schema.values import ManifestFile, Segment
from tests import make
from tests.links import Pair, linked, paired

SIZE = 200_000


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    make.record(tmp_path / "a/recordings", "front", [0, 60], seed=1)
    make.record(tmp_path / "b/recordings", "front", range(5, 55, 10), seed=2, size=SIZE)
    with linked(tmp_path) as pair:
        pair.a.scan()
        pair.b.scan()
        yield pair


def asking(pair: Pair, trust: Trust, expected: str = "b") -> LinkClient:
    """Return a client that shows what `trust` holds."""
    return LinkClient(
        expected, ("127.0.0.1", pair.serving.port), context=lambda: trust.client_context(expected), timeout=2
    )


def test_a_host_of_another_pair_is_refused(pair: Pair, tmp_path: Path) -> None:
    stranger = Trust(str(tmp_path / "stranger"), "a")
    stranger.prepare()
    stranger.add_peer("b", pair.trusts["b"].identity().pem)
    with pytest.raises(PeerRefused):
        asking(pair, stranger).hello()


def test_who_answers_with_another_identity_is_not_spoken_to(pair: Pair, tmp_path: Path) -> None:
    others = paired(tmp_path / "others", "a", "b")
    with pytest.raises(PeerUntrusted):
        asking(pair, others["a"]).hello()


def test_without_a_certificate_nothing_is_answered(pair: Pair) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=pair.trusts["b"].identity().pem)
    with contextlib.closing(socket.create_connection(("127.0.0.1", pair.serving.port), 5)) as raw:
        shown = context.wrap_socket(raw, server_hostname=host_name("b"))
        with pytest.raises((ssl.SSLError, ConnectionError)):
            shown.sendall(b"GET /v1/hello HTTP/1.1\r\nHost: b\r\n\r\n")
            if not shown.recv(100):
                raise ConnectionError


def test_older_encryption_is_refused(pair: Pair) -> None:
    context = pair.trusts["a"].client_context("b")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    raw = socket.create_connection(("127.0.0.1", pair.serving.port), 5)
    with contextlib.closing(raw), pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(raw, server_hostname=host_name("b"))


def test_keys_that_others_may_read_are_not_used(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "link-a/identity.key").chmod(0o644)
    with pytest.raises(TrustUnusable, match="others may read it"):
        pair.trusts["a"].prepare()


@pytest.mark.parametrize(
    "asked",
    [
        {"path": "../../etc/passwd"},
        {"path": "/etc/passwd"},
        {"path": "2026-11-22/12/front/../front/00.05.mp4"},
        {"path": "nothing/here.mp4"},
        {"name": "../00.05.mp4"},
        {"storage": "elsewhere"},
        {"size": -1},
        {"size": 10**30},
        {"offset": SIZE + 1},
        {"chunk": 1},
        {"mtime": "x"},
        {"mtime": "٣"},
    ],
)
def test_what_no_honest_peer_asks_is_refused(pair: Pair, asked: dict[str, object]) -> None:
    path = sorted(pair.b.root("b").rglob("*.mp4"))[0]
    honest: dict[str, object] = {
        "storage": "main",
        "path": str(path.relative_to(pair.b.root("b"))),
        "name": "",
        "size": SIZE,
        "mtime": path.stat().st_mtime_ns,
        "chunk": 65536,
        "offset": 0,
    }
    assert pair.client.data(honest).read()
    with pytest.raises(OperatorError) as caught:
        pair.client.data(honest | asked)
    assert not isinstance(caught.value, PeerUnreachable)


def test_a_file_of_the_root_that_is_no_recording_cannot_be_had(pair: Pair) -> None:
    secret = make.put(pair.b.root("b"), "secret.txt", b"secret", make.T0)
    with pytest.raises(SourceGone):
        pair.client.manifest("main", "secret.txt", 6, secret.stat().st_mtime_ns)


def test_a_recording_that_became_a_link_is_not_followed(pair: Pair) -> None:
    pair.follow()
    path = sorted(pair.b.root("b").rglob("*.mp4"))[0]
    info = path.stat()
    aside = path.with_name("aside")
    path.rename(aside)
    path.symlink_to(aside)
    asked = {
        "storage": "main",
        "path": str(path.relative_to(pair.b.root("b"))),
        "size": info.st_size,
        "mtime": info.st_mtime_ns,
        "chunk": 65536,
        "offset": 0,
    }
    with pytest.raises((SourceGone, PathRefused, PeerInvalid)):
        pair.client.data(asked)


class Fake:
    """A server that answers each connection with what a script says, without encryption."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listening.accept()
                self.connections += 1
                threading.Thread(target=self._talk, args=(sock,), daemon=True).start()

    def _talk(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            asked = b""
            while not asked.endswith(b"\r\n\r\n"):
                asked += sock.recv(65536)
            self._answer(sock)

    def client(self, timeout: float = 0.5) -> LinkClient:
        return LinkClient("b", self._listening.getsockname(), context=lambda: None, timeout=timeout)

    def close(self) -> None:
        self._listening.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_PAUSE", 0.01)


def body(content: bytes, *, length: int | None = None, status: str = "200 OK") -> bytes:
    """Return an answer, which may lie about its length."""
    said = len(content) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {said}\r\n\r\n".encode() + content


def forever(piece: bytes, head: bytes = b"") -> Callable[[socket.socket], None]:
    def answer(sock: socket.socket) -> None:
        sock.sendall(head)
        while True:
            sock.sendall(piece)

    return answer


ANSWERS: dict[str, tuple[Callable[[socket.socket], None], type[OperatorError]]] = {
    "nothing": (lambda sock: time.sleep(2), PeerUnreachable),
    "closes at once": (lambda sock: None, PeerUnreachable),
    "half an answer": (lambda sock: sock.sendall(body(b"{", length=100)), PeerUnreachable),
    "no HTTP": (lambda sock: sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), PeerUnreachable),
    "endless headers": (forever(b"X: y\r\n", b"HTTP/1.1 200 OK\r\n"), PeerUnreachable),
    "an endless line": (forever(b"x" * 65536, b"HTTP/1.1 200 OK\r\nX: "), PeerUnreachable),
    "an error page": (lambda sock: sock.sendall(body(b"<html>", status="500 Oops")), PeerInvalid),
    "a redirect": (lambda sock: sock.sendall(body(b"", status="302 Found")), PeerInvalid),
    "no JSON": (lambda sock: sock.sendall(body(b"<html>hello</html>")), PeerInvalid),
    "another message": (lambda sock: sock.sendall(body(b'{"now": 1}')), PeerInvalid),
    "deep nesting": (lambda sock: sock.sendall(body(b"[" * 100_000)), PeerInvalid),
    "too long": (forever(b" " * 65536, b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n"), PeerInvalid),
    "an endless chunked body": (
        forever(b"10000\r\n" + b" " * 65536 + b"\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        PeerInvalid,
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_broken_answer_has_a_name_and_an_end(name: str) -> None:
    answer, expected = ANSWERS[name]
    fake = Fake(answer)
    try:
        with pytest.raises(expected) as caught:
            fake.client().hello()
    finally:
        fake.close()
    assert "b" in str(caught.value)
    assert fake.connections <= client_module.TRIES + 1


def segment(size: int) -> Segment:
    return Segment(storage_id=1, camera="front", path="x.mp4", start=0, end=10, size=size, mtime_ns=1, inode=0)


def reading(fake: Fake, size: int, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Read a file of `size` bytes from a fake peer."""
    storage = type("Named", (), {"name": "main"})()
    peer = LinkPeer(fake.client(), lambda _: storage, 65536)
    view = memoryview(bytearray(size))
    with peer.open(segment(size), ManifestFile("", size, 1, 0o644)) as reader:
        at = 0
        while at < size:
            at += reader.readinto(view[at:], at)
    return bytes(view)


def test_a_chunk_that_is_not_what_was_read_there_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(lambda sock: sock.sendall(body(b"x" * 1000 + b"\0" * 16)))
    with contextlib.closing(fake), pytest.raises(SourceDamaged, match="on the way"):
        reading(fake, 1000, monkeypatch)


@pytest.mark.parametrize("length", [0, 999, 1000, 1017, 10**12])
def test_another_length_than_the_file_has_is_not_read(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(lambda sock: sock.sendall(body(b"x" * min(length, 2000), length=length)))
    with contextlib.closing(fake), pytest.raises(PeerInvalid, match="another length"):
        reading(fake, 1000, monkeypatch)


def test_a_peer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def drip(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1016\r\n\r\n")
        while True:
            sock.sendall(b"x")
            time.sleep(0.02)

    monkeypatch.setattr(peer_module, "_SLOW_FOR", 0.5)
    fake = Fake(drip)
    with contextlib.closing(fake), pytest.raises(PeerUnreachable, match="bytes in"):
        reading(fake, 1000, monkeypatch)


def test_an_answer_that_breaks_off_is_begun_again_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    from schema.digests import hasher

    content = bytes(range(256)) * 100
    asked: list[int] = []

    def answer(sock: socket.socket) -> None:
        begin = asked.pop(0)
        state = hasher()
        state.update(content[begin:])
        whole = body(content[begin:] + state.digest())
        sock.sendall(whole if begin else whole[:9000])

    fake = Fake(answer)
    real = LinkClient.data

    def note(self: LinkClient, what: dict[str, object]) -> object:
        asked.append(int(str(what["offset"])))
        offsets.append(asked[-1])
        return real(self, what)

    offsets: list[int] = []
    monkeypatch.setattr(LinkClient, "data", note)
    monkeypatch.setattr("backfill.link.peer.LinkClient.data", note)
    with contextlib.closing(fake):
        storage = type("Named", (), {"name": "main"})()
        peer = LinkPeer(fake.client(), lambda _: storage, 65536)
        view = memoryview(bytearray(len(content)))
        with peer.open(segment(len(content)), ManifestFile("", len(content), 1, 0o644)) as reader:
            at = 0
            while at < len(content):
                at += reader.readinto(view[at : at + 1000], at)
    assert bytes(view) == content
    assert offsets[0] == 0 and 0 < offsets[1] < 9000


def test_connections_that_say_nothing_whole_are_cut(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill.link.serve._WAITS", 0.2)
    context = pair.trusts["a"].client_context("b")
    with contextlib.closing(socket.create_connection(("127.0.0.1", pair.serving.port), 10)) as raw:
        half = context.wrap_socket(raw, server_hostname=host_name("b"))
        half.sendall(b"GET /v1/hello HTTP/1.1\r\nHost")
        half.settimeout(10)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            assert half.recv(1) == b""
    assert pair.client.hello().server == "b"


MESSAGES = [kind for kind in vars(wire).values() if isinstance(kind, type) and issubclass(kind, wire.Message)]


UNTIMED = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How long an example takes says how busy this machine is, and nothing of what is tested."""


@UNTIMED
@given(st.sampled_from(MESSAGES), st.binary(max_size=400))
def test_no_bytes_break_what_parses_them(kind: type[wire.Message], content: bytes) -> None:
    with contextlib.suppress(PeerInvalid):
        wire.read(kind, content, "b")


ODD = ["", "x" * 5000, "front", "..", "a/b", "\0", "\ud800", -1, 0, 1, 255, 2**31, 2**63, 2**64, -(2**63), 10**400]
ODD += [None, True, 0.5, 1e308, [], {}, [[]], {"": {}}, [[0, 1, 0]], [[1, 0]], {"b": [[0, 1, 0]]}, {"front": [[0, 1]]}]
"""Values that some field may hold, and none that every field may. Chosen, because drawing trees of any shape took so
long on a busy machine that Hypothesis gave up."""


def examples() -> list[wire.Message]:
    """Return a whole message of every kind, each list and dictionary with something in it."""
    storage = wire.StorageAbout(name="main", layout="frigate", zone="UTC", retention=5, options={"a": "b"})
    state = wire.StorageState(name="main", epoch="e", seq=1, scanned=1)
    camera = wire.CameraState(camera="front", newest=1, recording=True, open_since=1)
    runs = [(0, 10, 0)]
    bucket = wire.Bucket(camera="front", bucket=0, joint=0, own=runs, filled={"c": runs}, gone=runs, undone={"c": runs})
    outage = wire.OutageMessage(server="b", camera="front", cause="camera", start=1, end=2, evidence="x")
    segment = wire.SegmentMessage(camera="front", path="x.mp4", start=0, end=1, size=1, mtime_ns=1, digest="0" * 32)
    file = wire.FileMessage(name="", size=1, mtime_ns=1, mode=0o644, digest="0" * 32, chunks=["0" * 32])
    return [
        storage,
        wire.Hello(protocols=[1], release="1", server="b", ledger="x", storages=[storage]),
        state,
        camera,
        wire.Pulse(now=1, boot="x", storages=[state], absent=["main"], cameras=[camera]),
        bucket,
        wire.CoveragePage(epoch="e", cursor="1.1.1", more=True, longest=1, buckets=[bucket]),
        outage,
        wire.Outages(outages=[outage]),
        segment,
        wire.SegmentsAsked(storage="main", wanted={"front": [(0, 1)]}, after=("front", 1, "x.mp4")),
        wire.SegmentsPage(segments=[segment], more=False),
        file,
        wire.ManifestMessage(folder=False, mtime_ns=1, files=[file]),
        wire.IdentityMessage(
            id="0b8f6a52-6c1e-4d0e-9a57-2d6b1c4e7f31", digest="0" * 32, service="running", problem="x"
        ),
        wire.Problem(error="X", detail="y"),
        wire.Join(secret="s", server="b", address="b:1", identity="x", protocols=[1]),
        wire.Joined(server="b", port=1, encrypted=True),
    ]


def test_there_is_an_example_of_every_message() -> None:
    assert {type(one) for one in examples()} | {wire.Message} == set(MESSAGES)
    for one in examples():
        assert wire.read(type(one), wire.written(one), "b") == one


@settings(max_examples=500, deadline=None)  # how long an example takes on a busy machine says nothing about it
@given(st.data())
def test_no_message_of_the_wrong_shape_is_believed(data: st.DataObject) -> None:
    """A message with any values in any places: it survives being written and read, or it is refused."""
    message = data.draw(st.sampled_from(examples()))
    whole = json.loads(wire.written(message))
    for _ in range(data.draw(st.integers(1, 3))):
        whole = spoilt(data, whole)
    try:
        read = wire.read(type(message), json.dumps(whole).encode(), "b")
    except PeerInvalid:
        return
    assert wire.read(type(message), wire.written(read), "b") == read


def spoilt(data: st.DataObject, value: object) -> object:
    """Return `value` with something odd in place of it or of one of its parts."""
    inside = sorted(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    what = data.draw(st.integers(0, 3)) if inside else 0
    if what == 0:
        return data.draw(st.sampled_from(ODD))
    at = data.draw(st.sampled_from(inside))
    if isinstance(value, dict):
        return {key: one for key, one in value.items() if key != at} | (
            {} if what == 1 else {at: spoilt(data, value[at])}
        )
    assert isinstance(value, list)
    return value[:at] + value[at + 1 :] if what == 1 else [*value[:at], spoilt(data, value[at]), *value[at + 1 :]]


def test_a_window_that_no_calendar_has_finds_nothing(pair: Pair) -> None:
    assert list(pair.client.segments("main", {"front": [Span(-(2**62), -(2**61))]})) == []
    assert list(pair.client.segments("main", {"nobody": [Span(0, 2**62)]})) == []


def test_a_peer_cannot_name_a_storage_out_of_our_folders(pair: Pair, tmp_path: Path) -> None:
    """Neither as it arrives, nor from a ledger that an older release let it into."""
    from sqlalchemy import text

    evil = "x/../../../../VICTIM/evil"
    for name in (evil, "..", ".hidden", "main\n", "a b", "main from ../x", ""):
        told = wire.StorageAbout(name=name, layout="frigate", zone="UTC")
        with pytest.raises(PeerInvalid):
            wire.read(wire.StorageAbout, wire.written(told), "b")
    side = wire.StorageAbout(name="main from nvr-b/main", layout="frigate", zone="UTC", side_of="nvr-b")
    assert wire.read(wire.StorageAbout, wire.written(side), "b") == side

    pair.follow()
    storage = msgspec.structs.replace(pair.a.settings.servers[0].storages[0], fill="side")
    server = msgspec.structs.replace(pair.a.settings.servers[0], storages=[storage])
    sided = msgspec.structs.replace(pair.a.settings, servers=[server])
    for climbing in (evil, "main from b/main"):
        about = wire.StorageAbout(name=climbing, layout="frigate", zone="UTC")
        with pair.a.ledger.writing() as connection:
            connection.execute(text("UPDATE storages SET about = :about WHERE about != ''"), {"about": told_as(about)})
        site = build_site(sided, pair.a.ledger)
        assert (site.side, site.remote) == ({}, ())
    remote = dataclasses.replace(pair.a.site.storages[0], server="b", name=evil)
    with pytest.raises(ConfigInvalid, match="VICTIM"):
        _side_store(pair.a.site.storages[0], remote, pair.a.ledger)


def told_as(about: wire.StorageAbout) -> str:
    return wire.written(about).decode()


@pytest.mark.parametrize("name", ["a..b", "a.", "_", "a-", "-" * 3, "n" * 63, "1.2.3.4", "NVR_b", "nvr-b.example"])
def test_every_name_of_a_server_can_be_connected_to(name: str, tmp_path: Path) -> None:
    trust = Trust(str(tmp_path), name)
    trust.prepare()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=host_name(name))
    assert host_name("NVR_b") == "nvr-b.recorder-sync.invalid"


@pytest.mark.parametrize("cursor", ["boom", "1.2", "1.2.x", "1.1.1\n", "٣.1.1", "1" * 30 + ".1.1"])
def test_a_cursor_that_is_none_is_refused_as_it_arrives(cursor: str, pair: Pair) -> None:
    page = wire.CoveragePage(epoch="e", cursor=cursor, more=False, longest=0, buckets=[])
    with pytest.raises(PeerInvalid):
        wire.read(wire.CoveragePage, wire.written(page), "b")
    if cursor.isprintable():
        with pytest.raises(PeerInvalid):
            pair.client.coverage("main", cursor)


@pytest.mark.parametrize("odd", ["front\0", "front\n", "fr\x1bont", "fr\x85ont"])
def test_control_characters_are_in_no_message(odd: str) -> None:
    segment = wire.SegmentMessage(camera="front", path="x.mp4", start=0, end=1, size=1, mtime_ns=1)
    bucket = wire.Bucket(camera="front", bucket=0, joint=0, own=[], filled={}, gone=[], undone={})
    for told in (
        msgspec.structs.replace(segment, camera=odd),
        msgspec.structs.replace(segment, path=odd),
        wire.Problem(error="X", detail=odd),
        msgspec.structs.replace(bucket, camera=odd),
        msgspec.structs.replace(bucket, filled={odd: []}),
        msgspec.structs.replace(bucket, undone={"../x": []}),
        msgspec.structs.replace(bucket, bucket=2**40),
    ):
        with pytest.raises(PeerInvalid):
            wire.read(type(told), wire.written(told), "b")
    assert wire.plain(odd).isprintable()


def taken(pair: Pair) -> tuple[dict[str, int], dict[str, int]]:
    """Return the places that `b` has given away."""
    door = pair.serving._server._door
    assert door is not None
    return door.places.taken()


def test_who_connects_and_says_nothing_takes_few_places_and_not_for_long(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backfill.link.accepting._HANDSHAKE_SECONDS", 1.0)
    before = len(os.listdir("/proc/self/fd"))
    with contextlib.ExitStack() as held:
        for _ in range(100):
            held.enter_context(socket.create_connection(("127.0.0.1", pair.serving.port), 5))
        time.sleep(0.5)
        assert len(os.listdir("/proc/self/fd")) - before - 100 <= 20
        time.sleep(1.5)
        assert len(os.listdir("/proc/self/fd")) - before - 100 <= 2
        assert pair.client.hello().server == "b"
        assert taken(pair) == ({"127.0.0.1": 1}, {})


def test_what_is_no_handshake_is_cut_and_counted_no_more(pair: Pair) -> None:
    for _ in range(40):
        with contextlib.closing(socket.create_connection(("127.0.0.1", pair.serving.port), 5)) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                raw.recv(100)
    assert pair.client.hello().server == "b"
    assert taken(pair) == ({"127.0.0.1": 1}, {})


def test_a_question_that_does_not_come_is_not_waited_for(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill.link.serve._WAITS", 0.3)
    context = pair.trusts["a"].client_context("b")
    with contextlib.closing(socket.create_connection(("127.0.0.1", pair.serving.port), 10)) as raw:
        half = context.wrap_socket(raw, server_hostname=host_name("b"))
        half.sendall(b"POST /v1/segments HTTP/1.1\r\nHost: b\r\nContent-Length: 1000\r\n\r\n{")
        half.settimeout(5)
        assert b"did not come" in half.recv(4096)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_that_too_many_files_are_open_here_is_no_absence_of_a_storage(
    number: int, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scandir(path: object) -> None:
        raise OSError(number, os.strerror(number), path)

    with monkeypatch.context() as broken:
        broken.setattr("backfill.storage.os.scandir", scandir)
        with pytest.raises(DescriptorsExhausted):
            pair.b.site.storages[0].check_present()
