"""What counts as a recorder's id: a GUID with hyphens, in any case, in braces or without.

Rule: pure. Ids are compared as numbers are, and written as somebody has written them: no spelling is invented here.
"""

import re

_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_NONE = "00000000-0000-0000-0000-000000000000"


def canonical(text: str) -> str | None:
    """Return an id in small letters without braces; None for what is none. The one of zeros only is nobody's."""
    inside = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    found = inside.lower()
    return found if _GUID.fullmatch(inside) and found != _NONE else None


def same(one: str, other: str) -> bool:
    """Tell whether two texts are one id."""
    return canonical(one) is not None and canonical(one) == canonical(other)
