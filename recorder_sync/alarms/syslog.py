"""Alarms to a log server: one RFC 5424 line over UDP, TCP or a local socket.

Rule: syslog has no answer. "Delivered" means handed over: for UDP that nobody said the port is closed, for TCP that
the server read to the end or at least did not reset the connection. Who needs more takes another channel beside it.
"""

import asyncio
import errno
import os
import socket
from contextlib import suppress
from urllib.parse import urlsplit

from recorder_sync.alarms.channels import ChannelFailed, seconds
from recorder_sync.alarms.wording import BAD, one_line
from schema.moments import iso
from schema.service import AlarmChannel, split_address
from schema.values import Alarm, AlarmKind

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_DAEMON = 3
_ERROR, _WARNING, _NOTICE = 3, 4, 5
_SERIOUS = frozenset({AlarmKind.SERVER_FAILED, AlarmKind.STORAGE_AWAY, AlarmKind.LOST, AlarmKind.DAMAGE})
_DATAGRAM = 2048
"""What every receiver of RFC 5426 should take; more may be dropped whole."""
_OBJECTION = 0.1
"""Seconds in which a closed port is reported back."""
_GOODBYE = 1.0
"""Seconds in which a server that reads to the end closes the connection."""


class Syslog:
    """Sends each alarm as one message of facility `daemon`."""

    ordered = False

    def __init__(self, settings: AlarmChannel) -> None:
        self.name = settings.name
        self.timeout = seconds(settings)
        self._goodbye = min(_GOODBYE, self.timeout / 2)
        url = urlsplit(settings.url or "")
        self._scheme, self._path = url.scheme, url.path
        self._address = ("", 0) if url.scheme == "unix" else split_address(url.netloc)

    async def send(self, alarm: Alarm) -> str:
        """Send one message. Raises ChannelFailed."""
        line = message(alarm, socket.gethostname(), os.getpid())
        send = {"udp": self._udp, "tcp": self._tcp, "unix": self._unix}[self._scheme]
        try:
            async with asyncio.timeout(self.timeout - self._goodbye):
                stream = await send(line)
            if stream is not None:
                await _part(*stream, self._goodbye)
        except TimeoutError:
            raise ChannelFailed(f"not sent within {self.timeout:g} s") from None
        except OSError as error:
            raise ChannelFailed(f"not sent: {error.strerror or error}") from None
        return "handed over; syslog has no answer"

    async def _udp(self, line: bytes) -> None:
        loop = asyncio.get_running_loop()
        host, port = self._address
        objection: asyncio.Future[None] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Objections(objection), remote_addr=(host, port))
        try:
            transport.sendto(shortened(line, _DATAGRAM))
            await asyncio.wait({objection}, timeout=_OBJECTION)
            if objection.done():
                objection.result()
        finally:
            transport.close()

    async def _tcp(self, line: bytes) -> Stream:
        host, port = self._address
        stream = await asyncio.open_connection(host, port)
        return await _hand_over(stream, b"%d %s" % (len(line), line))  # RFC 6587, octet counting

    async def _unix(self, line: bytes) -> Stream | None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            try:
                sock.connect(self._path)
            except OSError as error:
                if error.errno != errno.EPROTOTYPE:
                    raise
            else:
                await loop.sock_sendall(sock, line)
                return None
        stream = await asyncio.open_unix_connection(self._path)
        return await _hand_over(stream, line + b"\n")


async def _hand_over(stream: Stream, data: bytes) -> Stream:
    """Send all of `data` and the end. Raises OSError."""
    _, writer = stream
    try:
        writer.write(data)
        await writer.drain()
        writer.write_eof()
    except BaseException:
        writer.transport.abort()
        raise
    return stream


async def _part(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: float) -> None:
    """Give the server a moment to reset the connection instead of reading. Raises OSError."""
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while await reader.read(4096):
                    pass
    finally:
        writer.close()


class _Objections(asyncio.DatagramProtocol):
    """Hears what comes back of a datagram that nobody wanted."""

    def __init__(self, objection: "asyncio.Future[None]") -> None:
        self._objection = objection

    def error_received(self, exc: Exception) -> None:
        if not self._objection.done():
            self._objection.set_exception(exc)


def message(alarm: Alarm, host: str, process: int) -> bytes:
    """Return the RFC 5424 message of an alarm, with the time at which it was noticed."""
    severity = _ERROR if alarm.kind in _SERIOUS else _WARNING if alarm.kind in BAD else _NOTICE
    header = (
        f"<{_DAEMON * 8 + severity}>1 {iso(alarm.at)} {_word(host, 255)} recorder-sync {process} {alarm.kind.value}"
    )
    # 32473 is the number for examples (RFC 5612): there is none of our own.
    given = {"key": alarm.key, "server": alarm.server, "camera": alarm.camera}
    data = " ".join(f'{name}="{_escaped(value)}"' for name, value in given.items() if value is not None)
    return f"{header} [alarm@32473 {data}] \ufeff{one_line(alarm.text)}".encode()


def shortened(line: bytes, size: int) -> bytes:
    """Return `line` cut to `size` bytes, never inside a character."""
    return line if len(line) <= size else line[:size].decode("utf-8", "ignore").encode()


def _word(text: str, longest: int) -> str:
    """Return `text` as a header field: printable ASCII without spaces, `-` for nothing."""
    return "".join(sign for sign in text if "!" <= sign <= "~")[:longest] or "-"


def _escaped(text: str) -> str:
    """Return `text` as a value of structured data."""
    return one_line(text).replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")
