"""What XProtect is sent: an analytics event as XML, a generic event as a string, an alarm as JSON.

Rule: pure. One alarm always gives the same bytes, with the time at which it was noticed and its key wherever the shape
has a place for them. Names of cameras and texts come from anywhere: none can break out of its element or its line.
"""

import re
import uuid

import msgspec
from lxml import etree

from recorder_sync.alarms.wording import BAD, as_json, one_line, title
from schema.moments import iso
from schema.service import GUID, AlarmChannel
from schema.values import Alarm, AlarmKind

_NAMESPACE = "urn:milestone-systems"
_PREFIXES: dict[str | None, str] = {"i": "http://www.w3.org/2001/XMLSchema-instance", None: _NAMESPACE}
_CAMERA = "5135BA21-F1DC-4321-806A-6CE2017343C0"
"""What XProtect calls the kind of item that is a camera."""
_IDS = uuid.UUID("6f3c0f5c-3a0f-5b0e-9a57-0d9f3f1f4f6b")
"""Ours: the ids of events are made from this and the alarm's key."""
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_URGENT, _USUAL = 1, 3
_LONGEST_LINE = 1024
"""Bytes of a generic event: nobody says how long one may be, and what matters comes first."""
_OVER = frozenset(
    {
        AlarmKind.SERVER_BACK,
        AlarmKind.RECORDER_BACK,
        AlarmKind.CAMERA_BACK,
        AlarmKind.STORAGE_BACK,
        AlarmKind.IDENTITY_RETURNED,
        AlarmKind.FILLED,
    }
)
"""These tell of something that has ended."""


def event_id(alarm: Alarm) -> str:
    """Return the id of an alarm's event: the same however often it is sent."""
    return str(uuid.uuid5(_IDS, alarm.key))


def event_name(channel: AlarmChannel, kind: AlarmKind) -> str:
    """Return what an alarm of this kind is called in XProtect."""
    return channel.events.get(kind.value, channel.event)


def source_of(channel: AlarmChannel, alarm: Alarm) -> str | None:
    """Return the camera in XProtect that an alarm is about, or the one that stands for it."""
    if alarm.camera is None:
        return channel.source
    if alarm.camera in channel.cameras:
        return channel.cameras[alarm.camera]
    return alarm.camera if GUID.fullmatch(alarm.camera) else channel.source


def analytics_event(alarm: Alarm, message: str, source: str | None) -> bytes:
    """Return the analytics event of an alarm; `message` has to be defined in XProtect.

    The order of the elements is the vendor's schema's. There is no XML declaration, as in the vendor's sample.
    """
    root = etree.Element(
        f"{{{_NAMESPACE}}}AnalyticsEvent",
        nsmap=_PREFIXES,  # type: ignore[arg-type]  # None is the default namespace, which the stubs do not know
    )
    header = _under(root, "EventHeader")
    _under(header, "ID", event_id(alarm))
    _under(header, "Timestamp", _moment(iso(alarm.at)))
    _under(header, "Type", alarm.kind.value)
    _under(header, "Priority", str(_URGENT if alarm.kind in BAD else _USUAL))
    _under(header, "Name", title(alarm))
    _under(header, "Message", message)
    _under(header, "CustomTag", one_line(alarm.server))
    if source is not None:
        _source(_under(header, "Source"), source)
    _under(root, "Description", one_line(alarm.text))
    start, end = period(alarm)
    if start is not None:
        _under(root, "StartTime", _moment(start))
    if end is not None:
        _under(root, "EndTime", _moment(end))
    vendor = _under(root, "Vendor")
    _under(vendor, "Name", "recorder-sync")
    _under(vendor, "CustomData", as_json(alarm).decode())
    return etree.tostring(root, encoding="UTF-8", xml_declaration=False)


def _source(element: etree._Element, source: str) -> None:
    """Name a camera by its id, or by its address."""
    if not GUID.fullmatch(source):
        _under(element, "Name", one_line(source))
        return
    identity = _under(element, "FQID")
    _under(identity, "ObjectId", source)
    _under(identity, "FolderType", "0")
    _under(identity, "Kind", _CAMERA)


def _under(parent: etree._Element, name: str, text: str | None = None) -> etree._Element:
    element = etree.SubElement(parent, f"{{{_NAMESPACE}}}{name}")
    if text is not None:
        element.text = _NOT_XML.sub(" ", text)
    return element


def _moment(text: str) -> str:
    """Return an ISO time with milliseconds, as the vendor's sample has it."""
    return f"{text[:-4]}Z" if text.endswith("Z") and len(text) == len("2026-11-22T12:00:00.000000Z") else text


def period(alarm: Alarm) -> tuple[str | None, str | None]:
    """Return from when to when it went on, as far as the alarm says: ISO times."""
    begun = alarm.facts.get("since", alarm.facts.get("started"))
    if isinstance(begun, str):
        return begun, iso(alarm.at) if alarm.kind in _OVER else None
    spans = alarm.facts.get("spans")
    if not isinstance(spans, list) or not spans:
        return None, None
    whole = alarm.facts.get("count") == len(spans)  # of many spans only the first are listed
    return spans[0]["start"], spans[-1]["end"] if whole else None


def generic_event(alarm: Alarm, words: str, encoding: str) -> bytes:
    """Return the string of an alarm, without a separator: `words`, the kind, then all that tells it from others."""
    camera = f" camera={one_line(alarm.camera)}" if alarm.camera else ""
    line = (
        f"{one_line(words)} {alarm.kind.value} server={one_line(alarm.server)} at={iso(alarm.at)} key={alarm.key}"
        f"{camera}: {one_line(alarm.text)}"
    )
    data = line.encode(encoding, "replace")
    return data if len(data) <= _LONGEST_LINE else data[:_LONGEST_LINE].decode(encoding, "ignore").encode(encoding)


def alarm_body(alarm: Alarm, source: str) -> bytes:
    """Return the body of an alarm for the API gateway. It has no place for a time or a key: the message holds both."""
    text = f"{one_line(alarm.text)} (noticed {iso(alarm.at)}, key {alarm.key})"
    return msgspec.json.encode({"name": f"recorder-sync {title(alarm)}", "message": text, "source": source})


def event_body(event: str) -> bytes:
    """Return the body that triggers the user-defined event with this id."""
    return msgspec.json.encode({"type": event})


class _Listed(msgspec.Struct):
    id: str
    name: str


class _List(msgspec.Struct):
    array: list[_Listed]


def named_events(listed: object) -> dict[str, str]:
    """Return the ids of user-defined events by name, from the gateway's list. Raises ValueError.

    Three that every system has are not for others to trigger; the vendor's sample leaves them out too.
    """
    try:
        found = msgspec.convert(listed, _List)
    except msgspec.ValidationError as error:
        raise ValueError(f"its list of user-defined events has another shape: {error}") from None
    return {one.name: one.id for one in found.array if one.id.lower() not in _BUILT_IN}


_BUILT_IN = frozenset(
    {
        "85867627-b287-4439-9e55-a63701e1715b",
        "77b1e70d-ba8d-4bb8-9ee8-43b09746d82a",
        "7605f8b0-7f5f-4432-b223-0bb2dc3f1f5c",
    }
)
