"""Pairs that share a ledger, seen from anywhere: their sites, built from what their services wrote down there.

Rule: no configuration of theirs is needed and none of their folders is looked at. What counts as a gap each service has
noted with its own words; of one that has not, the defaults hold, and that is said.
"""

import msgspec

from backfill.site import Site, remote_storages
from schema.ledger import Connection, Ledger
from schema.service import Service
from schema.settings import Gaps, Scan, Settings
from schema.units import Duration


class _Told(msgspec.Struct, frozen=True):
    """The part of a configuration that reports rest on, in microseconds."""

    policy: str
    threshold: int
    settle: int | None
    rescan: int
    silent: int | None


def note_rules(ledger: Ledger, connection: Connection, settings: Settings) -> None:
    """Write down what counts as a gap on the servers of this configuration."""
    gaps = settings.gaps
    told = _Told(
        policy=gaps.policy,
        threshold=int(gaps.threshold),
        settle=None if gaps.settle is None else int(gaps.settle),
        rescan=int(settings.scan.rescan),
        silent=None if settings.service.silent is None else int(settings.service.silent),
    )
    for server in settings.servers:
        ledger.contacts.put(connection, _name(server.name), msgspec.json.encode(told).decode())


def pair_site(ledger: Ledger, servers: list[str]) -> Site:
    """Return the site of one pair."""
    remote, problems = remote_storages(servers, ledger)
    settings, said = _rules(ledger, servers)
    return Site(settings, tuple(servers), (), {}, remote, (*problems, *said))


def _rules(ledger: Ledger, servers: list[str]) -> tuple[Settings, list[str]]:
    """Return what counts as a gap in a pair, by the first of its servers that said so."""
    for server in servers:
        with ledger.reading() as connection:
            text = ledger.contacts.get(connection, _name(server))
        try:
            told = msgspec.json.decode(text, type=_Told)
            policy = msgspec.convert(told.policy, type=Gaps.__annotations__["policy"])
        except msgspec.MsgspecError:
            continue  # never told, or damaged; told anew when its service starts
        gaps = Gaps(
            policy=policy,
            threshold=Duration(told.threshold),
            settle=None if told.settle is None else Duration(told.settle),
        )
        service = Service(silent=None if told.silent is None else Duration(told.silent))
        return Settings(servers=[], gaps=gaps, scan=Scan(rescan=Duration(told.rescan)), service=service), []
    return Settings(servers=[]), ["no service has said what counts as a gap here: the defaults are taken"]


def _name(server: str) -> str:
    return f"rules:{server}"
