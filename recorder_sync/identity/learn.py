"""Learning the primary's id while it can be reached, and telling a peer that of the recorder here.

Rule: an id is learnt only from who has it: the primary's own file, or the primary's own recorder-sync that proved who
it is. A recorder that answers with another's id for now tells none, and one's own id is never taken for the primary's.
"""

import threading
from collections.abc import Callable

from recorder_sync.identity.clone import situation
from recorder_sync.identity.document import digest, read
from recorder_sync.identity.drivers import told_state
from recorder_sync.identity.exchange import load
from recorder_sync.identity.guid import canonical, same
from recorder_sync.identity.place import Place
from recorder_sync.identity.signals import Beside
from recorder_sync.identity.vault import Known
from schema.errors import IdentityUnknown, OperatorError, RecorderFileUnreadable
from schema.identity import IdentityRules
from schema.wire import IdentityMessage, ServiceState, plain


def from_file(server: str, path: str, at: int) -> Known:
    """Return the id in a recorder's file. Raises RecorderFileInvalid, RecorderFileUnreadable."""
    found = read(load(path), path)
    return Known(server=server, id=found.id, digest=digest(found.raw), at=at, source=path)


def from_file_within(server: str, path: str, at: int, seconds: float) -> Known:
    """Do so, but do not wait longer: the share of a dead host can keep a reader for minutes.

    Raises RecorderFileInvalid, RecorderFileUnreadable.
    """
    found: list[Known | OperatorError] = []

    def look() -> None:
        try:
            found.append(from_file(server, path, at))
        except OperatorError as error:
            found.append(error)

    thread = threading.Thread(target=look, daemon=True, name="recorder file")
    thread.start()
    thread.join(seconds)
    if not found:
        raise RecorderFileUnreadable(path, f"nothing came within {seconds:g} s")
    if isinstance(found[0], OperatorError):
        raise found[0]
    return found[0]


def from_link(server: str, beside: Beside, at: int) -> Known:
    """Return the id that recorder-sync on `server` tells. Raises IdentityUnknown and the errors of a link."""
    if not beside.sure:
        raise IdentityUnknown(server, "without encryption anybody could tell a false one over the link")
    told = beside.identity()
    if not told.id:
        raise IdentityUnknown(server, f"it does not tell it: {told.problem or 'it gives no reason'}")
    if canonical(told.id) is None:
        raise IdentityUnknown(server, f"it tells {told.id!r}, which is no recorder id")
    return Known(server=server, id=told.id, digest=told.digest, at=at, source=f"the link to {server}")


def check_not_own(found: Known, own: str) -> Known:
    """Return what was learnt. Raises IdentityUnknown if that is the id of the recorder here."""
    if same(found.id, own):
        said = f"{found.source} has the id of the recorder here, {own}; one of the two was changed by hand"
        raise IdentityUnknown(found.server, said)
    return found


def tell(
    rules: IdentityRules,
    lookup: Callable[[IdentityRules], tuple[ServiceState, str]] = told_state,
    waits: bool = False,
) -> IdentityMessage:
    """Return what a peer is told of the recorder here. Whatever keeps it from being told is said instead.

    `waits`: its recorder is started as soon as nobody else answers with its id.
    """
    if rules.config is None:
        return IdentityMessage(problem="identity.config is not set on that host")
    service, problem = lookup(rules)
    if service == "stopped" and Place(rules.folder).busy():
        service = "running"  # whoever stopped it starts it again in a moment, and nobody is to stand in for it
    try:
        found = situation(rules.config, Place(rules.folder))
    except OperatorError as error:
        return IdentityMessage(service=service, waits=waits, problem=plain(str(error)))
    if found.entry is not None:
        said = f"its recorder has the id of {found.entry.server} for now"
        return IdentityMessage(holds=found.document.id, service=service, waits=waits, problem=plain(said))
    return IdentityMessage(
        id=found.document.id,
        digest=digest(found.document.raw),
        service=service,
        waits=waits,
        problem=plain(problem),
    )
