"""Answering peers over HTTPS: who asks is checked first, then what, and everything has a limit.

Rule: read-only. Nothing a peer says is used as a path, a size or a count before `Answers` has checked it; a peer that
sends half a request, reads slower than it may or opens too many connections is cut off. Recordings are sent in blocks
of a megabyte, read ahead in threads: aiohttp's own file response moves 16 KiB pieces under TLS (facts measured at a
tenth of this).

The body of `/v1/data` is the file from `offset` on, with the XXH3-128 of every `chunk` bytes behind them: who receives
it knows at once that a chunk is what was read here.
"""

import asyncio
import errno
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from aiohttp import web

from backfill.link.accepting import Door
from backfill.link.answers import Answers
from backfill.link.blocks import CopySender, KernelSender, Sender, block_length
from backfill.link.pacing import share
from backfill.link.trust import issuer_of
from backfill.threads import Threads
from schema.digests import DIGEST_BYTES, hasher
from schema.errors import OperatorError, PeerRefused, SourceGone, SourceUnreadable, UsageInvalid
from schema.wire import IdentityMessage, Message, Problem, SegmentsAsked, plain, read, written

_CONNECTIONS = 64
_STREAMS = 16
"""Recordings on their way at once; more wait."""
_WAITS = 15.0
"""Seconds a connection may go without a whole request."""
_THREADS = 8
_ASKED_LIMIT = 4 * 2**20
"""Bytes of the longest question."""
_CHUNK = range(64 * 1024, 1024**3 + 1)

PEER = web.AppKey("peer", str)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What of a file is asked for, and what it must be."""

    size: int
    mtime_ns: int
    offset: int
    chunk: int


class LinkServer:
    """The HTTPS side of one service.

    Args:
        context: None answers without encryption, to anybody.
        known: returns the servers that are paired, by the name of their identity.
        bandwidth: bytes a second of all streams together; None for no limit.
        timeout: seconds that a peer may take for a block.
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
        self._bandwidth = bandwidth
        self._timeout = timeout
        self._pool = Threads(_THREADS, "link")
        self._streams = asyncio.Semaphore(_STREAMS)
        self._sending: dict[int, asyncio.Transport] = {}
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
            ("data", self._data),
        ):
            app.router.add_get(f"/v1/{path}", handler)
        app.router.add_post("/v1/segments", self._segments)  # a question as well, and longer than an address may be
        self._runner = web.AppRunner(
            app, access_log=None, keepalive_timeout=75, handle_signals=False, shutdown_timeout=0.5
        )
        await self._runner.setup()
        assert self._runner.server is not None
        self._door = Door(self._runner.server, self._context)
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
        if self._runner is not None:
            server = self._runner.server
            for connection in list(server.connections) if server else ():
                if connection.transport is not None:
                    connection.transport.abort()
            await self._runner.cleanup()
        self._pool.shutdown(wait=False, cancel_futures=True)

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
        peer = self._known().get(issuer_of(shown))
        if peer is None:
            raise PeerRefused("this server", "the certificate shown belongs to no server it is paired with")
        return peer

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
        asked = (query["storage"], query["path"], _number(query["size"]), _number(query["mtime"], signed=True))
        return _said(await self._thread(self._answers.manifest, *asked))

    async def _data(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        file = _Asked(
            size=_number(query["size"]),
            mtime_ns=_number(query["mtime"], signed=True),
            offset=_number(query["offset"]),
            chunk=_number(query["chunk"]),
        )
        path, name = query["path"], query.get("name", "")
        if file.offset > file.size or file.chunk not in _CHUNK:
            raise UsageInvalid(request.path, f"offset {file.offset} of {file.size} in chunks of {file.chunk}")
        async with self._streams:
            try:
                fd = await self._thread(self._answers.open, query["storage"], path, name, file.size, file.mtime_ns)
            except OSError as error:
                raise _named(error, path) from None
            try:
                if request.transport is not None:
                    self._sending[fd] = request.transport
                self._pace()
                return await self._stream(request, file, fd)
            finally:
                self._sending.pop(fd, None)
                self._pace()
                os.close(fd)

    async def _stream(self, request: web.Request, file: _Asked, fd: int) -> web.StreamResponse:
        """Send a file from an offset on, in chunks with their digests; the next block is read while one is sent."""
        begin, size, chunk = file.offset, file.size, file.chunk
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        response.content_length = size - begin + -(-(size - begin) // chunk) * DIGEST_BYTES
        await response.prepare(request)
        sender = self._sender(request, response, file, fd)
        at, state = begin, hasher()
        reading: asyncio.Future[bool] | None = None
        try:
            while at < size:
                length = block_length(at, begin, size, chunk)
                good = await (reading or self._thread(sender.read, at, length, state))
                if not good:
                    break  # changed or cut short while it was sent
                start, at = at, at + length
                digest = state.digest() if at == size or (at - begin) % chunk == 0 else b""
                state = hasher() if digest else state
                if at < size:
                    following = block_length(at, begin, size, chunk)
                    reading = asyncio.ensure_future(self._thread(sender.read, at, following, state))
                async with asyncio.timeout(self._timeout):
                    await sender.send(start, length)
                    if digest:
                        await response.write(digest)
            else:
                await response.write_eof()
                return response
        except (TimeoutError, OSError):
            pass
        finally:
            if reading is not None and not reading.done():
                # It must not read from a descriptor that is closed, and is another file a moment later.
                await asyncio.wait({reading})
        if request.transport is not None:
            request.transport.abort()  # so that nobody takes it for the whole
        return response

    def _sender(self, request: web.Request, response: web.StreamResponse, file: _Asked, fd: int) -> Sender:
        if self._context is None and hasattr(os, "sendfile") and isinstance(request.transport, asyncio.Transport):
            return KernelSender(fd, file.size, file.mtime_ns, request.transport)
        return CopySender(fd, file.size, file.mtime_ns, response)

    def _pace(self) -> None:
        """Let the kernel hold the limit, shared evenly by what is being sent."""
        if self._bandwidth is None or not self._sending:
            return
        share([one.get_extra_info("socket") for one in self._sending.values()], self._bandwidth)

    async def _sweep(self) -> None:
        """Cut connections that came and said nothing whole, and those beyond the limit."""
        while True:
            await asyncio.sleep(1.0)
            server = self._runner.server if self._runner else None
            now = time.monotonic()
            transports = [one.transport for one in (server.connections if server else ()) if one.transport is not None]
            self._heard = {one: self._heard.get(one, now) for one in transports}
            idle = sorted(transports, key=lambda one: self._heard[one])
            for number, transport in enumerate(idle):
                if now - self._heard[transport] > _WAITS * 4 or len(idle) - number > _CONNECTIONS:
                    transport.abort()


def _number(text: str, *, signed: bool = False) -> int:
    """Return a number that a ledger can hold. Raises ValueError."""
    if not text.removeprefix("-" if signed else "").isascii() or len(text) > 20:
        raise ValueError(f"{text[:30]!r} is no number")
    number = int(text)
    if not (-(2**63) if signed else 0) <= number < 2**63:
        raise ValueError(f"{number} is out of range")
    return number


def _said(message: Message) -> web.Response:
    return web.Response(body=written(message), content_type="application/json")


def _refused(error: OperatorError) -> web.Response:
    details = [str(detail) for detail in error.details]
    body = written(Problem(error=type(error).__name__, detail=plain(details[-1] if details else str(error))))
    return web.Response(status=409, body=body, content_type="application/json")


def _named(error: OSError, path: str) -> SourceGone | SourceUnreadable:
    if isinstance(error, FileNotFoundError | NotADirectoryError) or error.errno == errno.ESTALE:
        return SourceGone(path, "this server")
    return SourceUnreadable(path, "this server", error.strerror)
