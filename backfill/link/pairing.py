"""Making two hosts known to each other: one prints an invitation, the other accepts it, and identities are exchanged.

Rule: an invitation holds the address, the fingerprint of the inviting identity and a secret that is good once and for
minutes, and that a few wrong guesses end. Who accepts speaks only to the holder of that identity; who invites believes
only who knows the secret, and gives nobody more than a few connections for a few seconds. What is on the command line
afterwards opens nothing any more.
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
from dataclasses import dataclass, replace
from functools import partial

import msgspec
from aiohttp import web

from backfill.link.accepting import Door
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
from schema.service import split_address
from schema.settings import name_problem
from schema.wire import MESSAGE_LIMIT, PROTOCOL, Join, Joined, Problem, plain, read, written

GOOD_FOR = 15 * 60
"""Seconds."""
_GUESSES = 5
_TIMEOUT = 15
_ASKED_LIMIT = 65_536
"""Bytes of a question: a certificate and a few words."""
_LASTS = 30.0
"""Seconds of a connection: time for its one question and the answer, and no more however it is spent."""
_FINGERPRINT = 32
_SECRET = 16


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
    return Invitation(server, host, port, identity.fingerprint, secrets.token_hex(_SECRET))


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
    problem = name_problem(token.server) or _address_problem(_joined(token.host, token.port))
    if problem or (len(token.fingerprint), len(token.secret)) != (_FINGERPRINT, _SECRET):
        raise InvitationInvalid(f"it was not printed by recorder-sync: {problem or 'its secret has another length'}")
    return Invitation(token.server, token.host, token.port, token.fingerprint.hex(), token.secret.hex())


@dataclass(frozen=True, slots=True)
class Paired:
    """Who was paired: the peer's name, where its service will be, and its identity."""

    server: str
    address: str
    identity: str
    encrypted: bool


def nothing(_: Paired) -> None:
    """Object to nobody."""


class Inviting:
    """Waits at the link's own port until somebody accepts the invitation.

    Args:
        host, port: where to listen.
        encrypted: what the link will be; told to the peer. The pairing itself is encrypted in any case.
        check: called with who joins before anything of it is kept; raises if this host could not use it.
    """

    def __init__(
        self,
        trust: Trust,
        invited: Invitation,
        *,
        encrypted: bool,
        check: Callable[[Paired], None] = nothing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trust = trust
        self._invited = invited
        self._encrypted = encrypted
        self._check = check
        self._clock = clock
        self._until = clock() + GOOD_FOR
        self._guesses = 0
        self._done: asyncio.Future[Paired] = asyncio.get_running_loop().create_future()

    async def wait(self, host: str, port: int) -> Paired:
        """Return who accepted. Raises InvitationInvalid once it is no longer good, UsageInvalid without the port."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._trust.load_into(context)
        app = web.Application(client_max_size=_ASKED_LIMIT)
        app.router.add_get("/v1/identity", self._identity)
        app.router.add_post("/v1/join", self._join)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2)
        await runner.setup()
        assert runner.server is not None
        door = Door(partial(_brief, runner.server), context)
        try:
            await door.listen(host, port)
            async with asyncio.timeout(GOOD_FOR):
                return await self._done
        except TimeoutError:
            raise InvitationInvalid(f"nobody accepted it within {GOOD_FOR // 60} minutes") from None
        except OSError as error:
            raise UsageInvalid("link.listen", f"{host}:{port}: {os.strerror(error.errno or 0)}") from None
        finally:
            door.close()
            await runner.cleanup()

    async def _identity(self, _: web.Request) -> web.Response:
        return web.Response(text=self._trust.identity().pem)

    async def _join(self, request: web.Request) -> web.Response:
        try:
            return web.Response(body=written(self._accept(await request.read(), request.remote or "")))
        except OperatorError as error:
            detail = plain(str(error.details[-1]) if error.details else str(error))
            return web.Response(status=409, body=written(Problem(error=type(error).__name__, detail=detail)))

    def _accept(self, body: bytes, remote: str) -> Joined:
        """Check who joins and keep its identity. Raises what is wrong."""
        told = read(Join, body, "that wants to join")
        if self._done.done() or self._clock() > self._until:
            raise PeerRefused("this host", "the invitation is used up; print another")
        if not hmac.compare_digest(told.secret, self._invited.secret):
            self._guesses += 1
            if self._guesses == _GUESSES:
                self._done.set_exception(InvitationInvalid(f"{_GUESSES} times somebody tried who does not know it"))
            raise PeerRefused("this host", "it is not the invitation that was printed last")
        if PROTOCOL not in told.protocols:
            raise PeerIncompatible(told.server, f"versions {told.protocols}, not {PROTOCOL}")
        if told.server == self._invited.server:
            raise PeerRefused("this host", f"it is called {told.server} too; give one of them another --name")
        problem = name_problem(told.server) or _address_problem(told.address, any_host=True)
        if problem:
            raise PeerInvalid(ascii(told.server), problem)
        host, port = split_address(told.address)
        paired = Paired(told.server, _joined(remote if host == "*" else host, port), told.identity, self._encrypted)
        problem = _address_problem(paired.address)
        if problem:
            raise PeerInvalid(told.server, f"{problem}; join with --address")
        self._check(paired)
        identity = self._trust.add_peer(told.server, told.identity)
        self._done.set_result(replace(paired, identity=identity.pem))
        return Joined(server=self._invited.server, port=self._invited.port, encrypted=self._encrypted)


def _brief(made: web.Server) -> asyncio.Protocol:
    """Return the protocol of a new connection, which is cut after a while whatever is said on it."""
    protocol = made()

    def cut() -> None:
        if protocol.transport is not None:
            protocol.transport.abort()

    asyncio.get_running_loop().call_later(_LASTS, cut)
    return protocol


def accept(
    invited: Invitation, trust: Trust, server: str, address: str, check: Callable[[Paired], None] = nothing
) -> Paired:
    """Accept an invitation as `server`, whose service will be at `address`; returns who invited.

    `check` is called before the other host hears of us, and before anything of it is kept; it raises if this host could
    not use it. Raises PeerUnreachable, PeerUntrusted, PeerRefused, PeerInvalid, PeerIncompatible, TrustUnusable.
    """
    identity = _fetch_identity(invited)
    paired = Paired(invited.server, _joined(invited.host, invited.port), identity.pem, encrypted=True)
    check(paired)
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
    paired = replace(paired, address=_joined(invited.host, joined.port), encrypted=joined.encrypted)
    check(paired)
    trust.add_peer(joined.server, identity.pem)
    return paired


def _joined(host: str, port: int) -> str:
    """Return an address of a host and a port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _address_problem(address: str, *, any_host: bool = False) -> str | None:
    """Return why nobody can be reached at `address`, or None."""
    try:
        host, _ = split_address(address)
    except ValueError as error:
        return str(error)
    return f"{address!r} names no host" if "*" in host and not (any_host and host == "*") else None


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
