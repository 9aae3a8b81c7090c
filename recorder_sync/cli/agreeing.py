"""Saying what a command is about to change, and asking.

Rule: nothing is changed without a yes; where nobody can be asked, `--yes` is wanted, and what it would mean is said.
"""

import sys
from collections.abc import Sequence

from recorder_sync.cli.output import complaints
from schema.errors import UsageInvalid


def agreed(steps: Sequence[str], command: str, *, yes: bool) -> bool:
    """Say what will be done and ask, unless that was answered already. Raises UsageInvalid."""
    console = complaints()
    for step in steps:
        console.print(f"  {step}", soft_wrap=True)
    if yes:
        return True
    if not (console.is_terminal and sys.stdin.isatty()):
        raise UsageInvalid(command, "that is what it would do; add --yes")
    if confirmed("Do this?"):
        return True
    console.print("nothing was changed")
    return False


def confirmed(question: str) -> bool:
    """Ask for a yes; no answer, or the end of the input, is a no."""
    try:
        return complaints().input(f"{question} [y/N] ", markup=False).strip().lower() == "y"
    except EOFError:
        complaints().print()
        return False
