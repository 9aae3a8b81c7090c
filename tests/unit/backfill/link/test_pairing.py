"""Pairing: an invitation is good once and for minutes, and only its holder and its printer believe each other."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfill.link import pairing
from backfill.link.pairing import Invitation, Inviting, Paired, accept, invitation, read_invitation
from backfill.link.trust import Trust
from schema.errors import InvitationInvalid, PeerRefused, PeerUnreachable, PeerUntrusted


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
        asyncio.run_coroutine_threadsafe(_others_ended(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)


async def _others_ended() -> None:
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()} or {asyncio.ensure_future(asyncio.sleep(0))})


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    one = Waiting(tmp_path)
    import time

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
        with pytest.raises(PeerRefused):
            accept(guess, joining(tmp_path), "nvr-b", "*:7444")
    with pytest.raises(PeerRefused, match="used up"):
        accept(waiting.invited, joining(tmp_path), "nvr-b", "*:7444")
    assert waiting.trust.peers() == {}


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
