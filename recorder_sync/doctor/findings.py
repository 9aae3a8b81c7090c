"""What an examination says: one sentence about one thing, and what to do about it.

Rule: pure. What could not be looked at is said to be unknown; it never counts as good.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from schema.errors import OperatorError, hint_of


class Verdict(Enum):
    """How bad it is. Operators read the word."""

    OK = "ok"
    UNKNOWN = "unknown"
    """It could not be looked at, which is said with the reason."""
    WARNING = "warning"
    """It works; something may go wrong, or is not as good as it could be."""
    PROBLEM = "problem"
    """Something does not work, or recordings are at risk."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing. `do` is empty where nothing need be done."""

    area: str
    subject: str
    verdict: Verdict
    says: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """Makes the findings of one thing."""

    area: str
    subject: str

    def ok(self, says: str) -> Finding:
        """Return that it is as it should be."""
        return Finding(self.area, self.subject, Verdict.OK, says)

    def unknown(self, says: str, do: str = "") -> Finding:
        """Return that it could not be looked at."""
        return Finding(self.area, self.subject, Verdict.UNKNOWN, says, do)

    def warning(self, says: str, do: str) -> Finding:
        """Return that it works and had better be seen to."""
        return Finding(self.area, self.subject, Verdict.WARNING, says, do)

    def problem(self, says: str, do: str) -> Finding:
        """Return that it does not work."""
        return Finding(self.area, self.subject, Verdict.PROBLEM, says, do)

    def error(self, error: OperatorError) -> Finding:
        """Return the problem that an error of the catalogue names, with its hint."""
        return self.problem(str(error), hint_of(error))


def count(findings: Iterable[Finding], verdict: Verdict) -> int:
    """Return how many of the findings are of a verdict."""
    return sum(one.verdict is verdict for one in findings)
