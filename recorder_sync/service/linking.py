"""The link's own thread: encrypting what peers fetch must not delay what the service notices.

Rule: one event loop, one thread, nothing shared but what is thread-safe.
"""

import asyncio
import datetime
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog

from backfill.link.answers import Answers
from backfill.link.serve import LinkServer
from backfill.link.trust import Trust
from schema.errors import OperatorError
from schema.service import Link, split_address
from schema.spans import SECOND
from schema.wire import IdentityMessage

_log = structlog.get_logger()
_T = TypeVar("_T")
_CERTIFICATES_EVERY = 60.0


class LinkThread:
    """Answers peers until stopped. Raises the errors of `Trust`, and UsageInvalid where it cannot listen."""

    def __init__(self, answers: Answers, trust: Trust, settings: Link, identity: Callable[[], IdentityMessage]) -> None:
        self._trust = trust
        self._settings = settings
        self._loop = asyncio.SelectorEventLoop()  # on every system: the others cannot look before they read
        self._thread = threading.Thread(target=self._loop.run_forever, name="link", daemon=True)
        self._context = trust.server_context() if settings.encryption == "tls" else None
        self._known = self._paired()
        self._state = trust.state()
        self._server = LinkServer(
            answers,
            context=self._context,
            known=lambda: self._known,
            bandwidth=settings.bandwidth,
            timeout=settings.timeout / SECOND,
            identity=identity,
        )
        self.port = 0

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        host, port = split_address(self._settings.listen)
        self.port = self._call(self._server.start(host, port))

    def stop(self) -> None:
        """Cut everything and end the thread."""
        try:
            self._call(self._server.stop())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)

    async def keep_certificates(self) -> None:
        """Renew this host's certificate in time and take in changed ones, until cancelled; nothing is restarted."""
        while True:
            await asyncio.sleep(_CERTIFICATES_EVERY)
            try:
                await asyncio.to_thread(self.refresh)
            except (OperatorError, OSError) as error:
                _log.warning("link.certificates", problem=str(error))

    def refresh(self) -> None:
        """Do so now. Raises TrustUnusable, OSError."""
        if self._trust.renew(datetime.datetime.now(datetime.UTC)):
            _log.info("link.certificate_renewed")
        state = self._trust.state()
        if state != self._state:
            if self._context is not None:
                self._trust.load_into(self._context, *self._trust.peers().values())
            self._known = self._paired()
            self._state = state

    def _paired(self) -> dict[str, str]:
        return {identity.name: server for server, identity in self._trust.peers().items()}

    def _call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)
