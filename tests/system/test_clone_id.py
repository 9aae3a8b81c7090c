"""The failover recorder takes the primary's id and gives it back: two recorders under a real supervisord, a real link.

Why: two live recorders must never answer with one id. Here each is a process that reads its RecorderConfig.xml when it
starts and tells its id to whoever connects; whatever the command does, the two never tell the same.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from backfill.link.client import LinkClient
from recorder_sync.identity.document import digest
from recorder_sync.identity.drivers import Supervisord
from recorder_sync.identity.learn import tell
from recorder_sync.identity.place import Place
from recorder_sync.identity.vault import Vault
from schema.identity import IdentityRules
from tests import make
from tests.identities import AFTER, BEFORE, NEW, OWN
from tests.links import linked, paired
from tests.ports import free_port
from tests.supervised import ended, supervisord

Cli = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.slow
WORDS = "the recorder of b is off"

RECORDER = """
import re, socketserver, sys
ident = re.search(rb"<id>([0-9a-f-]{36})</id>", open(sys.argv[1], "rb").read())[1]
class Telling(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(ident)
socketserver.TCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[2])), Telling).serve_forever()
"""


class Twins:
    """The primary `b` and the standby `a`, their recorders under one supervisord, and `b`'s side of the link."""

    def __init__(self, base: Path, cli: Cli) -> None:
        self.base = base
        self.cli = cli
        self.ports = {"a": free_port(), "b": free_port()}
        (base / "recorder.py").write_text(RECORDER)
        programs = ""
        for name, content in (("a", BEFORE), ("b", AFTER)):
            (base / name).mkdir(exist_ok=True)
            self.file(name).write_bytes(content)
            programs += textwrap.dedent(f"""
                [program:recorder-{name}]
                command={sys.executable} {base}/recorder.py {self.file(name)} {self.ports[name]}
                startsecs=1
            """)
        self.process = supervisord(base, programs)
        self.until(lambda: self.told() == {"a": OWN, "b": NEW})

    def file(self, name: str) -> Path:
        return self.base / name / "RecorderConfig.xml"

    def rules(self, name: str) -> IdentityRules:
        return IdentityRules(
            config=str(self.file(name)),
            manager="supervisord",
            supervisor=f"unix:{self.base}/s",
            service=f"recorder-{name}",
            folder=str(self.base / f"identity-{name}"),
        )

    def configure(self, link: int, more: str = "") -> None:
        head = make.CONFIG.replace("ledger.db", "ledger-a.db")
        text = make.config_text("a", head=head) + textwrap.dedent(f"""
            [[peers]]
            name = "b"
            address = "127.0.0.1:{link}"
            [link]
            folder = "link-a"
            timeout = "2s"
            [identity]
            config = "a/RecorderConfig.xml"
            service = "recorder-a"
            manager = "supervisord"
            supervisor = "unix:{self.base}/s"
            primary = "b"
            ports = ["127.0.0.1:{self.ports["b"]}"]
            probe = "500ms"
            wait = "20s"
            {more}
        """)
        (self.base / "recorder-sync.toml").write_text(text)

    def service(self, name: str) -> Supervisord:
        return Supervisord(f"recorder-{name}", 20, f"unix:{self.base}/s")

    def told(self) -> dict[str, str]:
        """Return what each live recorder says it is; no two say the same, ever."""
        found = {}
        for name, port in self.ports.items():
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as link:
                found[name] = link.recv(100).decode()
        assert len(set(found.values())) == len(found), "two live recorders answer with one id"
        return found

    def until(self, there: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not there():
            assert time.monotonic() < end, self.told()
            time.sleep(0.1)

    def run(self, *words: str, code: int = 0) -> dict[str, object]:
        done = self.cli("clone-id", "--json", *words)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout) if done.stdout else {}  # type: ignore[no-any-return]

    def close(self) -> None:
        ended(self.process)


@pytest.fixture
def twins(tmp_path: Path, cli: Cli) -> Iterator[Twins]:
    make.record(tmp_path / "a/recordings", "front", [0])
    make.record(tmp_path / "b/recordings", "front", [0])
    found = Twins(tmp_path, cli)
    try:
        with linked(tmp_path, identity=lambda: tell(found.rules("b"))) as pair:
            found.configure(pair.serving.port)
            found.link = pair.serving  # type: ignore[attr-defined]
            yield found
    finally:
        found.close()


def test_there_and_back_again(twins: Twins) -> None:
    # While the primary lives nothing happens, whoever vouches for what.
    for words in (["--yes"], ["--yes", "--force", WORDS], ["--dry-run"]):
        refused = twins.run(*words, code=83)
        assert (refused["state"], refused["allowed"]) == ("refused", False)
        assert "lives" in str(refused["verdict"])
    assert twins.told() == {"a": OWN, "b": NEW}

    # Its recorder is stopped: its port is closed, and recorder-sync beside it says so.
    twins.service("b").stop()
    planned = twins.run("--dry-run")
    assert planned["state"] == "planned"
    assert planned["before"] == f"    <id>{OWN}</id><displayname>REC-A</displayname>"
    assert planned["after"] == f"    <id>{NEW}</id><displayname>REC-A</displayname>"
    assert twins.file("a").read_bytes() == BEFORE
    cloned = twins.run("--yes")
    assert (cloned["state"], cloned["own"], cloned["now"], cloned["service"]) == ("cloned", OWN, NEW, "running")
    assert Path(str(cloned["backup"])).read_bytes() == BEFORE
    assert twins.file("a").read_bytes() == AFTER
    assert twins.told() == {"a": NEW}
    assert twins.run("--yes")["state"] == "already"

    # The original id is restored before both serve.
    undone = twins.run("--undo", "--yes")
    assert (undone["state"], undone["now"]) == ("returned", OWN)
    assert twins.file("a").read_bytes() == BEFORE
    twins.service("b").start()
    twins.until(lambda: twins.told() == {"a": OWN, "b": NEW})
    twins.run("--undo", "--yes", code=86)


def test_a_primary_that_comes_back_while_its_id_is_taken_is_told(twins: Twins, cli: Cli) -> None:
    twins.service("b").stop()
    twins.run("--yes")
    with socket.create_server(("127.0.0.1", twins.ports["b"])):
        back = twins.run("--yes", code=1)
    assert back["state"] == "already"
    assert "clone-id --undo" in str(back["notes"])


def test_a_host_that_is_gone_proves_nothing_without_words(twins: Twins) -> None:
    learnt = twins.run("--learn")
    assert (learnt["state"], learnt["wanted"], learnt["source"]) == ("learnt", NEW, "the link to b")
    twins.service("b").stop()
    twins.link.stop()  # type: ignore[attr-defined]
    refused = twins.run("--yes", code=83)
    assert {one["source"]: one["reading"] for one in refused["signals"]} == {  # type: ignore[attr-defined]
        "ports": "down",
        "link": "silent",
        "heartbeat": "unknown",
    }
    twins.run("--yes", "--force", "yes it is", code=2)
    assert twins.file("a").read_bytes() == BEFORE
    cloned = twins.run("--yes", "--force", WORDS)
    assert cloned["state"] == "cloned"
    assert "as it was read at" in str(cloned["notes"])
    assert "the operator vouches" in str(cloned["notes"])
    assert twins.told() == {"a": NEW}
    twins.run("--undo", "--yes")
    assert twins.told() == {"a": OWN}


def test_an_id_that_was_never_learnt_cannot_be_given(twins: Twins) -> None:
    twins.service("b").stop()
    twins.link.stop()  # type: ignore[attr-defined]
    twins.run("--yes", "--force", WORDS, code=82)
    # Its file, or the id itself, can be named.
    twins.run("--yes", "--force", WORDS, "--from", str(twins.file("b")))
    assert twins.file("a").read_bytes() == AFTER
    twins.run("--undo", "--yes")
    twins.run("--yes", "--force", WORDS, "--from", NEW)
    assert twins.file("a").read_bytes() == AFTER
    twins.run("--undo", "--yes")
    assert twins.file("a").read_bytes() == BEFORE


def test_a_command_that_is_killed_leaves_one_id_and_is_undone(twins: Twins) -> None:
    twins.service("b").stop()
    for wait in (0.9, 1.2, 1.5, 1.8, 2.5):
        command = subprocess.Popen(
            [sys.executable, "-m", "recorder_sync", "clone-id", "--yes"],
            cwd=twins.base,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(wait)
        with suppress(ProcessLookupError):
            os.kill(command.pid, signal.SIGKILL)
        command.wait(30)
        assert twins.file("a").read_bytes() in (BEFORE, AFTER)
        done = twins.cli("clone-id", "--undo", "--yes")
        assert done.returncode in (0, 86), done.stderr
        assert twins.file("a").read_bytes() == BEFORE
        twins.until(lambda: twins.told() == {"a": OWN})


def test_without_a_yes_nothing_is_done(twins: Twins) -> None:
    twins.service("b").stop()
    twins.run(code=2)
    assert twins.told() == {"a": OWN}
    assert twins.file("a").read_bytes() == BEFORE


def test_what_is_shown(twins: Twins, cli: Cli) -> None:
    twins.service("b").stop()
    shown = cli("clone-id", "--dry-run")
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[1:3] == [
        f"-     <id>{OWN}</id><displayname>REC-A</displayname>",
        f"+     <id>{NEW}</id><displayname>REC-A</displayname>",
    ]
    assert "service  down" in shown.stdout
    assert "the recorder of b is down" in shown.stdout


def test_a_hostile_file_is_refused_and_untouched(twins: Twins) -> None:
    twins.service("b").stop()
    hostile = b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><recorderconfig/>'
    twins.file("a").write_bytes(hostile)
    twins.run("--yes", code=80)
    assert twins.file("a").read_bytes() == hostile
    twins.file("a").write_bytes(BEFORE)
    twins.file("b").write_bytes(hostile)
    twins.run("--yes", "--from", str(twins.file("b")), code=82)
    assert twins.file("a").read_bytes() == BEFORE


def test_the_service_tells_its_recorders_id_and_keeps_the_primarys(tmp_path: Path) -> None:
    """Two services as they are run: `b` tells over the link, `a` learns without being asked."""
    trusts = paired(tmp_path, "a", "b")
    links = {"a": free_port(), "b": free_port()}
    services = []
    for name, other, content in (("a", "b", BEFORE), ("b", "a", AFTER)):
        make.record(tmp_path / name / "recordings", "front", [0])
        (tmp_path / name / "RecorderConfig.xml").write_bytes(content)
        more = 'primary = "b"\nrefresh = "1s"' if name == "a" else ""
        text = make.config_text(name, head=make.CONFIG.replace("ledger.db", f"ledger-{name}.db"))
        text += textwrap.dedent(f"""
            [[peers]]
            name = "{other}"
            address = "127.0.0.1:{links[other]}"
            [link]
            listen = "127.0.0.1:{links[name]}"
            folder = "link-{name}"
            [service]
            monitor = "127.0.0.1:{free_port()}"
            [identity]
            config = "{name}/RecorderConfig.xml"
            manager = "supervisord"
            supervisor = "unix:{tmp_path}/nobody"
            folder = "identity-{name}"
        """)
        config = tmp_path / f"{name}.toml"
        config.write_text(text + more + "\n")
        command = [sys.executable, "-m", "recorder_sync", "run", "--config", str(config)]
        with open(tmp_path / f"{name}.log", "wb") as log:
            services.append(subprocess.Popen(command, cwd=tmp_path, stderr=log))
    try:
        note = tmp_path / "identity-a" / "primary-b.json"
        end = time.monotonic() + 60
        while not note.exists():
            assert time.monotonic() < end, (tmp_path / "a.log").read_text()
            time.sleep(0.1)
        known = Vault(Place(str(note.parent))).known("b")
        assert known is not None
        assert (known.id, known.digest) == (NEW, digest(AFTER))
        client = LinkClient("b", ("127.0.0.1", links["b"]), context=lambda: trusts["a"].client_context("b"), timeout=5)
        told = client.identity()
        client.close()
        assert (told.id, told.service) == (NEW, "unknown")
        assert "supervisord is not at work here" in told.problem
    finally:
        for service in services:
            service.terminate()
        for service in services:
            service.wait(30)
