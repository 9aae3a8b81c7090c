"""What was filled and is deleted again by the recorder's own upkeep: a hole that must not vanish from the report.

Frigate deletes files that have no row in its database. A tombstone that says "deleted on purpose" would then hide a
hole that the operator believes to be filled. Retention is another thing: it takes what lies around as well.
"""

from pathlib import Path

import pytest

from backfill.after import after_fill
from schema.spans import SECOND
from schema.values import Landed
from tests.make import Bench, bench, config_text, record, tens


def lacking(base: Bench) -> list[Landed]:
    """Fill the minute that `a` lacks of five, and return what landed."""
    record(base.root("a"), "front", [*tens(0, 60), *tens(120, 300)])
    record(base.root("b"), "front", tens(0, 300), seed=1)
    base.scan()
    return list(base.fill("a").landed)


def reasons(base: Bench) -> list[tuple[str, int, int, str | None]]:
    return [
        (str(gap.state), gap.span.start, gap.span.end, gap.peer)
        for gap in base.survey().gaps
        if gap.server == "a" and "deleted again after it was filled from b" in gap.reason
    ]


def test_what_upkeep_deleted_stays_in_the_report_and_is_not_fetched_again(tmp_path: Path) -> None:
    with bench(tmp_path, config_text("a", "b")) as pair:
        landed = lacking(pair)
        assert reasons(pair) == []
        for one in landed:
            (pair.root("a") / one.path).unlink()
        pair.scan()
        assert pair.states("a") == [("refused", 60, 120)]
        assert [(state, peer) for state, _, _, peer in reasons(pair)] == [("refused", None)]
        assert pair.plan("a").tasks == ()


def test_what_retention_deleted_with_what_lay_around_it_is_no_gap(tmp_path: Path) -> None:
    with bench(tmp_path, config_text("a", "b")) as pair:
        landed = lacking(pair)
        kept = pair.root("a") / "2026-11-22/12/front/00.00.mp4"  # an event that the recorder keeps longer
        for path in (pair.root("a") / "2026-11-22/12/front").iterdir():
            if path != kept and path.name < "02.30":
                path.unlink()
        assert not (pair.root("a") / landed[0].path).exists()
        pair.scan()
        assert pair.states("a") == []


def test_what_retention_explains_by_its_age_is_no_gap(tmp_path: Path) -> None:
    with bench(tmp_path, config_text("a", "b", more='retention = "29d"')) as pair:
        pair.now -= 10 * 86_400 * SECOND
        for one in lacking(pair):
            (pair.root("a") / one.path).unlink()
        pair.scan()
        assert [state for state, *_ in pair.states("a")] == ["refused"]
        pair.now += 10 * 86_400 * SECOND
        assert pair.states("a") == []


@pytest.mark.parametrize(
    ("layout", "more", "says"),
    [
        ("frigate", "", ["files still need a row in Frigate's database"]),
        ("frigate", 'after_fill = ["true"]', ["true was given"]),
        ("frigate", 'fill = "side"', []),
        ("motioneye", "", []),
        ("shinobi", "", ["files still need to be imported from the side folder"]),
    ],
)
def test_what_a_recorder_still_needs_after_a_fill_is_said(
    layout: str, more: str, says: list[str], tmp_path: Path
) -> None:
    text = config_text("a", layout=layout, more=more) + config_text("b", head="")
    with bench(tmp_path, text) as pair:
        record(pair.root("b"), "front", tens(0, 300))
        pair.scan()
        landed = pair.fill("a", since=0).landed
        notes = after_fill(pair.ledger, pair.site, "a", landed)
        assert landed and [said in note for said, note in zip(says, notes, strict=True)] == [True] * len(says)
        assert after_fill(pair.ledger, pair.site, "a", []) == []
