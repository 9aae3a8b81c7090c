"""Whether a host could take an id: what is in the way is said, and looking changes nothing."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from recorder_sync.doctor import identity
from recorder_sync.doctor.findings import Finding, Verdict
from recorder_sync.identity.drivers import State
from recorder_sync.identity.interlock import Reading
from recorder_sync.identity.registry import VALUE, NoRegistry, WindowsRegistry
from recorder_sync.identity.vault import Vault
from schema.errors import IdentityNotesDamaged, OperatorError, RecorderFileUnreadable, ServiceUnknown
from schema.identity import IdentityRules
from schema.spans import DAY, MINUTE
from tests import identities, make
from tests.identities import NEW, OWN, PlayedWinreg


@pytest.fixture
def good(tmp_path: Path) -> identity.IdentityFacts:
    bench = identities.Bench(tmp_path)
    rules = IdentityRules(config=str(bench.path), primary="nvr-a", ports=["nvr-a:7563"], folder=str(tmp_path / "kept"))
    return identity.IdentityFacts(
        rules=rules,
        here=bench.cloner().look(),
        service=State.RUNNING,
        kept=identities.WANTED,
        age=MINUTE,
        ports=(("nvr-a:7563", Reading.ALIVE, "nvr-a:7563 answers"),),
    )


def bad(facts: identity.IdentityFacts) -> list[tuple[Verdict, str]]:
    return [(one.verdict, one.says) for one in identity.judge(facts) if one.verdict is not Verdict.OK]


def test_a_standby_as_it_should_be(good: identity.IdentityFacts) -> None:
    assert bad(good) == []
    assert identities.OWN in next(identity.judge(good)).says


@pytest.mark.parametrize(
    ("change", "verdict", "says"),
    [
        ({"here": RecorderFileUnreadable("x.xml", "it is away")}, Verdict.PROBLEM, "it is away"),
        ({"service": ServiceUnknown("recorder")}, Verdict.PROBLEM, "recorder"),
        ({"kept": None, "age": None}, Verdict.PROBLEM, "not kept here"),
        ({"kept": IdentityNotesDamaged("primary.json", "rot")}, Verdict.PROBLEM, "rot"),
        ({"age": DAY + MINUTE}, Verdict.WARNING, "not since"),
        ({"ports": (("nvr-a:7563", Reading.DOWN, "nvr-a:7563 is closed"),)}, Verdict.WARNING, "is closed"),
    ],
)
def test_each_thing_in_the_way_is_said(
    good: identity.IdentityFacts, change: dict[str, object], verdict: Verdict, says: str
) -> None:
    found = bad(replace(good, **change))  # type: ignore[arg-type]
    assert [one for one, _ in found] == [verdict]
    assert says in found[0][1]


def test_a_primary_with_our_own_id_is_a_problem(good: identity.IdentityFacts) -> None:
    assert not isinstance(good.here, OperatorError)
    kept = msgspec.structs.replace(identities.WANTED, id=good.here.own)
    assert [verdict for verdict, _ in bad(replace(good, kept=kept))] == [Verdict.PROBLEM]


def test_an_id_that_was_taken_is_said_with_how_to_give_it_back(tmp_path: Path) -> None:
    bench = identities.Bench(tmp_path)
    bench.cloner().clone(identities.WANTED, identities.allowed)
    rules = IdentityRules(
        config=str(bench.path), folder=str(tmp_path / "identity"), manager="supervisord", supervisor="unix:/no"
    )
    before = make.tree(tmp_path)
    found = identity.facts(rules, lambda: 9, NoRegistry())
    assert found is not None
    file, service = identity.judge(found)
    assert (file.verdict, service.verdict) == (Verdict.WARNING, Verdict.PROBLEM)
    assert "--undo" in file.do
    assert make.tree(tmp_path) == before


def test_without_an_identity_nothing_is_said() -> None:
    assert identity.facts(IdentityRules(), lambda: 9, NoRegistry()) is None


def test_what_is_kept_is_found_with_its_age(tmp_path: Path) -> None:
    bench = identities.Bench(tmp_path)
    Vault(bench.place).keep(identities.WANTED)
    rules = IdentityRules(config=str(bench.path), primary="nvr-a", folder=str(tmp_path / "identity"))
    found = identity.facts(rules, lambda: identities.WANTED.at + MINUTE, NoRegistry())
    assert found is not None
    assert (found.kept, found.age) == (identities.WANTED, MINUTE)


def registry_said(tmp_path: Path, played: PlayedWinreg, content: bytes = identities.BEFORE) -> Finding:
    """Return what is said of a registry, beside a recorder's file that has OWN."""
    bench = identities.Bench(tmp_path, content=content)
    before = dict(played.values or {})
    rules = IdentityRules(config=str(bench.path), folder=str(tmp_path / "kept"))
    found = identity.facts(rules, lambda: 9, WindowsRegistry(played))
    assert found is not None
    [said] = [one for one in identity.judge(found) if VALUE in one.subject]
    assert "unverified" in said.subject
    assert dict(played.values or {}) == before
    return said


@pytest.mark.parametrize(
    ("played", "verdict", "says"),
    [
        (
            PlayedWinreg({VALUE: ("{" + OWN.upper() + "}", 1)}),
            Verdict.OK,
            f"holds the id of the recorder's file, {OWN}",
        ),
        (PlayedWinreg({VALUE: (NEW, 1)}), Verdict.WARNING, f"holds '{NEW}', and the recorder's file {OWN}"),
        (PlayedWinreg({VALUE: ("x" * 99, 1)}), Verdict.WARNING, f"holds '{'x' * 60}', and"),
        (PlayedWinreg({}), Verdict.UNKNOWN, "is not there"),
        (PlayedWinreg(None), Verdict.UNKNOWN, "is not there"),
        (PlayedWinreg({VALUE: (OWN, 1)}, readable=False), Verdict.UNKNOWN, "could not be read: Access is denied"),
    ],
)
def test_what_the_registry_holds_is_held_against_the_file_and_left_alone(
    tmp_path: Path, played: PlayedWinreg, verdict: Verdict, says: str
) -> None:
    said = registry_said(tmp_path, played)
    assert said.verdict is verdict
    assert says in said.says


def test_a_registry_is_held_against_no_id_where_the_file_cannot_be_read(tmp_path: Path) -> None:
    said = registry_said(tmp_path, PlayedWinreg({VALUE: (OWN, 1)}), content=b"<no/>")
    assert said.verdict is Verdict.UNKNOWN
    assert "no id to hold it against" in said.says


def test_where_there_is_no_registry_none_is_spoken_of(good: identity.IdentityFacts) -> None:
    assert not any("registry" in one.subject for one in identity.judge(good))
