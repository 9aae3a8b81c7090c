"""What XProtect's answers mean: delivered, or why not and what to set up there.

Rule: pure, and suspicious. Whatever was not seen to mean "delivered" is a failure, and what the server said is
repeated, cut to a length and to one line. Answers are data: no entity, no DTD, nothing fetched.
"""

import re
from http import HTTPStatus

from lxml import etree

from recorder_sync.alarms.channels import ChannelFailed
from recorder_sync.alarms.wording import one_line

QUOTED = 300
"""So much of what a server said is repeated."""

_UNKNOWN = "event message not known"
_STATISTICS = re.compile(r"\[?(\d{1,9})\]?,\[?(\d{1,9})\]?,\[?(\d{1,9})\]?(?:,(.*))?")
_NO_ACCESS = "no access"


def quoted(text: str) -> str:
    """Return what somebody said as a short line."""
    line = one_line(text)
    return line if len(line) <= QUOTED else f"{line[:QUOTED]}..."


def status_line(status: int) -> str:
    """Return a status in words of ours: the server's may be anything."""
    try:
        return f"it answered {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"it answered {status}"


def words_of(body: bytes) -> str:
    """Return the words of an answer as one line: of XML its text, else all that is there."""
    text = body.decode("utf-8", "replace")
    if text.lstrip().startswith("<") and "<!" not in text:
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        try:
            return one_line(" ".join(map(str, etree.fromstring(body, parser).itertext())))
        except (etree.XMLSyntaxError, ValueError):
            pass
    return one_line(text)


def analytics_answer(status: int, body: bytes, message: str) -> str:
    """Return what the event server said of an analytics event that it took. Raises ChannelFailed."""
    words = words_of(body)
    answered = f"{status_line(status)}{f': {quoted(words)!r}' if words else ''}"
    # In all that was said, not only in what is repeated; of XML also where no words are, as in an attribute.
    if status == HTTPStatus.OK and (_UNKNOWN in words.lower() or _UNKNOWN.encode() in body.lower()):
        raise ChannelFailed(
            f"{answered}. XProtect has no analytics event called {message!r}: add it in the Management Client under"
            " Rules and Events > Analytics Events, or give its name in 'event' or 'events'",
            answered=True,
        )
    if status == HTTPStatus.OK:
        return answered
    if status == HTTPStatus.FORBIDDEN:
        raise ChannelFailed(
            f"{answered}. Look in the Management Client under Tools > Options > Analytics Events whether this host may"
            " send events"
        )
    if status == HTTPStatus.BAD_REQUEST:
        raise ChannelFailed(f"{answered}. It does not understand this event", answered=True)
    hint = "; redirects are not followed, name the final address" if 300 <= status < 400 else ""
    raise ChannelFailed(f"{answered}{hint}")


def generic_answer(echo: bytes, sent: bytes, encoding: str) -> str:
    """Return what the echo of a generic event proves. Raises ChannelFailed if that is not enough."""
    words = quoted(echo.decode(encoding, "replace"))
    found = _STATISTICS.fullmatch(words)
    if found is not None and int(found[3]) > 0:
        return f"it echoed {words!r}: {found[3]} matched"
    if found is not None:
        raise ChannelFailed(
            f"it echoed {words!r}: no generic event matched. Add one in the Management Client under Rules and Events >"
            f" Generic Events whose expression is found in {quoted(sent.decode(encoding))[:80]!r}, on this data source",
            answered=True,
        )
    if echo.strip() == sent.strip():
        return "it echoed what was sent, so it arrived; whether a generic event matched is not known this way"
    if words.lower() == _NO_ACCESS:
        raise ChannelFailed(
            f"it answered {words!r}. Allow this host's address in the Management Client under Tools > Options > Generic"
            " Events, at the data source"
        )
    if not words:
        raise ChannelFailed(
            "it closed the connection without an echo. Look in the Management Client under Tools > Options > Generic"
            " Events whether the data source is enabled, echoes, and allows this host's address"
        )
    raise ChannelFailed(f"it answered {words!r}, which is no echo of a generic event")
