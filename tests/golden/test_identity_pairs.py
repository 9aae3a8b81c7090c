"""Recorder files with every quirk of encoding, before and after a change of id: the id differs and nothing else.

The pairs were made from what is known of RecorderConfig.xml; no file of a real recorder is among them, because none is
public.
"""

from pathlib import Path

import pytest

from recorder_sync.identity.document import read, with_id

PAIRS = Path(__file__).parent / "identity"
NAMES = sorted(path.name.removesuffix(".before.xml") for path in PAIRS.glob("*.before.xml"))


def test_there_are_pairs() -> None:
    assert len(NAMES) > 30
    assert len(list(PAIRS.glob("*.xml"))) == 2 * len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_id_changes_and_no_other_byte(name: str) -> None:
    before, after = ((PAIRS / f"{name}.{state}.xml").read_bytes() for state in ("before", "after"))
    old, new = read(before, name), read(after, name)
    assert old.canonical != new.canonical
    assert with_id(old, new.id, name) == after
    assert with_id(new, old.id, name) == before


@pytest.mark.parametrize("name", NAMES)
def test_the_line_that_is_shown_is_the_one_with_the_id(name: str) -> None:
    found = read((PAIRS / f"{name}.before.xml").read_bytes(), name)
    assert found.id in found.text_of_line
