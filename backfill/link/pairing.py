"""Making two hosts known to each other: one prints an invitation, the other accepts it, and identities are exchanged.

Rule: an invitation holds the address, the fingerprint of the inviting identity and a secret that is good once and for
minutes. Who accepts speaks only to the holder of that identity; who invites believes only who knows the secret. What is
on the command line afterwards opens nothing any more.
"""

import asyncio
import base64
import hashlib
import hmac
import http.client
import os
import secrets
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from aiohttp import web

from backfill.link.trust import Identity, Trust, host_name, read_identity
from schema.errors import (
    InvitationInvalid,
    OperatorError,
    PeerIncompatible,
    PeerInvalid,
    PeerRefused,
    PeerUnreachable,
    PeerUntrusted,
    UsageInvalid,
)
from schema.wire import MESSAGE_LIMIT, PROTOCOL, Join, Joined, Problem, read, written

GOOD_FOR = 15 * 60
"""Seconds."""
_GUESSES = 5
_TIMEOUT = 15


class _Token(msgspec.Struct, frozen=True, array_like=True):
    version: int
    server: str
    host: str
    port: int
    fingerprint: bytes
    secret: bytes


@dataclass(frozen=True, slots=True)
class Invitation:
    """What the inviting host prints. `text` is one word for a command line."""

    server: str
    host: str
    port: int
    fingerprint: str
    secret: str

    @property
    def text(self) -> str:
        """The invitation as it is typed."""
        token = _Token(
            PROTOCOL, self.server, self.host, self.port, bytes.fromhex(self.fingerprint), bytes.fromhex(self.secret)
        )
        body = msgspec.msgpack.encode(token)
        return base64.urlsafe_b64encode(body + hashlib.sha256(body).digest()[:4]).decode().rstrip("=")


def invitation(server: str, host: str, port: int, identity: Identity) -> Invitation:
    """Return a fresh invitation to reach `server` at `host` and `port`."""
    return Invitation(server, host, port, identity.fingerprint, secrets.token_hex(16))


def read_invitation(text: str) -> Invitation:
    """Return what an invitation says. Raises InvitationInvalid."""
    try:
        raw = base64.b64decode(text.strip() + "=" * (-len(text.strip()) % 4), altchars=b"-_", validate=True)
        if hashlib.sha256(raw[:-4]).digest()[:4] != raw[-4:]:
            raise InvitationInvalid("it is not complete: copy the whole line")
        token = msgspec.msgpack.decode(raw[:-4], type=_Token)
    except (ValueError, msgspec.DecodeError):
        raise InvitationInvalid("it is none: copy the whole line that 'recorder-sync init' printed") from None
    if token.version != PROTOCOL:
        raise InvitationInvalid("it was printed by another release of recorder-sync")
    return Invitation(token.server, token.host, token.port, token.fingerprint.hex(), token.secret.hex())


@dataclass(frozen=True, slots=True)
class Paired:
    """Who was paired: the peer's name, where its service will be, and its identity."""

    server: str
    address: str
    identity: str
    encrypted: bool


class Inviting:
    """Waits at the link's own port until somebody accepts the invitation.

    Args:
        host, port: where to listen.
        encrypted: what the link will be; told to the peer. The pairing itself is encrypted in any case.
    """

    def __init__(
        self,
        trust: Trust,
        invited: Invitation,
        *,
        encrypted: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trust = trust
        self._invited = invited
        self._encrypted = encrypted
        self._clock = clock
        self._until = clock() + GOOD_FOR
        self._guesses = 0
        self._done: asyncio.Future[Paired] = asyncio.get_running_loop().create_future()

    async def wait(self, host: str, port: int) -> Paired:
        """Return who accepted. Raises InvitationInvalid once it is no longer good, UsageInvalid without the port."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._trust.load_into(context)
        app = web.Application(client_max_size=65_536)
        app.router.add_get("/v1/identity", self._identity)
        app.router.add_post("/v1/join", self._join)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, ssl_context=context, reuse_address=True).start()
        except OSError as error:
            await runner.cleanup()
            raise UsageInvalid("link.listen", f"{host}:{port}: {os.strerror(error.errno or 0)}") from None
        try:
            async with asyncio.timeout(GOOD_FOR):
                return await self._done
        except TimeoutError:
            raise InvitationInvalid(f"nobody accepted it within {GOOD_FOR // 60} minutes") from None
        finally:
            await runner.cleanup()

    async def _identity(self, _: web.Request) -> web.Response:
        return web.Response(text=self._trust.identity().pem)

    async def _join(self, request: web.Request) -> web.Response:
        try:
            return web.Response(body=written(self._accept(await request.read(), request.remote or "")))
        except OperatorError as error:
            detail = str(error.details[-1]) if error.details else str(error)
            return web.Response(status=409, body=written(Problem(error=type(error).__name__, detail=detail[:1024])))

    def _accept(self, body: bytes, remote: str) -> Joined:
        """Check who joins and keep its identity. Raises what is wrong."""
        told = read(Join, body, "that wants to join")
        self._guesses += 1
        if self._done.done() or self._clock() > self._until or self._guesses > _GUESSES:
            raise PeerRefused("this host", "the invitation is used up; print another")
        if not hmac.compare_digest(told.secret, self._invited.secret):
            raise PeerRefused("this host", "it is not the invitation that was printed last")
        if PROTOCOL not in told.protocols:
            raise PeerIncompatible(told.server, f"versions {told.protocols}, not {PROTOCOL}")
        if told.server == self._invited.server:
            raise PeerRefused("this host", f"it is called {told.server} too; give one of them another --name")
        identity = self._trust.add_peer(told.server, told.identity)
        host, _, port = told.address.rpartition(":")
        host = f"[{remote}]" if host == "*" and ":" in remote else remote if host == "*" else host
        self._done.set_result(Paired(told.server, f"{host}:{port}", identity.pem, self._encrypted))
        return Joined(server=self._invited.server, port=self._invited.port, encrypted=self._encrypted)


def accept(invited: Invitation, trust: Trust, server: str, address: str) -> Paired:
    """Accept an invitation as `server`, whose service will be at `address`; returns who invited.

    Raises PeerUnreachable, PeerUntrusted, PeerRefused, PeerInvalid, PeerIncompatible, TrustUnusable.
    """
    identity = _fetch_identity(invited)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=identity.pem)
    own = trust.prepare()
    said = Join(secret=invited.secret, server=server, address=address, identity=own.pem, protocols=[PROTOCOL])
    status, body = _exchange(invited, context, "POST", "/v1/join", written(said))
    if status != 200:
        problem = read(Problem, body, invited.server)
        if problem.error == PeerIncompatible.__name__:
            raise PeerIncompatible(invited.server, problem.detail)
        raise PeerRefused(invited.server, problem.detail)
    joined = read(Joined, body, invited.server)
    if joined.server != invited.server:
        raise PeerInvalid(invited.server, f"it says that it is {joined.server!r}")
    trust.add_peer(joined.server, identity.pem)
    host = f"[{invited.host}]" if ":" in invited.host else invited.host
    return Paired(joined.server, f"{host}:{joined.port}", identity.pem, joined.encrypted)


def _fetch_identity(invited: Invitation) -> Identity:
    """Return the inviting host's identity, whoever hands it over: only the one in the invitation counts."""
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.minimum_version = ssl.TLSVersion.TLSv1_3
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE  # its fingerprint is compared below
    status, body = _exchange(invited, unchecked, "GET", "/v1/identity", None)
    try:
        identity = read_identity(body.decode("ascii"), invited.server)
    except UnicodeDecodeError:
        raise PeerInvalid(invited.server, "its certificate is no text") from None
    if status != 200 or identity.fingerprint != invited.fingerprint:
        raise PeerUntrusted(invited.server, "its certificate is not the one of the invitation")
    return identity


def _exchange(
    invited: Invitation, context: ssl.SSLContext, method: str, path: str, body: bytes | None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(invited.host, invited.port, timeout=_TIMEOUT)
    try:
        connection.connect()
        connection.sock = context.wrap_socket(connection.sock, server_hostname=host_name(invited.server))
        connection.request(method, path, body=body)
        response = connection.getresponse()
        return response.status, response.read(MESSAGE_LIMIT)
    except ssl.SSLCertVerificationError as error:
        raise PeerUntrusted(invited.server, error.verify_message) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PeerUnreachable(invited.server, f"{invited.host}:{invited.port}: {reason}") from None
    finally:
        connection.close()
