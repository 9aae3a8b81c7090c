"""`recorder-sync fleet`: one report over every pair in a shared ledger.

Rule: from the ledger alone, wherever it is asked; nothing is scanned, nobody is asked, and no pair's folders or
configuration are needed.
"""

from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from backfill.fleet import pair_site
from backfill.report.grid import Grid, Kind
from recorder_sync.app import App, now
from recorder_sync.cli.gaps import timelines_of
from recorder_sync.cli.output import print_document, results
from recorder_sync.cli.status_view import details, servers
from recorder_sync.servers import servers_of
from recorder_sync.standing import HERE
from schema.documents import FleetDocument, FleetTotalDocument, PairDocument, ServerDocument
from schema.errors import EXIT_DONE, EXIT_FOUND
from schema.ledger import Ledger
from schema.moments import human_duration, iso
from schema.settings import load
from schema.spans import SECOND

NOBODY = "no service has written into this ledger yet: 'recorder-sync run' does, on each host"


def run(config: Path, *, ledger: str | None, since: str | None, until: str | None, as_json: bool) -> int:
    """Report on all pairs; returns the exit code."""
    address = load(config).ledger if ledger is None else _address(ledger)
    with Ledger.open(address) as opened:
        document = fleet_document(opened, since=since, until=until)
    if as_json:
        print_document(document)
    else:
        results().print(view(document))
    return EXIT_FOUND if document.total.gaps or document.total.away else EXIT_DONE


def _address(ledger: str) -> str:
    return ledger if "://" in ledger else str(Path(ledger).absolute())


def fleet_document(ledger: Ledger, *, since: str | None = None, until: str | None = None) -> FleetDocument:
    """Return the report on every pair in a ledger."""
    with ledger.reading() as connection:
        pairs = ledger.contacts.pairs(connection)
    documents = [_pair(ledger, pair, members, since, until) for pair, members in pairs.items()]
    everyone = [server for pair in documents for server in pair.servers]
    return FleetDocument(
        generated=iso(now()),
        ledger=ledger.address,
        pairs=documents,
        total=FleetTotalDocument(
            pairs=len(documents),
            servers=len(everyone),
            away=sum(one.state not in HERE for one in everyone),
            gaps=sum(one.gaps for one in everyone),
            fillable=sum(one.fillable for one in everyone),
            lost=sum(one.lost for one in everyone),
            refused=sum(one.refused for one in everyone),
            filled=sum(one.filled for one in everyone),
        ),
        notes=[] if documents else [NOBODY],
    )


def _pair(ledger: Ledger, pair: str, members: list[str], since: str | None, until: str | None) -> PairDocument:
    site = pair_site(ledger, members)
    app = App(site.settings, ledger, site)
    told = {storage.server for storage in site.remote}
    silent = [f"nothing is known of {server}: its service never wrote into this ledger" for server in members]
    unknown = [note for server, note in zip(members, silent, strict=True) if server not in told]
    # With none of its storages known there is nothing to look at, and a window would have no begin.
    found = app.survey(app.question(since=since if told else None, until=until if told else None))
    known = servers_of(ledger, site, found, timelines_of(found))
    return PairDocument(pair=pair, servers=known.servers, notes=[*unknown, *site.problems, *found.read.notes])


def view(document: FleetDocument) -> RenderableType:
    """Return the report: who needs somebody, then the seconds, then all together."""
    everyone = [server for pair in document.pairs for server in pair.servers]
    parts: list[RenderableType] = []
    if everyone:
        parts += [servers(everyone, document.generated), *details(everyone), Text(), _amounts(document), Text()]
        parts.append(Text(_sentence(document.total)))
    for pair in document.pairs:
        parts += [Text(f"note: {pair.pair}: {note}", style="yellow") for note in pair.notes]
    parts += [Text(f"note: {note}", style="yellow") for note in document.notes]
    return Group(*parts)


def _amounts(document: FleetDocument) -> Grid:
    words = ("fillable", "lost", "refused", "filled")
    table = Grid([("pair", Kind.NAME), ("server", Kind.NAME), *((word, Kind.AMOUNT) for word in words)])
    for pair in document.pairs:
        for one in pair.servers:
            table.add(pair.pair, one.server, *_seconds(one))
    return table


def _seconds(one: ServerDocument | FleetTotalDocument) -> list[str]:
    amounts = (one.fillable, one.lost, one.refused, one.filled)
    return [human_duration(round(amount * SECOND)) if amount else "-" for amount in amounts]


def _sentence(total: FleetTotalDocument) -> str:
    words = ("fillable", "lost", "refused", "filled")
    amounts = [f"{shown} {word}" for word, shown in zip(words, _seconds(total), strict=True) if shown != "-"]
    away = f", {total.away:,} not there" if total.away else ""
    return f"{total.pairs:,} pairs, {total.servers:,} servers{away}: " + (", ".join(amounts) or "nothing is missing")
