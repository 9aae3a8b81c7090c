"""Alarms: the one that channels get, and how far each got.

Rule: keys are only added, above all those of `AlarmDocument`: receivers that others wrote read it.
"""

from typing import Any

import msgspec


class AlarmDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm: what webhooks and commands get. The same `key` is the same event, however often it is sent."""

    key: str
    kind: str
    server: str
    camera: str | None
    at: str
    text: str
    facts: dict[str, Any]


class DeliveryDocument(msgspec.Struct, frozen=True, kw_only=True):
    """How far an alarm got on one channel. `state` is `pending`, `delivered` or `expired`; `next` is the next try."""

    channel: str
    state: str
    attempts: int
    next: str | None
    error: str


class RaisedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm in the ledger. `observer` is the server whose service noticed and sends it."""

    alarm: AlarmDocument
    observer: str
    deliveries: list[DeliveryDocument]


class TriedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a test alarm on one channel. `error` is null if the channel took it.

    `answer` is what the receiver answered then, in words; null if it did not take it.
    """

    channel: str
    kind: str
    seconds: float
    error: str | None
    answer: str | None


class AlarmsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder-sync alarms --json`: the latest alarms, newest first; of `alarms test` how each channel answered."""

    generated: str
    alarms: list[RaisedDocument]
    tried: list[TriedDocument]
