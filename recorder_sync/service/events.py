"""Raising alarms from inside the service: in the transaction that makes them true, to every configured channel.

Rule: the one place that knows who observes and which channels there are. Who sends is woken after the commit: woken
before, it finds nothing and sleeps again.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from schema.ledger import Connection, Ledger
from schema.service import AlarmChannel
from schema.values import Alarm


class Events:
    """Writes alarms to the outbox.

    Args:
        raised: called when there may be something new to send, from any thread.
    """

    def __init__(
        self, ledger: Ledger, observer: str, channels: Sequence[AlarmChannel], raised: Callable[[], None]
    ) -> None:
        self._ledger = ledger
        self._observer = observer
        self._channels = channels
        self._raised = raised

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a transaction of the ledger in which alarms are raised; they are on their way once it is durable."""
        with self._ledger.writing() as connection:
            yield connection
        self._raised()

    def raise_(self, connection: Connection, alarm: Alarm) -> None:
        """Write `alarm` in a transaction of `writing`, unless its event is known already."""
        self._ledger.outbox.raise_(connection, alarm, self._observer, self._channels)

    def tell(self, alarm: Alarm) -> None:
        """Write `alarm` in a transaction of its own."""
        with self.writing() as connection:
            self.raise_(connection, alarm)
