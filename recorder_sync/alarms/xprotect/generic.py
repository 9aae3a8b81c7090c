"""Alarms as generic events: one string over TCP or UDP, usually on port 1235 or 1234, with the echo as the answer.

Rule: an echo with statistics means delivered only if an event matched. One of all bytes proves that it arrived, UDP
proves nothing, and what `send` returns says so. Nobody who listens there asks who we are, and nothing is encrypted.
"""

import asyncio
import socket
from urllib.parse import urlsplit

from recorder_sync.alarms.channels import ChannelFailed, seconds
from recorder_sync.alarms.xprotect.answers import generic_answer
from recorder_sync.alarms.xprotect.shapes import event_name, generic_event
from schema.service import AlarmChannel, split_address
from schema.values import Alarm

_ECHO = 4096
"""Longer ones are cut off: what is echoed is at most what was sent."""
_QUIET = 0.5
"""Seconds of silence after which an echo that has no line end is over: the vendor's sample takes both."""
_OBJECTION = 0.1
"""Seconds in which a closed port is reported back."""
_SEPARATOR = b"\r\n"


class GenericEvents:
    """Sends each alarm as one string that begins with the words that XProtect looks for."""

    ordered = False

    def __init__(self, settings: AlarmChannel) -> None:
        self.name = settings.name
        self.timeout = seconds(settings)
        self._settings = settings
        url = urlsplit(settings.url or "")
        self._udp = url.scheme == "udp"
        self._host, self._port = split_address(url.netloc)
        self._streaming = settings.data_source == "international"
        # The other data source reads by the server's code page, which nobody here knows; ASCII is the same in all.
        self._encoding = "utf-8" if self._streaming else "ascii"

    async def send(self, alarm: Alarm) -> str:
        """Send one string; returns what the echo proves. Raises ChannelFailed."""
        line = generic_event(alarm, event_name(self._settings, alarm.kind), self._encoding)
        try:
            async with asyncio.timeout(self.timeout):
                if self._udp:
                    await self._datagram(line)
                    return "sent over UDP: that proves neither that it arrived nor that an event matched"
                echo = await self._talk(line)
        except TimeoutError:
            raise ChannelFailed(
                f"no echo within {self.timeout:g} s. Look in the Management Client under Tools > Options > Generic"
                " Events whether the data source is enabled and echoes"
            ) from None
        except OSError as error:
            where = f"{self._host}:{self._port}"
            raise ChannelFailed(f"the connection to {where} failed: {error.strerror or error}") from None
        return generic_answer(echo, line, self._encoding)

    async def _talk(self, line: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(line + _SEPARATOR if self._streaming else line)
            await writer.drain()
            if not self._streaming:
                writer.write_eof()  # without a separator the server takes what came when we are at the end
            return await self._echo(reader, len(line))
        finally:
            writer.transport.abort()

    async def _echo(self, reader: asyncio.StreamReader, sent: int) -> bytes:
        """Read an echo: to its line end, to as many bytes as were sent, or until nothing more comes."""
        data = await reader.read(_ECHO)
        while data and not data.endswith(_SEPARATOR) and (self._streaming or len(data) < sent):
            if len(data) > _ECHO:
                raise ChannelFailed(f"it says more than {_ECHO} bytes, which is no echo of a generic event")
            try:
                async with asyncio.timeout(_QUIET):
                    more = await reader.read(_ECHO)
            except TimeoutError:
                break
            if not more:
                break
            data += more
        return data

    async def _datagram(self, line: bytes) -> None:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._port, family=socket.AF_INET, type=socket.SOCK_DGRAM)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(found[0][4])
            await loop.sock_sendall(sock, line)
            try:
                async with asyncio.timeout(_OBJECTION):
                    await loop.sock_recv(sock, 1)  # raises if nobody listens
            except TimeoutError:
                pass
