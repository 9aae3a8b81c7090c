"""`recorder-sync alarms`: what operators were told, over which channel, and whether the channels work."""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from recorder_sync.alarms import kinds
from recorder_sync.alarms.channels import Channel, ChannelFailed, open_channels
from recorder_sync.alarms.wording import alarm_document
from recorder_sync.app import App, now, opened
from recorder_sync.cli.output import print_document, results
from schema.documents import AlarmsDocument, DeliveryDocument, RaisedDocument, TriedDocument
from schema.errors import EXIT_DONE, AlarmUndelivered, UsageInvalid
from schema.ledger.alarms import Raised, Sending
from schema.moments import clock, iso
from schema.service import AlarmChannel
from schema.settings import load
from schema.values import Alarm


def run(config: Path, *, limit: int, as_json: bool) -> int:
    """List the latest alarms; returns the exit code."""
    with opened(config) as app:
        found = _recent(app, limit)
        if as_json:
            print_document(
                AlarmsDocument(generated=iso(now()), alarms=[raised_document(one) for one in found], tried=[])
            )
        else:
            results().print(_table(found) if found else Text("no alarm yet"))
        return EXIT_DONE


def run_test(config: Path, *, names: Sequence[str], as_json: bool) -> int:
    """Send a test alarm over these channels, default all, at once and past the outbox; returns the exit code.

    Raises AlarmUndelivered, SecretMissing, UsageInvalid.
    """
    settings = load(config)
    chosen = _chosen(settings.alarms, names)
    alarm = kinds.test(server=settings.servers[0].name, at=now())
    answers = asyncio.run(_send(open_channels(chosen, os.environ), alarm))
    tried = [
        TriedDocument(channel=channel.name, kind=channel.kind, seconds=seconds, error=error, answer=answer)
        for channel, (seconds, error, answer) in zip(chosen, answers, strict=True)
    ]
    if as_json:
        print_document(AlarmsDocument(generated=iso(now()), alarms=[], tried=tried))
    else:
        results().print(_tried_table(tried))
    silent = [one for one in tried if one.error is not None]
    if silent:
        raise AlarmUndelivered(silent[0].channel, silent[0].error)
    return EXIT_DONE


def _chosen(channels: Sequence[AlarmChannel], names: Sequence[str]) -> list[AlarmChannel]:
    """Return the channels with these names, without names all. Raises UsageInvalid."""
    if not channels:
        raise UsageInvalid("alarms test", "the configuration has no [[alarms]] table")
    known = [channel.name for channel in channels]
    for name in names:
        if name not in known:
            raise UsageInvalid("--channel", f"there is no alarm channel {name!r}; known: {', '.join(known)}")
    return [channel for channel in channels if not names or channel.name in names]


def _recent(app: App, limit: int) -> list[Raised]:
    servers = [one.name for one in app.settings.servers] + [one.name for one in app.settings.peers]
    with app.ledger.reading() as connection:
        return app.ledger.outbox.recent(connection, limit, servers)


async def _send(channels: Sequence[Channel], alarm: Alarm) -> list[tuple[float, str | None, str | None]]:
    return await asyncio.gather(*(_send_one(channel, alarm) for channel in channels))


async def _send_one(channel: Channel, alarm: Alarm) -> tuple[float, str | None, str | None]:
    """Return how long it took, and why it failed or what was answered."""
    began, error, answer = time.monotonic(), None, None
    try:
        answer = await channel.send(alarm)
    except ChannelFailed as failure:
        error = failure.reason
    return round(time.monotonic() - began, 3), error, answer


def raised_document(raised: Raised) -> RaisedDocument:
    """Return an alarm with how far it got on every channel."""
    return RaisedDocument(
        alarm=alarm_document(raised.alarm),
        observer=raised.observer,
        deliveries=[
            DeliveryDocument(
                channel=one.channel,
                state=one.state.value,
                attempts=one.attempts,
                next=iso(one.next) if one.state is Sending.PENDING and one.next else None,
                error=one.error,
            )
            for one in raised.deliveries
        ],
    )


def _table(found: Sequence[Raised]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("noticed", no_wrap=True)
    table.add_column("what")
    table.add_column("told")
    for one in found:
        table.add_row(clock(one.alarm.at), Text(one.alarm.text), _told(one))
    return table


def _told(raised: Raised) -> Text:
    """Return a line for each channel: `mail`, or why it does not have it yet."""
    lines = []
    for one in raised.deliveries:
        if one.state is Sending.DELIVERED:
            lines.append(Text(one.channel, style="green"))
        elif one.state is Sending.EXPIRED:
            lines.append(Text(f"{one.channel}: given up after a week: {one.error}", style="red"))
        elif one.attempts:
            tries = "once" if one.attempts == 1 else f"{one.attempts} times"
            said = one.error or "under way, or stopped over it"
            lines.append(Text(f"{one.channel}: tried {tries}: {said}", style="yellow"))
        else:
            lines.append(Text(f"{one.channel}: waits", style="yellow"))
    return Text("\n").join(lines) if lines else Text("nobody", style="dim")


def _tried_table(tried: Sequence[TriedDocument]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for word in ("channel", "kind"):
        table.add_column(word, no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("answer")
    for one in tried:
        answer = Text(f"taken: {one.answer}", style="green") if one.error is None else Text(one.error, style="red")
        table.add_row(one.channel, one.kind, f"{one.seconds:.1f}", answer)
    return table
