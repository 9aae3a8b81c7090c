"""What a peer is asked for at once: its next storage only while there is room for what that tells."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from backfill.offers import offers
from backfill.peer import Peer
from backfill.site import Site
from backfill.storage import Storage
from schema.spans import SECOND, Span
from schema.values import Segment
from tests import make


@pytest.mark.parametrize(("held", "asked"), [(3, 1), (4, 2)])
def test_a_storage_is_asked_only_while_there_is_room(
    held: int, asked: int, pair: make.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backfill.offers.SEGMENTS_HELD", held)
    storage = pair.site.of("b")[0]
    seen: list[Storage] = []

    def segments(of: Storage, wanted: Mapping[str, Sequence[Span]]) -> dict[str, list[Segment]]:
        seen.append(of)
        starts = range(make.T0, make.T0 + 30 * SECOND, 10 * SECOND)
        told = [
            Segment(
                storage_id=of.id, camera="front", path=f"{at}", start=at, end=at + SECOND, size=1, mtime_ns=1, inode=0
            )
            for at in starts
        ]
        return {"front": told}

    site = cast(Site, SimpleNamespace(peers=lambda _: ["b"], of=lambda _: [storage, storage]))
    peer = cast(Peer, SimpleNamespace(segments=segments))
    found = offers({"b": peer}, site, "a", {"front": [Span(make.T0, make.T0 + 60 * SECOND)]}, {})
    assert (len(seen), len(found["front"])) == (asked, 3 * asked)
