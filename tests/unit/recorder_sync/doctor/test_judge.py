"""What the facts mean: each thing that can be wrong is said, with what to do, and nothing else is."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from backfill.layouts.capabilities import Advice, Sight
from recorder_sync.doctor import judge
from recorder_sync.doctor.facts import Place
from recorder_sync.doctor.findings import Finding, Verdict
from schema.errors import SecretMissing, StagingUnusable, StorageAway
from schema.spans import DAY, HOUR, MINUTE, SECOND

DISK = Place(path="/srv/nvr-a", exists=True, writable=True, filesystem="ext4", disk=1, free=50 * 10**9)
GOOD = judge.StorageFacts(
    title="nvr-a/main",
    layout="Frigate",
    root=DISK,
    sampled=100,
    read=100,
    known=5000,
    scanned_age=MINUTE,
    state=replace(DISK, path="/srv/.recorder-sync/nvr-a"),
    folders=500,
)


def judged(facts: judge.StorageFacts) -> list[Finding]:
    return list(judge.storage(facts, reserve=2 * 10**9, rescan=HOUR, watches=8192))


def bad(findings: Iterable[Finding]) -> list[tuple[Verdict, str]]:
    return [(one.verdict, one.says) for one in findings if one.verdict is not Verdict.OK]


def test_a_good_storage_is_said_to_be_good_in_figures() -> None:
    found = judged(GOOD)
    assert bad(found) == []
    assert "100 of 100 names are Frigate's" in found[0].says
    assert any("50.0 GB free, of which 2.0 GB stay" in one.says for one in found)


@pytest.mark.parametrize(
    ("change", "verdict", "says"),
    [
        ({"missing": StorageAway("nvr-a/main", "/srv/nvr-a", "does not exist")}, Verdict.PROBLEM, "does not exist"),
        ({"read": 49}, Verdict.PROBLEM, "of 100 media files only 49 are named as Frigate names them"),
        ({"sampled": 0, "known": 0}, Verdict.WARNING, "holds no recordings yet"),
        ({"denied": ("/srv/nvr-a/front",)}, Verdict.PROBLEM, "the first is /srv/nvr-a/front"),
        ({"odd": ("3 files are odd",)}, Verdict.WARNING, "3 files are odd"),
        ({"scanned_age": None}, Verdict.WARNING, "never scanned"),
        ({"scanned_age": 2 * HOUR + SECOND}, Verdict.WARNING, "last scanned 2 h"),
        ({"state_missing": StagingUnusable("nvr-a/main", "no place")}, Verdict.PROBLEM, "no place"),
        ({"root": replace(DISK, writable=False)}, Verdict.PROBLEM, "may not write"),
        ({"state": replace(DISK, writable=False)}, Verdict.PROBLEM, "staging and notes go to"),
        ({"state": replace(DISK, disk=2)}, Verdict.PROBLEM, "another file system"),
        ({"root": replace(DISK, free=2 * 10**9)}, Verdict.PROBLEM, "nothing is filled"),
        ({"root": replace(DISK, free=None)}, Verdict.UNKNOWN, "free space"),
        ({"root": replace(DISK, filesystem="nfs4")}, Verdict.WARNING, "it lies on nfs4"),
        ({"advice": (Advice(Sight.WRONG, "it is so", "do it"),)}, Verdict.WARNING, "it is so"),
        ({"advice": (Advice(Sight.UNSEEN, "nobody sees it", "look"),)}, Verdict.UNKNOWN, "nobody sees it"),
        ({"folders": 8193}, Verdict.WARNING, "8,193 folders are to be watched, 8,192 may be"),
    ],
)
def test_each_thing_that_is_wrong_with_a_storage_is_said_alone_and_with_what_to_do(
    change: dict[str, object], verdict: Verdict, says: str
) -> None:
    found = [one for one in judged(replace(GOOD, **change)) if one.verdict is not Verdict.OK]  # type: ignore[arg-type]
    assert len(found) == 1
    assert found[0].verdict is verdict
    assert says in found[0].says
    assert found[0].do or verdict is Verdict.UNKNOWN


def test_what_a_layout_finds_good_is_said_to_be_good() -> None:
    [found] = [
        one for one in judged(replace(GOOD, advice=(Advice(Sight.GOOD, "all is plain"),))) if "plain" in one.says
    ]
    assert (found.verdict, found.do) == (Verdict.OK, "")


def test_a_storage_that_is_not_watched_is_not_held_against_the_kernel() -> None:
    assert bad(judged(replace(GOOD, folders=None, root=replace(DISK, filesystem="cifs")))) == []


@pytest.mark.parametrize(
    ("free", "do"), [(6 * 10**9, "free some space"), (6 * 10**9 + 1, "free some space, or lower fill.reserve")]
)
def test_a_reserve_is_not_to_be_lowered_where_the_recorder_itself_needs_the_space(free: int, do: str) -> None:
    facts = replace(GOOD, spare=6 * 10**9, root=replace(DISK, free=free))
    [found] = [one for one in judge.storage(facts, reserve=7 * 10**9, rescan=HOUR, watches=None) if one.do]
    assert (found.verdict, found.do) == (Verdict.PROBLEM, do)
    [found] = [
        one for one in judge.storage(facts, reserve=0, rescan=HOUR, watches=None) if "stay" in one.says or one.do
    ]
    assert ("6.0 GB" in found.says, found.verdict) == (True, Verdict.PROBLEM if free == 6 * 10**9 else Verdict.OK)


def test_where_a_side_store_is_filled_the_recorders_tree_need_not_be_writable() -> None:
    beside = replace(GOOD, into_tree=False, root=replace(DISK, writable=False), side=replace(DISK, path="/srv/side"))
    assert bad(judged(beside)) == []
    assert "/srv/side" in bad(judged(replace(beside, side=replace(DISK, path="/srv/side", writable=False))))[0][1]


def test_names_are_not_held_against_a_layout_whose_segments_are_no_media_files() -> None:
    assert bad(judged(replace(GOOD, sampled=0, read=0))) == []
    [(_, says)] = bad(judged(replace(GOOD, sampled=0, read=0, known=0, scanned_age=None)))
    assert "never scanned" in says, "and nothing is said of what nobody looked for yet"


@pytest.mark.parametrize(
    ("place", "verdict"),
    [
        (DISK, Verdict.OK),
        (None, Verdict.OK),
        (replace(DISK, filesystem="nfs"), Verdict.PROBLEM),
        (replace(DISK, writable=False), Verdict.PROBLEM),
    ],
)
def test_a_ledger_must_lie_on_a_disk_of_this_host_and_be_writable(place: Place | None, verdict: Verdict) -> None:
    assert judge.ledger("ledger.db", place).verdict is verdict


@pytest.mark.parametrize(
    ("synchronised", "verdict"), [(True, Verdict.OK), (False, Verdict.WARNING), (None, Verdict.UNKNOWN)]
)
def test_a_clock_that_nobody_keeps_is_a_warning(synchronised: bool | None, verdict: Verdict) -> None:
    assert judge.clock(synchronised).verdict is verdict


@pytest.mark.parametrize(("limit", "verdict"), [(1023, Verdict.WARNING), (1024, Verdict.OK), (None, Verdict.OK)])
def test_few_open_files_are_a_warning(limit: int | None, verdict: Verdict) -> None:
    assert judge.files(limit).verdict is verdict


@pytest.mark.parametrize(
    ("left", "verdict"),
    [(-SECOND, Verdict.PROBLEM), (6 * DAY, Verdict.WARNING), (30 * DAY, Verdict.OK)],
)
def test_a_certificate_that_ends_soon_is_said(left: int, verdict: Verdict) -> None:
    assert judge.certificate(left).verdict is verdict


@pytest.mark.parametrize(
    ("offset", "trip", "verdict"),
    [
        (0, SECOND // 100, Verdict.OK),
        (-SECOND, 0, Verdict.OK),
        (SECOND + 1, 0, Verdict.WARNING),
        (2 * SECOND + 1, 0, Verdict.PROBLEM),
        (2 * SECOND + 1, 2 * SECOND, Verdict.WARNING),
        (-60 * SECOND, SECOND, Verdict.PROBLEM),
    ],
)
def test_clocks_are_compared_no_more_exactly_than_the_answer_allows(offset: int, trip: int, verdict: Verdict) -> None:
    *_, about_clock = judge.peer("nvr-b", ours=10 * MINUTE, theirs=10 * MINUTE + offset, trip=trip, limit=2 * SECOND)
    # Half of the time that the answer took is how wrong the comparison may be.
    assert about_clock.verdict is (Verdict.OK if abs(offset) - trip // 2 <= SECOND else verdict)


def test_nobody_to_tell_is_a_warning_and_a_secret_that_is_missing_a_problem() -> None:
    assert [one.verdict for one in judge.alarms({})] == [Verdict.WARNING]
    found = list(judge.alarms({"mail": None, "duty": SecretMissing("duty", "TOKEN")}))
    assert [(one.subject, one.verdict) for one in found] == [("mail", Verdict.OK), ("duty", Verdict.PROBLEM)]
    assert "TOKEN" in found[1].says
