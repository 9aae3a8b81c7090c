"""The ways to tell an operator: what a channel promises, and which kinds there are.

Rule: a channel sends one alarm and remembers nothing; whether and when to try again is the dispatcher's business. A
further kind is one module, one line in `KINDS` and its word in `AlarmChannel.kind`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from recorder_sync.alarms.secrets import Secrets
from schema.service import AlarmChannel
from schema.spans import SECOND
from schema.values import Alarm


class ChannelFailed(Exception):
    """A channel did not take an alarm. `reason` is for operators and holds no secret."""

    def __init__(self, reason: str, *, answered: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answered = answered
        """The receiver works and does not want this one: others may well get through."""


class Channel(Protocol):
    """Where alarms go.

    `send` returns once the receiver has taken the alarm, as far as this kind of channel can know, or raises
    ChannelFailed; it gives up after `timeout` seconds by itself and leaves nothing behind when it is cancelled. It may
    be called twice with one alarm: what it sends then names the same key and the same time.
    """

    @property
    def name(self) -> str:
        """What the configuration calls it."""

    @property
    def timeout(self) -> float:
        """Seconds that one try may take."""

    @property
    def ordered(self) -> bool:
        """Whether an alarm must not overtake an earlier one: what hears it holds a state, and the last one counts."""

    async def send(self, alarm: Alarm) -> str:
        """Send one alarm; returns what the receiver answered, in words for operators. Raises ChannelFailed."""


Opener = Callable[[AlarmChannel, Secrets], Channel]


# Each imports what it needs when it is configured: a service with mail alone loads no HTTP client.
def _webhook(settings: AlarmChannel, secrets: Secrets) -> Channel:
    from recorder_sync.alarms.webhook import Webhook

    return Webhook(settings, secrets)


def _mail(settings: AlarmChannel, secrets: Secrets) -> Channel:
    from recorder_sync.alarms.mail import Mail

    return Mail(settings, secrets)


def _syslog(settings: AlarmChannel, _: Secrets) -> Channel:
    from recorder_sync.alarms.syslog import Syslog

    return Syslog(settings)


def _command(settings: AlarmChannel, _: Secrets) -> Channel:
    from recorder_sync.alarms.command import Command

    return Command(settings)


def _analytics(settings: AlarmChannel, _: Secrets) -> Channel:
    from recorder_sync.alarms.xprotect.analytics import AnalyticsEvents

    return AnalyticsEvents(settings)


def _generic(settings: AlarmChannel, _: Secrets) -> Channel:
    from recorder_sync.alarms.xprotect.generic import GenericEvents

    return GenericEvents(settings)


def _alarm(settings: AlarmChannel, secrets: Secrets) -> Channel:
    from recorder_sync.alarms.xprotect.rest import GatewayAlarms

    return GatewayAlarms(settings, secrets)


def _event(settings: AlarmChannel, secrets: Secrets) -> Channel:
    from recorder_sync.alarms.xprotect.rest import UserDefinedEvents

    return UserDefinedEvents(settings, secrets)


KINDS: dict[str, Opener] = {
    "command": _command,
    "smtp": _mail,
    "syslog": _syslog,
    "webhook": _webhook,
    "xprotect-alarm": _alarm,
    "xprotect-analytics": _analytics,
    "xprotect-event": _event,
    "xprotect-generic": _generic,
}


def open_channel(settings: AlarmChannel, environment: Mapping[str, str]) -> Channel:
    """Return the channel of one `[[alarms]]` table. Raises SecretMissing."""
    return KINDS[settings.kind](settings, Secrets(settings.name, environment))


def open_channels(settings: Iterable[AlarmChannel], environment: Mapping[str, str]) -> list[Channel]:
    """Return the channels of a configuration. Raises SecretMissing."""
    return [open_channel(one, environment) for one in settings]


def seconds(settings: AlarmChannel) -> float:
    """Return how long one try may take."""
    return settings.timeout / SECOND
