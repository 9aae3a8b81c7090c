"""Asking a peer over HTTPS: one connection a thread, blocking calls, nothing believed that was not checked.

Rule: whatever goes wrong on the way has a name from the catalogue; no OSError and no HTTP error comes out of here. A
request that is cut off is begun again where it was, a few times; after that the peer is away, which is not the fault of
the segment. `http.client` in threads costs half of what an asyncio client does (docs/design/0013-link.md).
"""

import http.client
import random
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import urlencode
from weakref import WeakSet

from backfill.link.connection import Answer, Connection, shut
from backfill.link.taking import Taking, Windows, questions
from backfill.link.timely import Late
from schema.errors import (
    Interrupted,
    OperatorError,
    PeerInvalid,
    PeerRefused,
    PeerUnreachable,
    PeerUntrusted,
    SourceChanged,
    SourceDamaged,
    SourceGone,
    SourceUnreadable,
    UnknownName,
)
from schema.spans import Span
from schema.wire import (
    MESSAGE_LIMIT,
    CoveragePage,
    Hello,
    IdentityMessage,
    ManifestMessage,
    Message,
    Outages,
    Problem,
    Pulse,
    SegmentMessage,
    SegmentsAsked,
    SegmentsPage,
    read,
    written,
)

TRIES = 4
_PAUSE = 0.25
"""Seconds before the second try; doubled with each, and scattered, so that two that were cut do not meet again."""
_PAGES_AT_MOST = 1000
"""Of segments, for one question: a page is full unless it is the last."""
_SOURCE_ERRORS = {kind.__name__: kind for kind in (SourceGone, SourceChanged, SourceDamaged, SourceUnreadable)}
_M = TypeVar("_M", bound=Message)
Asked = Mapping[str, object]


class LinkClient:
    """One peer's service, asked from any thread.

    Args:
        context: returns what to reach it with; None if the link is not encrypted. Asked at each connection, so that
            renewed certificates count.
        timeout: seconds it may say nothing.
    """

    def __init__(
        self, server: str, address: tuple[str, int], *, context: Callable[[], ssl.SSLContext | None], timeout: float
    ) -> None:
        self.server = server
        self._address = address
        self._context = context
        self._timeout = timeout
        self._local = threading.local()
        self._open: WeakSet[Connection] = WeakSet()  # those of threads that have ended are no more
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def close(self) -> None:
        """Cut every connection, also those that other threads wait on, and for good: whoever asks or waits to ask
        again is Interrupted."""
        with self._lock:
            self._closed.set()
            for connection in self._open:
                if connection.sock is not None:
                    shut(connection.sock)
            self._open.clear()

    def hello(self) -> Hello:
        """Ask who it is; tried once. Raises the errors of a link."""
        return self._ask(Hello, "hello", {}, tries=1)

    def pulse(self) -> Pulse:
        """Ask what time it is there and whether anything is new; tried once. Raises the errors of a link.

        What follows a pulse is tried once as well: the next pulse comes soon, and says whether the peer is there.
        """
        return self._ask(Pulse, "pulse", {}, tries=1)

    def coverage(self, storage: str, cursor: str) -> CoveragePage:
        """Ask for the next changes of a storage's coverage; tried once. Raises the errors of a link."""
        return self._ask(CoveragePage, "coverage", {"storage": storage, "cursor": cursor}, tries=1)

    def outages(self) -> Outages:
        """Ask for the outages it recorded; tried once. Raises the errors of a link."""
        return self._ask(Outages, "outages", {}, tries=1)

    def identity(self) -> IdentityMessage:
        """Ask with which id its recorder answers, and whether that runs; tried once. Raises the errors of a link."""
        return self._ask(IdentityMessage, "identity", {}, tries=1)

    def segments(self, storage: str, wanted: Mapping[str, Sequence[Span]]) -> Iterator[SegmentMessage]:
        """Ask for the segments of cameras around spans, in questions of a bearable size and page by page.

        What reaches into windows of two questions is told twice. Raises UnknownName and the errors of a link.
        """
        for windows in questions(wanted):
            yield from self._pages(storage, windows)

    def _pages(self, storage: str, windows: Windows) -> Iterator[SegmentMessage]:
        asked = SegmentsAsked(storage=storage, wanted=windows)
        taking = Taking(self.server, windows)
        for _ in range(_PAGES_AT_MOST):
            page = self._ask(SegmentsPage, "segments", {}, body=written(asked))
            for told in page.segments:
                taking.take(told)
                yield told
            if not page.more:
                return
            if not page.segments:
                raise PeerInvalid(self.server, f"its list of segments of {storage} goes on, and tells none")
            last = page.segments[-1]
            asked = SegmentsAsked(storage=storage, wanted=windows, after=(last.camera, last.start, last.path))
        raise PeerInvalid(self.server, f"its list of segments of {storage} has no end within {_PAGES_AT_MOST:,} pages")

    def manifest(self, storage: str, path: str, size: int, mtime_ns: int) -> ManifestMessage:
        """Ask what a segment consists of. Raises the source's errors and those of a link."""
        asked = {"storage": storage, "path": path, "size": size, "mtime": mtime_ns}
        return self._ask(ManifestMessage, "manifest", asked)

    def data(self, asked: Asked) -> Answer:
        """Begin to receive a file. Raises the source's errors and those of a link; tried once."""
        with self.named(lane=True):
            response = self._request("data", asked, lane=True)
            if response.status != 200:
                self._refusal(response)
            return response

    def drop(self, *, lane: bool) -> None:
        """Give up a connection of this thread: what is left on it belongs to a request that was broken off."""
        connection = self._kept.pop(lane, None)
        if connection is not None:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    @property
    def _kept(self) -> dict[bool, Connection]:
        """This thread's connections: the one for recordings under True, the one for questions under False."""
        kept: dict[bool, Connection] | None = getattr(self._local, "kept", None)
        if kept is None:
            kept = self._local.kept = {}
        return kept

    def pause(self, attempt: int) -> None:
        """Wait before the next attempt. Raises Interrupted once closed."""
        wait = _PAUSE * 2**attempt * (0.5 + random.random())  # noqa: S311  scatters, hides nothing
        if self._closed.wait(wait):
            raise Interrupted

    def _ask(self, kind: type[_M], what: str, asked: Asked, *, tries: int = TRIES, body: bytes | None = None) -> _M:
        for attempt in range(tries):
            try:
                with self.named(lane=False):
                    response = self._request(what, asked, body)
                    answer = response.read(MESSAGE_LIMIT + 1)
                    if response.length and len(answer) <= MESSAGE_LIMIT:
                        raise http.client.IncompleteRead(answer, response.length)
                    if response.status == 200:
                        if not response.isclosed():
                            self.drop(lane=False)  # longer than anything true: what is left of it is not read
                        return read(kind, answer, self.server)
                    self._refusal(response, answer)
            except PeerUnreachable:
                if self._closed.is_set():
                    raise Interrupted from None
                if attempt + 1 == tries:
                    raise
                self.pause(attempt)
        raise PeerUnreachable(self.server, "it was not asked")

    def _request(self, what: str, asked: Asked, body: bytes | None = None, *, lane: bool = False) -> Answer:
        """Send a request and return the beginning of the answer. A connection that had gone stale is made anew once."""
        target = f"/v1/{what}" + (f"?{urlencode(asked)}" if asked else "")
        method = "GET" if body is None else "POST"
        connection = self._kept.get(lane)
        if connection is not None and connection.sock is not None:
            try:
                connection.request(method, target, body=body)
                return connection.answer()
            except (OSError, http.client.HTTPException):
                self.drop(lane=lane)
        connection = Connection(
            *self._address, self._context(), self.server, lane=lane, timeout=self._timeout, closed=self._closed
        )
        self._kept[lane] = connection
        with self._lock:
            if self._closed.is_set():
                raise Interrupted
            self._open.add(connection)
        connection.connect()
        try:
            connection.request(method, target, body=body)
            return connection.answer()
        except (ConnectionError, ssl.SSLEOFError):
            if connection.encrypted:
                # In TLS 1.3 a server looks at the certificate shown after the handshake is over for us, and hangs up:
                # to whoever writes then that is a reset, or to TLS an end.
                raise PeerRefused(self.server, "it hung up on the certificate that this host shows") from None
            raise

    def _refusal(self, response: Answer, body: bytes | None = None) -> None:
        """Raise what an answer other than success means."""
        body = response.read(MESSAGE_LIMIT) if body is None else body
        if response.status == 503:
            raise PeerUnreachable(self.server, read(Problem, body, self.server).detail)
        if response.status != 409:
            raise PeerInvalid(self.server, f"it answered with status {response.status}")
        problem = read(Problem, body, self.server)
        kind = _SOURCE_ERRORS.get(problem.error)
        if kind is SourceGone or kind is SourceChanged:
            raise kind("the segment", self.server)
        if kind is not None:
            raise kind("the segment", self.server, problem.detail)
        if problem.error == UnknownName.__name__:
            raise UnknownName("storage", "the one asked for", problem.detail)
        if problem.error == PeerRefused.__name__:
            raise PeerRefused(self.server, problem.detail)
        raise PeerInvalid(self.server, f"{problem.error}: {problem.detail}")

    @contextmanager
    def named(self, *, lane: bool) -> Iterator[None]:
        """Give what goes wrong on the way its name, and never use such a connection again."""
        try:
            yield
        except OperatorError:
            raise
        except ssl.SSLCertVerificationError as error:
            self.drop(lane=lane)
            raise PeerUntrusted(self.server, error.verify_message or error.reason) from None
        except ssl.SSLError as error:
            self.drop(lane=lane)
            if "ALERT" in str(error.reason):
                raise PeerRefused(self.server, str(error.reason).lower().replace("_", " ")) from None
            raise PeerUnreachable(self.server, f"the encrypted connection failed: {error.reason or error}") from None
        except http.client.HTTPException as error:
            self.drop(lane=lane)
            raise PeerUnreachable(self.server, f"its answer broke off ({type(error).__name__})") from None
        except Late as error:
            self.drop(lane=lane)
            raise PeerUnreachable(self.server, str(error)) from None
        except TimeoutError:
            self.drop(lane=lane)
            raise PeerUnreachable(self.server, f"it said nothing for {self._timeout:g} s") from None
        except OSError as error:
            self.drop(lane=lane)
            raise PeerUnreachable(self.server, error.strerror or str(error)) from None
