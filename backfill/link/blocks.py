"""How the blocks of a recording leave: read and hashed in a thread, then sent.

Rule: what is told of a block is the hash of what was read of it. Without encryption the kernel sends it from its own
cache, in which it was read a moment ago; that the file did not change meanwhile is looked at with the last block.
"""

import asyncio
import os
import threading
from typing import Protocol

from aiohttp import web

from schema.digests import Hasher

BLOCK = 1024 * 1024
_HASHED = 256 * 1024
"""Bytes that are hashed at once: they stay in the processor's cache."""
_buffers = threading.local()


def _buffer() -> bytearray:
    """Return this thread's own, made once: fresh memory costs more than reading into it."""
    buffer: bytearray | None = getattr(_buffers, "one", None)
    if buffer is None:
        buffer = _buffers.one = bytearray(_HASHED)
    return buffer


class Sender(Protocol):
    """One file on its way."""

    def read(self, at: int, length: int, state: Hasher) -> bool:
        """Read a block into `state`; tells whether it could be, and the file is what it was. Called in a thread."""
        ...

    async def send(self, at: int, length: int) -> None:
        """Send a block that was read. Raises OSError."""
        ...


class _Sender:
    def __init__(self, fd: int, size: int, mtime_ns: int) -> None:
        self._fd = fd
        self._expected = (size, mtime_ns)

    def _unchanged(self, end: int) -> bool:
        """Tell whether the file is what was asked for, at its end."""
        if end < self._expected[0]:
            return True
        info = os.fstat(self._fd)
        return (info.st_size, info.st_mtime_ns) == self._expected


class CopySender(_Sender):
    """Hands over what was read."""

    def __init__(self, fd: int, size: int, mtime_ns: int, response: web.StreamResponse) -> None:
        super().__init__(fd, size, mtime_ns)
        self._response = response
        self._blocks: dict[int, bytes] = {}

    def read(self, at: int, length: int, state: Hasher) -> bool:
        """Read a block and keep it until it is sent."""
        block = self._blocks[at] = os.pread(self._fd, length, at)
        state.update(block)
        return len(block) == length and self._unchanged(at + length)

    async def send(self, at: int, length: int) -> None:  # noqa: ARG002  as of every sender
        """Send it."""
        await self._response.write(self._blocks.pop(at))


class KernelSender(_Sender):
    """Lets the kernel send, which saves copying everything twice."""

    def __init__(self, fd: int, size: int, mtime_ns: int, transport: asyncio.Transport) -> None:
        super().__init__(fd, size, mtime_ns)
        self._file = os.fdopen(fd, "rb", buffering=0, closefd=False)
        self._transport = transport

    def read(self, at: int, length: int, state: Hasher) -> bool:
        """Read a block for its hash alone."""
        end, view = at + length, memoryview(_buffer())
        while at < end:
            got = os.preadv(self._fd, [view[: end - at]], at)
            if not got:
                return False
            state.update(view[:got])
            at += got
        return self._unchanged(end)

    async def send(self, at: int, length: int) -> None:
        """Send it."""
        sent = await asyncio.get_running_loop().sendfile(self._transport, self._file, at, length, fallback=False)
        if sent != length:
            raise ConnectionAbortedError("the file was cut short while it was sent")


def block_length(at: int, begin: int, size: int, chunk: int) -> int:
    """Return how long the block at `at` is: it ends no later than the chunk it is in; chunks count from `begin`."""
    return min(BLOCK, chunk - (at - begin) % chunk, size - at)
