"""Segments of one chunk that were brought and not landed, as a kill leaves them: many at once, where they are small.

What must hold: whatever proves to be its source's, by its owner's digest, is not sent again; anything else is.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from backfill.bring import Staged
from backfill.plan import refuse
from schema.values import Refusal, Refused
from tests import make
from tests.fault.checks import MISSING, digests, record_both
from tests.faults import digest_all

SIZE = 50_000
"""Less than a chunk."""


@pytest.fixture
def brought(benches: Callable[[str], AbstractContextManager[make.Bench]]) -> Iterator[make.Bench]:
    """`a` has everything of `b` in its staging folder, and nothing of it landed."""
    with benches(make.config_text("a", "b")) as bench:
        record_both(bench.root("a"), bench.root("b"), size=SIZE)
        bench.scan()
        assert digest_all(bench, "b")
        assert bench.fill("a", make_room=not_now).landed == ()
        assert len(partials(bench)) == len(MISSING)
        yield bench


def not_now(staged: Staged) -> Refused:
    """Stop a segment right before it gets its name; its copy stays."""
    return refuse(staged.task, Refusal.ALREADY_HERE, "")


def partials(bench: make.Bench) -> list[Path]:
    return sorted((bench.base / "a").rglob("*.part"))


def check_filled(bench: make.Bench, sent: int) -> None:
    result = bench.fill("a")
    assert (len(result.landed), result.sent, result.refused) == (len(MISSING), sent, ())
    assert (
        digests(bench.root("b")).items()
        >= {one.path: digests(bench.root("a"))[one.path] for one in result.landed}.items()
    )
    assert partials(bench) == []


def test_what_is_here_whole_is_not_sent_again(brought: make.Bench) -> None:
    check_filled(brought, 0)


def test_what_is_here_and_damaged_is_sent_again(brought: make.Bench) -> None:
    """One bit, the end, everything behind it: a copy is believed for what it is, not for its size."""
    flipped, cut, longer, emptied, *_ = partials(brought)
    content = flipped.read_bytes()
    flipped.write_bytes(content[:777] + bytes([content[777] ^ 1]) + content[778:])
    cut.write_bytes(cut.read_bytes()[:-1])
    longer.write_bytes(longer.read_bytes() + b"\0")
    emptied.write_bytes(b"")
    check_filled(brought, 4 * SIZE)


def test_without_its_owners_digest_what_arrived_is_noted_beside_it(
    benches: Callable[[str], AbstractContextManager[make.Bench]],
) -> None:
    with benches(make.config_text("a", "b")) as bench:
        record_both(bench.root("a"), bench.root("b"), size=SIZE)
        bench.scan()
        assert bench.fill("a", make_room=not_now).sent == len(MISSING) * SIZE
        first, *_ = partials(bench)
        first.write_bytes(first.read_bytes()[:-1] + b"\xff")
        check_filled(bench, SIZE)
        assert list((bench.base / "a").rglob("*.journal.*")) == []
