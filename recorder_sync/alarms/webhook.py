"""Alarms by HTTP: one POST of the JSON document.

Rule: an answer of 2xx means delivered, and nothing else does; a redirect is not followed, because it would carry the
operator's headers to somebody else. Reasons never name the address: of many services it is the secret.
"""

import ssl
from http import HTTPStatus
from urllib.parse import quote

import aiohttp

from recorder_sync.alarms.channels import ChannelFailed, seconds
from recorder_sync.alarms.secrets import Secrets
from recorder_sync.alarms.wording import as_json
from recorder_sync.version import __version__
from schema.service import AlarmChannel
from schema.values import Alarm

_TRY_LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


class Webhook:
    """POSTs each alarm; `Idempotency-Key` is the alarm's key, the same however often it is sent."""

    ordered = False

    def __init__(self, settings: AlarmChannel, secrets: Secrets) -> None:
        self.name = settings.name
        self.timeout = seconds(settings)
        self._url = secrets.expand(settings.url or "")
        ours = {"content-type", "idempotency-key", "user-agent"}
        self._headers = {
            name: secrets.expand(value) for name, value in settings.headers.items() if name.lower() not in ours
        }
        for value in self._headers.values():
            secrets.note(value)
        self._secrets = secrets

    async def send(self, alarm: Alarm) -> str:
        """POST an alarm. Raises ChannelFailed."""
        headers = {
            **self._headers,
            "Content-Type": "application/json",
            "Idempotency-Key": quote(alarm.key, safe=":/%+,"),
            "User-Agent": f"recorder-sync/{__version__}",
        }
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.timeout)) as session,
                session.post(self._url, data=as_json(alarm), headers=headers, allow_redirects=False) as response,
            ):
                status = response.status
        except TimeoutError:
            raise ChannelFailed(f"no answer within {self.timeout:g} s") from None
        except aiohttp.InvalidURL:
            raise ChannelFailed("'url' is no address that can be reached") from None
        except (aiohttp.ClientError, ssl.SSLError, OSError) as error:
            raise ChannelFailed(self._secrets.hide(_reason(error))) from None
        except ValueError:  # what aiohttp says of a bad header quotes it
            raise ChannelFailed("a value in 'headers' cannot be sent as one") from None
        if not 200 <= status < 300:
            raise ChannelFailed(_said(status), answered=400 <= status < 500 and status not in _TRY_LATER)
        return _said(status)


def _said(status: int) -> str:
    """Return the status in words of ours: the receiver's may be anything."""
    try:
        phrase = f" {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = ""
    hint = "; redirects are not followed, name the final address" if 300 <= status < 400 else ""
    return f"it answered {status}{phrase}{hint}"


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect to {error.host}:{error.port}: {error.os_error.strerror or error.os_error}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection without an answer"
    if isinstance(error, aiohttp.ClientResponseError):
        return "its answer is not HTTP"
    return f"the connection broke: {type(error).__name__}"
