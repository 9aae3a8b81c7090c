"""Three pairs of services on one database: each fills what its own recorder missed, one report shows them all.

The story: an installer looks after several sites and gives their services one PostgreSQL. Names of cameras repeat from
site to site. The database host is restarted while everybody works. What must hold: pairs do not mix, nothing is lost or
fetched twice, health says when the ledger is away, and the services live on.
"""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from recorder_sync.cli.fleet import fleet_document
from schema.documents import FleetDocument, GapsDocument, StatusDocument
from schema.ledger import Ledger
from tests import fleets, make
from tests.databases import Postgres
from tests.fleets import Host, until

Cli = Callable[..., subprocess.CompletedProcess[str]]

NAMES = [("north", "n-a", "n-b"), ("south", "s-a", "s-b"), ("west", "w-a", "w-b")]
MISSING = range(60, 120)


def site(base: Path, url: str) -> list[Host]:
    """Three pairs; the first of each lacks a minute of `front`."""
    hosts = fleets.pairs(base, url, NAMES)
    for number, host in enumerate(hosts):
        fleets.recorded(host, "front", MISSING if host.name.endswith("-a") else range(0), seed=number)
    return hosts


def filled(hosts: list[Host]) -> bool:
    return all(len(fleets.files(host)) >= 60 for host in hosts)


def document(cli: Cli, kind: type[msgspec.Struct], *words: str):  # type: ignore[no-untyped-def]
    done = cli(*words, "--json")
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, msgspec.json.decode(done.stdout, type=kind)


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a ledger that all services share."""
    if request.param == "sqlite":
        return str(tmp_path / "fleet.db")
    return str(request.getfixturevalue("postgres_url"))


def test_three_pairs_fill_from_each_other_and_one_report_shows_all(tmp_path: Path, shared: str, cli: Cli) -> None:
    hosts = site(tmp_path, shared)
    with fleets.running(hosts):
        until(lambda: filled(hosts), "not everything was filled")
        until(lambda: fleets_filled(shared) == 3 * 60.0, "the ledger does not say what was filled")
        code, fleet = document(cli, FleetDocument, "fleet", "--ledger", shared)
        assert (code, [(one.pair, [server.server for server in one.servers]) for one in fleet.pairs]) == (
            0,
            [(pair, [one, other]) for pair, one, other in NAMES],
        )
        assert {server.state for one in fleet.pairs for server in one.servers} == {"up"}
        assert [note for one in fleet.pairs for note in one.notes] == []
        for pair in fleet.pairs:
            assert [server.filled for server in pair.servers] == [60.0, 0.0], "cameras of one name stay their pair's"
            assert all(server.scanned_seconds is not None for server in pair.servers)
        # From either host the same is seen, by its own configuration.
        for host in hosts[:2]:
            code, gaps = document(cli, GapsDocument, "gaps", "-c", str(host.config))
            assert {(one.server, one.filled, one.fillable, one.lost) for one in gaps.totals} == {
                ("n-a", 60.0, 0.0, 0.0),
                ("n-b", 0.0, 0.0, 0.0),
            }
            code, status = document(cli, StatusDocument, "status", "-c", str(host.config))
            assert {(one.server, one.state) for one in status.servers} == {("n-a", "up"), ("n-b", "up")}
            assert {one.server for one in status.fills} == {"n-a"}
            assert {one.alarm.server for one in status.alarms} <= {"n-a", "n-b"}
    with Ledger.open(shared) as ledger:
        stopped = fleet_document(ledger)
    assert {server.state for one in stopped.pairs for server in one.servers} == {"stopped"}
    assert stopped.total.away == 6


def fleets_filled(url: str) -> float:
    with Ledger.open(url) as ledger:
        return fleet_document(ledger).total.filled


def test_a_pause_holds_for_one_server_of_the_fleet(tmp_path: Path, shared: str, cli: Cli) -> None:
    hosts = site(tmp_path, shared)
    paused, *others = hosts
    with Ledger.open(shared):
        pass
    assert cli("pause", "new disk", "-c", str(paused.config)).returncode == 0
    with fleets.running(hosts):
        until(lambda: filled(others), "the others were not filled")
        until(lambda: paused.ask("/status")[1]["paused"].endswith("new disk"), "it does not know that it is paused")
        assert len(fleets.files(paused)) == 54
        _, fleet = document(cli, FleetDocument, "fleet", "--ledger", shared)
        states = {server.server: server.state for one in fleet.pairs for server in one.servers}
        assert states == {host.name: "standby" if host is paused else "up" for host in hosts}
        assert fleet.total.fillable == 60.0
        text = cli("fleet", "--ledger", shared).stdout
        assert "n-a: fills nothing, since" in text and "new disk" in text
        assert cli("resume", "-c", str(paused.config)).returncode == 0
        until(lambda: filled(hosts), "it does not go on")


def test_a_restart_of_the_database_is_survived_and_told(tmp_path: Path, own_postgres: Postgres) -> None:
    hosts = site(tmp_path, own_postgres.url)
    with fleets.running(hosts):
        until(lambda: filled(hosts), "not everything was filled")
        own_postgres.stop()
        until(lambda: all(host.ask("/health")[0] == 503 for host in hosts), "health does not say it")
        assert all("ledger" in host.ask("/health")[1]["problem"] for host in hosts)
        # Meanwhile recorders go on, and one of each pair misses something.
        for number, host in enumerate(hosts):
            fleets.recorded(host, "yard", MISSING if host.name.endswith("-b") else range(0), seed=10 + number)
        time.sleep(2)
        assert all(host.runs for host in hosts)
        own_postgres.start()
        until(lambda: all(host.ask("/health")[0] == 200 for host in hosts), "they do not recover")
        until(lambda: all(len(fleets.files(host)) >= 120 for host in hosts), "not filled after the restart", 90)
    _nothing_twice(own_postgres.url, hosts)


def test_a_database_that_crashes_again_and_again_while_filling_loses_nothing(
    tmp_path: Path, own_postgres: Postgres
) -> None:
    hosts = site(tmp_path, own_postgres.url)
    with fleets.running(hosts):
        for _ in range(3):
            time.sleep(0.7)
            own_postgres.stop(at_once=True)
            time.sleep(0.5)
            own_postgres.start()
        assert all(host.runs for host in hosts)
        until(lambda: filled(hosts), "not everything was filled", 150)
        until(lambda: all(host.ask("/health")[0] == 200 for host in hosts), "they do not recover")
        until(lambda: fleets_filled(own_postgres.url) == 3 * 60.0, "the ledger and the folders differ", 90)
    _nothing_twice(own_postgres.url, hosts)


def _nothing_twice(url: str, hosts: list[Host]) -> None:
    """No recording is anywhere twice, nothing is missing any more, and every alarm is there once."""
    for host in hosts:
        contents = list(make.tree(host.recordings).values())
        assert len(contents) == len(set(contents))
    with Ledger.open(url) as ledger:
        report = fleet_document(ledger)
        assert (report.total.gaps, report.total.fillable, report.total.lost) == (0, 0.0, 0.0)
        with ledger.reading() as connection:
            keys = [one.alarm.key for one in ledger.outbox.recent(connection, 1000)]
        assert len(keys) == len(set(keys))
