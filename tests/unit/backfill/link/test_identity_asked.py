"""The question for a recorder's id over the link: answered to peers only, checked on arrival, new to old releases."""

from pathlib import Path

import pytest
from aiohttp import web

from backfill.link.client import LinkClient
from backfill.link.serve import LinkServer
from schema.errors import OperatorError, PeerInvalid, PeerRefused
from schema.wire import IdentityMessage, read
from tests.identities import NEW
from tests.links import linked, paired

TOLD = IdentityMessage(id=NEW, digest="0" * 32, service="running")


@pytest.mark.parametrize("encrypted", [True, False], ids=["tls", "plain"])
def test_it_is_told_to_a_peer(tmp_path: Path, encrypted: bool) -> None:
    with linked(tmp_path, encrypted=encrypted, identity=lambda: TOLD) as pair:
        assert pair.client.identity() == TOLD


def test_who_was_given_nothing_to_tell_tells_nothing(tmp_path: Path) -> None:
    with linked(tmp_path) as pair:
        assert pair.client.identity() == IdentityMessage()


def test_a_stranger_is_told_nothing(tmp_path: Path) -> None:
    others = paired(tmp_path / "others", "a", "b")
    with linked(tmp_path, identity=lambda: TOLD) as pair:
        stranger = others["a"]
        stranger.add_peer("b", pair.trusts["b"].identity().pem)
        client = LinkClient(
            "b", ("127.0.0.1", pair.serving.port), context=lambda: stranger.client_context("b"), timeout=2
        )
        with pytest.raises(PeerRefused):
            client.identity()


def test_a_release_that_does_not_know_the_question_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object) -> web.Response:
        raise web.HTTPNotFound

    monkeypatch.setattr(LinkServer, "_identity", unknown)
    with linked(tmp_path) as pair, pytest.raises(PeerInvalid, match="status 404"):
        pair.client.identity()


def test_what_goes_wrong_there_has_a_name_here(tmp_path: Path) -> None:
    def fails() -> IdentityMessage:
        raise ValueError("x")

    with linked(tmp_path, identity=fails) as pair, pytest.raises(OperatorError):
        pair.client.identity()


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'{"id":5}',
        b'{"id":"' + b"0" * 39 + b'"}',
        b'{"id":"<x>"}',
        b'{"digest":"0"}',
        b'{"service":"perhaps"}',
        b'{"service":"stopped","more":1}',
        b'{"problem":"a\\nb"}',
        b'{"problem":"' + b"x" * 1025 + b'"}',
    ],
)
def test_an_answer_that_cannot_be_right_is_refused(body: bytes) -> None:
    with pytest.raises(PeerInvalid):
        read(IdentityMessage, body, "b")
