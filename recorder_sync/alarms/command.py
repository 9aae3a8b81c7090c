"""Alarms to a program: it gets the JSON document on standard input and says by its status whether it was told.

Rule: started without a shell, with an environment that holds no secret of ours, in a process group of its own; what
takes too long is killed together with everything it started. The environment also names the alarm, so that a script
that must not act twice need not read JSON to recognise one that it was told before.
"""

import asyncio
import os
import signal
import subprocess
from contextlib import suppress

from recorder_sync.alarms.channels import ChannelFailed, seconds
from recorder_sync.alarms.wording import as_json, one_line
from schema.moments import iso
from schema.service import AlarmChannel
from schema.values import Alarm

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "SYSTEMROOT")
_QUOTED = 300
"""So much of what it complained is kept."""
_REST = 0.2
"""Seconds to read what it complained, after it ended: a program it left running may hold its output open."""


class Command:
    """Runs the operator's program once for each alarm; status 0 means delivered."""

    ordered = False

    def __init__(self, settings: AlarmChannel) -> None:
        self.name = settings.name
        self.timeout = seconds(settings)
        self._command = list(settings.command)

    async def send(self, alarm: Alarm) -> str:
        """Run the program. Raises ChannelFailed."""
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | named(alarm)
        own, theirs = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=theirs,
                env=environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            os.close(own)
            raise ChannelFailed(f"it cannot be started: {getattr(error, 'strerror', None) or error}") from None
        finally:
            os.close(theirs)
        complaint = asyncio.create_task(_complaint(own))
        try:
            async with asyncio.timeout(self.timeout):
                status = await _told(process, as_json(alarm) + b"\n")
        except TimeoutError:
            raise ChannelFailed(f"not done within {self.timeout:g} s; it was killed", answered=True) from None
        finally:
            if process.returncode is None:
                _kill(process.pid)
                await process.wait()
            await asyncio.wait({complaint}, timeout=_REST)
            complaint.cancel()
        if status:
            said = await complaint
            ended = f"it ended with status {status}" if status > 0 else f"it was ended by signal {-status}"
            raise ChannelFailed(f"{ended}{f': {said}' if said else ''}", answered=True)
        return "it ended with status 0"


def named(alarm: Alarm) -> dict[str, str]:
    """Return what a program's environment says of an alarm, the same however often it is told."""
    return {
        "RECORDER_SYNC_ALARM_KEY": alarm.key,
        "RECORDER_SYNC_ALARM_KIND": alarm.kind.value,
        "RECORDER_SYNC_ALARM_AT": iso(alarm.at),
    }


async def _told(process: asyncio.subprocess.Process, document: bytes) -> int:
    assert process.stdin is not None
    process.stdin.write(document)
    process.stdin.close()  # a program that does not care to read is none of ours
    return await process.wait()


async def _complaint(own: int) -> str:
    """Read standard error to its end, so that nobody blocks on it, and return the beginning."""
    reader = asyncio.StreamReader()
    pipe = os.fdopen(own, "rb")
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    kept = b""
    try:
        while chunk := await reader.read(65_536):
            kept = (kept + chunk)[:_QUOTED]
    except asyncio.CancelledError:  # enough: what was read is the answer
        pass
    finally:
        transport.close()
    return one_line(kept.decode("utf-8", "replace"))


def _kill(pid: int) -> None:
    """Kill a program and its children."""
    with suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGTERM)
