"""A free TCP port for a server of a test that others keep knocking at while it is down.

Rule: never one that the system gives to connections: who tries to connect to such a port while nobody listens there is
now and then given that very port and meets itself, which looks like an answer and keeps the server from listening.
"""

import random
import socket
from pathlib import Path


def free_port() -> int:
    """Return a port of 127.0.0.1 below those that connections are given."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    while True:
        port = random.randrange(max(1024, first - 12_000), first)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
