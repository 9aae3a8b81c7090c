"""The examination of a whole host, with real folders, a real ledger and a real peer."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from recorder_sync.app import App
from recorder_sync.doctor import facts
from recorder_sync.doctor.examine import examine
from recorder_sync.doctor.findings import Finding, Verdict
from schema.service import AlarmChannel
from schema.settings import Settings
from schema.spans import SECOND
from tests import links, make
from tests.xprotect import FRONT, Recorder


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


@pytest.mark.parametrize(("command", "verdict"), [("true", Verdict.OK), ("false", Verdict.PROBLEM)])
def test_the_service_that_an_import_stops_is_asked_too(tmp_path: Path, command: str, verdict: Verdict) -> None:
    with links.linked(tmp_path) as pair:
        commands = {key: [command] for key in ("state", "stop", "start")}
        rules = msgspec.structs.replace(pair.a.settings.identity, server="a", manager="command", commands=commands)
        settings = msgspec.structs.replace(pair.a.settings, identity=rules)
        assert of(examined(pair, settings), "identity") == [("service", verdict)]
        assert of(examined(pair), "identity") == [], "no service is configured"


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


def said(bench: make.Bench, title: str, word: str) -> list[tuple[Verdict, str]]:
    """Return what is said of a storage in sentences that hold `word`."""
    found = examine(App(bench.settings, bench.ledger, bench.site), now=bench.clock, service_problem="", environment={})
    return [(one.verdict, one.says) for one in found if one.subject == title and word in one.says]


@pytest.mark.parametrize(
    ("more", "verdict"), [("", Verdict.WARNING), ('options = { passwords = "shared" }', Verdict.UNKNOWN)]
)
def test_how_many_tables_of_both_banks_are_encrypted_is_counted(tmp_path: Path, more: str, verdict: Verdict) -> None:
    with make.bench(tmp_path, make.config_text("a", "b", "c", layout="xprotect", more=more)) as bench:
        Recorder(bench.root("a")).hours(FRONT, make.T0, 2)
        Recorder(bench.root("b"), encrypted=True).hours(FRONT, make.T0, 3)
        assert [one for one, _ in said(bench, "a/main", "encrypted")] == [Verdict.UNKNOWN] * 3
        bench.scan()
        own, b, c = said(bench, "a/main", "encrypted")
        assert own == (Verdict.OK, "none of its 2 tables is encrypted")
        assert b[0] is verdict and "3 of b/main's 3 tables are encrypted" in b[1]
        assert c[0] is Verdict.UNKNOWN and "the ledger has none of them yet" in c[1]
        own, a, _ = said(bench, "b/main", "encrypted")
        assert own[0] is Verdict.UNKNOWN and "3 of its 3 tables are encrypted" in own[1]
        assert a == (Verdict.OK, "none of a/main's 2 tables is encrypted")


def test_what_a_bank_itself_says_that_it_keeps_is_held_against_the_configuration(tmp_path: Path) -> None:
    text = make.config_text("a", layout="xprotect", more='retention = "40d"')
    with make.bench(tmp_path, text + make.config_text("b", layout="xprotect", head="")) as bench:
        Recorder(bench.root("a")), Recorder(bench.root("b"))
        [(verdict, says)] = said(bench, "a/main", "deletes after")
        assert verdict is Verdict.WARNING and "deletes after 30 d" in says and "configured as 40 d" in says
        assert said(bench, "b/main", "deletes after")[0][0] is Verdict.UNKNOWN
        (bench.root("a") / "config.xml").unlink()
        assert said(bench, "a/main", "deletes after") == []


def test_only_what_a_bank_can_be_filled_from_is_held_against_it(tmp_path: Path) -> None:
    text = make.config_text("a", "b", layout="xprotect") + make.config_text("c", head="")
    with make.bench(tmp_path, text) as bench:
        [b] = [one for one in bench.site.storages if one.server == "b"]
        brought = replace(b, name="main from a/main", origin="a", remote=True)
        bench.site = replace(bench.site, remote=(brought,))
        _, only = said(bench, "a/main", "encrypted")
        assert "b/main's" in only[1], "neither another recorder's files nor what was itself brought"


def test_of_tables_on_another_host_only_that_one_can_tell(tmp_path: Path) -> None:
    with links.linked(tmp_path, layout="xprotect") as pair:
        Recorder(pair.a.root("a")).hours(FRONT, make.T0, 2)
        Recorder(pair.b.root("b"), encrypted=True).hours(FRONT, make.T0, 3)
        pair.a.scan()
        pair.b.scan()
        pair.follow()
        own, b = said(pair.a, "a/main", "encrypted")
        assert own[0] is Verdict.OK
        assert b == (Verdict.UNKNOWN, "whether b/main's tables are encrypted is known on its own host only")


def test_the_folders_of_a_bank_do_not_count_against_the_kernel_as_nobody_watches_them(
    pair: make.Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "watches", lambda: 0)
    make.record(pair.root("a"), "front", make.tens(0, 60))
    pair.scan()
    assert [one for one, _ in said(pair, "a/main", "watched")] == [Verdict.WARNING]
    with make.bench(tmp_path / "banks", make.config_text("a", "b", layout="xprotect")) as bench:
        Recorder(bench.root("a")).hours(FRONT, make.T0, 2)
        bench.scan()
        assert said(bench, "a/main", "watched") == []
