"""`recorder-sync pause` and `resume`: let the service fill nothing for a while.

Rule: a note in the ledger for the servers of this configuration, so that it holds over restarts of the service and says
who wanted it; others that share the ledger fill on. The service reads it; what is under way then waits where it is and
loses nothing.
"""

import getpass
import os
import socket
from pathlib import Path

from recorder_sync.app import now, opened
from recorder_sync.cli.output import results
from schema.errors import EXIT_DONE
from schema.moments import clock

_LONGEST = 400


def note(who: str, at: int, reason: str) -> str:
    """Return the sentence that is kept: `since 2026-11-22 10:00:00Z by ann@nvr-a: new switch`."""
    reason = " ".join(reason.split())[:_LONGEST]
    return f"since {clock(at)} by {who}" + (f": {reason}" if reason else "")


def run_pause(config: Path, reason: str) -> int:
    """Note that filling is paused; returns the exit code. A pause that holds already keeps its begin and is said."""
    with opened(config) as app:
        with app.ledger.writing() as connection:
            before = app.ledger.contacts.paused(connection, app.site.local)
            said = before or note(_who(), now(), reason)
            app.ledger.contacts.pause(connection, app.site.local, said)
        results().print(f"filling is paused {'already, ' if before else ''}{said}", soft_wrap=True)
        results().print("recordings, scans and alarms go on; 'recorder-sync resume' ends it", soft_wrap=True)
    return EXIT_DONE


def run_resume(config: Path) -> int:
    """Note that filling goes on; returns the exit code."""
    with opened(config) as app:
        with app.ledger.writing() as connection:
            before = app.ledger.contacts.paused(connection, app.site.local)
            app.ledger.contacts.pause(connection, app.site.local, "")
        results().print(
            f"filling goes on; it was paused {before}" if before else "filling was not paused", soft_wrap=True
        )
    return EXIT_DONE


def _who() -> str:
    """Return who types this: behind sudo, the one who called it."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a number without a name
        user = "somebody"
    return f"{user}@{socket.gethostname().partition('.')[0]}"
