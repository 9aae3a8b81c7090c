"""An alarm as the channels send it: the JSON document, and the pieces of text that a line or a header can hold.

Rule: pure, and nothing of an alarm can break out of the place it is put into.
"""

import msgspec

from schema.documents import AlarmDocument
from schema.moments import iso
from schema.values import Alarm, AlarmKind

BAD = frozenset(
    {
        AlarmKind.SERVER_FAILED,
        AlarmKind.RECORDER_SILENT,
        AlarmKind.CAMERA_SILENT,
        AlarmKind.STORAGE_AWAY,
        AlarmKind.LOST,
        AlarmKind.DAMAGE,
        AlarmKind.DISK_LOW,
        AlarmKind.CLOCK_OFFSET,
        AlarmKind.IDENTITY_TAKEN,
        AlarmKind.IMPORT_CUT_OFF,
    }
)
"""Something is wrong now; the other kinds say that something is well again."""


def alarm_document(alarm: Alarm) -> AlarmDocument:
    """Return an alarm for `--json`, webhooks and commands."""
    return AlarmDocument(
        key=alarm.key,
        kind=alarm.kind.value,
        server=alarm.server,
        camera=alarm.camera,
        at=iso(alarm.at),
        text=alarm.text,
        facts=dict(alarm.facts),
    )


def as_json(alarm: Alarm) -> bytes:
    """Return the JSON document of an alarm."""
    return msgspec.json.encode(alarm_document(alarm))


def one_line(text: str) -> str:
    """Return `text` without line ends and other control characters."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def title(alarm: Alarm) -> str:
    """Return the few words that a list of mails shows."""
    words = alarm.kind.value.replace("-", " ")
    return one_line(f"[{alarm.server}] {words}{f': {alarm.camera}' if alarm.camera else ''}")[:200]
