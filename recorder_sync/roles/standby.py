"""The standby in `recorder-sync run`: looks whether the primary's recorder lives, takes its id over, gives it back.

Rule: decides nothing itself (`decide`) and changes nothing itself (`identity.clone`). Every decision is one sentence,
in the log when it changes and in the status while it holds. A change that a crash cut in two is put back first.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from recorder_sync.alarms import kinds
from recorder_sync.identity.clone import situation
from recorder_sync.identity.drivers import State, driver
from recorder_sync.identity.here import Here
from recorder_sync.identity.interlock import must_return
from recorder_sync.identity.journal import Entry, Step
from recorder_sync.identity.vault import Vault
from recorder_sync.roles.decide import Act, Decision, Memory, Rules, rested, resting, standby
from recorder_sync.roles.saying import Saying
from recorder_sync.service.events import Events
from schema.errors import OperatorError
from schema.spans import SECOND

_log = structlog.get_logger()


class Standby:
    """The recorder here as the standby of `identity.primary`.

    Args:
        tell: gets the sentence of the present decision.
    """

    def __init__(
        self,
        here: Here,
        events: Events,
        tell: Callable[[str], None],
    ) -> None:
        self._here = here
        self._events = events
        self._saying = Saying(tell, decided="identity.standby", failed="identity.failed")
        rules = here.rules
        self._rules = Rules(down=rules.down / SECOND, settle=rules.settle / SECOND)
        self._memory = Memory()

    async def run(self) -> None:
        """Look and act until cancelled. What is begun is ended: no recorder is left between two ids by a stop."""
        if self._here.rules.failover == "none":
            await asyncio.Event().wait()
        while True:
            await asyncio.shield(asyncio.to_thread(self.look))
            await asyncio.sleep(self._here.rules.look / SECOND)

    def look(self) -> None:
        """Look once and do what is decided. Whatever goes wrong is said, and tried again."""
        try:
            self._look()
        except OperatorError as error:
            self._memory = rested(self._memory, time.monotonic())
            self._saying.failed(error, f"{error}; nothing more is tried for {self._rules.settle:g} s")

    def _look(self) -> None:
        here, began = self._here, time.monotonic()
        entry = situation(here.path, here.place).entry
        if entry is not None and entry.step is not Step.TAKEN:
            if not resting(self._memory, time.monotonic(), self._rules):
                self._return(entry, "a change of the recorder's id was cut off; it is put back")
            return
        signals = here.signals()
        lives = must_return(here.primary, signals)
        self._memory, decision = standby(
            here.primary,
            self._memory,
            holds=entry is not None,
            verdict=here.judged(signals),
            lives=lives,
            began=began,
            at=time.monotonic(),
            rules=self._rules,
        )
        self._do(decision, entry)

    def _do(self, decision: Decision, entry: Entry | None) -> None:
        self._saying.decided(decision)
        if decision.act is Act.TAKE:
            self._take(decision.said)
        elif decision.act is Act.RETURN and entry is not None:
            self._return(entry, decision.said)

    def _take(self, why: str) -> None:
        """Give the recorder here the primary's id, and see that it runs."""
        here = self._here
        # What is kept was read while the primary lived; asking a dead host first would only take time.
        kept = Vault(here.place).known(here.primary)
        wanted = here.known()[0] if kept is None else kept
        outcome = here.cloner().clone(wanted, here.verdict)
        if outcome.service is State.STOPPED:
            driver(here.rules).start()
        at = here.now()
        self._events.tell(kinds.identity_taken(server=here.primary, by=self._own, at=at, reason=why))
        _log.warning("identity.taken", server=here.primary, id=outcome.now, notes=list(outcome.notes))

    def _return(self, entry: Entry, why: str) -> None:
        """Give the recorder here its own id back; it ends as it was before the id was taken."""
        here = self._here
        taken = entry.step is Step.TAKEN
        if taken and not entry.was_running:
            driver(here.rules).stop()
        outcome = here.cloner().undo()
        self._memory = rested(self._memory, time.monotonic())
        if taken:
            alarm = kinds.identity_returned(
                server=entry.server, by=self._own, since=entry.at, at=here.now(), reason=why
            )
            self._events.tell(alarm)
        _log.warning("identity.returned", server=entry.server, id=outcome.now, why=why, notes=list(outcome.notes))

    @property
    def _own(self) -> str:
        return self._here.settings.servers[0].name
