"""Answering peers over HTTPS: who asks is checked first, then what, and everything has a limit.

Rule: read-only. Nothing a peer says is used as a path, a size or a count before `Answers` has checked it; a peer that
sends half a request or opens too many connections is cut off. Questions are answered here, on one loop; recordings
leave through the lane, which listens at the same port.
"""

import asyncio
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from aiohttp import web

from backfill.link.accepting import Door
from backfill.link.answers import Answers
from backfill.link.lane import Lane
from backfill.link.queries import number, refusal
from backfill.link.trust import issuer_of, paired_with
from backfill.threads import Threads
from schema.errors import OperatorError, PeerRefused, UsageInvalid
from schema.wire import IdentityMessage, Message, SegmentsAsked, read, written

_WAITS = 15.0
"""Seconds a connection may go without a whole request."""
_THREADS = 8
_ASKED_LIMIT = 4 * 2**20
"""Bytes of the longest question."""
_LOOKS = 1.0
"""Seconds between two looks at who keeps us waiting."""
_ENDS = 2.0
"""Seconds within which the lane's threads end once they are cut, unless a disk holds one of them."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_T = TypeVar("_T")


class LinkServer:
    """The HTTPS side of one service.

    Args:
        context: None answers without encryption, to anybody.
        known: returns the servers that are paired, by the name of their identity.
        bandwidth: bytes a second of all streams together; None for no limit.
        timeout: seconds in which a peer must take something of what is sent to it.
        identity: with which id the recorder here answers; by default nothing is told.
    """

    def __init__(
        self,
        answers: Answers,
        *,
        context: ssl.SSLContext | None,
        known: Callable[[], dict[str, str]],
        bandwidth: int | None,
        timeout: float,
        identity: Callable[[], IdentityMessage] = IdentityMessage,
    ) -> None:
        self._answers = answers
        self._identity_here = identity
        self._context = context
        self._known = known
        self._lane = Lane(answers, context=context, known=known, bandwidth=bandwidth, timeout=timeout)
        self._pool = Threads(_THREADS, "link")
        self._heard: dict[asyncio.Transport, float] = {}
        self._runner: web.AppRunner | None = None
        self._door: Door | None = None
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which is chosen if 0 was asked for. Raises UsageInvalid if it cannot be had."""
        app = web.Application(middlewares=[self._checked], client_max_size=_ASKED_LIMIT)
        for path, handler in (
            ("hello", self._hello),
            ("pulse", self._pulse),
            ("coverage", self._coverage),
            ("outages", self._outages),
            ("identity", self._identity),
            ("manifest", self._manifest),
        ):
            app.router.add_get(f"/v1/{path}", handler)
        app.router.add_post("/v1/segments", self._segments)  # a question as well, and longer than an address may be
        self._runner = web.AppRunner(
            app, access_log=None, keepalive_timeout=75, handle_signals=False, shutdown_timeout=0.5
        )
        await self._runner.setup()
        assert self._runner.server is not None
        self._door = Door(self._runner.server, self._context, self._lane.take)
        try:
            bound = await self._door.listen(host, port)
        except OSError as error:
            await self._runner.cleanup()
            raise UsageInvalid("link.listen", f"{host}:{port}: {os.strerror(error.errno or 0)}") from None
        self._sweeping = asyncio.create_task(self._sweep())
        return bound

    async def stop(self) -> None:
        """Stop listening and cut what is under way."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._door is not None:
            self._door.close()
        threads = self._lane.close()
        if self._runner is not None:
            server = self._runner.server
            for connection in list(server.connections) if server else ():
                if connection.transport is not None:
                    connection.transport.abort()
            await self._runner.cleanup()
        self._pool.shutdown(wait=False, cancel_futures=True)
        until = time.monotonic() + _ENDS
        while any(thread.is_alive() for thread in threads) and time.monotonic() < until:
            await asyncio.sleep(0.01)

    @web.middleware
    async def _checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Find out who asks, and turn errors into messages."""
        if request.transport is not None:
            self._heard[request.transport] = float("inf")
        try:
            self._who(request)
            return await handler(request)
        except OperatorError as error:
            return _refused(error)
        except web.HTTPRequestEntityTooLarge:
            return _refused(UsageInvalid(request.path, f"a question of more than {_ASKED_LIMIT:,} bytes"))
        except (ValueError, KeyError) as error:
            return _refused(UsageInvalid(request.path, error))
        finally:
            if request.transport is not None:
                self._heard[request.transport] = time.monotonic()

    def _who(self, request: web.Request) -> str:
        """Return which peer asks. Raises PeerRefused."""
        if self._context is None:
            return "?"
        shown = request.transport.get_extra_info("peercert") if request.transport else None
        return paired_with(issuer_of(shown), self._known())

    async def _thread(self, function: Callable[..., _T], *given: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(function, *given))

    async def _hello(self, _: web.Request) -> web.Response:
        return _said(await self._thread(self._answers.hello))

    async def _pulse(self, _: web.Request) -> web.Response:
        return _said(await self._thread(self._answers.pulse))

    async def _coverage(self, request: web.Request) -> web.Response:
        query = request.query
        return _said(await self._thread(self._answers.coverage, query["storage"], query.get("cursor", "")))

    async def _outages(self, _: web.Request) -> web.Response:
        return _said(await self._thread(self._answers.outages))

    async def _identity(self, _: web.Request) -> web.Response:
        return _said(await self._thread(self._identity_here))

    async def _segments(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_WAITS):
                body = await request.read()
        except TimeoutError:
            raise PeerRefused("this server", f"the question did not come within {_WAITS:g} s") from None
        asked = read(SegmentsAsked, body, "that asks")
        return _said(await self._thread(self._answers.segments, asked))

    async def _manifest(self, request: web.Request) -> web.Response:
        query = request.query
        asked = (query["storage"], query["path"], number(query["size"]), number(query["mtime"], signed=True))
        return _said(await self._thread(self._answers.manifest, *asked))

    async def _sweep(self) -> None:
        """Cut connections that came and said nothing whole, and receivers that take nothing."""
        while True:
            await asyncio.sleep(_LOOKS)
            self._lane.sweep()
            server = self._runner.server if self._runner else None
            now = time.monotonic()
            transports = [one.transport for one in (server.connections if server else ()) if one.transport is not None]
            self._heard = {one: self._heard.get(one, now) for one in transports}
            for transport in transports:
                if now - self._heard[transport] > _WAITS * 4:
                    transport.abort()


def _said(message: Message) -> web.Response:
    return web.Response(body=written(message), content_type="application/json")


def _refused(error: OperatorError) -> web.Response:
    return web.Response(status=409, body=refusal(error), content_type="application/json")
