"""Servers that record nothing any more: with both of them dead nobody lacks what the other has, and all looks well.

Rule: pure. Only for recorders that record continuously, and only up to now: silence in the past is an outage.
"""

from collections.abc import Iterable, Mapping

from schema.moments import human_duration


def silent(servers: Iterable[str], newest: Mapping[str, int], now: int, patience: int) -> dict[str, int]:
    """Return the servers whose newest recording is older than `patience`, with its age, all in microseconds.

    Args:
        newest: by server, where the newest recording of any of its cameras ends. A server without one may be new.
    """
    ages = {server: now - newest[server] for server in servers if server in newest}
    return {server: age for server, age in ages.items() if age > patience}


def sentences(silences: Mapping[str, int]) -> list[str]:
    """Return what an operator should know."""
    return [
        f"{server} records nothing any more: its newest recording is {human_duration(age)} old"
        for server, age in silences.items()
    ]
