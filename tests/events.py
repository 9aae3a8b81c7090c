"""A stand-in for what of XProtect takes events: the event server's two doors and the API gateway, on loopback.

It is as strict as the facts allow: what deviates from the vendor's sample in shape or order is refused with 400, and
why is kept in `wrong`, which tests look at. It can be told to fail in every way: see `answers`. It is made from
documentation and samples; that it behaves as the real one does was never compared.
"""

import json
import re
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from lxml import etree

from tests import receivers

NAMESPACE = "{urn:milestone-systems}"
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
REQUEST = re.compile(
    rb"POST / HTTP/1\.1\r\nContent-Type: text/xml\r\nContent-Length: (\d+)\r\nConnection: Keep-Alive\r\n\r\n"
)
UNKNOWN = "Warning: Event message not known"

ORDER = {
    "AnalyticsEvent": "EventHeader! Description StartTime EndTime Location Count RuleList ObjectList ReferenceList"
    " SnapshotList Vendor",
    "EventHeader": "ID! Timestamp! Class Type Version Priority Name Message! CustomTag Source",
    "Source": "Name Description FQID",
    "FQID": "ServerId ParentId ObjectId ObjectIdString FolderType! Kind!",
    "ServerId": "Type Hostname Port Id!",
    "Vendor": "Name CustomData",
}
"""What may stand in each element, in this order and once; `!` is what must."""

KINDS = {
    "ID": GUID,
    "Id": GUID,
    "ObjectId": GUID,
    "Kind": GUID,
    "Timestamp": MOMENT,
    "StartTime": MOMENT,
    "EndTime": MOMENT,
    "Priority": re.compile(r"\d{1,5}"),
    "FolderType": re.compile(r"[012]"),
}


def wrong_with(element: etree._Element) -> str:
    """Return what is wrong with an element and all below it, empty if nothing is."""
    name = str(element.tag).removeprefix(NAMESPACE)
    if not str(element.tag).startswith(NAMESPACE) or element.attrib:
        return f"{element.tag} is of another namespace, or has attributes"
    if name not in ORDER:
        if len(element):
            return f"{name} is text, and has elements"
        text = element.text or ""
        return "" if name not in KINDS or KINDS[name].fullmatch(text) else f"{name} is {text!r}"
    words = ORDER[name].split()
    order = [word.strip("!") for word in words]
    found = [str(child.tag).removeprefix(NAMESPACE) for child in element]
    if [one for one in order if one in found] != found:
        return f"{name} has {found}"
    missing = [word for word in words if word.endswith("!") and word.strip("!") not in found]
    if missing:
        return f"{name} lacks {missing}"
    return next(filter(None, map(wrong_with, element)), "")


Talk = Callable[[socket.socket], None]


def drip(accepted: socket.socket) -> None:
    """Answer so slowly that no read ever times out."""
    for _ in range(400):
        accepted.sendall(b"1")
        time.sleep(0.05)


def endless(accepted: socket.socket) -> None:
    """Talk for ever."""
    accepted.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        accepted.sendall(b"x" * 65_536)


def silent(accepted: socket.socket) -> None:
    """Never answer."""
    time.sleep(20)


def hang_up(accepted: socket.socket) -> None:
    """Close without an answer."""


def answer(status: str, body: str = "", *headers: str) -> Talk:
    """Answer an analytics event with this status line and body."""
    data = body.encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", *headers, "", ""]
    return lambda accepted: accepted.sendall("\r\n".join(lines).encode() + data)


@dataclass
class EventServer:
    """One door of the event server. `answers` are given in order instead of its own; the last one for ever."""

    address: str = ""
    known: set[str] = field(default_factory=lambda: {"recorder-sync"})
    """Analytics: the events that are defined; generic: the expressions that are looked for."""
    answers: list[Talk] = field(default_factory=list)
    got: list[bytes] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def own_answer(self) -> Talk | None:
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]) if self.answers else None


@contextmanager
def analytics() -> Iterator[EventServer]:
    """Take analytics events."""
    server = EventServer()

    def talk(accepted: socket.socket) -> None:
        data = b""
        while (begun := REQUEST.match(data)) is None or len(data) < begun.end() + int(begun[1]):
            if not (chunk := accepted.recv(65_536)):
                server.wrong.append(f"the request has another shape: {data[:200]!r}")
                return
            data += chunk
            if b"\r\n\r\n" in data and begun is None and REQUEST.match(data) is None:
                server.wrong.append(f"the request has another shape: {data[:200]!r}")
                answer("400 Bad Request", "no analytics event")(accepted)
                return
        body = data[begun.end() :]
        server.got.append(body)
        if own := server.own_answer():
            own(accepted)
            return
        root = etree.fromstring(body, etree.XMLParser(resolve_entities=False))
        wrong = "there is an XML declaration" if body.startswith(b"<?") else ""
        wrong = wrong or ("" if root.tag == f"{NAMESPACE}AnalyticsEvent" else f"the root is {root.tag}")
        if wrong := wrong or wrong_with(root):
            server.wrong.append(wrong)
            answer("400 Bad Request", wrong)(accepted)
        elif root.findtext(f"{NAMESPACE}EventHeader/{NAMESPACE}Message") in server.known:
            answer("200 OK")(accepted)
        else:
            answer("200 OK", UNKNOWN)(accepted)

    with receivers.raw(talk) as server.address:
        yield server


@contextmanager
def international(echo: str = "{x},{y},{z},{names}\r\n") -> Iterator[EventServer]:
    """Listen for generic events over TCP: UTF-8, each ended by CR LF, echoed as statistics."""
    server = EventServer()

    def talk(accepted: socket.socket) -> None:
        data = b""
        while b"\r\n" not in data:
            if not (chunk := accepted.recv(4096)):
                server.wrong.append(f"no separator: {data!r}")
                return
            data += chunk
        line, _, rest = data.partition(b"\r\n")
        server.wrong += [f"more than one line: {rest!r}"] if rest else []
        server.got.append(line)
        if own := server.own_answer():
            own(accepted)
            return
        text = line.decode("utf-8")
        found = sorted(one for one in server.known if one in text)
        said = echo.format(x=len(server.got), y=len(text), z=len(found), names=",".join(found))
        accepted.sendall(said.encode())
        accepted.recv(1)  # the connection stays open until the sender has enough

    with receivers.raw(talk) as server.address:
        yield server


@contextmanager
def compatible() -> Iterator[EventServer]:
    """Listen for generic events over TCP: ASCII, ended by the end of the connection, echoed byte for byte."""
    server = EventServer()

    def talk(accepted: socket.socket) -> None:
        data = b""
        while chunk := accepted.recv(4096):
            data += chunk
        server.wrong += [] if data.isascii() and b"\r" not in data else [f"a separator, or letters: {data!r}"]
        server.got.append(data)
        (server.own_answer() or (lambda accepted: accepted.sendall(data)))(accepted)

    with receivers.raw(talk) as server.address:
        yield server


@contextmanager
def datagrams() -> Iterator[EventServer]:
    """Listen for generic events over UDP, and say nothing."""
    server = EventServer()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.02)
        server.address = f"127.0.0.1:{sock.getsockname()[1]}"
        ended = threading.Event()

        def hear() -> None:
            while not ended.is_set():
                with suppress(TimeoutError):
                    server.got.append(sock.recv(65_536))

        thread = threading.Thread(target=hear, daemon=True)
        thread.start()
        yield server
        ended.set()
        thread.join()


@dataclass
class Gateway:
    """The API gateway with one basic user. `answers` by method and path are given instead of its own, in order."""

    url: str = ""
    user: str = "recorder sync"
    password: str = "p&ss=w0rd%"
    expires: int = 3600
    events: dict[str, str] = field(default_factory=dict)
    """The ids of the user-defined events by name."""
    cameras: set[str] = field(default_factory=set)
    answers: dict[str, list[receivers.Answer]] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    """Those that were given out."""
    ended: set[str] = field(default_factory=set)
    """Those of them that are not taken any more."""
    asked: list[str] = field(default_factory=list)
    alarms: list[dict[str, str]] = field(default_factory=list)
    triggered: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def handle(self, what: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        """Return status and document for one request."""
        if what == "POST /API/IDP/connect/token":
            form = parse_qs(body.decode(), strict_parsing=True)
            expected = {"grant_type": ["password"], "client_id": ["GrantValidatorClient"]}
            if (
                headers.get("content-type") != "application/x-www-form-urlencoded"
                or not expected.items() <= form.items()
            ):
                return self._refuse(f"the log-in has another shape: {sorted(form)}")
            if (form.get("username"), form.get("password")) != ([self.user], [self.password]) or len(form) != 4:
                return 400, {"error": "invalid_grant", "error_description": "invalid_username_or_password"}
            self.tokens.append(secrets.token_urlsafe(24))
            return 200, {"access_token": self.tokens[-1], "expires_in": self.expires, "token_type": "Bearer"}
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.tokens or token in self.ended:
            return 401, {"error": {"httpCode": 401, "details": [{"errorText": "The token is not valid."}]}}
        if what == "GET /api/rest/v1/userDefinedEvents":
            built_in = {"id": "85867627-b287-4439-9e55-a63701e1715b", "name": "Built in"}
            listed = [{"id": one, "name": name, "displayName": name} for name, one in self.events.items()]
            return 200, {"array": [built_in, *listed]}
        if headers.get("content-type") != "application/json":
            return self._refuse(f"the body is called {headers.get('content-type')}")
        try:
            given = json.loads(body)
        except ValueError:
            return self._refuse("the body is not JSON")
        if what == "POST /api/rest/v1/events":
            if set(given) != {"type"} or given["type"] not in self.events.values():
                return self._refuse(f"no such event: {given}")
            self.triggered.append({one: name for name, one in self.events.items()}[given["type"]])
            return 202, {"data": {"id": f"00000000-0000-4000-8000-{len(self.triggered):012}", "type": given["type"]}}
        if what == "POST /api/rest/v1/alarms":
            if set(given) != {"name", "message", "source"} or given["source"] not in self.cameras:
                return self._refuse(f"no such camera, or other fields: {given}")
            self.alarms.append(given)
            return 202, {"data": {"id": f"00000000-0000-4000-8000-{len(self.alarms):012}"}}
        return 404, {"error": {"httpCode": 404, "details": [{"errorText": f"{what} is not known"}]}}

    def _refuse(self, wrong: str) -> tuple[int, Any]:
        self.wrong.append(wrong)
        return 400, {"error": {"httpCode": 400, "details": [{"errorText": wrong}]}}


@contextmanager
def gateway(context: ssl.SSLContext | None = None, **settings: Any) -> Iterator[Gateway]:
    """Serve the API gateway, over TLS with a context."""
    found = Gateway(**settings)

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            what = f"{self.command} {self.path}"
            found.asked.append(what)
            own = found.answers.get(what, [])
            given = own.pop(0) if own else None
            if callable(given):
                with suppress(OSError):
                    given(self)
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, document = (
                (given, {"error": f"told to say {given}"}) if given else found.handle(what, headers, body)
            )
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _serve  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    found.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
