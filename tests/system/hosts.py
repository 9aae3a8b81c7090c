"""Two recorder hosts as an operator sets them up by the guide, with everything around them: cameras, recorders, alarms.

Rule: hosts are driven as from outside - commands, signals, cables - and believed only by what they wrote: recordings,
the alarms their channel was given, and the documents that their commands print.
"""

import contextlib
import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import msgspec

import recorder_sync.cli.run  # noqa: F401  services are forked from here
from schema.documents import GapsDocument, StatusDocument
from tests.fault.children import command, forked
from tests.system.lan import VirtualHost, VirtualLAN, eventually

log = logging.getLogger(__name__)

SETTLE = 3
"""Seconds of the newest recordings that are left alone in these tests."""
_STATUS = """
import sys, urllib.request
sys.stdout.write(urllib.request.urlopen("http://127.0.0.1:7480/status", timeout=5).read().decode())
"""
_ENVIRONMENT = {**os.environ, "TZ": "UTC", "NO_COLOR": "1", "COLUMNS": "100", "PYTHONUNBUFFERED": "1"}


class Station:
    """One recorder host: a folder, an address, the companion service, and perhaps a recorder.

    The recorder itself needs no network here: it reaches its cameras as over a wire of its own.
    """

    def __init__(self, base: Path, name: str, host: VirtualHost) -> None:
        self.name = name
        self.host = host
        self.folder = base / name
        self.root = self.folder / "recordings"
        self.config = self.folder / "recorder-sync.toml"
        self.root.mkdir(parents=True)
        self.service: ForkProcess | None = None
        self.recorder: subprocess.Popen[Any] | None = None
        self.clock: Callable[[], float] | None = None
        """What the service takes for the time, if not the machine's own."""
        self._record: list[str] = []

    def command(self, *arguments: str) -> list[str]:
        """Return how `recorder-sync` is run."""
        return [sys.executable, "-m", "recorder_sync", *arguments]

    def cli(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run `recorder-sync` on this host, in its folder."""
        return self.host.run(*self.command(*arguments), cwd=self.folder, env=_ENVIRONMENT, timeout=timeout)

    def run(self) -> None:
        """Start the service and wait until it answers."""
        self.start()
        self.ready()

    def start(self) -> None:
        """Start the service. It is forked, with everything imported: a test can afford many of them."""
        self.service = forked.Process(target=self._serve)
        self.service.start()

    def _serve(self) -> None:
        """Become the service, on this host."""
        self.host.enter()
        log = os.open(self.folder / "service.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.update(_ENVIRONMENT)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False, buffering=1)  # noqa: SIM115
        if self.clock is not None:
            clock = time.time = self.clock
            time.time_ns = lambda: round(clock() * 1e9)
        command(self.folder, "run")

    def ready(self) -> None:
        """Wait until the service answers."""

        def ready() -> bool:
            assert self.service is not None and self.service.is_alive(), self.log()[-3000:]
            return bool(self.live())

        eventually(ready, 30, f"the service of {self.name} answers")

    def record(self, url: str, layout: str, cameras: list[str], segment: float) -> None:
        """Start a recorder of `cameras` at `url`."""
        self._record = [
            *(sys.executable, "-m", "recorder_sync.demo.recorder", f"--layout={layout}", f"--root={self.root}"),
            *(f"--url={url}", f"--segment={segment}", *(f"--camera={camera}" for camera in cameras)),
        ]
        self.record_again()

    def record_again(self) -> None:
        """Start the recorder once more."""
        with open(self.folder / "recorder.log", "ab") as log:
            self.recorder = subprocess.Popen(
                self._record, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_ENVIRONMENT
            )

    def kill_recorder(self) -> None:
        """Let the recorder die, with its last file unfinished."""
        _killed(self.recorder)

    def kill_service(self) -> None:
        """Let the service die."""
        _killed(self.service)

    def power_off(self) -> None:
        """Let everything on this host die at once."""
        for process in (self.service, self.recorder):
            if process is not None:
                process.kill()
        self.kill_service()
        self.kill_recorder()

    def suspend(self) -> None:
        """Stop the service as it stands."""
        os.kill(self._alive(), signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on."""
        os.kill(self._alive(), signal.SIGCONT)

    def _alive(self) -> int:
        """Return the service's process."""
        assert self.service is not None and self.service.pid is not None and self.service.is_alive()
        return self.service.pid

    def stop(self) -> None:
        """Stop service and recorder in order. The service has to do it within seconds, and to mean it."""
        if self.recorder is not None and self.recorder.poll() is None:
            self.recorder.terminate()
            assert self.recorder.wait(20) == 0, (self.folder / "recorder.log").read_text()[-3000:]
        if self.service is not None and self.service.is_alive():
            self.service.terminate()
            self.service.join(15)
            assert self.service.exitcode == 0, self.log()[-3000:]

    def live(self) -> dict[str, Any]:
        """Return what the service says of itself at this moment; empty if it says nothing."""
        done = self.host.run(sys.executable, "-c", _STATUS, timeout=20)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def log(self) -> str:
        """Return what the service logged."""
        return (self.folder / "service.log").read_text()

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return what the service logged of one kind."""
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == kind]

    def alarms(self, kind: str = "", since: int = 0, channel: str = "alarms") -> list[dict[str, Any]]:
        """Return the alarms that the operator's program was given, in order."""
        path = self.folder / f"{channel}.jsonl"
        told = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [one for one in told[since:] if not kind or one["kind"] == kind]

    def gaps(self) -> GapsDocument:
        """Return what `recorder-sync gaps` says."""
        done = self.cli("gaps", "--json", "--no-scan")
        assert done.returncode in (0, 1), done.stderr
        return msgspec.json.decode(done.stdout, type=GapsDocument)

    def status(self) -> StatusDocument:
        """Return what `recorder-sync status` says."""
        done = self.cli("status", "--json")
        assert done.returncode in (0, 1), done.stderr
        return msgspec.json.decode(done.stdout, type=StatusDocument)

    def open_gaps(self) -> list[tuple[str, str, str, float]]:
        """Return server, camera, state and length of what is still missing, on either host, as seen from here."""
        return [(one.server, one.camera, one.state, one.seconds) for one in self.gaps().gaps if one.state == "fillable"]


def _killed(process: "subprocess.Popen[Any] | ForkProcess | None") -> None:
    if isinstance(process, ForkProcess):
        process.kill()
        process.join(10)
    elif process is not None:
        process.kill()
        process.wait(10)


class Stage:
    """Two hosts on one network, and the cameras that both record."""

    def __init__(self, base: Path, lan: VirtualLAN) -> None:
        self.base = base
        self.lan = lan
        self.a = Station(base, "nvr-a", lan.host("nvr-a"))
        self.b = Station(base, "nvr-b", lan.host("nvr-b"))
        self.url = ""
        self._cameras: subprocess.Popen[Any] | None = None

    @property
    def both(self) -> tuple[Station, Station]:
        """The two hosts."""
        return self.a, self.b

    def film(self, cameras: dict[str, int]) -> None:
        """Start the cameras; frames from key frame to key frame by name."""
        port = self.base / "cameras.port"
        arguments = [f"--port-file={port}", f"--log-file={self.base / 'cameras.jsonl'}"]
        arguments += [f"--camera={name}:{gop}" for name, gop in cameras.items()]
        with open(self.base / "cameras.log", "ab") as log:
            self._cameras = subprocess.Popen(
                [sys.executable, "-m", "recorder_sync.demo.camera", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        eventually(port.exists, 20, "the cameras film")
        self.url = f"http://127.0.0.1:{port.read_text().strip()}"

    def pair(self, gaps: str = f'settle = "{SETTLE}s"', fill: str = 'chunk = "64 KiB"') -> None:
        """Make the hosts a pair as the guide says it, then set what lets a test be short; more in these tables."""
        a, b = self.both
        init, join = (line.replace("192.0.2.5", a.host.address).split()[1:] for line in guided("init", "join"))
        inviting = a.host.start(
            *a.command(*(str(a.root) if word == "/srv/recordings" else word for word in init)),
            cwd=a.folder,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        invitation = _typed(inviting).split()[2]
        words = {"INVITATION": invitation, "/srv/recordings": str(b.root)}
        joined = b.cli(*(words.get(word, word) for word in join))
        assert joined.returncode == 0, joined.stderr
        said, _ = inviting.communicate(timeout=20)
        assert inviting.returncode == 0, said
        assert f"Paired with {b.name} at {b.host.address}:7443" in said
        for station in self.both:
            tune(station, gaps, fill)

    def run(self) -> None:
        """Start both services and wait until they know each other."""
        for station in self.both:
            station.start()
        for station in self.both:
            station.ready()
        for station in self.both:
            eventually(lambda station=station: up(station), 20, f"{station.name} sees its peer")

    def end(self) -> None:
        """End everything, gently where that is possible no more."""
        for station in self.both:
            _killed(station.recorder)
            _killed(station.service)
        _killed(self._cameras)


def up(station: Station) -> bool:
    """Tell whether a host's service has its peer's answers."""
    return [one["state"] for one in station.live().get("peers", [])] == ["up"]


def guided(*commands: str) -> list[str]:
    """Return the line of the guide to two hosts on which each of these commands is typed."""
    guide = (Path(__file__).parents[2] / "docs/guide/two-hosts.md").read_text(encoding="utf-8")
    return [re.findall(rf"^recorder-sync {command} .*$", guide, re.M)[0] for command in commands]


def dice(seed: int) -> random.Random:
    """Return what a test leaves to chance, the same in every run; RECORDER_SYNC_SEED tries another."""
    seed = int(os.environ.get("RECORDER_SYNC_SEED", seed))
    log.warning("RECORDER_SYNC_SEED=%d", seed)
    return random.Random(seed)


def away(station: Station) -> bool:
    """Tell whether a host's service calls its peer away."""
    return [one["state"] for one in station.live().get("peers", [])] == ["away"]


def _typed(inviting: "subprocess.Popen[str]") -> str:
    """Return the command that an inviting host prints."""
    assert inviting.stdout is not None
    said = ""
    while line := inviting.stdout.readline():
        said += line
        assert "has no peer" not in said, "it is about to get one"
        if found := re.search(r"recorder-sync join \S+ FOLDER", line):
            return found[0]
    raise AssertionError(f"it printed no command: {said}")


def tune(station: Station, gaps: str, fill: str) -> None:
    """Let a host miss its peer and tell alarms within seconds; `gaps` and `fill` are more lines of these tables."""
    text = station.config.read_text()
    told = f"cat >> {station.folder}/alarms.jsonl"
    for table, more in (
        ("gaps", gaps),
        ("fill", fill),
        ("link", 'timeout = "2s"'),
    ):
        assert f"[{table}]\n" in text
        text = text.replace(f"[{table}]\n", f"[{table}]\n{more}\n", 1)
    text = text.replace('reserve = "2 GB"', 'reserve = "1 MB"')
    text += f"""
[service]
pulse = "500ms"
away = "3s"
silent = "1h"
reserve = "1 MB"

[[alarms]]
name = "operator"
kind = "command"
command = ["/bin/sh", "-c", "{told}"]
"""
    station.config.write_text(text)


@contextmanager
def staged(base: Path) -> Iterator[Stage]:
    """Give a stage; whatever happens, nothing of it is left running."""
    with VirtualLAN() as lan:
        stage = Stage(base, lan)
        try:
            yield stage
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired):
                stage.end()


def quiet(stage: Stage, seconds: float, *, checked: Callable[[], object] = lambda: True) -> None:
    """Wait until neither host is filling and neither knows of anything that could be filled."""

    def nothing_open() -> bool:
        if any(station.live().get("fill") for station in stage.both):
            return False
        return bool(checked()) and not stage.a.open_gaps() and not stage.b.open_gaps()

    eventually(nothing_open, seconds, "everything that could be filled is", every=0.5)
    time.sleep(0.3)
