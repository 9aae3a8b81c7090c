"""How a role tells what it decides: each sentence in the status, and in the log those that say something new.

Rule: a sentence of the same phase says nothing new, only other figures, and neither does one failure after another.
That something is tried again does not end a failure: what fails at every look must not fill the log.
"""

from collections.abc import Callable

import structlog

from recorder_sync.roles.decide import Act, Decision, Phase
from schema.errors import OperatorError

_log = structlog.get_logger()


class Saying:
    """What one role says.

    Args:
        tell: gets the present sentence.
        decided: how the log calls a decision.
        failed: how it calls a failure.
    """

    def __init__(self, tell: Callable[[str], None], *, decided: str, failed: str) -> None:
        self._tell = tell
        self._decided = decided
        self._failed = failed
        self._phase: Phase | None = None
        self._failing = False

    def decided(self, decision: Decision) -> None:
        """Say what is decided."""
        self._tell(decision.said)
        recovered = self._failing and decision.act is Act.NOTHING
        if recovered or decision.phase is not self._phase:
            _log.info(self._decided, said=decision.said)
            self._failing = False
        self._phase = decision.phase

    def failed(self, error: OperatorError, said: str) -> None:
        """Say what went wrong, in the words that the status is to have."""
        self._tell(said)
        if not self._failing:
            _log.error(self._failed, said=str(error))
        self._failing = True

    def nothing(self) -> None:
        """Have nothing to say any more."""
        self._tell("")
