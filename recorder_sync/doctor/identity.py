"""Whether this host could take the primary's id, or is the primary: its file, its service, what is kept, the ports.

Rule: looks and judges; nothing is stopped, started, locked or learnt.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from recorder_sync.doctor.findings import About, Finding
from recorder_sync.identity.clone import Situation, situation
from recorder_sync.identity.drivers import State, driver
from recorder_sync.identity.guid import same
from recorder_sync.identity.interlock import Reading
from recorder_sync.identity.place import Place
from recorder_sync.identity.registry import WHERE, Kept, Registry, held
from recorder_sync.identity.signals import knock
from recorder_sync.identity.vault import Known, Vault
from schema.errors import OperatorError
from schema.identity import IdentityRules
from schema.moments import human_duration
from schema.spans import DAY, SECOND

_T = TypeVar("_T")
_OLD = DAY
"""An id that was kept longer ago than this is not read any more: something keeps the service from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityFacts:
    """What was found; where something could not be looked at, the error."""

    rules: IdentityRules
    here: Situation | OperatorError
    service: State | OperatorError
    kept: Known | OperatorError | None
    age: int | None
    """Microseconds since that was read."""
    ports: tuple[tuple[str, Reading, str], ...]
    """Each address, what it says, and the sentence for it."""
    registry: Kept | None = None
    """What the machine's registry holds; None on a machine that has none."""


def facts(rules: IdentityRules, now: Callable[[], int], registry: Registry) -> IdentityFacts | None:
    """Return what is to be known; None where no identity is configured."""
    if rules.config is None:
        return None
    config, place = rules.config, Place(rules.folder)
    primary = rules.primary
    kept = None if primary is None else _tried(lambda: Vault(place).known(primary))
    return IdentityFacts(
        rules=rules,
        here=_tried(lambda: situation(config, place)),
        service=_tried(lambda: driver(rules).state()),
        kept=kept,
        age=now() - kept.at if isinstance(kept, Known) else None,
        ports=tuple((one, *knock(one, rules.probe / SECOND)) for one in rules.ports),
        registry=held(registry),
    )


def state(rules: IdentityRules) -> State | OperatorError | None:
    """Return what the recorder's service is doing where it is configured for imports alone; None where it is not."""
    if rules.config is not None or rules.server is None:
        return None
    return _tried(lambda: driver(rules).state())


def _tried(look: Callable[[], _T]) -> _T | OperatorError:
    try:
        return look()
    except OperatorError as error:
        return error


def service(rules: IdentityRules, found: State | OperatorError) -> Finding:
    """Return what is to be said of the recorder's service."""
    about = About("identity", "service")
    if isinstance(found, OperatorError):
        return about.error(found)
    return about.ok(f"the recorder's service {rules.service!r} is {found.value}")


def judge(found: IdentityFacts) -> Iterator[Finding]:
    """Yield what is to be said of the recorder's identity."""
    yield _file(found)
    if found.registry is not None:
        yield _registry(found.registry, found.here)
    yield service(found.rules, found.service)
    if found.rules.primary is not None:
        yield from _primary(found, found.rules.primary)


def _file(found: IdentityFacts) -> Finding:
    about = About("identity", found.rules.config or "")
    if isinstance(found.here, OperatorError):
        return about.error(found.here)
    if found.here.entry is not None:
        server = found.here.entry.server
        do = "nothing while that one is down; else 'recorder-sync clone-id --undo'"
        return about.warning(f"the recorder here has the id of {server}, not its own {found.here.own}", do)
    return about.ok(f"the recorder here has its own id {found.here.own}")


def _registry(kept: Kept, here: Situation | OperatorError) -> Finding:
    """Return whether the registry holds the id of the file; that it is to, is recalled and nowhere documented."""
    about = About("identity", WHERE)
    if kept.problem:
        return about.unknown(f"it could not be read: {kept.problem}", "run this as the account of the service")
    if kept.id is None:
        return about.unknown("it is not there; whether this release of the recorder has it is not known")
    if isinstance(here, OperatorError):
        return about.unknown("the recorder's file could not be read, so there is no id to hold it against")
    if same(kept.id, here.document.id):
        return about.ok(f"it holds the id of the recorder's file, {here.document.id}")
    return about.warning(
        f"it holds {kept.id[:60]!r}, and the recorder's file {here.document.id}",
        "see which is right: 'recorder-sync clone-id' changes it only where both are the same",
    )


def _primary(found: IdentityFacts, server: str) -> Iterator[Finding]:
    about = About("identity", f"of {server}")
    learn = "let 'recorder-sync run' reach it, or run 'recorder-sync clone-id --learn' while it is there"
    if isinstance(found.kept, OperatorError):
        yield about.error(found.kept)
    elif found.kept is None:
        yield about.problem("its id is not kept here: it could not be taken over", learn)
    elif not isinstance(found.here, OperatorError) and same(found.kept.id, found.here.own):
        yield about.problem("it has the id of the recorder here: they must never run together", "see which is right")
    elif found.age is not None and found.age > _OLD:
        yield about.warning(f"its id was read {human_duration(found.age)} ago and not since", learn)
    else:
        yield about.ok(f"its id {found.kept.id} is kept, read {human_duration(max(0, found.age or 0))} ago")
    for address, reading, said in found.ports:
        port = About("identity", address)
        if reading is Reading.ALIVE:
            yield port.ok("the primary's recorder answers there")
        else:
            yield port.warning(said, f"while {server} runs it must answer there: check the address and the firewall")
