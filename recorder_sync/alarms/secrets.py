"""`${NAME}` in a channel's settings: taken from the environment, and never said again.

Rule: what a channel says about a failure goes through `hide`, because receivers repeat what they were sent.
"""

import re
from collections.abc import Mapping

from schema.errors import SecretMissing

_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SHORTEST = 4
"""A shorter value is no secret, and hiding it would blot out ordinary words."""


class Secrets:
    """The secrets of one channel."""

    def __init__(self, channel: str, environment: Mapping[str, str]) -> None:
        self._channel = channel
        self._environment = environment
        self._known: set[str] = set()

    def expand(self, text: str) -> str:
        """Return `text` with every `${NAME}` replaced. Raises SecretMissing."""

        def value(found: re.Match[str]) -> str:
            secret = self._environment.get(found[1], "").strip()  # files that hold secrets end with a newline
            if not secret:
                raise SecretMissing(self._channel, found[1])
            self.note(secret)
            return secret

        return _NAME.sub(value, text)

    def note(self, secret: str) -> None:
        """Hide `secret` from now on: a password that was written into the configuration is one too."""
        if len(secret) >= _SHORTEST:
            self._known.add(secret)

    def hide(self, text: str) -> str:
        """Return `text` without any secret."""
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text
