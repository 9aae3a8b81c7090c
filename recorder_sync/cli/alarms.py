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
from schema.values import Alarm


def run(config: Path, *, limit: int, test: bool, as_json: bool) -> int:
    """List the latest alarms, or try the channels; returns the exit code. Raises AlarmUndelivered."""
    with opened(config) as app:
        tried = _test(app) if test else []
        found = [] if test else _recent(app, limit)
        if as_json:
            print_document(
                AlarmsDocument(generated=iso(now()), alarms=[raised_document(one) for one in found], tried=tried)
            )
        else:
            results().print(_tried_table(tried) if test else _table(found) if found else Text("no alarm yet"))
        silent = [one for one in tried if one.error is not None]
        if silent:
            raise AlarmUndelivered(silent[0].channel, silent[0].error)
        return EXIT_DONE


def _recent(app: App, limit: int) -> list[Raised]:
    servers = [one.name for one in app.settings.servers] + [one.name for one in app.settings.peers]
    with app.ledger.reading() as connection:
        return app.ledger.outbox.recent(connection, limit, servers)


def _test(app: App) -> list[TriedDocument]:
    """Send a test alarm over every channel, at once and past the outbox."""
    if not app.settings.alarms:
        raise UsageInvalid("--test", "the configuration has no [[alarms]] table")
    channels = open_channels(app.settings.alarms, os.environ)
    alarm = kinds.test(server=app.settings.servers[0].name, at=now())
    kind_of = {one.name: one.kind for one in app.settings.alarms}
    answers = asyncio.run(_send(channels, alarm))
    return [
        TriedDocument(channel=channel.name, kind=kind_of[channel.name], seconds=seconds, error=error)
        for channel, (seconds, error) in zip(channels, answers, strict=True)
    ]


async def _send(channels: Sequence[Channel], alarm: Alarm) -> list[tuple[float, str | None]]:
    return await asyncio.gather(*(_send_one(channel, alarm) for channel in channels))


async def _send_one(channel: Channel, alarm: Alarm) -> tuple[float, str | None]:
    began, error = time.monotonic(), None
    try:
        await channel.send(alarm)
    except ChannelFailed as failure:
        error = failure.reason
    return round(time.monotonic() - began, 3), error


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
        answer = Text("taken", style="green") if one.error is None else Text(one.error, style="red")
        table.add_row(one.channel, one.kind, f"{one.seconds:.1f}", answer)
    return table
