"""A real supervisord for tests, with the programs they want."""

import subprocess
import sys
import textwrap
from pathlib import Path

SOCKET = "s"
"""Where it answers, in its folder."""


def supervisord(folder: Path, programs: str) -> "subprocess.Popen[bytes]":
    """Start one in `folder`; it answers at the socket there a moment later."""
    conf = folder / "supervisord.conf"
    conf.write_text(
        textwrap.dedent(f"""
        [unix_http_server]
        file={folder / SOCKET}
        [supervisord]
        nodaemon=true
        logfile={folder}/supervisord.log
        pidfile={folder}/supervisord.pid
        childlogdir={folder}
        [rpcinterface:supervisor]
        supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
        """)
        + textwrap.dedent(programs)
    )
    return subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def ended(process: "subprocess.Popen[bytes]") -> None:
    """Let it stop its programs and end, by force if it does not."""
    process.terminate()
    try:
        process.wait(20)
    finally:
        process.kill()
        process.wait()
