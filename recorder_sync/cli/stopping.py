"""Ctrl-C and SIGTERM during long work, and the rates that operators type."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from backfill.gate import Gate
from schema.errors import UsageInvalid
from schema.moments import parse_rate
from schema.units import Rate


@contextmanager
def stopping(gate: Gate) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM stop `gate` in this block: what is landed stays, what is under way continues next time."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda *_: gate.stop())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def rate(option: str, text: str) -> Rate:
    """Return the rate that `text` names. Raises UsageInvalid."""
    try:
        return Rate(parse_rate(text))
    except ValueError as error:
        raise UsageInvalid(option, error) from None
