"""The identity of the recorder on this host, put together from the configuration: for the command and for the service.

Rule: the one place that chooses drivers and reaches peers for this. Whoever switches roles by itself uses these verbs.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from backfill.link.client import LinkClient
from recorder_sync.identity.clone import Cloner, situation
from recorder_sync.identity.drivers import driver
from recorder_sync.identity.exchange import this_system
from recorder_sync.identity.interlock import Signal, Verdict, may_clone
from recorder_sync.identity.learn import check_not_own, from_file_within, from_link
from recorder_sync.identity.place import Place
from recorder_sync.identity.registry import this_registry
from recorder_sync.identity.signals import Beside, observe
from recorder_sync.identity.vault import Known, Vault
from recorder_sync.linking import clients, trust_of
from schema.errors import IdentityUnknown, OperatorError, UsageInvalid
from schema.identity import IdentityRules
from schema.ledger import Ledger
from schema.ledger.contacts import Contact
from schema.settings import Settings

_READ_WITHIN = 10.0
"""Seconds that the primary's file may take to come; a share of a host that is gone hangs much longer."""


@dataclass(frozen=True, slots=True)
class Here:
    """What this host needs to take an identity and to give it back."""

    settings: Settings
    rules: IdentityRules
    now: Callable[[], int]
    client: LinkClient | None
    ledger: Ledger | None = None
    """Where the service here notes whom it hears; None: it is opened to be asked."""

    @classmethod
    def of(cls, settings: Settings, now: Callable[[], int], ledger: Ledger | None = None) -> "Here":
        """Return it for a configuration. A peer is reached when it is first asked."""
        rules = settings.identity
        found = (one for one in clients(settings, trust_of(settings), rules.probe) if one.server == rules.primary)
        return cls(settings, rules, now, next(found, None), ledger)

    @property
    def primary(self) -> str:
        """The server whose id may be taken. Raises UsageInvalid."""
        if self.rules.primary is None:
            raise UsageInvalid("clone-id", "identity.primary is not set: whose id is it to be?")
        return self.rules.primary

    @property
    def path(self) -> str:
        """The recorder's file here. Raises UsageInvalid."""
        if self.rules.config is None:
            raise UsageInvalid("--to", "which file is the recorder's here? It is named so, or by identity.config")
        return self.rules.config

    @property
    def place(self) -> Place:
        """Where everything about identities is kept."""
        return Place(self.rules.folder)

    def cloner(self) -> Cloner:
        """Return what changes the recorder's identity. Raises ServiceManagerMissing, UsageInvalid."""
        return Cloner(self.path, self.place, driver(self.rules), this_registry(), this_system(), self.now)

    def learn(self) -> tuple[Known, bool]:
        """Read the primary's id and keep it; tells also whether it is another than was known.

        Raises IdentityUnknown, IdentityNotWritten and what keeps it from being read.
        """
        if self.rules.primary_config is not None:
            found = from_file_within(self.primary, self.rules.primary_config, self.now(), _READ_WITHIN)
        elif self.client is not None:
            found = from_link(self.primary, self._beside(self.client), self.now())
        else:
            raise IdentityUnknown(self.primary, "it is no peer, and identity.primary_config is not set")
        own = self._own()
        if own is not None:
            check_not_own(found, own)
        return found, Vault(self.place).keep(found)

    def _own(self) -> str | None:
        """Return the own id of the recorder here; None without a file that can be read, which has none to mistake."""
        if self.rules.config is None:
            return None
        try:
            return situation(self.rules.config, self.place).own
        except OperatorError:
            return None

    def known(self) -> tuple[Known, str]:
        """Return the primary's id, read now or else as it is kept; and what kept it from being read now.

        Raises IdentityUnknown, IdentityNotesDamaged, IdentityNotWritten.
        """
        try:
            return self.learn()[0], ""
        except OperatorError as error:
            kept = Vault(self.place).known(self.primary)
            if kept is None:
                raise IdentityUnknown(self.primary, f"nothing is kept of it, and {error}") from None
            return kept, str(error)

    def signals(self) -> list[Signal]:
        """Look now whether the primary's recorder lives."""
        beside = None if self.client is None else self._beside(self.client)
        return observe(self.primary, self.rules, beside, self._contact(), self.now)

    def judged(self, signals: Sequence[Signal], forced: bool = False) -> Verdict:
        """Say whether its id may be taken by what was seen, and by what silence counts as here."""
        return may_clone(self.primary, signals, silence_is_down=self.rules.silence == "down", forced=forced)

    def verdict(self, forced: bool = False) -> Verdict:
        """Look now, and say whether its id may be taken."""
        return self.judged(self.signals(), forced)

    def close(self) -> None:
        """Cut the connections to the primary, for good."""
        if self.client is not None:
            self.client.close()

    def _beside(self, client: LinkClient) -> Beside:
        return Beside(client.pulse, client.identity, sure=self.settings.link.encryption == "tls")

    def _contact(self) -> Contact | None:
        """Return how the service here last heard of the primary; None if that cannot be told."""
        if self.client is None:
            return None
        opened = Ledger.open(self.settings.ledger) if self.ledger is None else nullcontext(self.ledger)
        try:
            with opened as ledger, ledger.reading() as connection:
                known = ledger.contacts.all(connection)
        except OperatorError:
            return None
        own = self.settings.servers[0].name
        return next((one for one in known if (one.observer, one.server) == (own, self.rules.primary)), None)
