"""Deciding what a file on a storage is: a sealed segment with its span, one still being written, or quarantined.

Rule: pure. Only sealed segments count; a stub, a cut or an unreadable file is quarantined with a reason and is never
coverage. When in doubt a file is open, and looked at again. Whatever a name or a header claims, what leaves here is a
span that the ledger can hold.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple
from zoneinfo import ZoneInfo

from backfill.containers import Probe
from backfill.layouts import CompleteRule, EndRule, Named, Stamp, StartRule, Traits
from backfill.layouts.capabilities import Told
from backfill.layouts.zones import candidates, resolve
from schema.moments import human_duration
from schema.spans import DAY, MINUTE, SECOND
from schema.values import Mark, State

REST = 2 * SECOND
"""A closed container must rest this long: a mover may still be rewriting it in place (Frigate, Kerberos)."""

DEAD = 60 * SECOND
"""A file without an end mark, not written to for this long, has no writer any more. MediaMTX writes every second."""

STALL = 10 * MINUTE
"""A file that cannot tell whether it was closed is looked at once more when it rested this long: DEAD is no proof."""

FUTURE = 5 * MINUTE
"""A start later than this after now is a wrong clock or a wrong zone."""

LONGEST = DAY + 2 * 60 * MINUTE
"""No recorder writes longer segments; a longer one is a damaged header."""

_EARLY = 15 * SECOND
"""How long before its name a file may begin: motion's starts at the key frame before, 1 to 3 s measured."""

_AFTER = 2 * SECOND
"""How long after its name: names are cut off to whole seconds, and a last write may lag."""

_STRAY = 10 * MINUTE
"""How far the last write may be from name plus nominal length and still be the end, where nothing tells a duration."""

_LAG = 5 * SECOND
"""How long after its last picture a file whose length is known may be written to, and that still be its end."""

_UNTOLD = 75 * MINUTE
"""How long a file may be whose length nothing but its last write tells: MediaMTX's hour, and its last key frames."""


_UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of one file. Times in microseconds UTC."""

    size: int
    mtime: int
    probe: Probe
    next_start: int | None = None
    """Start of the camera's next segment, where names tell."""


class Verdict(NamedTuple):
    """What a file is."""

    state: State
    start: int
    end: int
    marks: int = 0
    reason: str = ""


def judge(named: Named, look: Look, traits: Traits, zone: ZoneInfo, now: int) -> Verdict:
    """Return what a file is, from its name, its container and its last write."""
    start, end, doubt = _span(named, look, traits, zone)
    believed = end if start < end <= start + LONGEST else start
    waiting = _still_open(look, traits, now)
    if waiting:
        return Verdict(State.OPEN, start, believed, reason=waiting)
    broken = unusable(look, traits)
    if broken:
        return Verdict(State.QUARANTINED, start, believed, reason=broken)
    claimed = _claimed(named, look, traits)
    if claimed > LONGEST:
        return Verdict(State.QUARANTINED, start, start, reason=f"it claims to be {human_duration(claimed)} long")
    if start > now + FUTURE:
        reason = f"it starts {human_duration(start - now)} in the future: is the clock or the zone wrong?"
        return Verdict(State.QUARANTINED, start, believed, reason=reason)
    if believed <= start:
        return Verdict(State.QUARANTINED, start, start, reason="nothing tells where it ends")
    marks = int(Mark.UNCERTAIN) if doubt else 0
    if look.probe.closed is False and look.probe.plays:
        marks |= Mark.UNCLOSED
    if look.probe.closed is None and now - look.mtime < STALL:
        marks |= Mark.SUSPECT
    return Verdict(State.SEALED, start, end, marks, doubt)


def judge_told(told: Told, traits: Traits, now: int) -> Verdict:
    """Return what a unit is of which the recorder's own index told, or only its name."""
    verdict = judge(told.named, look_of(told), traits, _UTC, now)
    if told.waiting:
        return Verdict(State.OPEN, verdict.start, verdict.end, reason=told.waiting)
    if verdict.state is not State.SEALED:
        return verdict
    # What only a name tells is looked at again by every scan that lists its folder: the index may know it by then.
    doubt = int(Mark.UNCERTAIN | Mark.SUSPECT) if told.doubt else 0
    return verdict._replace(marks=verdict.marks | told.marks | doubt, reason=told.doubt)


def look_of(told: Told) -> Look:
    """Return what was seen of a unit that was told of."""
    proven = None if told.doubt else True
    seen = Probe("folder", proven, None, told.problem, plays=not told.problem)
    return Look(told.size, told.mtime_ns // 1000, seen)


def unusable(look: Look, traits: Traits) -> str:
    """Return why what a file holds is no recording, or nothing."""
    probe = look.probe
    if probe.container == "unknown" and traits.complete is not CompleteRule.CONTAINER and probe.plays:
        return ""  # its name or its rest is the proof; the content may be encrypted (Kerberos) or a vendor's own
    if not probe.plays or (probe.problem and probe.closed is None):
        return probe.problem or "it does not play"
    return ""


def _still_open(look: Look, traits: Traits, now: int) -> str:
    """Return why a file may still be being written, or nothing."""
    age = now - look.mtime
    if age < -FUTURE:
        return f"last written to {human_duration(-age)} in the future: is a clock wrong?"
    if age < REST:
        return "written to just now"
    if age >= DEAD:
        return ""
    if unusable(look, traits):
        return "not whole yet"  # a slow mover or a stalled disk looks like a stub until it goes on
    if traits.complete is CompleteRule.QUIET:
        return "not quiet for long yet"
    # No end mark, but the camera has a newer file: the writer of this one went on, or died.
    newer = look.next_start is not None and look.next_start <= now
    if look.probe.closed or newer or traits.complete is CompleteRule.NAME:
        return ""
    return "not closed yet"


def _claimed(named: Named, look: Look, traits: Traits) -> int:
    """Return the duration that the name or else the container claims, 0 if neither does."""
    claimed = named.duration if traits.end is EndRule.NAME and named.duration else look.probe.duration
    return max(0, claimed or 0)


def _span(named: Named, look: Look, traits: Traits, zone: ZoneInfo) -> tuple[int, int, str]:
    """Return start, end, and why they are not certain, or nothing."""
    claimed = _claimed(named, look, traits)
    duration = claimed if claimed <= LONGEST else 0
    if named.stamp is None:
        start = look.mtime - duration
        if named.day is None or named.day - DAY <= start < named.day + 2 * DAY:
            return start, look.mtime, ""
        return start, look.mtime, "its last write is not of the day in its path, and nothing else tells its time"
    written = look.mtime - duration if duration else _written_start(named.stamp, look, traits, zone)
    named_start, certain = resolve(named.stamp, zone, written)
    doubt = "" if certain else "its local time came twice or never (daylight saving), and nothing tells which it was"
    if len(_readings(named.stamp, zone)) > 1:
        look = replace(look, next_start=None)  # of two hours that share their names, which one it is in nobody knows
    end = _end(named_start, duration, look, traits)
    if traits.start is StartRule.END and duration:
        # A name is seldom wrong by much; a last write is, when the file was copied, touched or written late.
        true_start = look.mtime - duration
        if -_EARLY <= true_start - named_start <= _AFTER:
            return true_start, look.mtime, doubt
        return named_start, named_start + duration, doubt
    return named_start, end, doubt


def _readings(stamp: Stamp, zone: ZoneInfo) -> list[int]:
    """Return every UTC time that a stamp may mean."""
    return candidates(stamp.us, zone) if stamp.local else [stamp.us]


def _written_start(stamp: Stamp, look: Look, traits: Traits, zone: ZoneInfo) -> int | None:
    """Return the start that the last write of a file of unknown length implies; None if it may be wrong by an hour.

    It was about as long as the recorder's segments are if the camera's next one follows so.
    """
    usual = any(
        look.next_start is not None and 0 < look.next_start - start <= 2 * traits.segment
        for start in _readings(stamp, zone)
    )
    return look.mtime - traits.segment if usual else None


def _end(start: int, duration: int, look: Look, traits: Traits) -> int:
    """Return where a segment that is named `start` ends; `start` itself if nothing tells. `duration`: 0 if unknown."""
    if traits.end is EndRule.MTIME:
        if not duration:
            return look.mtime if abs(look.mtime - start - traits.segment) <= _STRAY else start
        return look.mtime if -_AFTER <= look.mtime - start - duration <= _LAG else start + duration
    if traits.end is EndRule.NEXT:
        longest = start + traits.segment
        if look.next_start is not None and start < look.next_start <= start + traits.segment * 3 // 2:
            return look.next_start
        if duration:
            return start + duration
        # A writer that died in the middle left its last write there.
        return min(longest, look.mtime) if look.mtime > start else longest
    if duration:
        return start + duration
    # A container that does not tell, and no PyAV: the last write of a file written in place is its end, if the camera
    # had no newer file by then. One that was copied later has lost its end.
    latest = start + max(4 * traits.segment, _UNTOLD)
    if look.next_start is not None and look.next_start > start:
        latest = min(latest, look.next_start + _LAG)
    return look.mtime if start < look.mtime <= latest else start
