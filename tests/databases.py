"""PostgreSQL servers of our own for tests, on a socket in a temporary folder: they can be stopped and started."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest


def binaries() -> Path | None:
    """Return where initdb and postgres are: on the path, or where Debian puts them."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return candidates[-1].parent if candidates else None


class Postgres:
    """One server. Skips the test where PostgreSQL is not installed."""

    def __init__(self) -> None:
        where = binaries()
        if where is None:
            pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
        self._binaries = where
        self._folder = Path(tempfile.mkdtemp(prefix="rs-pg-"))
        self._as_user: list[str] = []
        if os.geteuid() == 0:  # the server refuses to run as root
            self._as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            shutil.chown(self._folder, 65534, 65534)
        self._server: subprocess.Popen[bytes] | None = None
        options = ["-U", "test", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(
            [*self._as_user, str(self._binaries / "initdb"), "-D", str(self._data), *options],
            check=True,
            capture_output=True,
        )

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def url(self) -> str:
        """The address of its first database."""
        return f"postgresql+psycopg://test@/postgres?host={self._folder}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        import psycopg

        command = [str(self._binaries / "postgres"), "-D", str(self._data), "-k", str(self._folder)]
        self._server = subprocess.Popen(
            [*self._as_user, *command, "-c", "listen_addresses=", "-F"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(f"host={self._folder} user=test dbname=postgres").close()
            except psycopg.OperationalError:
                assert self._server.poll() is None and time.monotonic() < deadline, "PostgreSQL did not start"
                time.sleep(0.05)
            else:
                return

    def stop(self, *, at_once: bool = False) -> None:
        """Stop: without waiting for anybody, and with `at_once` as after a crash."""
        assert self._server is not None
        if at_once:
            self._server.send_signal(3)  # SIGQUIT: its "immediate" shutdown, which recovers at the next start
        else:
            self._server.send_signal(2)  # SIGINT: its "fast" shutdown
        self._server.wait(30)
        self._server = None

    def remove(self) -> None:
        """Stop it if it runs, and delete everything."""
        if self._server is not None:
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
