"""Real receivers of alarms on loopback: an HTTP server, a mail server, log servers, a program. All can misbehave.

Each runs in threads of its own, so that what is tested may block, be killed, or live in another process.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

Answer = int | Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Web:
    """What an HTTP server got. `answers` are given in order, the last for ever."""

    url: str = ""
    answers: list[Answer] = field(default_factory=lambda: [204])
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        return [headers["idempotency-key"] for headers, _ in self.got]


@contextmanager
def web() -> Iterator[Web]:
    """Serve HTTP."""
    found = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            answer = found.answers.pop(0) if len(found.answers) > 1 else found.answers[0]
            if callable(answer):
                with suppress(OSError):
                    answer(self)
                self.close_connection = True
                return
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    found.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def silent(_: BaseHTTPRequestHandler) -> None:
    """Never answer."""
    time.sleep(20)


def drip(handler: BaseHTTPRequestHandler) -> None:
    """Answer so slowly that no read ever times out."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(400):
        handler.wfile.write(b"x")
        time.sleep(0.05)


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Send headers without end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(10**7):
        handler.wfile.write(b"X-%d: %s\r\n" % (number, b"x" * 4000))


def endless_body(handler: BaseHTTPRequestHandler) -> None:
    """Accept, and then talk for ever: the status is all that counts."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        handler.wfile.write(b"x" * 65536)


def noise(handler: BaseHTTPRequestHandler) -> None:
    """Answer with something that is not HTTP."""
    handler.wfile.write(b"220 ready\r\n\0\0\r\n\r\n")


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Close without an answer."""
    handler.connection.shutdown(socket.SHUT_RDWR)


@dataclass
class Post:
    """What a mail server got."""

    address: str = ""
    mails: list[EmailMessage] = field(default_factory=list)
    to: list[list[str]] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    """What is said instead to RCPT by address, or to `DATA`."""
    rests: float = 0.0
    """Seconds before it says that it accepted."""


@contextmanager
def post(**more: Any) -> Iterator[Post]:
    """Serve SMTP; `more` goes to aiosmtpd."""
    found = Post()

    class Handler:
        async def handle_RCPT(self, _: object, __: object, envelope: Any, address: str, ___: object) -> str:  # noqa: N802
            said = found.answers.get(address)
            if said is None:
                envelope.rcpt_tos.append(address)
            return said or "250 OK"

        async def handle_DATA(self, _: object, __: object, envelope: Any) -> str:  # noqa: N802
            time.sleep(found.rests)
            if "DATA" in found.answers:
                return found.answers["DATA"]
            found.mails.append(BytesParser(policy=default).parsebytes(envelope.content))  # type: ignore[arg-type]
            found.to.append(list(envelope.rcpt_tos))
            return "250 OK"

    controller = Controller(Handler(), hostname="127.0.0.1", port=_free_port(), **more)
    controller.start()
    found.address = f"{controller.hostname}:{controller.port}"
    try:
        yield found
    finally:
        controller.stop(no_assert=True)


@contextmanager
def raw(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """Accept TCP connections and `talk` on each, in any way; gives host and port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    accepted, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(accepted,), daemon=True).start()

        def one(accepted: socket.socket) -> None:
            with accepted, suppress(OSError):
                talk(accepted)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@contextmanager
def log_server(scheme: str, folder: Path) -> Iterator[tuple[str, list[bytes]]]:
    """Take syslog over `udp`, `tcp`, `unix` (datagrams) or `unix-stream`; gives its address and what it got."""
    got: list[bytes] = []
    path = str(folder / "log")
    if scheme in ("udp", "unix"):
        kind = socket.AF_INET if scheme == "udp" else socket.AF_UNIX
        with socket.socket(kind, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0) if scheme == "udp" else path)
            sock.settimeout(0.02)
            ended = threading.Event()

            def hear() -> None:
                while not ended.is_set():
                    with suppress(TimeoutError):
                        got.append(sock.recv(65536))

            thread = threading.Thread(target=hear, daemon=True)
            thread.start()
            yield (f"udp://127.0.0.1:{sock.getsockname()[1]}" if scheme == "udp" else f"unix:{path}"), got
            ended.set()
            thread.join()
        return

    def read(accepted: socket.socket) -> None:
        data = b""
        while chunk := accepted.recv(4096):
            data += chunk
        got.append(data)

    if scheme == "tcp":
        with raw(read) as address:
            yield f"tcp://{address}", got
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen()

        def serve() -> None:
            with suppress(OSError):
                while True:
                    accepted, _ = server.accept()
                    with accepted:
                        read(accepted)

        threading.Thread(target=serve, daemon=True).start()
        yield f"unix:{path}", got
        server.shutdown(socket.SHUT_RDWR)


def program(folder: Path, script: str) -> list[str]:
    """Write a shell script; returns how it is run."""
    path = folder / "told.sh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return [str(path)]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def wait_until(true: Callable[[], object], seconds: float = 10) -> None:
    """Wait for something that happens in another thread or process."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
