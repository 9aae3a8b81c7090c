"""A primary and its standby as they run: services, links, supervisord, and played recorders that answer with their ids.

What must hold at every moment, and is looked at every few milliseconds: no two recorders answer with one id. And then:
a primary that is down is stood in for, one that returns gets its id back before its recorder runs.
"""

import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import msgspec
import pytest

import recorder_sync.cli.run  # noqa: F401  services are forked from here
from recorder_sync.identity.place import Place
from recorder_sync.identity.vault import Vault
from schema.documents import AlarmsDocument, LiveDocument
from tests import identities, links
from tests.fault.children import command, forked
from tests.ports import free_port
from tests.supervised import ended, supervisord
from tests.system.lan import eventually

pytestmark = pytest.mark.slow

RECORDER = """
import os, re, socket, sys, threading
parent = os.getppid()
identity = re.search(rb"<id>([^<]*)</id>", open(sys.argv[1], "rb").read())[1]
listening = socket.create_server(("127.0.0.1", int(sys.argv[2])))
listening.settimeout(0.1)
while os.getppid() == parent:
    try:
        asking, _ = listening.accept()
    except TimeoutError:
        continue
    with asking:
        asking.sendall(identity)
"""
"""Dies with its supervisor, as with the power."""

XML = b"<?xml version='1.0' encoding='utf-8'?>\r\n<recorderconfig><recorder><id>%s</id></recorder></recorderconfig>\r\n"


@dataclass
class Host:
    """One recorder host: a folder, recorder-sync, and a recorder under its own supervisord."""

    folder: Path
    name: str
    identity: str
    autostart: bool
    port: int = field(default_factory=free_port)
    link: int = field(default_factory=free_port)
    monitor: int = field(default_factory=free_port)

    def write(self, peer: "Host", more: str) -> None:
        self.folder.joinpath("recordings").mkdir(parents=True)
        self.folder.joinpath("RecorderConfig.xml").write_bytes(XML % self.identity.encode())
        self.folder.joinpath("recorder.py").write_text(RECORDER)
        self.folder.joinpath("recorder-sync.toml").write_text(
            textwrap.dedent(f"""
            ledger = "ledger.db"
            [link]
            listen = "127.0.0.1:{self.link}"
            timeout = "2s"
            folder = "../link-{self.name}"
            [service]
            monitor = "127.0.0.1:{self.monitor}"
            [[peers]]
            name = "{peer.name}"
            address = "127.0.0.1:{peer.link}"
            [[servers]]
            name = "{self.name}"
            [[servers.storages]]
            root = "recordings"
            layout = "frigate"
            [identity]
            config = "RecorderConfig.xml"
            service = "recorder"
            manager = "supervisord"
            supervisor = "unix:{self.folder}/s"
            refresh = "1s"
            """)
            + more
        )

    def power_on(self) -> None:
        self.supervisor = supervisord(
            self.folder,
            f"""
            [program:recorder]
            command={sys.executable} recorder.py RecorderConfig.xml {self.port}
            directory={self.folder}
            autostart={str(self.autostart).lower()}
            startsecs=1
            """,
        )
        self.start_service()

    def start_service(self) -> None:
        self.service = forked.Process(target=self._serve)
        self.service.start()

    def _serve(self) -> None:
        log = self.folder.joinpath("service.log").open("a", buffering=1)
        sys.stdout = sys.stderr = log
        command(self.folder, "run")

    def power_off(self) -> None:
        self.supervisor.kill()
        self.supervisor.wait()
        self.service.kill()
        self.service.join()

    def stop(self) -> None:
        self.service.terminate()
        self.service.join(20)
        self.service.kill()
        ended(self.supervisor)

    def supervisorctl(self, *words: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "supervisor.supervisorctl", "-s", f"unix://{self.folder}/s", *words],
            check=True,
            capture_output=True,
        )

    def answers(self) -> str:
        """Return the id that its recorder answers with; empty if none runs."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as asking:
                return asking.recv(100).decode()
        except OSError:
            return ""

    def live(self) -> LiveDocument | None:
        """Return what its service says; None while it does not answer."""
        try:
            with urlopen(f"http://127.0.0.1:{self.monitor}/status", timeout=5) as answer:
                return msgspec.json.decode(answer.read(), type=LiveDocument)
        except OSError:
            return None

    def role(self) -> str:
        """Return what its service says of the recorder."""
        live = self.live()
        return "" if live is None else live.role

    def stands_by(self) -> bool:
        """Tell whether it runs with its own id, has heard of its peer, keeps its id and sees its recorder live."""
        live = self.live()
        up = live is not None and [one.state for one in live.peers] == ["up"]
        kept = Vault(Place(str(self.folder / "identity"))).known("a") is not None
        return up and kept and "lives" in self.role() and self.answers() == self.identity

    def told(self) -> list[str]:
        """Return the kinds of the alarms that its service raised, the oldest first."""
        done = subprocess.run(
            [sys.executable, "-m", "recorder_sync", "alarms", "--json"],
            cwd=self.folder,
            capture_output=True,
            check=True,
        )
        found = msgspec.json.decode(done.stdout, type=AlarmsDocument)
        return [one.alarm.kind for one in reversed(found.alarms) if one.alarm.kind.startswith("identity")]


class Judge:
    """Looks all the time with which ids the recorders answer."""

    def __init__(self, *hosts: Host) -> None:
        self._hosts = hosts
        self._over = threading.Event()
        self.looks = 0
        self.doubles: list[str] = []
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            ids = [one.answers() for one in self._hosts]
            self.looks += 1
            if ids[0] and ids[0] == ids[1]:
                self.doubles.append(ids[0])

    def end(self) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    """A primary whose recorder its recorder-sync starts, and a standby with a recorder of its own."""
    a = Host(tmp_path / "a", "a", identities.OWN, autostart=False)
    b = Host(tmp_path / "b", "b", identities.NEW, autostart=True)
    links.paired(tmp_path, "a", "b")
    with socket.create_server(("127.0.0.1", 0)) as witness:
        a.write(b, "start = true\n")
        b.write(
            a,
            textwrap.dedent(f"""
            primary = "a"
            ports = ["127.0.0.1:{a.port}"]
            witness = "127.0.0.1:{witness.getsockname()[1]}"
            silence = "down"
            failover = "identity"
            down = "2s"
            settle = "1s"
            """),
        )
        for one in (a, b):
            one.power_on()
        try:
            yield a, b
        finally:
            for one in (a, b):
                one.stop()


def test_a_primary_is_stood_in_for_and_gets_its_id_back_before_its_recorder_runs(pair: tuple[Host, Host]) -> None:
    a, b = pair
    judge = Judge(a, b)
    try:
        eventually(lambda: a.answers() == a.identity, 60, "recorder-sync did not start the primary's recorder")
        eventually(b.stands_by, 60, "the standby does not look")

        a.power_off()
        eventually(lambda: b.answers() == a.identity, 60, "the standby did not take over")
        eventually(lambda: "answers as a" in b.role(), 60, "the status does not say so")
        eventually(lambda: b.told() == ["identity-taken"], 60, "nobody was told")

        a.power_on()
        eventually(lambda: a.answers() == a.identity, 60, "the primary's recorder was not started again")
        eventually(lambda: b.answers() == b.identity, 60, "the standby's recorder did not come back with its own id")
        eventually(lambda: b.told() == ["identity-taken", "identity-returned"], 60, "nobody was told of the return")

        # A recorder that is stopped while its host lives: two who know say so, and nobody waits for silence.
        eventually(b.stands_by, 60, "the standby does not see that the primary lives")
        a.supervisorctl("stop", "recorder")
        eventually(lambda: b.answers() == a.identity, 60, "the standby did not take over from a stopped recorder")
        a.service.terminate()
        a.service.join(20)
        a.start_service()
        eventually(lambda: a.answers() == a.identity, 60, "the primary's recorder was not started by its service")
        eventually(lambda: b.answers() == b.identity, 60, "the standby's recorder did not come back")
    finally:
        judge.end()
    assert judge.looks > 200
    assert judge.doubles == []


def test_a_standby_that_was_killed_while_it_stood_in_gives_the_id_back_when_it_is_there_again(
    pair: tuple[Host, Host],
) -> None:
    a, b = pair
    judge = Judge(a, b)
    try:
        eventually(lambda: a.answers() == a.identity, 60, "the primary's recorder does not run")
        eventually(b.stands_by, 60, "the standby does not look")
        a.power_off()
        eventually(lambda: b.answers() == a.identity, 60, "the standby did not take over")
        b.service.kill()
        b.service.join()
        a.power_on()
        eventually(lambda: "may have its id" in a.role(), 60, "the primary does not wait for the standby")
        assert a.answers() == ""
        b.start_service()
        eventually(lambda: a.answers() == a.identity, 60, "the primary's recorder was not started")
        eventually(lambda: b.answers() == b.identity, 60, "the standby's recorder did not come back")
    finally:
        judge.end()
    assert judge.doubles == []
