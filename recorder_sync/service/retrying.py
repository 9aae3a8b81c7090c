"""When to try again what a fill was refused: soon, then ever more seldom.

Rule: pure; the time comes in, by a clock that only goes forward: one that is set back must not make a wait of a year.
What is refused for a reason that lasts must not be asked for at every new segment, and
must not be forgotten either.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from schema.spans import HOUR, MINUTE
from schema.values import Refused, Task

_FIRST = MINUTE
_LONGEST = HOUR

_Key = tuple[str, str, str]


@dataclass(slots=True)
class Retrying:
    """What was refused, how often, and when it may be tried again, in microseconds."""

    _tries: dict[_Key, tuple[int, int]] = field(default_factory=dict)

    def ready(self, tasks: Iterable[Task], now: int) -> list[Task]:
        """Return the tasks that may be tried now, in order."""
        return [task for task in tasks if self._tries.get(_key_of(task), (0, 0))[1] <= now]

    def next(self, tasks: Iterable[Task], now: int) -> int | None:
        """Return when the first of the others may be tried, None if there are none: always after `now`."""
        due = (self._tries.get(_key_of(task), (0, 0))[1] for task in tasks)
        return min((at for at in due if at > now), default=None)

    def note(self, tried: Iterable[Task], refused: Iterable[Refused], now: int) -> None:
        """Take in how a fill ended: what was refused waits longer each time, everything else is forgotten."""
        again = {(one.server, one.peer or "", one.path) for one in refused}
        for task in tried:
            key = _key_of(task)
            if key not in again:
                self._tries.pop(key, None)
                continue
            count = self._tries.get(key, (0, 0))[0] + 1
            self._tries[key] = (count, now + min(_LONGEST, _FIRST << min(count - 1, 12)))


def _key_of(task: Task) -> _Key:
    return task.server, task.peer, task.source.path
