"""The primary in `recorder-sync run`: starts its recorder once nobody else answers with its id.

Rule: once for each start of the service, and never with another's id. A recorder that runs already is left alone, and
one that an operator stops later stays stopped. While it waits the peers are told so, which makes whoever holds the id
give it back.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from backfill.link.client import LinkClient
from recorder_sync.identity.clone import situation
from recorder_sync.identity.drivers import State, driver
from recorder_sync.identity.guid import same
from recorder_sync.identity.place import Place
from recorder_sync.roles.decide import Act, Holds, Peer, primary
from recorder_sync.roles.saying import Saying
from schema.errors import OperatorError
from schema.identity import IdentityRules
from schema.spans import SECOND


class Primary:
    """The recorder here, which others may have stood in for.

    Args:
        clients: of every peer.
        tell: gets the sentence of the present decision, and nothing once there is none.
    """

    def __init__(
        self,
        rules: IdentityRules,
        clients: Sequence[LinkClient],
        tell: Callable[[str], None],
    ) -> None:
        self._rules = rules
        self._clients = clients
        self._saying = Saying(tell, decided="identity.primary", failed="identity.not_started")
        self._began: float | None = None
        self.waits = False
        """Whether the recorder is to be started as soon as its id is free."""

    async def run(self) -> None:
        """See to the recorder's start, then wait until cancelled."""
        if self._rules.start:
            while not await asyncio.shield(asyncio.to_thread(self.look)):
                await asyncio.sleep(self._rules.look / SECOND)
        await asyncio.Event().wait()

    def look(self) -> bool:
        """Look once; returns whether the recorder runs. Whatever goes wrong is said, and tried again."""
        try:
            done = self._look()
        except OperatorError as error:
            self._saying.failed(error, f"the recorder here is not started: {error}")
            return False
        if done:
            self.waits = False
            self._saying.nothing()
        return done

    def _look(self) -> bool:
        recorder = driver(self._rules)
        if recorder.state() is State.RUNNING:
            return True
        assert self._rules.config is not None
        place = Place(self._rules.folder)
        found = situation(self._rules.config, place)
        self._began = time.monotonic() if self._began is None else self._began
        self.waits = True
        peers = [_asked(client, found.own) for client in self._clients]
        waited = time.monotonic() - self._began
        holds = "" if found.entry is None else found.entry.server
        decision = primary(peers, waited=waited, alone=self._rules.alone / SECOND, holds=holds)
        self._saying.decided(decision)
        if decision.act is not Act.START:
            return False
        with place.locked():  # an import, or a change of its id, may have it stopped
            if situation(self._rules.config, place).entry is not None:
                return False  # it was given another's id since it was looked at
            recorder.start()
        return True


def _asked(client: LinkClient, own: str) -> Peer:
    """Ask one peer whether its recorder has our id."""
    try:
        told = client.identity()
    except OperatorError as error:
        return Peer(client.server, Holds.SILENT, str(error))
    if told.holds and same(told.holds, own):
        return Peer(client.server, Holds.TAKEN)
    if told.id or told.holds:
        return Peer(client.server, Holds.FREE)
    return Peer(client.server, Holds.SILENT, told.problem or "it gives no reason")
