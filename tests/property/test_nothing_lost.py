"""Made-up recorders with true times: whatever truly is missing and truly is held by a peer is in the plan.

The product sees names and lengths only: cut off to whole seconds, the first after a start late. Nothing may be lost by
that, neither where a gap begins and ends, nor where one peer takes over from another, nor behind a recorder that came
and went. Only what by its names is no longer than the threshold may stay away.
"""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from backfill.gaps import Rules, fillable, find, hoped
from backfill.plan import Source, choose, widen
from schema.spans import MINUTE, SECOND, Span, intersect, longer_than, merge, subtract
from tests.property.recorders import FRIGATE, MEDIAMTX, MOTION, File, Server, make_file, servers

UNTIL = 3 * MINUTE
THRESHOLD = 2 * SECOND

kinds = st.sampled_from([FRIGATE, MEDIAMTX, MOTION])


@st.composite
def sites(draw: st.DrawFn, peers: int) -> list[Server]:
    """Draw the server to fill, and so many peers."""
    drawn = [draw(servers("a", draw(kinds), until=UNTIL, deletes=draw(st.booleans())))]
    return drawn + [draw(servers(name, draw(kinds), until=UNTIL)) for name in "bc"[:peers]]


def planned(here: Server, peers: Sequence[Server], filled: dict[str, list[File]] | None = None) -> list[Source]:
    """Return what is fetched for `here`, as the survey and the plan put the deciders together."""
    rules = Rules(window=_window(here), threshold=THRESHOLD)
    coverage = here.coverage(filled or {})
    others = {peer.name: peer.coverage() for peer in peers}
    spans = fillable(find(here.name, "front", coverage, others, rules))
    before = max(peer.kind.blur for peer in peers)
    wanted = widen(merge([*spans, *hoped(coverage, others, rules)]), before, here.kind.blur)
    return [source for source, _ in choose(wanted, [one for peer in peers for one in peer.sources()], spans)]


def _window(here: Server) -> Span:
    known = [*here.files, *here.deleted]
    return Span(min((file.segment.start for file in known), default=UNTIL), 2 * UNTIL)


def fetched(peers: Sequence[Server], sources: Sequence[Source]) -> dict[str, list[File]]:
    """Return the files behind a plan, by peer."""
    paths = {source.segment.path for source in sources}
    return {peer.name: [file for file in peer.files if file.segment.path in paths] for peer in peers}


def truly_missing(here: Server, peers: Sequence[Server], doubt: int = 0) -> list[Span]:
    """Return what `here` lacks, and a peer has: what was not deleted and is longer than the threshold by any names.

    `doubt`: by how much clocks may be believed to differ wrongly, microseconds.
    """
    deleted = merge(span for file in here.deleted for span in (file.truth, file.segment.span))
    missing = subtract(subtract([_window(here)], here.truth()), deleted)
    least = (
        doubt + THRESHOLD + here.kind.blur + here.kind.joint + max(peer.kind.blur + peer.kind.joint for peer in peers)
    )
    return longer_than(intersect(missing, merge(span for peer in peers for span in peer.truth())), least)


@given(sites(1))
def test_what_is_truly_missing_and_truly_held_is_fetched(site: list[Server]) -> None:
    here, *peers = site
    held = merge(file.truth for files in fetched(peers, planned(here, peers)).values() for file in files)
    assert subtract(truly_missing(here, peers), held) == []


@given(sites(2))
def test_nothing_is_lost_where_one_peer_takes_over_from_another(site: list[Server]) -> None:
    here, *peers = site
    held = merge(file.truth for files in fetched(peers, planned(here, peers)).values() for file in files)
    assert subtract(truly_missing(here, peers), held) == []


@given(sites(2))
def test_after_the_fill_there_is_nothing_more_to_fetch(site: list[Server]) -> None:
    here, *peers = site
    first = fetched(peers, planned(here, peers))
    again = fetched(peers, planned(here, peers, first))
    assert [file for name, files in again.items() for file in files if file not in first[name]] == []


def test_after_a_hole_each_recorder_counts_as_begun_anew() -> None:
    """Both files are named 97; which of them begins first cannot be told, however far back one of them was there."""
    wanted = [Span(70 * SECOND, 103 * SECOND)]
    before = _source("c", 77, 79)
    both = [_source("b", 97, 103), _source("c", 97, 103)]
    assert [one for one, _ in choose(wanted, [before, *both], wanted)] == [before, *both]


def test_a_recorder_that_goes_on_needs_no_other_at_its_joints() -> None:
    """Names cut off to seconds leave a moment between two files: no hole, and nobody else's file is worth the way."""
    wanted = [Span(70 * SECOND, 106 * SECOND)]
    going_on = [_source("c", 70, 80), _source("c", 81, 106)]
    assert [one for one, _ in choose(wanted, [*going_on, _source("b", 81, 90)], wanted)] == going_on


def _source(peer: str, start: int, end: int) -> Source:
    segment = make_file(peer, 0, Span(start * SECOND, end * SECOND), start * SECOND).segment
    return Source(peer=peer, segment=segment, start=segment.start, end=segment.end, blur=SECOND)
