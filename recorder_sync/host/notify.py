"""Telling systemd how the service is: ready, busy with what, stopping, alive. The protocol of sd_notify(3).

Rule: telling is never a reason to fail or to wait. Without systemd, or with a socket that does not take the message,
nothing happens and the caller learns it. Messages are datagrams; each is complete in itself.
"""

import os
import socket
import time
from collections.abc import Callable, MutableMapping
from typing import Self

_SOCKET = "NOTIFY_SOCKET"


class Notifier:
    """Sends to the service manager, or to nobody if `address` is None."""

    def __init__(self, address: str | None, *, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._address: bytes | None = None
        # Only unix sockets: systemd 253 and later offer vsock too, to tell the host of a virtual machine.
        if address and address[0] in "/@":
            encoded = os.fsencode(address)
            self._address = b"\0" + encoded[1:] if address[0] == "@" else encoded

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str] = os.environ) -> Self:
        """Return a notifier to who started us. The address is taken out of `environ`: children must not use it."""
        return cls(environ.pop(_SOCKET, None))

    @property
    def listening(self) -> bool:
        """Tell whether there is a service manager to tell."""
        return self._address is not None

    def ready(self, status: str = "") -> bool:
        """Say that start-up, or a reload, is finished."""
        return self._send({"READY": "1"} | _status(status))

    def status(self, text: str) -> bool:
        """Say in one line what the service does, for `systemctl status`."""
        return self._send(_status(text))

    def reloading(self) -> bool:
        """Say that the configuration is read again; `ready` must follow."""
        return self._send({"RELOADING": "1", "MONOTONIC_USEC": str(self._clock() // 1000)})

    def stopping(self, status: str = "") -> bool:
        """Say that the service is on its way out."""
        return self._send({"STOPPING": "1"} | _status(status))

    def alive(self) -> bool:
        """Keep the watchdog quiet for another interval."""
        return self._send({"WATCHDOG": "1"})

    def _send(self, fields: dict[str, str]) -> bool:
        """Send one message; tells whether it was taken."""
        if self._address is None or not hasattr(socket, "AF_UNIX"):
            return False
        message = "\n".join(f"{name}={value}" for name, value in fields.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)  # a manager that does not read must not hold up the service
                sock.connect(self._address)
                sock.send(message.encode())
        except OSError:
            return False
        return True


def _status(text: str) -> dict[str, str]:
    """Return the field for a status; a line break in it would begin another field."""
    return {"STATUS": " ".join(text.split())} if text else {}


def watchdog_interval(environ: MutableMapping[str, str] = os.environ, pid: int | None = None) -> float | None:
    """Return how many seconds may pass between two signs of life; None if nobody waits for them.

    Half of what the manager allows, as sd_watchdog_enabled(3) recommends, and only if it means this process.
    """
    meant = environ.get("WATCHDOG_PID", "")
    allowed = environ.get("WATCHDOG_USEC", "")
    if not allowed.isdecimal() or int(allowed) == 0:
        return None
    if meant and meant != str(os.getpid() if pid is None else pid):
        return None
    return int(allowed) / 2 / 1_000_000
