"""What a bank's own `config.xml` says of how long and how much its recorder keeps there.

Rule: pure; what another program wrote is not trusted, and what it does not say is no limit.

Source: `max_minutes`, `max_size_in_mb` and `archive/link` in public code that reads banks (docs/guide/xprotect.md);
that a recorder leaves 5 GB of what is configured unused is in the vendor's manual.
"""

import re

from lxml import etree

from backfill.layouts.capabilities import Limits
from backfill.layouts.xprotect.cache import CacheBad, document
from schema.spans import MINUTE

_MB = 10**6
_UNUSED = 5 * 10**9
_LARGEST = 2**40


def bank_limits(content: bytes) -> Limits:
    """Return what a bank's `config.xml` says. Raises CacheBad if it is none.

    One that moves its recordings on deletes none by their age, and of those beyond its size the oldest are moved on.
    """
    root = document(content)
    if root.tag != "bank":
        raise CacheBad("it is no bank's configuration")
    minutes, megabytes = _number(root, "max_minutes"), _number(root, "max_size_in_mb")
    moves_on = bool((root.findtext("archive/link/destination_bank") or "").strip())
    return Limits(
        keeps=minutes * MINUTE if minutes and not moves_on else None,
        most=max(0, megabytes * _MB - _UNUSED) if megabytes else None,
    )


def _number(root: etree._Element, tag: str) -> int:
    """Return a whole number, 0 where there is none that could be meant."""
    text = (root.findtext(tag) or "").strip()
    return int(text) if re.fullmatch(r"\d{1,12}", text, re.ASCII) and int(text) <= _LARGEST else 0
