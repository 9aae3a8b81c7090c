"""XProtect's API gateway: a token for a basic user, then JSON with it.

Rule: the password goes to the address that was configured and nowhere else: redirects are not followed, certificates
are verified, answers are bounded. Neither password nor token is ever part of a reason.
"""

import asyncio
import html
import ssl
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, quote_plus

import aiohttp
import msgspec

from recorder_sync.alarms.channels import ChannelFailed
from recorder_sync.alarms.secrets import Secrets
from recorder_sync.alarms.xprotect.answers import quoted, status_line
from recorder_sync.version import __version__
from schema.service import AlarmChannel

_TOKEN = "/API/IDP/connect/token"  # noqa: S105  a path, not a token
_REST = "/api/rest/v1"
_CLIENT = "GrantValidatorClient"
"""The client that the vendor's samples are."""
_LONGEST = 4 * 2**20
"""Bytes of an answer; a list of thousands of events is well below."""
_EARLY = 30.0
"""A token is not used in its last seconds."""
_LONGEST_TOKEN = 86_400
"""Whatever the gateway says: after a day there is a new one."""
_TRY_LATER = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
"""These say nothing about what was sent."""


class Gateway:
    """One gateway and one user of it. The token is kept until it expires. Who calls bounds the time."""

    def __init__(self, settings: AlarmChannel, secrets: Secrets) -> None:
        self._url = (settings.url or "").rstrip("/")
        self._user = settings.user or ""
        self._password = secrets.expand(settings.password or "")
        for form in _forms(self._password):
            secrets.note(form)
        self._secrets = secrets
        self._ca = settings.ca
        self._token = ""
        self._expires = 0.0

    async def call(self, method: str, path: str, expected: int, body: bytes | None = None) -> Any:
        """Do one request below `/api/rest/v1`; returns its JSON. Raises ChannelFailed.

        A token that the gateway does not take any more is replaced once.
        """
        fresh = await self._log_in()
        status, data = await self._authorized(method, path, body)
        if status == HTTPStatus.UNAUTHORIZED and not fresh:
            self._token = ""
            await self._log_in()
            status, data = await self._authorized(method, path, body)
        document = _json(data)
        if status != expected or (isinstance(document, dict) and "error" in document):
            raise self._refused(status, data, f"{method} {path}")
        return document

    async def _log_in(self) -> bool:
        """Have a token; tells whether it is a new one. Raises ChannelFailed."""
        if self._token and time.monotonic() < self._expires:
            return False
        form = {
            "grant_type": "password",
            "username": self._user,
            "password": self._password,
            "client_id": _CLIENT,
        }
        status, data = await self._request("POST", _TOKEN, {}, form)
        document = _json(data)
        if status != HTTPStatus.OK or not isinstance(document, dict):
            raise self._refused(status, data, "the log-in", logging_in=True)
        token, lasts = document.get("access_token"), document.get("expires_in", 0)
        if not (isinstance(token, str) and token.isascii() and token.isprintable() and token):
            raise ChannelFailed("it answered the log-in with 200 OK and no access_token")
        self._token = token
        self._expires = time.monotonic() + (min(lasts, _LONGEST_TOKEN) if isinstance(lasts, int) else 0) - _EARLY
        return True

    async def _authorized(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        return await self._request(method, _REST + path, headers, body)

    async def _request(
        self, method: str, path: str, headers: dict[str, str], data: bytes | dict[str, str] | None
    ) -> tuple[int, bytes]:
        agent = {"User-Agent": f"recorder-sync/{__version__}"}
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=None), connector=await self._connector()
                ) as session,
                session.request(
                    method, self._url + path, data=data, headers=headers | agent, allow_redirects=False
                ) as response,
            ):
                return response.status, await _bounded(response.content)
        except aiohttp.ClientConnectorCertificateError as error:
            raise ChannelFailed(
                f"its certificate is not trusted: {error.certificate_error}; 'ca' names a file with your own authority"
            ) from None
        except aiohttp.ClientConnectorError as error:
            raise ChannelFailed(
                f"cannot connect to {error.host}:{error.port}: {error.os_error.strerror or error.os_error}"
            ) from None
        except aiohttp.ServerDisconnectedError:
            raise ChannelFailed("it closed the connection without an answer") from None
        except aiohttp.ClientResponseError:
            raise ChannelFailed("its answer is not HTTP") from None
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as error:
            raise ChannelFailed(f"the connection broke: {type(error).__name__}") from None

    async def _connector(self) -> aiohttp.TCPConnector:
        if self._ca is None:
            return aiohttp.TCPConnector()
        try:
            # Read anew each time: an authority's file is replaced while the service runs.
            context = await asyncio.to_thread(ssl.create_default_context, cafile=self._ca)
        except (OSError, ssl.SSLError) as error:
            raise ChannelFailed(f"'ca' {self._ca} cannot be used: {error.strerror or error}") from None
        return aiohttp.TCPConnector(ssl=context)

    def _refused(self, status: int, data: bytes, what: str, *, logging_in: bool = False) -> ChannelFailed:
        # Hidden first and cut then: half a password is one too. A token that was not taken over is not known to be one.
        words = "" if b"access_token" in data else quoted(self.hidden(_error(data)))
        if logging_in and status == HTTPStatus.BAD_REQUEST:
            hint = _LOG_IN
        elif 300 <= status < 400:
            hint = "Redirects are not followed, name the final address"
        else:
            hint = _HINTS.get(status, "")
        reason = f"{status_line(status)} to {what}{f': {words}' if words else ''}{f'. {hint}' if hint else ''}"
        # What is about us or the moment meets the next alarm too.
        theirs = 400 <= status < 500 and status not in _TRY_LATER and not logging_in
        return ChannelFailed(reason, answered=theirs)

    def hidden(self, text: str) -> str:
        """Return `text` without password and token: a server repeats what it was sent."""
        return self._secrets.hide(text.replace(self._token, "***") if self._token else text)


_LOG_IN = "Is it a basic user of XProtect, and is the password right? Windows users cannot log in this way"
_HINTS = {
    401: _LOG_IN,
    403: "The user lacks the right; the vendor's samples use one with the Administrators role",
    404: "Is the API gateway installed at this address? It came with XProtect 2023 R2",
}


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    data = b""
    async for chunk in content.iter_any():
        data += chunk
        if len(data) > _LONGEST:
            raise ChannelFailed(f"its answer is longer than {_LONGEST} bytes")
    return data


def _json(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _error(data: bytes) -> str:
    """Return what is wrong in the gateway's words: its `error` if there is one, else all of it."""
    document = _json(data)
    if isinstance(document, dict) and "error" in document:
        error = document["error"]
        return error if isinstance(error, str) else msgspec.json.encode(error).decode()
    return data.decode("utf-8", "replace")


def _forms(password: str) -> set[str]:
    """Return a password as a server may repeat it: as it is, in HTML, as it stood in the form, and each in JSON."""
    forms = {password, html.escape(password), quote(password), quote_plus(password)}
    return forms | {msgspec.json.encode(form).decode()[1:-1] for form in forms}
