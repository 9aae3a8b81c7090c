"""Whether a recorder records: from the newest recording of each camera here and at the peers.

Rule: pure; the time comes in. Two signals before anyone is called silent: nothing new here for longer than usual, and,
where recording on motion makes silence lawful, a peer that did record meanwhile. All cameras silent is the recorder;
one of several is the camera.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schema.spans import DAY, SECOND

REMEMBERED = 7 * DAY
"""A camera without a recording for this long was taken away on purpose."""

_SILENT_LEAST = 60 * SECOND


def patience(segment: int, configured: int | None) -> int:
    """Return how long a camera may bring nothing new, microseconds; `segment` is the usual length of a recording."""
    return configured if configured is not None else max(3 * segment, _SILENT_LEAST)


@dataclass(frozen=True, slots=True)
class Silence:
    """Who records nothing, and since when: microseconds UTC."""

    recorder: int | None = None
    cameras: Mapping[str, int] = field(default_factory=dict)
    """Cameras that are silent while others of this recorder record."""


def silence(
    newest: Mapping[str, int], elsewhere: Mapping[str, int], *, now: int, patience: int, continuous: bool
) -> Silence:
    """Return who is silent.

    Args:
        newest: end of each camera's newest recording of this recorder.
        elsewhere: the same at the peers, the newest of them.
        continuous: the recorder should record all the time; otherwise silence counts only where a peer recorded.
    """
    known = {camera: end for camera, end in newest.items() if now - end < REMEMBERED}
    quiet = {camera: end for camera, end in known.items() if now - end > patience}
    missed = {camera: end for camera, end in quiet.items() if elsewhere.get(camera, 0) > end + patience}
    if known and len(quiet) == len(known) and (continuous or missed):
        return Silence(recorder=max(known.values()))
    return Silence(cameras=quiet if continuous else missed)
