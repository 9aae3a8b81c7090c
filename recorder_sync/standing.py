"""How each server stands: what its own service, its peers and the ledger say of it, made one.

Rule: pure; times in microseconds UTC come in. Who says of itself that it lives, lives, whoever cannot reach it. What
was seen longer ago than signs of life are apart is not known any more, and is never shown as if it were.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from backfill.survey import Survey
from recorder_sync.service import observe
from schema.documents import LiveDocument, LivePeerDocument
from schema.ledger.contacts import Contact
from schema.moments import clock, parse_moment
from schema.spans import MINUTE
from schema.values import Reach

FRESH = 3 * MINUTE
"""A sign of life is written every minute."""

STOPPED = "stopped"
HERE = (Reach.UP.value, Reach.STANDBY.value)
_GONE = (Reach.AWAY, Reach.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One server. `since` is when `state` began, `last` the last sign of life; None if that is not known."""

    server: str
    state: str
    since: int | None = None
    last: int | None = None
    detail: str = ""


def from_ledger(server: str, contacts: Iterable[Contact], now: int) -> Standing:
    """Return how a server stands by what was written of it."""
    seen = [one for one in contacts if one.server == server]
    own = next((one for one in seen if one.observer == server), None)
    others = [one for one in seen if one.observer != server]
    last = max((one.seen for one in seen), default=0) or None
    gone = [one for one in others if one.state in _GONE]
    if own is not None and own.state.value in HERE and abs(now - own.seen) <= FRESH:
        said = [own.detail] if own.detail else []
        said += [f"{one.observer} cannot reach it since {clock(one.since)}: {one.detail}" for one in gone]
        return Standing(server=server, state=own.state.value, since=own.since, last=last, detail="; ".join(said))
    if own is not None and own.state is Reach.UNKNOWN and own.seen == last:  # it said good-bye
        return Standing(server=server, state=STOPPED, since=own.since, last=last, detail=own.detail)
    if gone:
        newest = max(gone, key=lambda one: max(one.since, one.seen))
        return Standing(server=server, state=newest.state.value, since=newest.since, last=last, detail=newest.detail)
    met = max((one for one in others if one.state.value in HERE), key=lambda one: one.seen, default=None)
    if met is not None and abs(now - met.seen) <= FRESH:
        return Standing(server=server, state=met.state.value, since=met.since, last=last, detail=met.detail)
    detail = f"{met.observer} saw it {met.state.value} then, and has not looked since" if met else ""
    detail = "its service has given no sign of life since" if own is not None else detail
    return Standing(server=server, state=Reach.UNKNOWN.value, last=last, detail=detail)


def peer_of(live: LiveDocument, server: str) -> LivePeerDocument | None:
    """Return what the service here knows of a peer."""
    return next((one for one in live.peers if one.server == server), None)


def from_service(server: str, live: LiveDocument) -> Standing | None:
    """Return how a server stands by the service that runs here; None if it does not know that server."""
    peer = peer_of(live, server)
    if peer is None:
        return None
    return Standing(
        server=server,
        state=peer.state,
        since=_us(peer.since),
        last=None if peer.last is None else _us(peer.last),
        detail=peer.detail,
    )


def of_itself(server: str, live: LiveDocument, now: int) -> Standing:
    """Return how a server stands whose service runs here and answered."""
    state = Reach.STANDBY if live.paused else Reach.UP
    said = [live.paused, live.problem]
    detail = "; ".join(one for one in said if one)
    return Standing(server=server, state=state.value, since=_us(live.started), last=now, detail=detail)


def _us(moment: str) -> int:
    return parse_moment(moment, 0)


def recording(
    found: Survey, scanned: Mapping[str, int], *, patience: int, continuous: bool, alive: int
) -> dict[str, dict[str, bool]]:
    """Return by server which of its cameras are recorded, as of when its storages were last read.

    Args:
        scanned: when the storages of each server were last read, the oldest of them; one read longer ago than `alive`
            is left out, because nobody knows.
    """
    newest: dict[str, dict[str, int]] = {}
    for camera, by_server in found.coverage.items():
        for server, one in by_server.items():
            if one.own:
                newest.setdefault(server, {})[camera] = one.own[-1].end
    told: dict[str, dict[str, bool]] = {}
    for server, ends in newest.items():
        at = min(found.question.now, scanned.get(server, 0))
        if found.question.now - at > alive:
            continue
        elsewhere: dict[str, int] = {}
        for other, theirs in newest.items():
            for camera, end in theirs.items():
                if other != server:
                    elsewhere[camera] = max(end, elsewhere.get(camera, 0))
        silence = observe.silence(ends, elsewhere, now=at, patience=patience, continuous=continuous)
        known = {camera for camera, end in ends.items() if at - end < observe.REMEMBERED}
        quiet = known if silence.recorder is not None else set(silence.cameras)
        told[server] = {camera: camera not in quiet for camera in sorted(known)}
    return told


def heard(silent: Iterable[str], known: Iterable[str]) -> dict[str, bool]:
    """Return which cameras of a server are recorded where its service was just heard: it knows better than a copy."""
    quiet = set(silent)
    return {camera: camera not in quiet for camera in sorted({*quiet, *known})}


def silent_here(live: LiveDocument, server: str) -> list[str]:
    """Return the cameras that the service here says its own recorder does not record."""
    ending = f" on {server}"
    return [one.removesuffix(ending) for one in live.silent if one.endswith(ending)]
