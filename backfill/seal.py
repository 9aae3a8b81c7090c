"""Deciding what a file on a storage is: a sealed segment with its span, one still being written, or quarantined.

Rule: pure. Only sealed segments count; a stub, a cut or an unreadable file is quarantined with a reason and is never
coverage. When in doubt a file is open, and looked at again.
"""

from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo

from backfill.containers import Probe
from backfill.layouts import CompleteRule, EndRule, Named, StartRule, Traits
from backfill.layouts.zones import resolve
from schema.moments import human_duration
from schema.spans import DAY, MINUTE, SECOND
from schema.values import Mark, State

REST = 2 * SECOND
"""A closed container must rest this long: a mover may still be rewriting it in place (Frigate, Kerberos)."""

DEAD = 60 * SECOND
"""A file without an end mark, not written to for this long, has no writer any more. MediaMTX writes every second."""

FUTURE = 5 * MINUTE
"""A start later than this after now is a wrong clock or a wrong zone."""

LONGEST = DAY + 2 * 60 * MINUTE
"""No recorder writes longer segments; a longer one is a damaged header."""

_BELIEVABLE = 10 * MINUTE
"""How far an mtime may be from name plus duration and still be the file's true end."""


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
    start, end, certain = _span(named, look, traits, zone)
    waiting = _still_open(look, traits, now)
    if waiting:
        return Verdict(State.OPEN, start, max(start, end), reason=waiting)
    broken = _broken(look, traits)
    if broken:
        return Verdict(State.QUARANTINED, start, max(start, end), reason=broken)
    if start > now + FUTURE:
        reason = f"it starts {human_duration(start - now)} in the future: is the clock or the zone wrong?"
        return Verdict(State.QUARANTINED, start, max(start, end), reason=reason)
    if end <= start:
        return Verdict(State.QUARANTINED, start, start, reason="nothing tells where it ends")
    if end - start > LONGEST:
        reason = f"its header claims {human_duration(end - start)}"
        return Verdict(State.QUARANTINED, start, start, reason=reason)
    marks = 0 if certain else int(Mark.UNCERTAIN)
    if look.probe.closed is False and look.probe.plays:
        marks |= Mark.UNCLOSED
    reason = "" if certain else "its local time came twice or never (daylight saving), and nothing tells which it was"
    return Verdict(State.SEALED, start, end, marks, reason)


def _still_open(look: Look, traits: Traits, now: int) -> str:
    """Return why a file may still be being written, or nothing."""
    age = now - look.mtime
    if age < REST:
        return "written to just now"
    finished = look.probe.closed or traits.complete is CompleteRule.NAME
    if traits.complete is CompleteRule.CONTAINER and look.next_start is not None:
        finished = True  # no end mark, but the camera has a newer file: the writer of this one went on, or died
    if not finished and age < DEAD:
        return "not closed yet"
    return ""


def _broken(look: Look, traits: Traits) -> str:
    """Return why a file at rest is no recording, or nothing."""
    probe = look.probe
    if probe.container == "unknown" and traits.complete is not CompleteRule.CONTAINER and probe.plays:
        return ""  # the name is the proof; the content may be encrypted (Kerberos)
    if not probe.plays or (probe.problem and probe.closed is None):
        return probe.problem or "it does not play"
    return ""


def _span(named: Named, look: Look, traits: Traits, zone: ZoneInfo) -> tuple[int, int, bool]:
    """Return start, end, and whether both are certain."""
    duration = named.duration if traits.end is EndRule.NAME and named.duration else look.probe.duration
    written_start = look.mtime - duration if duration else None
    if named.stamp is None:
        return (written_start or look.mtime), look.mtime, True
    named_start, certain = resolve(named.stamp, zone, written_start)
    end = _end(named_start, duration, look, traits)
    if traits.start is StartRule.END and duration and _plausible(end, named_start + duration):
        return end - duration, end, certain
    return named_start, end, certain


def _end(start: int, duration: int | None, look: Look, traits: Traits) -> int:
    """Return where a segment that is named `start` ends; `start` itself if nothing tells."""
    by_duration = start + duration if duration else None
    if traits.end is EndRule.MTIME:
        expected = by_duration if by_duration is not None else start + traits.segment
        return look.mtime if _plausible(look.mtime, expected) else (by_duration or start)
    if traits.end is EndRule.NEXT:
        next_start = look.next_start
        if next_start is not None and start < next_start <= start + traits.segment * 3 // 2:
            return next_start
        return by_duration or start + traits.segment
    if by_duration is not None:
        return by_duration
    # A container that does not tell, and no PyAV: the last write of a file written in place is its end.
    return look.mtime if start < look.mtime <= start + 4 * traits.segment else start


def _plausible(moment: int, expected: int) -> bool:
    return abs(moment - expected) <= _BELIEVABLE
