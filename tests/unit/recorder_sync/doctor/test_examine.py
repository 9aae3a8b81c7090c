"""The examination of a whole host, with real folders, a real ledger and a real peer."""

from pathlib import Path

import msgspec

from recorder_sync.app import App
from recorder_sync.doctor.examine import examine
from recorder_sync.doctor.findings import Finding, Verdict
from schema.service import AlarmChannel
from schema.settings import Settings
from schema.spans import SECOND
from tests import links, make


def examined(pair: links.Pair, settings: Settings | None = None, problem: str = "") -> list[Finding]:
    a, settings = pair.a, settings or pair.a.settings
    link = msgspec.structs.replace(settings.link, folder=str(a.base / "link-a"))
    wanted = msgspec.structs.replace(settings, link=link)
    return list(examine(App(wanted, a.ledger, a.site), now=a.clock, service_problem=problem, environment={}))


def of(findings: list[Finding], area: str) -> list[tuple[str, Verdict]]:
    return [(one.subject, one.verdict) for one in findings if one.area == area]


def test_two_hosts_as_they_should_be(tmp_path: Path) -> None:
    with links.linked(tmp_path) as pair:
        make.record(pair.a.root("a"), "front", make.tens(0, 600))
        pair.b.now = pair.a.now
        pair.a.scan()
        before = make.tree(pair.a.root("a"))
        found = examined(pair)
        assert {verdict for _, verdict in of(found, "storage")} == {Verdict.OK}
        assert of(found, "peer") == [("b", Verdict.OK), ("b", Verdict.OK)]
        assert of(found, "service") == [("recorder-sync run", Verdict.OK)]
        assert make.tree(pair.a.root("a")) == before


def test_a_peer_whose_clock_is_wrong_is_a_problem_as_filling_waits_for_it(tmp_path: Path) -> None:
    with links.linked(tmp_path) as pair:
        pair.b.now = pair.a.now - 3 * SECOND
        found = [one for one in examined(pair) if one.area == "peer"]
        assert [one.verdict for one in found] == [Verdict.OK, Verdict.PROBLEM]
        assert "-3.000 s" in found[1].says


def test_a_peer_that_does_not_answer_is_a_finding_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    with links.linked(tmp_path) as pair:
        (peer,) = pair.a.settings.peers
        nowhere = msgspec.structs.replace(peer, address="127.0.0.1:1")
        settings = msgspec.structs.replace(pair.a.settings, peers=[nowhere])
        found = examined(pair, settings, problem="the service here is not running")
        assert of(found, "peer") == [("b", Verdict.PROBLEM)]
        assert of(found, "service") == [("recorder-sync run", Verdict.WARNING)]
        assert of(found, "alarms") == [("channels", Verdict.WARNING)]


def test_a_host_that_was_never_paired_is_told_so(tmp_path: Path) -> None:
    with links.linked(tmp_path) as pair:
        for path in (tmp_path / "link-a").rglob("*.pem"):
            path.unlink()
        assert of(examined(pair), "link") == [("certificate", Verdict.PROBLEM)]


def test_a_link_without_encryption_is_a_warning(tmp_path: Path) -> None:
    with links.linked(tmp_path, encrypted=False) as pair:
        pair.b.now = pair.a.now
        link = msgspec.structs.replace(pair.a.settings.link, encryption="none")
        found = examined(pair, msgspec.structs.replace(pair.a.settings, link=link))
        assert of(found, "link") == [("encryption", Verdict.WARNING)]
        assert of(found, "peer") == [("b", Verdict.OK), ("b", Verdict.OK)]


def test_a_storage_that_is_away_and_a_missing_secret_are_problems(tmp_path: Path) -> None:
    with links.linked(tmp_path) as pair:
        channel = AlarmChannel(name="duty", kind="webhook", url="https://example.test/${TOKEN}")
        found = examined(pair, msgspec.structs.replace(pair.a.settings, alarms=[channel]))
        assert of(found, "storage") == [("a/main", Verdict.PROBLEM)]
        assert of(found, "alarms") == [("duty", Verdict.PROBLEM)]
