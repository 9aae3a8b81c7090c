"""What is a recording, what is still being written, and what is damaged: each row here is a night that somebody had.

Sealed wrongly is footage that is believed to be there and is not; open for ever is a hole that is filled for ever. So a
file counts only when it is whole and at rest, and in doubt it is looked at again.
"""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.containers import Probe
from backfill.layouts import CompleteRule, EndRule, Named, Stamp, StartRule, Traits
from backfill.seal import Look, Verdict, judge
from schema.moments import from_datetime
from schema.spans import DAY, HOUR, MINUTE, SECOND
from schema.values import Mark, State

UTC_ZONE, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")
T = from_datetime(datetime(2026, 11, 22, 12, tzinfo=UTC))

FRIGATE = Traits(name="f", title="", summary="", segment=10 * SECOND)
MOTION = replace(FRIGATE, start=StartRule.END, end=EndRule.MTIME, segment=MINUTE)
SHINOBI = replace(FRIGATE, end=EndRule.MTIME, segment=15 * MINUTE)
KERBEROS = replace(FRIGATE, end=EndRule.NAME, complete=CompleteRule.NAME)
VENDOR = replace(FRIGATE, end=EndRule.NEXT, complete=CompleteRule.QUIET, segment=MINUTE)

WHOLE = Probe("mp4", True, 10 * SECOND)
GROWING = Probe("mp4", False, None, "no moov: the writer never closed it", plays=False)
STUB = Probe("stub", False, None, "a stub of 48 bytes", plays=False)
PLAYS = Probe("fmp4", False, 7 * SECOND)
CUT = Probe("fmp4", False, 7 * SECOND, "cut short: mdat runs 9 bytes past the end", plays=False)
STREAM = Probe("ts", None, None)
CUT_STREAM = Probe("ts", None, 5 * SECOND, "cut short: 7 bytes of a packet at the end")
ENCRYPTED = Probe("unknown", None, None, "no container we know")
ZEROS = Probe("unknown", False, None, "it begins with zeros", plays=False)


OPEN, SEALED = State.OPEN, State.SEALED


def named(us: int = T, *, duration: int | None = None, local: bool = False) -> Named:
    return Named("front", "", Stamp(us, local), duration, {})


def file(probe: Probe = WHOLE, *, end: float = 10, following: float | None = None) -> Look:
    """What was seen of a file last written to `end` seconds after T; `following`: when the next one starts."""
    return Look(5000, T + round(end * SECOND), probe, None if following is None else T + round(following * SECOND))


def claims(seconds: float) -> Probe:
    return replace(WHOLE, duration=round(seconds * SECOND))


WEEK, YEAR = 7 * 86_400, 365 * 86_400
LONG = named(duration=30 * SECOND)

# What it is, whose it is, what was seen of it, for how many seconds it rests, what it is then: from..to after T.
ROWS = [
    # A mover that writes in place (Frigate), a slow disk, a dead writer.
    ("just closed, may be rewritten in place", FRIGATE, file(), 1, "open 0..10: written to just now"),
    ("closed and at rest", FRIGATE, file(), 2, "sealed 0..10"),
    ("growing under its final name", FRIGATE, file(GROWING), 3, "open 0..10: not whole yet"),
    ("stalled, a newer one is there", FRIGATE, file(GROWING, following=10), 30, "open 0..10: not whole yet"),
    ("never finished", FRIGATE, file(GROWING), 60, "quarantined 0..10: no moov"),
    ("a stub may still grow", FRIGATE, file(STUB), 3, "open 0..10: not whole yet"),
    ("a stub", FRIGATE, file(STUB), 3600, "quarantined 0..10: a stub of 48 bytes"),
    ("cut in half", FRIGATE, file(CUT), 3600, "quarantined 0..7: cut short"),
    ("zeros after a power cut", FRIGATE, file(ZEROS), 3600, "quarantined 0..10: it begins with zeros"),
    ("last written tomorrow", FRIGATE, file(end=86_400), -7200, "open 0..10: last written to 2 h in the future"),
    ("a clock a little ahead", FRIGATE, file(), -60, "open 0..10: written to just now"),
    # Fragments that play although nobody closed them.
    ("being written", FRIGATE, file(PLAYS, end=7), 5, "open 0..7: not closed yet"),
    ("its writer died", FRIGATE, file(PLAYS), 60, "unclosed 0..7"),
    ("its writer went on", FRIGATE, file(PLAYS, following=9), 5, "unclosed 0..7"),
    ("a newer name from the future", FRIGATE, file(PLAYS, following=YEAR), 5, "open 0..7: not closed yet"),
    # Streams have no end mark.
    ("a stream being written", FRIGATE, file(STREAM), 5, "open 0..10: not closed yet"),
    ("a stream with a newer one", FRIGATE, file(STREAM, following=10), 5, "sealed 0..10"),
    ("a stream ends at its last write", FRIGATE, file(STREAM, end=12), 3600, "sealed 0..12"),
    ("a stream of an hour", FRIGATE, file(STREAM, end=3601), 3600, "sealed 0..3601"),
    ("a stream of an hour, with a newer one", FRIGATE, file(STREAM, end=3601, following=3601), 5, "sealed 0..3601"),
    ("a copied stream has lost its end", FRIGATE, file(STREAM, end=4501), 3600, "quarantined 0..0: nothing tells"),
    ("copied before an hour", FRIGATE, file(STREAM, end=41, following=10), 60, "quarantined 0..0: nothing tells"),
    ("a stream cut in a packet", FRIGATE, file(CUT_STREAM), 3600, "quarantined 0..5: cut short"),
    ("a format we do not know", FRIGATE, file(ENCRYPTED), 3600, "quarantined 0..10: no container we know"),
    # Lies.
    ("from the future", FRIGATE, file(end=-1000), 400, "quarantined 0..10: it starts 10 min in the future"),
    ("a little from the future", FRIGATE, file(end=-1000), 800, "sealed 0..10"),
    ("a header that claims a week", FRIGATE, file(claims(WEEK)), 3600, "quarantined 0..0: it claims to be 7 d long"),
    ("a header that claims an age", FRIGATE, file(claims(2**80)), 3600, "quarantined 0..0: it claims to be"),
    ("the same, being written", FRIGATE, file(claims(2**80)), 1, "open 0..10: written to just now"),
    # A recorder that names late and writes in place (motion): its last write less its length is the truth.
    ("starts before its name", MOTION, file(claims(12)), 3600, "sealed -2..10"),
    ("the key frame before was long ago", MOTION, file(claims(25)), 3600, "sealed -15..10"),
    ("written out a moment later", MOTION, file(end=12), 3600, "sealed 2..12"),
    ("copied within minutes", MOTION, file(claims(60), end=600), 3600, "sealed 0..60"),
    ("written out late", MOTION, file(end=13), 3600, "sealed 0..10"),
    ("its times were restored", MOTION, file(claims(60), end=30), 3600, "sealed 0..60"),
    ("copied: the name is all there is", MOTION, file(end=86_400), 3600, "sealed 0..10"),
    ("no length, but an end", MOTION, file(STREAM, end=50), 3600, "sealed 0..50"),
    ("neither length nor end", MOTION, file(STREAM, end=86_400), 3600, "quarantined 0..0: nothing tells"),
    ("the last write is the end", SHINOBI, file(claims(897), end=900), 3600, "sealed 0..900"),
    ("copied within minutes, its length known", SHINOBI, file(claims(60), end=600), 3600, "sealed 0..60"),
    ("copied before it ends", SHINOBI, file(claims(880), end=600), 3600, "sealed 0..880"),
    # Names that say it all (Kerberos), content that is encrypted.
    ("renamed and at rest", KERBEROS, file(), 2, "sealed 0..30", LONG),
    ("renamed, being encrypted in place", KERBEROS, file(GROWING), 3, "open 0..30: not whole yet", LONG),
    ("encrypted", KERBEROS, file(ENCRYPTED), 3, "sealed 0..30", LONG),
    ("encrypted and lost", KERBEROS, file(ZEROS), 3600, "quarantined 0..30: it begins with zeros", LONG),
    ("an old name without a length", KERBEROS, file(), 3, "sealed 0..10"),
    ("it ends before it starts", KERBEROS, file(), 3, "sealed 0..10", named(duration=-SECOND)),
    ("it claims a year", KERBEROS, file(), 9999, "quarantined 0..0: it claims", named(duration=YEAR * SECOND)),
    # A vendor's own format: nothing but names and rest.
    ("not quiet for long", VENDOR, file(ENCRYPTED), 59, "open 0..10: not quiet for long yet"),
    ("a container is no reason not to wait", VENDOR, file(), 59, "open 0..10: not quiet for long yet"),
    ("up to the next name", VENDOR, file(ENCRYPTED, following=58), 3600, "sealed 0..58"),
    ("a hole follows: its last write", VENDOR, file(ENCRYPTED, end=40, following=3600), 7200, "sealed 0..40"),
    ("a hole follows, it was copied", VENDOR, file(ENCRYPTED, end=9000, following=3600), 60, "sealed 0..60"),
    ("the newest: never farther than usual", VENDOR, file(ENCRYPTED, end=70), 3600, "sealed 0..60"),
    ("a hole follows, its length is known", VENDOR, file(following=3600), 7200, "sealed 0..10"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_file_is_what_its_name_its_container_and_its_last_write_say(
    row: tuple[str, Traits, Look, float, str] | tuple[str, Traits, Look, float, str, Named],
) -> None:
    _, traits, look, rested, expected, *name = row
    found = judge(name[0] if name else named(), look, traits, UTC_ZONE, look.mtime + round(rested * SECOND))
    word = "unclosed" if found.marks == Mark.UNCLOSED else found.state.name.lower()
    span = f"{(found.start - T) / SECOND:g}..{(found.end - T) / SECOND:g}"
    assert f"{word} {span}" == expected.partition(":")[0]
    reason = expected.partition(": ")[2]
    assert found.reason.startswith(reason) and bool(reason) == bool(found.reason)


@pytest.mark.parametrize("probe", [WHOLE, GROWING, PLAYS, STREAM, ENCRYPTED, STUB, CUT])
@pytest.mark.parametrize("traits", [FRIGATE, MOTION, SHINOBI, KERBEROS, VENDOR])
def test_nothing_stays_open_for_ever(probe: Probe, traits: Traits) -> None:
    look = file(probe)
    states = [judge(named(), look, traits, UTC_ZONE, look.mtime + rested * SECOND).state for rested in range(120)]
    assert states[0] is OPEN and states[-1] is not OPEN
    assert states == sorted(states, key=lambda state: state is not OPEN), "open again after it was not"
    assert len(set(states)) == 2, "quarantined and sealed without a write between"


def local(text: str) -> int:
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.mark.parametrize("hour", [0, 1])
def test_in_the_repeated_hour_the_last_write_tells_which_it_was(hour: int) -> None:
    start = local("2026-10-25 00:30") + hour * HOUR
    look = Look(5000, start + 10 * SECOND, WHOLE)
    found = judge(named(local("2026-10-25 02:30"), local=True), look, FRIGATE, BERLIN, start + HOUR)
    assert found == Verdict(SEALED, start, start + 10 * SECOND)


@pytest.mark.parametrize("digits", ["2026-10-25 02:30", "2026-03-29 02:30"])
def test_where_nothing_tells_which_hour_it_was_the_time_is_marked_uncertain(digits: str) -> None:
    copied = local("2026-11-22 12:00")
    found = judge(named(local(digits), local=True), Look(5000, copied, WHOLE), FRIGATE, BERLIN, copied + HOUR)
    assert (found.state, found.marks) == (SEALED, Mark.UNCERTAIN)
    assert "daylight saving" in found.reason


@pytest.mark.parametrize("hour", [0, 1])
def test_a_stream_of_the_repeated_hour_is_placed_by_its_last_write_if_the_next_one_follows(hour: int) -> None:
    first = local("2026-10-25 00:30")
    start = first + hour * HOUR
    look = Look(5000, start + 60 * SECOND, STREAM, next_start=first + 60 * SECOND)
    minutes = replace(FRIGATE, segment=MINUTE)
    found = judge(named(local("2026-10-25 02:30"), local=True), look, minutes, BERLIN, start + HOUR)
    assert found == Verdict(SEALED, start, start + 60 * SECOND)


@pytest.mark.parametrize("following", [None, HOUR])
def test_a_stream_of_the_repeated_hour_that_may_be_an_hour_long_stays_uncertain(following: int | None) -> None:
    start = local("2026-10-25 00:30")
    look = Look(5000, start + HOUR, STREAM, next_start=None if following is None else start + following)
    minutes = replace(FRIGATE, segment=MINUTE)
    found = judge(named(local("2026-10-25 02:30"), local=True), look, minutes, BERLIN, start + 5 * HOUR)
    assert found.marks == Mark.UNCERTAIN


def test_an_unclosed_file_of_the_repeated_hour_is_both() -> None:
    copied = local("2026-11-22 12:00")
    found = judge(named(local("2026-10-25 02:30"), local=True), Look(1, copied, PLAYS), FRIGATE, BERLIN, copied + HOUR)
    assert found.marks == Mark.UNCERTAIN | Mark.UNCLOSED


MIDNIGHT = T - 12 * HOUR


@pytest.mark.parametrize(
    ("day", "end", "marks"),
    [
        (None, 12 * HOUR, 0),
        (MIDNIGHT, 12 * HOUR, 0),
        (MIDNIGHT, 10 * SECOND, 0),
        (MIDNIGHT, 30 * HOUR, 0),  # a zone far in the west, an event over midnight
        (MIDNIGHT, 72 * HOUR, Mark.UNCERTAIN),  # restored from a backup without its times
        (MIDNIGHT, -72 * HOUR, Mark.UNCERTAIN),
    ],
)
def test_a_name_without_a_time_is_placed_by_its_last_write_if_that_is_of_its_day(
    day: int | None, end: int, marks: int
) -> None:
    event = Named("1", "", None, None, {}, day=day)
    look = Look(5000, MIDNIGHT + end, WHOLE)
    found = judge(event, look, MOTION, UTC_ZONE, T + 10 * DAY)
    assert (found.state, found.start, found.end) == (SEALED, look.mtime - 10 * SECOND, look.mtime)
    assert found.marks == marks and ("not of the day" in found.reason) == bool(marks)


lengths = st.none() | st.integers(-(2**40), 2**90)
probes = st.builds(
    Probe,
    container=st.sampled_from(["mp4", "fmp4", "ts", "unknown", "folder"]),
    closed=st.sampled_from([True, False, None]),
    duration=st.none() | st.integers(1, 2**90),
    problem=st.sampled_from(["", "cut short"]),
    plays=st.booleans(),
)
times = st.integers(-(2**63) // 1000, 2**63 // 1000)


@given(
    stamp=st.none() | st.builds(Stamp, st.integers(0, 7 * 10**15), st.booleans()),
    duration=lengths,
    probe=probes,
    mtime=times,
    following=st.none() | times,
    start=st.sampled_from(StartRule),
    end=st.sampled_from(EndRule),
    complete=st.sampled_from(CompleteRule),
    now=st.integers(10**15, 4 * 10**15),
)
def test_whatever_a_file_claims_its_span_is_one_that_the_ledger_can_hold(
    stamp: Stamp | None,
    duration: int | None,
    probe: Probe,
    mtime: int,
    following: int | None,
    start: StartRule,
    end: EndRule,
    complete: CompleteRule,
    now: int,
) -> None:
    traits = replace(FRIGATE, start=start, end=end, complete=complete)
    look = Look(5000, mtime, probe, following)
    found = judge(Named("front", "", stamp, duration, {}), look, traits, BERLIN, now)
    assert -(2**63) <= found.start <= found.end < 2**63
    assert found.end - found.start <= 26 * HOUR
    if found.state is SEALED:
        assert found.end > found.start and found.start <= now + 5 * MINUTE and probe.plays
    else:
        assert found.reason and found.marks == 0
