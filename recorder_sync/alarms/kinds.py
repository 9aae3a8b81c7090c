"""What every alarm says: one constructor for each kind, with the key that names the event.

Rule: pure. A key follows from the event and not from when it was noticed, so that noticing it twice, before and after
a crash, is one alarm. A sentence is for somebody who was woken by it: what happened, to what, since when, and what it
means for the recordings; an outage says what it means when it ends as well.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from schema.moments import clock, human_duration, human_size, iso
from schema.spans import SECOND, Span, total
from schema.values import Alarm, AlarmKind

LISTED = 100
"""So many spans or files an alarm lists; of more it says how many: a pipe or a mail has to hold it."""

_KEY = 240


def key_of(kind: AlarmKind, *parts: str | int) -> str:
    """Return the key of an event: readable, and whatever cameras and files are called, short and ASCII."""
    key = ":".join([kind.value, *(quote(str(part), safe="/+,") for part in parts)])
    if len(key) <= _KEY:
        return key
    return f"{key[: _KEY - 33]}~{_digest(key)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def server_failed(*, server: str, observer: str, since: int, at: int, reason: str) -> Alarm:
    """`observer` has had no answer from `server` since `since`."""
    return Alarm(
        key=key_of(AlarmKind.SERVER_FAILED, server, since),
        kind=AlarmKind.SERVER_FAILED,
        server=server,
        at=at,
        text=f"{server} has not answered {observer} since {clock(since)} ({reason}): it is down, or the network between"
        f" them is. What it misses is fetched when it is back, as far as {observer} has it.",
        facts={"observer": observer, "since": iso(since), "reason": reason},
    )


def server_back(*, server: str, observer: str, since: int, at: int) -> Alarm:
    """`server`, away since `since`, answers again."""
    return Alarm(
        key=key_of(AlarmKind.SERVER_BACK, server, since),
        kind=AlarmKind.SERVER_BACK,
        server=server,
        at=at,
        text=f"{server} answers {observer} again at {clock(at)}, after {human_duration(at - since)}. What either has"
        " missed is looked for now.",
        facts={"observer": observer, **_lasted(since, at)},
    )


def identity_taken(*, server: str, by: str, at: int, reason: str) -> Alarm:
    """The recorder of `by` answers with the id of `server` from `at` on."""
    return Alarm(
        key=key_of(AlarmKind.IDENTITY_TAKEN, server, by, at),
        kind=AlarmKind.IDENTITY_TAKEN,
        server=server,
        at=at,
        text=f"The recorder of {by} answers as {server} since {clock(at)}: {reason}. It is given its own id back as"
        f" soon as the recorder of {server} shows a sign of life.",
        facts={"by": by, "reason": reason},
    )


def identity_returned(*, server: str, by: str, since: int, at: int, reason: str) -> Alarm:
    """The recorder of `by` has its own id again, after it answered as `server` since `since`."""
    return Alarm(
        key=key_of(AlarmKind.IDENTITY_RETURNED, server, by, since),
        kind=AlarmKind.IDENTITY_RETURNED,
        server=server,
        at=at,
        text=f"The recorder of {by} has its own id again at {clock(at)}, after it answered as {server} for"
        f" {human_duration(at - since)}: {reason}. What either has missed is looked for now.",
        facts={"by": by, "reason": reason, **_lasted(since, at)},
    )


def import_cut_off(*, server: str, began: int, at: int) -> Alarm:
    """An import into the storage of `server` that began at `began` neither ended nor was taken back."""
    return Alarm(
        key=key_of(AlarmKind.IMPORT_CUT_OFF, server, began),
        kind=AlarmKind.IMPORT_CUT_OFF,
        server=server,
        at=at,
        text=f"An import into the storage of {server} that began at {clock(began)} was cut off, and its recorder may"
        " still be stopped: then nothing is recorded there. 'recorder-sync import --undo' takes it back and starts the"
        " recorder as it ran before.",
        facts={"began": iso(began)},
    )


def recorder_silent(*, server: str, since: int, at: int) -> Alarm:
    """No camera of `server` has a recording from after `since`."""
    return Alarm(
        key=key_of(AlarmKind.RECORDER_SILENT, server, since),
        kind=AlarmKind.RECORDER_SILENT,
        server=server,
        at=at,
        text=f"The recorder of {server} has written nothing for any camera since {clock(since)}, although the server"
        " answers: is the recorder running? What it misses is fetched when another server has it.",
        facts={"since": iso(since)},
    )


def recorder_back(*, server: str, since: int, at: int) -> Alarm:
    """The recorder of `server`, silent since `since`, writes again."""
    return Alarm(
        key=key_of(AlarmKind.RECORDER_BACK, server, since),
        kind=AlarmKind.RECORDER_BACK,
        server=server,
        at=at,
        text=f"The recorder of {server} writes again at {clock(at)}, after {human_duration(at - since)}. What it missed"
        " is looked for now.",
        facts=_lasted(since, at),
    )


def camera_silent(*, server: str, camera: str, since: int, at: int, elsewhere: Sequence[str] = ()) -> Alarm:
    """`camera` has no recording on `server` from after `since`; the servers `elsewhere` still record it."""
    meaning = (
        f"{' and '.join(elsewhere)} still records it, so the camera works; what is missed is fetched from there."
        if elsewhere
        else "No other server is known to record it: what it would have shown is being lost."
    )
    return Alarm(
        key=key_of(AlarmKind.CAMERA_SILENT, server, camera, since),
        kind=AlarmKind.CAMERA_SILENT,
        server=server,
        camera=camera,
        at=at,
        text=f"Camera {camera} has not been recorded on {server} since {clock(since)}. {meaning}",
        facts={"since": iso(since), "elsewhere": list(elsewhere)},
    )


def camera_back(*, server: str, camera: str, since: int, at: int) -> Alarm:
    """`camera`, silent on `server` since `since`, is recorded again."""
    return Alarm(
        key=key_of(AlarmKind.CAMERA_BACK, server, camera, since),
        kind=AlarmKind.CAMERA_BACK,
        server=server,
        camera=camera,
        at=at,
        text=f"Camera {camera} is recorded on {server} again at {clock(at)}, after {human_duration(at - since)}. What"
        " was missed is looked for now.",
        facts=_lasted(since, at),
    )


def storage_away(*, server: str, storage: str, since: int, at: int, reason: str) -> Alarm:
    """`storage` of `server` cannot be read since `since`."""
    return Alarm(
        key=key_of(AlarmKind.STORAGE_AWAY, server, storage, since),
        kind=AlarmKind.STORAGE_AWAY,
        server=server,
        at=at,
        text=f"Storage {storage} of {server} is away since {clock(since)} ({reason}): the recorder there cannot write"
        " either. Nothing on it counts as deleted; what is missed is fetched when it is back.",
        facts={"storage": storage, "since": iso(since), "reason": reason},
    )


def storage_back(*, server: str, storage: str, since: int, at: int) -> Alarm:
    """`storage` of `server`, away since `since`, can be read again."""
    return Alarm(
        key=key_of(AlarmKind.STORAGE_BACK, server, storage, since),
        kind=AlarmKind.STORAGE_BACK,
        server=server,
        at=at,
        text=f"Storage {storage} of {server} is back at {clock(at)}, after {human_duration(at - since)}. What was"
        " missed is looked for now.",
        facts={"storage": storage, **_lasted(since, at)},
    )


def fill_started(
    *, server: str, peers: Sequence[str], at: int, segments: int, size: int, gaps: Sequence[Span]
) -> Alarm:
    """A fill into `server` began at `at`, to close these gaps of all cameras together."""
    return Alarm(
        key=key_of(AlarmKind.FILL_STARTED, server, at),
        kind=AlarmKind.FILL_STARTED,
        server=server,
        at=at,
        text=f"{server} fetches what it missed from {' and '.join(peers)} since {clock(at)}:"
        f" {_many(segments, 'segment')}, {human_size(size)}, for {human_duration(total(gaps))} of gaps"
        f"{_between(gaps)}.",
        facts={"peers": list(peers), "segments": segments, "bytes": size, **_spans(gaps)},
    )


def filled(
    *, server: str, started: int, at: int, spans: Mapping[str, Sequence[Span]], segments: int, size: int, refused: int
) -> Alarm:
    """The fill into `server` that began at `started` is over: these spans came back, by camera."""
    everything = [span for of_camera in spans.values() for span in of_camera]
    rest = f" {_many(refused, 'segment')} could not be fetched: see 'recorder-sync gaps'." if refused else ""
    return Alarm(
        key=key_of(AlarmKind.FILLED, server, started),
        kind=AlarmKind.FILLED,
        server=server,
        at=at,
        text=f"{server} has got back {human_duration(total(everything))} of {_many(len(spans), 'camera')}"
        f"{_between(everything)}: {_many(segments, 'segment')}, {human_size(size)}, verified, in"
        f" {human_duration(at - started)}.{rest}",
        facts={
            "started": iso(started),
            "segments": segments,
            "bytes": size,
            "refused": refused,
            "cameras": {
                camera: _spans(of_camera, max(1, LISTED // len(spans)))
                for camera, of_camera in sorted(spans.items())[:LISTED]
            },
        },
    )


def lost(*, server: str, camera: str, spans: Sequence[Span], at: int, reason: str) -> Alarm:
    """Nobody has these spans of `camera`, which `server` should have recorded. In order, and not empty."""
    return Alarm(
        key=key_of(AlarmKind.LOST, server, camera, spans[0].start, spans[-1].end, len(spans), total(spans)),
        kind=AlarmKind.LOST,
        server=server,
        camera=camera,
        at=at,
        text=f"{human_duration(total(spans))} of camera {camera} on {server}{_between(spans)} is lost"
        f" for good: {reason}. No server of the pair has it, and nothing will bring it back.",
        facts={"reason": reason, **_spans(spans)},
    )


def damage(*, server: str, storage: str, at: int, files: Mapping[str, str]) -> Alarm:
    """Files on `storage` are not what they were: what is wrong by path. Not empty."""
    listed = sorted(files.items())
    path, wrong = listed[0]
    more = f" and {_many(len(listed) - 1, 'other')}" if len(listed) > 1 else ""
    return Alarm(
        key=key_of(AlarmKind.DAMAGE, server, storage, _digest("\n".join(f"{path}\t{said}" for path, said in listed))),
        kind=AlarmKind.DAMAGE,
        server=server,
        at=at,
        text=f"Damage on storage {storage} of {server}, found at {clock(at)}: {path[:400]}{more} ({wrong[:200]}). Look"
        " at that disk; 'recorder-sync verify --repair' fetches filled copies again.",
        facts={
            "storage": storage,
            "files": [{"path": path, "detail": said} for path, said in listed[:LISTED]],
            "count": len(listed),
        },
    )


def disk_low(*, server: str, storage: str, at: int, free: int, reserve: int) -> Alarm:
    """Free space at `storage` is below `reserve`: told once a day (UTC) while that lasts."""
    return Alarm(
        key=key_of(AlarmKind.DISK_LOW, server, storage, _day(at)),
        kind=AlarmKind.DISK_LOW,
        server=server,
        at=at,
        text=f"Storage {storage} of {server} has {human_size(free)} free at {clock(at)}, less than"
        f" {human_size(reserve)}. When it is full the recorder deletes early or stops; filling stops before that.",
        facts={"storage": storage, "free_bytes": free, "reserve_bytes": reserve},
    )


def clock_offset(*, server: str, observer: str, at: int, offset: int, limit: int) -> Alarm:
    """The clock of `server` is ahead of `observer`'s by `offset`, or behind if negative; told once a day (UTC)."""
    way = "ahead of" if offset > 0 else "behind"
    return Alarm(
        key=key_of(AlarmKind.CLOCK_OFFSET, server, observer, _day(at)),
        kind=AlarmKind.CLOCK_OFFSET,
        server=server,
        at=at,
        text=f"The clock of {server} is {human_duration(abs(offset))} {way} {observer}'s at {clock(at)}, more than"
        f" {human_duration(limit)}: their recordings cannot be compared, and nothing is filled. Set the clocks.",
        facts={"observer": observer, "offset_seconds": offset / SECOND, "limit_seconds": limit / SECOND},
    )


def test(*, server: str, at: int) -> Alarm:
    """An operator tries the channels."""
    return Alarm(
        key=key_of(AlarmKind.TEST, server, at),
        kind=AlarmKind.TEST,
        server=server,
        at=at,
        text=f"This is a test of {server}'s alarms at {clock(at)}. Nothing happened.",
    )


def _day(at: int) -> str:
    return iso(at)[:10]


def _lasted(since: int, at: int) -> dict[str, Any]:
    return {"since": iso(since), "seconds": (at - since) / SECOND}


def _spans(spans: Sequence[Span], most: int = LISTED) -> dict[str, Any]:
    """Return spans for programs: the first of them, how many there are, and their sum."""
    listed = [{"start": iso(one.start), "end": iso(one.end), "seconds": one.seconds} for one in spans[:most]]
    return {"spans": listed, "count": len(spans), "seconds": total(spans) / SECOND}


def _between(spans: Sequence[Span]) -> str:
    """Return ` between 02:10 and 03:20` of the first and last moment."""
    if not spans:
        return ""
    return f" between {clock(min(one.start for one in spans))} and {clock(max(one.end for one in spans))}"


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"
