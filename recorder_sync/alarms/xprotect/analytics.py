"""Alarms as analytics events: XML in a POST to XProtect's event server, usually on port 9090.

Rule: the request is byte for byte of the shape that the vendor's own sample sends, which is not quite HTTP: there is
no Host header. So no HTTP library is asked, and of the answer only status, length and a bounded body are read.
"""

import asyncio
import re
from contextlib import suppress

from recorder_sync.alarms.channels import ChannelFailed, seconds
from recorder_sync.alarms.xprotect.answers import analytics_answer, quoted
from recorder_sync.alarms.xprotect.shapes import analytics_event, event_name, source_of
from schema.service import AlarmChannel, split_address
from schema.values import Alarm

_HEAD = 8192
_BODY = 65_536
"""Longer answers are not read: a sentence is all that an event server has to say."""
_STATUS = re.compile(rb"HTTP/\d\.\d (\d{3})(?: [^\r\n]*)?")
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d{1,9})[ \t]*\r?$")


class AnalyticsEvents:
    """Sends each alarm as one analytics event. Its id is made from the key: the same however often it is sent."""

    ordered = False

    def __init__(self, settings: AlarmChannel) -> None:
        self.name = settings.name
        self.timeout = seconds(settings)
        self._settings = settings
        self._host, self._port = split_address(settings.server or "")

    async def send(self, alarm: Alarm) -> str:
        """Send one event; returns the answer. Raises ChannelFailed."""
        message = event_name(self._settings, alarm.kind)
        event = analytics_event(alarm, message, source_of(self._settings, alarm))
        try:
            async with asyncio.timeout(self.timeout):
                status, body = await self._talk(request(event))
        except TimeoutError:
            raise ChannelFailed(f"no answer within {self.timeout:g} s") from None
        except asyncio.LimitOverrunError:
            raise ChannelFailed(f"its answer begins with more than {_HEAD} bytes of headers") from None
        except asyncio.IncompleteReadError as error:
            if not error.partial:
                raise ChannelFailed("it closed the connection without an answer") from None
            raise ChannelFailed(
                f"its answer is not whole: {quoted(error.partial.decode('utf-8', 'replace'))}"
            ) from None
        except OSError as error:
            where = f"{self._host}:{self._port}"
            raise ChannelFailed(f"the connection to {where} failed: {error.strerror or error}") from None
        return analytics_answer(status, body, message)

    async def _talk(self, data: bytes) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=_HEAD)
        try:
            writer.write(data)
            # One that refuses early answers before it has read everything: what it says is worth more than the error.
            with suppress(ConnectionError):
                await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            status = _STATUS.match(head)
            if status is None:
                raise ChannelFailed(f"its answer is not HTTP: {quoted(head.decode('utf-8', 'replace'))}")
            length = _LENGTH.search(head)
            if length is None:
                return int(status[1]), await _up_to(reader, _BODY)
            if int(length[1]) > _BODY:
                raise ChannelFailed(f"it answered {int(status[1])} and wants to say {int(length[1])} bytes more")
            return int(status[1]), await reader.readexactly(int(length[1]))
        finally:
            writer.transport.abort()


async def _up_to(reader: asyncio.StreamReader, limit: int) -> bytes:
    """Read to the end. Raises ChannelFailed if that is too far."""
    data = b""
    while chunk := await reader.read(4096):
        data += chunk
        if len(data) > limit:
            raise ChannelFailed(f"its answer is longer than {limit} bytes")
    return data


def request(event: bytes) -> bytes:
    """Return what the vendor's sample would send for this event."""
    lines = ("POST / HTTP/1.1", "Content-Type: text/xml", f"Content-Length: {len(event)}", "Connection: Keep-Alive")
    return "\r\n".join([*lines, "", ""]).encode() + event
