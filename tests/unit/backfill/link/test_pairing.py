"""Pairing: an invitation is good once and for minutes, and only its holder and its printer believe each other."""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfill.link import pairing
from backfill.link.pairing import Invitation, Inviting, Paired, accept, invitation, read_invitation
from backfill.link.trust import Trust
from recorder_sync.cli.pairing import add_peer, check_peer
from schema.errors import ConfigInvalid, InvitationInvalid, PeerRefused, PeerUnreachable, PeerUntrusted
from schema.settings import load


class Waiting:
    """An inviting host on a loop of its own."""

    def __init__(self, base: Path) -> None:
        self.trust = Trust(str(base / "inviting"), "nvr-a")
        self.identity = self.trust.prepare()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.port = _free_port()
        self.invited = invitation("nvr-a", "127.0.0.1", self.port, self.identity)
        self.paired = asyncio.run_coroutine_threadsafe(self._wait(), self._loop)

    async def _wait(self) -> Paired:
        return await Inviting(self.trust, self.invited, encrypted=True).wait("127.0.0.1", self.port)

    def end(self) -> None:
        self.paired.cancel()
        asyncio.run_coroutine_threadsafe(_others_ended(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)


async def _others_ended() -> None:
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()} or {asyncio.ensure_future(asyncio.sleep(0))})


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    one = Waiting(tmp_path)
    time.sleep(0.3)
    yield one
    one.end()


def joining(tmp_path: Path, name: str = "nvr-b") -> Trust:
    return Trust(str(tmp_path / f"joining-{name}"), name)


def test_both_know_each_other_afterwards(waiting: Waiting, tmp_path: Path) -> None:
    trust = joining(tmp_path)
    ours = accept(read_invitation(waiting.invited.text), trust, "nvr-b", "*:7444")
    theirs = waiting.paired.result(10)
    assert (ours.server, ours.address) == ("nvr-a", f"127.0.0.1:{waiting.port}")
    assert (theirs.server, theirs.address) == ("nvr-b", "127.0.0.1:7444")
    assert trust.peers()["nvr-a"] == waiting.identity
    assert waiting.trust.peers()["nvr-b"] == trust.identity()


def test_it_is_good_once(waiting: Waiting, tmp_path: Path) -> None:
    accept(waiting.invited, joining(tmp_path), "nvr-b", "*:7444")
    with pytest.raises((PeerRefused, PeerUnreachable)):
        accept(waiting.invited, joining(tmp_path, "nvr-c"), "nvr-c", "*:7445")
    assert set(waiting.trust.peers()) == {"nvr-b"}


def test_who_does_not_know_the_secret_is_refused_and_guessing_ends_it(waiting: Waiting, tmp_path: Path) -> None:
    guess = Invitation("nvr-a", "127.0.0.1", waiting.port, waiting.identity.fingerprint, "00" * 16)
    for _ in range(pairing._GUESSES):
        with pytest.raises(PeerRefused, match="not the invitation"):
            accept(guess, joining(tmp_path), "nvr-b", "*:7444")
    with pytest.raises(InvitationInvalid, match="somebody tried who does not know it"):
        waiting.paired.result(10)
    with pytest.raises((PeerRefused, PeerUnreachable)):
        accept(waiting.invited, joining(tmp_path), "nvr-b", "*:7444")
    assert waiting.trust.peers() == {}


def test_what_is_no_guess_does_not_use_it_up(waiting: Waiting, tmp_path: Path) -> None:
    for _ in range(2 * pairing._GUESSES):
        assert asked(waiting, b"{}")[0] == 409
    accept(waiting.invited, joining(tmp_path), "nvr-b", "*:7444")
    assert waiting.paired.result(10).server == "nvr-b"


def test_of_many_who_accept_at_once_one_is_believed(waiting: Waiting, tmp_path: Path) -> None:
    names = [f"nvr-{number}" for number in range(6)]
    for name in names:
        joining(tmp_path, name).prepare()
    joined: list[str] = []

    def join(name: str) -> None:
        with contextlib.suppress(PeerRefused, PeerUnreachable):
            accept(waiting.invited, joining(tmp_path, name), name, "*:7444")
            joined.append(name)

    threads = [threading.Thread(target=join, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert joined == list(waiting.trust.peers()) == [waiting.paired.result(10).server]


def asked(waiting: Waiting, body: bytes, length: int | None = None) -> tuple[int, bytes]:
    """Return status and beginning of what is answered to a question to join; 0 if the connection is cut."""
    with contextlib.closing(encrypted(waiting)) as sock:
        sock.settimeout(10)
        head = f"POST /v1/join HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n"
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            sock.sendall(head.encode() + body)
            said = sock.recv(4096)
            return int(said.split()[1]) if said else 0, said
    return 0, b""


def encrypted(waiting: Waiting) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection(("127.0.0.1", waiting.port), 10))


def test_a_question_that_is_too_long_is_refused_and_not_held(waiting: Waiting, tmp_path: Path) -> None:
    assert asked(waiting, b" " * (pairing._ASKED_LIMIT + 1))[0] == 413
    assert asked(waiting, b" " * 2 * pairing._ASKED_LIMIT, length=10**12)[0] in (0, 413)
    accept(waiting.invited, joining(tmp_path), "nvr-b", "*:7444")


HALVES = [b"", b"GET /v1/identity HT", b"POST /v1/join HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"]


@pytest.mark.parametrize("said", HALVES)
def test_who_connects_and_says_half_is_cut(
    waiting: Waiting, said: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairing, "_LASTS", 0.3)
    with contextlib.closing(encrypted(waiting)) as sock:
        sock.settimeout(20)
        sock.sendall(said)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            assert sock.recv(1) == b""
    monkeypatch.setattr(pairing, "_LASTS", 30.0)
    accept(waiting.invited, joining(tmp_path), "nvr-b", "*:7444")


def test_one_address_takes_few_places_and_gives_them_back(waiting: Waiting, tmp_path: Path) -> None:
    with contextlib.ExitStack() as held:
        let_in = 0
        for _ in range(100):
            with contextlib.suppress(OSError):  # what is cut while it shakes hands
                held.enter_context(contextlib.closing(encrypted(waiting)))
                let_in += 1
        assert 0 < let_in < 60
        with pytest.raises(PeerUnreachable):
            accept(waiting.invited, joining(tmp_path), "nvr-b", "*:7444")
    for attempt in range(50):
        try:
            accept(waiting.invited, joining(tmp_path), "nvr-b", "*:7444")
            break
        except PeerUnreachable:
            assert attempt < 49
            time.sleep(0.1)


def test_somebody_else_at_that_address_learns_no_secret(waiting: Waiting, tmp_path: Path) -> None:
    other = Trust(str(tmp_path / "other"), "nvr-a").prepare()
    wrong = Invitation("nvr-a", "127.0.0.1", waiting.port, other.fingerprint, waiting.invited.secret)
    with pytest.raises(PeerUntrusted, match="not the one of the invitation"):
        accept(wrong, joining(tmp_path), "nvr-b", "*:7444")
    assert not waiting.paired.done()


def test_two_servers_of_one_name_cannot_be_told_apart(waiting: Waiting, tmp_path: Path) -> None:
    with pytest.raises(PeerRefused, match="--name"):
        accept(waiting.invited, joining(tmp_path, "nvr-a"), "nvr-a", "*:7444")


def test_it_ends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairing, "GOOD_FOR", 0.2)
    late = Waiting(tmp_path)
    with pytest.raises(InvitationInvalid, match="nobody accepted"):
        late.paired.result(10)


@pytest.mark.parametrize("spoil", [lambda text: text[:-3], lambda text: "x" + text, lambda text: "", lambda text: "ä"])
def test_what_is_no_invitation_is_said(waiting: Waiting, spoil: object) -> None:
    with pytest.raises(InvitationInvalid):
        read_invitation(spoil(waiting.invited.text))  # type: ignore[operator]


ODD = [
    'b:1"\n[[alarms]]\nname = "x"\nkind = "command"\ncommand = ["/bin/id"]\n#:1',
    "nvr-b:7443\n",
    "nvr-b:0",
    "nvr-b",
    "a*:7443",
    'nvr"b:7443',
    "",
]


@pytest.mark.parametrize("address", ODD)
def test_an_address_that_is_none_is_refused_before_anything_is_trusted(
    waiting: Waiting, tmp_path: Path, address: str
) -> None:
    with pytest.raises(PeerRefused):
        accept(waiting.invited, joining(tmp_path), "nvr-b", address)
    assert waiting.trust.peers() == {}
    assert not waiting.paired.done()


@pytest.mark.parametrize(
    ("server", "host", "port"),
    [
        ("nvr-a\n", "127.0.0.1", 7443),
        ("../nvr-a", "127.0.0.1", 7443),
        ("nvr-a", 'x"\n', 7443),
        ("nvr-a", "*", 7443),
        ("nvr-a", "127.0.0.1", 0),
        ("nvr-a", "127.0.0.1", 70_000),
    ],
)
def test_an_invitation_that_leads_nowhere_is_none(server: str, host: str, port: int) -> None:
    with pytest.raises(InvitationInvalid, match="not printed"):
        read_invitation(Invitation(server, host, port, "00" * 32, "00" * 16).text)


def test_a_name_that_climbs_is_never_a_file(tmp_path: Path) -> None:
    trust, other = joining(tmp_path), joining(tmp_path, "nvr-c")
    trust.prepare()
    pem = other.prepare().pem
    for name in ("../../nvr-c", "nvr-c\n", ""):
        with pytest.raises(PeerUntrusted, match="plain letters"):
            trust.add_peer(name, pem)
    assert trust.peers() == {}


def test_whom_the_configuration_cannot_hold_is_not_trusted(waiting: Waiting, tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    config = tmp_path / "b.toml"
    head = 'peers = []\nledger = "l.db"\n[[servers]]\nname = "nvr-b"\n'
    config.write_text(head + '[[servers.storages]]\nroot = "recordings"\nlayout = "frigate"\n')
    before = config.read_text()
    trust = joining(tmp_path)
    with pytest.raises(ConfigInvalid):
        accept(waiting.invited, trust, "nvr-b", "*:7444", lambda paired: check_peer(config, paired))
    assert trust.peers() == waiting.trust.peers() == {}
    config.write_text(before.removeprefix("peers = []\n"))
    paired = accept(waiting.invited, trust, "nvr-b", "*:7444", lambda paired: check_peer(config, paired))
    add_peer(config, paired)
    assert [(one.name, one.address) for one in load(config).peers] == [("nvr-a", f"127.0.0.1:{waiting.port}")]
