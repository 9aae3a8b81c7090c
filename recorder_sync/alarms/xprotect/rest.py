"""Alarms through XProtect's API gateway: as alarms in its list, or as user-defined events that its rules react to.

Rule: 202 means delivered, nothing else does. Events are sent in the order in which things happened, because rules hold
a state: a "degraded" that arrives after its "whole again" would stay.
"""

import asyncio
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any

from recorder_sync.alarms.channels import ChannelFailed, seconds
from recorder_sync.alarms.secrets import Secrets
from recorder_sync.alarms.xprotect.answers import quoted, status_line
from recorder_sync.alarms.xprotect.gateway import Gateway
from recorder_sync.alarms.xprotect.shapes import alarm_body, event_body, named_events, source_of
from schema.service import GUID, AlarmChannel
from schema.values import Alarm, AlarmKind

_LISTED = 10


class GatewayAlarms:
    """Creates one alarm in XProtect's alarm list for each alarm."""

    ordered = False

    def __init__(self, settings: AlarmChannel, secrets: Secrets) -> None:
        self.name = settings.name
        self._settings = settings
        self.timeout = seconds(settings)
        self._gateway = Gateway(settings, secrets)

    async def send(self, alarm: Alarm) -> str:
        """Create the alarm; returns the answer. Raises ChannelFailed."""
        return self._gateway.hidden(await _within(self.timeout, self._create(alarm)))

    async def _create(self, alarm: Alarm) -> str:
        source = source_of(self._settings, alarm) or ""
        made = await self._gateway.call("POST", "/alarms", HTTPStatus.ACCEPTED, alarm_body(alarm, source))
        return f"{status_line(HTTPStatus.ACCEPTED)}{_made(made, 'alarm')}"


class UserDefinedEvents:
    """Triggers the user-defined event that the configuration names for a kind of alarm."""

    ordered = True

    def __init__(self, settings: AlarmChannel, secrets: Secrets) -> None:
        self.name = settings.name
        self._events = settings.events
        self.timeout = seconds(settings)
        self._gateway = Gateway(settings, secrets)

    async def send(self, alarm: Alarm) -> str:
        """Trigger the event; returns the answer. Raises ChannelFailed."""
        return self._gateway.hidden(await _within(self.timeout, self._trigger(alarm)))

    async def _trigger(self, alarm: Alarm) -> str:
        """Trigger the event.

        A test without an event of its own only looks whether all events are there: the others move rules.
        """
        name = self._events.get(alarm.kind.value)
        if name is None and alarm.kind is not AlarmKind.TEST:
            return f"nothing is triggered for {alarm.kind.value} any more"
        ids = await self._ids()
        missing = [one for one in ([name] if name else sorted(set(self._events.values()))) if one not in ids]
        if missing:
            raise ChannelFailed(
                f"{status_line(HTTPStatus.OK)}, and among {_many(ids)} there is none called {missing[0]!r}: add it in"
                " the Management Client under Rules and Events > User-defined Events, or correct 'events'",
                answered=True,
            )
        if name is None:
            return (
                f"{status_line(HTTPStatus.OK)}; all {len(set(self._events.values()))} events that are configured are"
                " there. None was triggered: name one under events.test for that"
            )
        made = await self._gateway.call("POST", "/events", HTTPStatus.ACCEPTED, event_body(ids[name]))
        return f"{status_line(HTTPStatus.ACCEPTED)}{_made(made, 'event')} for {name!r}"

    async def _ids(self) -> dict[str, str]:
        listed = await self._gateway.call("GET", "/userDefinedEvents", HTTPStatus.OK)
        try:
            return named_events(listed)
        except ValueError as error:
            raise ChannelFailed(f"{status_line(HTTPStatus.OK)}, but {error}") from None


async def _within(timeout: float, talk: Coroutine[Any, Any, str]) -> str:
    """Await what is said to the gateway, all of its requests together. Raises ChannelFailed."""
    try:
        async with asyncio.timeout(timeout):
            return await talk
    except TimeoutError:
        raise ChannelFailed(f"no answer within {timeout:g} s") from None


def _made(document: Any, what: str) -> str:
    """Return ` and made alarm 12` if it said which."""
    data = document.get("data") if isinstance(document, dict) else None
    made = data.get("id") if isinstance(data, dict) else None
    return f" and made {what} {made}" if isinstance(made, str) and GUID.fullmatch(made) else ""


def _many(ids: dict[str, str]) -> str:
    """Return `2 user-defined events ('a', 'b')`."""
    names = ", ".join(repr(quoted(name)) for name in sorted(ids)[:_LISTED])
    more = ", ..." if len(ids) > _LISTED else ""
    return f"{len(ids)} user-defined events{f' ({names}{more})' if names else ''}"
