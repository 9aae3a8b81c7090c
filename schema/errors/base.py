"""What every error of the catalogue is: a sentence, an exit code, a hint, and whether trying again can help.

Rule: 1 means that gaps or damage were found and nothing else, so that scripts can count on it.
"""

import string

EXIT_DONE = 0
"""Everything asked for was done."""

EXIT_FOUND = 1
"""Gaps or damage were found: for scripts and monitoring."""

EXIT_USAGE = 2
"""The command line or the configuration is wrong."""

EXIT_CRASHED = 70
"""A defect of ours; never 1, which means that gaps were found."""

EXIT_INTERRUPTED = 130
"""Stopped by the operator (Ctrl-C); the next run continues."""


class OperatorError(Exception):
    """Something an operator can understand and act on."""

    exit_code = EXIT_CRASHED
    transient = False
    hint = ""

    def __init__(self, *details: object) -> None:
        super().__init__(*details)
        self.details = details

    def __str__(self) -> str:
        """Return the class's sentence with the details filled in."""
        sentence = " ".join((type(self).__doc__ or "").split())
        return string.Formatter().vformat(sentence, self.details, {})


def hint_of(error: OperatorError) -> str:
    """Return what to do about `error`, with its details filled in."""
    return string.Formatter().vformat(error.hint, error.details, {})
