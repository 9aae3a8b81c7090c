"""The demo's story: cameras film, two recorders record, one dies and returns, for some seconds both are down.

Rule: everything is real - processes, signals, files - and ends with this process, whatever happens.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from schema.errors import DemoFailed

CAMERAS = {"front": 10, "yard": 40}
"""Camera and its frames from key frame to key frame, at 10 frames a second."""

SERVERS = ("nvr-a", "nvr-b")
_START_SECONDS = 15.0
_STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds between the steps of the story."""

    b_starts: float = 4
    a_dies: float = 27
    b_dies: float = 20
    a_returns: float = 6
    b_returns: float = 5
    end: float = 21


Say = Callable[[str], None]


class Stage:
    """The processes of the demo, below one folder. Leaving the block ends them all."""

    def __init__(self, folder: Path, layout: str, timing: Timing, say: Say) -> None:
        self._folder = folder
        self._layout = layout
        self._timing = timing
        self._say = say
        self._url = ""
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def root(self, server: str) -> Path:
        """Return where `server` records."""
        return self._folder / server / "recordings"

    def play(self) -> None:
        """Play the whole story. Raises DemoFailed if a process does not do its part."""
        timing = self._timing
        self._start_cameras()
        self._say(f"{len(CAMERAS)} cameras film; nvr-a records")
        self._record("nvr-a")
        time.sleep(timing.b_starts)
        self._record("nvr-b")
        self._say("nvr-b records the same cameras, on its own")
        time.sleep(timing.a_dies)
        self._kill("nvr-a")
        self._say("power cut: nvr-a is killed (SIGKILL)")
        time.sleep(timing.b_dies)
        self._kill("nvr-b")
        self._say("nvr-b is killed too: for some seconds nobody records")
        time.sleep(timing.a_returns)
        self._record("nvr-a")
        self._say("nvr-a is back")
        time.sleep(timing.b_returns)
        self._record("nvr-b")
        self._say("nvr-b is back")
        time.sleep(timing.end)
        self._check_alive()
        for server in SERVERS:
            self._stop(server)
        self._stop("cameras")
        self._say("end of the recording")

    def _spawn(self, name: str, *arguments: str) -> None:
        # stdin stays empty, output goes to a log: a demo that fails leaves something to read.
        with open(self._folder / f"{name}.log", "ab") as log:
            self._processes[name] = subprocess.Popen(  # noqa: S603  our own modules with fixed arguments
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "TZ": "UTC"},
            )

    def _start_cameras(self) -> None:
        port_file = self._folder / "cameras.port"
        cameras = [f"--camera={name}:{gop}" for name, gop in CAMERAS.items()]
        self._spawn(
            "cameras",
            "recorder_sync.demo.camera",
            f"--port-file={port_file}",
            f"--log-file={self._folder / 'cameras.jsonl'}",
            *cameras,
        )
        deadline = time.monotonic() + _START_SECONDS
        while not port_file.exists():
            if time.monotonic() > deadline or self._processes["cameras"].poll() is not None:
                raise DemoFailed("the cameras did not start; see cameras.log")
            time.sleep(0.05)
        self._url = f"http://127.0.0.1:{port_file.read_text().strip()}"

    def _record(self, server: str) -> None:
        root = self.root(server)
        root.mkdir(parents=True, exist_ok=True)
        cameras = [f"--camera={name}" for name in CAMERAS]
        # As with a real FFmpeg, the first file after a start is named seconds late.
        self._spawn(
            server,
            "recorder_sync.demo.recorder",
            f"--layout={self._layout}",
            f"--root={root}",
            f"--url={self._url}",
            "--linger",
            *cameras,
        )

    def _kill(self, server: str) -> None:
        self._processes[server].kill()
        self._processes[server].wait()

    def _stop(self, name: str) -> None:
        process = self._processes[name]
        process.terminate()
        try:
            code = process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise DemoFailed(f"{name} did not stop; see {name}.log") from None
        if code:
            raise DemoFailed(f"{name} ended with status {code}; see {name}.log")

    def _check_alive(self) -> None:
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise DemoFailed(f"{name} ended early with status {process.returncode}; see {name}.log")
