"""Clocks that differ: the offset that pictures tell holds the true one, and plans lose nothing whatever clocks say.

The made-up recorders of `recorders` film the same scene; here one server's clock is ahead, so that all its names are
later by as much. The product sees names, lengths and pictures, never the true times.
"""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
from hypothesis import event, given
from hypothesis import strategies as st

from backfill.clocks import Basis, Offset, between, doubt, seen_from
from backfill.gaps import Coverage, Rules, fillable, find, hoped
from backfill.keyframes.match import LEAST, Filmed, KeyFrame, Matched, match
from backfill.plan import Source, choose, widen
from schema.spans import MINUTE, SECOND, Span, merge, subtract
from tests.property.recorders import FRIGATE, MEDIAMTX, MOTION, File, Server, make_file, servers
from tests.property.test_nothing_lost import THRESHOLD, UNTIL, fetched, truly_missing

kinds = st.sampled_from([FRIGATE, MEDIAMTX, MOTION])
clocks = st.integers(-10 * MINUTE, 10 * MINUTE)
some = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda pair: Span(pair[0], pair[0] + pair[1]))
merged = st.lists(some, max_size=6).map(merge)
coverages = st.builds(
    Coverage, own=merged, claimed=merged, early=merged, gone=merged, filled=st.dictionaries(st.just("c"), merged)
)


def by_clock(server: Server, ahead: int) -> Server:
    """Return a server whose clock is `ahead`: its names are later, what it films is not."""

    def named(file: File) -> File:
        one = file.segment
        return replace(file, segment=msgspec.structs.replace(one, start=one.start + ahead, end=one.end + ahead))

    return replace(server, files=[named(one) for one in server.files], deleted=[named(one) for one in server.deleted])


def key_frames(server: Server) -> list[Filmed]:
    """Return a key frame for each true second that a file holds, as it is timed from the file's name."""
    found = []
    sources = {source.segment.path: source for source in server.sources()}
    for file in server.files:
        source, start = sources[file.segment.path], file.segment.start
        seconds = range(-(-file.truth.start // SECOND) * SECOND, file.truth.end, SECOND)
        frames = [KeyFrame(start + second - file.truth.start, second.to_bytes(8, "big")) for second in seconds]
        found.append(
            Filmed(path=file.segment.path, span=file.segment.span, frames=frames, early=source.early, blur=source.blur)
        )
    return found


@given(st.data(), clocks)
def test_the_true_offset_is_within_what_pictures_tell(data: st.DataObject, ahead: int) -> None:
    one, other = (data.draw(servers(name, data.draw(kinds), until=UNTIL)) for name in "ab")
    found = match(key_frames(one), key_frames(by_clock(other, ahead)))
    event(type(found).__name__)
    if isinstance(found, Matched):
        assert abs(found.offset - ahead) <= found.uncertainty
        assert found.disputed == 0
    else:
        common = {frame.digest for file in key_frames(one) for frame in file.frames} & {
            frame.digest for file in key_frames(other) for frame in file.frames
        }
        assert len(common) < LEAST


@given(coverages, st.dictionaries(st.sampled_from("bc"), coverages, max_size=2), some, clocks)
def test_clocks_that_are_ahead_alike_make_no_gap_and_hide_none(
    here: Coverage, peers: dict[str, Coverage], window: Span, ahead: int
) -> None:
    gaps = find("a", "front", here, peers, Rules(window=window, threshold=2))
    moved = find(
        "a",
        "front",
        here.shifted(ahead),
        {name: peer.shifted(ahead) for name, peer in peers.items()},
        Rules(window=Span(window.start + ahead, window.end + ahead), threshold=2),
    )
    back = [replace(gap, span=Span(gap.span.start - ahead, gap.span.end - ahead)) for gap in moved]
    assert back == gaps


@given(coverages, clocks)
def test_what_is_moved_and_moved_back_is_what_it_was(one: Coverage, ahead: int) -> None:
    assert one.shifted(ahead).shifted(-ahead) == one


@given(coverages, clocks)
def test_a_peer_that_holds_the_same_by_another_clock_fills_nothing(one: Coverage, ahead: int) -> None:
    one = Coverage(own=one.own)
    offsets = {"b": Offset(us=ahead, uncertainty=0, basis=Basis.LINK)}
    seen = seen_from("a", {"a": one, "b": one.shifted(ahead)}, offsets)
    gaps = find("a", "front", seen["a"], {"b": seen["b"]}, Rules(window=Span(0, 60), threshold=0))
    assert fillable(gaps) == []


def planned(here: Server, peers: Sequence[Server], offsets: dict[str, Offset]) -> list[Source]:
    """Return what is fetched for `here`, as the survey and the plan put the deciders together."""
    seen = seen_from(here.name, {one.name: one.coverage() for one in (here, *peers)}, offsets)
    coverage = seen.pop(here.name)
    known = [*here.files, *here.deleted]
    window = Span(min((file.segment.start for file in known), default=UNTIL), 60 * MINUTE)
    rules = Rules(window=window, threshold=THRESHOLD)
    spans = fillable(find(here.name, "front", coverage, seen, rules))
    more = doubt(offsets, [here.name, *seen])
    before = max(peer.kind.blur for peer in peers) + more
    wanted = widen(merge([*spans, *hoped(coverage, seen, rules)]), before, here.kind.blur + more)
    offered = [
        source.on_our_clock(between(offsets, here.name, peer.name)) for peer in peers for source in peer.sources()
    ]
    return [source for source, _ in choose(wanted, offered, spans)]


@given(st.data())
def test_what_is_truly_missing_is_fetched_from_peers_with_other_clocks(data: st.DataObject) -> None:
    here = data.draw(servers("a", data.draw(kinds), until=UNTIL), "here")
    peers, offsets = [], {}
    for name in "bc"[: data.draw(st.integers(1, 2))]:
        ahead, wrong = data.draw(clocks), data.draw(st.integers(0, SECOND))
        measured = ahead + data.draw(st.integers(-wrong, wrong))
        offset = Offset(us=measured, uncertainty=wrong, basis=Basis.FRAMES)
        # Below its uncertainty an offset moves nothing, and names are then wrong by what was not moved.
        peers.append(by_clock(data.draw(servers(name, data.draw(kinds), until=UNTIL)), ahead if offset.applied else 0))
        offsets[name] = offset
    held = merge(file.truth for files in fetched(peers, planned(here, peers, offsets)).values() for file in files)
    assert subtract(truly_missing(here, peers, doubt(offsets, offsets)), held) == []


def test_a_plan_reaches_farther_by_what_the_offset_may_be_wrong() -> None:
    def films(name: str, *cuts: tuple[int, int]) -> Server:
        files = [make_file(name, number, Span(*cut), cut[0]) for number, cut in enumerate(cuts)]
        return Server(name, MEDIAMTX, files)

    s = SECOND
    here = films("a", (0, 10 * s), (10 * s, 20 * s), (40 * s, 50 * s), (50 * s, 60 * s))
    half = s // 2
    cuts = [(start * s + half, (start + 10) * s + half) for start in (0, 10, 20, 30, 40)]
    # Believed 0.9 s too much, the peer's third file seems to begin at 19.6 s, before the gap; in truth it is at 20.5 s.
    offset = Offset(us=3_900_000, uncertainty=s, basis=Basis.LINK)
    peer = by_clock(films("b", *cuts), 3 * s)
    chosen = [source.segment.path for source in planned(here, [peer], {"b": offset})]
    assert chosen[0] == peer.files[1].segment.path
    exact = [source.segment.path for source in planned(here, [films("b", *cuts)], {})]
    assert set(exact) <= set(chosen)


@given(servers("a", FRIGATE, until=UNTIL), servers("b", FRIGATE, until=UNTIL), clocks)
def test_an_exact_offset_gives_the_plan_of_clocks_that_agree(here: Server, peer: Server, ahead: int) -> None:
    exact = {"b": Offset(us=ahead, uncertainty=0, basis=Basis.LINK)}
    plain = planned(here, [peer], {})
    moved = planned(here, [by_clock(peer, ahead)], exact)
    assert [one.segment.path for one in moved] == [one.segment.path for one in plain]
    assert all(one.segment.start == by_name.segment.start + ahead for one, by_name in zip(moved, plain, strict=True))
