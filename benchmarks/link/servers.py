"""Servers that run while something is measured: started as a user would, on a port of their own, ended by their id."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from benchmarks.link.lines import Line
from benchmarks.measure import CHECKOUT

_STARTS_WITHIN = 30.0
_ENDS_WITHIN = 20.0
_PROBE = """
import socket, sys, time
end = time.monotonic() + float(sys.argv[3])
while True:
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2])), 1).close()
        break
    except OSError:
        if time.monotonic() > end:
            sys.exit(1)
        time.sleep(0.01)
"""


@contextmanager
def running(command: Sequence[str], line: Line, port: int) -> Iterator[tuple[int, ...]]:
    """Run a server while the block runs, once it answers on `port`; gives its process."""
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        ) as process,
    ):
        try:
            if not answers(line, port, process):
                said.seek(0)
                text = said.read().decode(errors="replace").strip()
                raise RuntimeError(f"{' '.join(command)} does not answer on port {port}: {text[-2000:]}")
            yield (process.pid,)
        finally:
            _end(process)


def answers(line: Line, port: int, process: "subprocess.Popen[bytes] | None" = None) -> bool:
    """Wait until something answers on `port` of the source; tells whether it does."""
    probe = [*line.at_destination, "python3", "-c", _PROBE, line.host, str(port), str(_STARTS_WITHIN)]
    with subprocess.Popen(probe) as probing:
        while probing.poll() is None:
            if process is not None and process.poll() is not None:
                probing.kill()
                return False
            time.sleep(0.01)
        return probing.returncode == 0


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask the server to end, then its whole session, which nobody else is in."""
    process.terminate()
    try:
        process.wait(_ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
