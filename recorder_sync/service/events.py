"""Raising alarms from inside the service: in the transaction that makes them true, to every configured channel.

Rule: the one place that knows who observes and which channels there are.
"""

from collections.abc import Callable, Sequence

from schema.ledger import Connection, Ledger
from schema.service import AlarmChannel
from schema.values import Alarm


class Events:
    """Writes alarms to the outbox.

    Args:
        raised: called when there is something new to send, from any thread.
    """

    def __init__(
        self, ledger: Ledger, observer: str, channels: Sequence[AlarmChannel], raised: Callable[[], None]
    ) -> None:
        self._ledger = ledger
        self._observer = observer
        self._channels = channels
        self._raised = raised

    def raise_(self, connection: Connection, alarm: Alarm) -> None:
        """Write `alarm` with the caller's transaction, unless its event is known already."""
        if self._ledger.outbox.raise_(connection, alarm, self._observer, self._channels):
            self._raised()

    def tell(self, alarm: Alarm) -> None:
        """Write `alarm` in a transaction of its own."""
        with self._ledger.writing() as connection:
            self.raise_(connection, alarm)
