"""Asking the service that runs on this host what it is doing.

Rule: within a second, or without: a status must come also when the service hangs. What answers must be the service of
this configuration; on one machine there may be others.
"""

import http.client

import msgspec

from schema.documents import LiveDocument
from schema.service import split_address
from schema.settings import Settings

_WITHIN = 1.0
_LARGEST = 8 * 2**20
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1"}  # noqa: S104  where it listens, not where we do


def live_document(settings: Settings) -> tuple[LiveDocument | None, str]:
    """Return what the service here says; or None, and why not."""
    host, port = split_address(settings.service.monitor)
    link = http.client.HTTPConnection(_ANYWHERE.get(host, host), port, timeout=_WITHIN)
    try:
        link.request("GET", "/status")
        answer = link.getresponse()
        body = answer.read(_LARGEST)
        if answer.status != 200:
            return None, f"what listens at {settings.service.monitor} answers {answer.status}: it is no recorder-sync"
        live = msgspec.json.decode(body, type=LiveDocument)
    except ConnectionRefusedError:
        return None, "the service here is not running"
    except TimeoutError:
        return None, f"the service here does not answer at {settings.service.monitor}"
    except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
        return None, f"the service here cannot be asked at {settings.service.monitor}: {error}"
    finally:
        link.close()
    own = settings.servers[0].name
    if live.server != own:
        return None, f"the service of {own} is not running: at {settings.service.monitor} answers that of {live.server}"
    return live, ""
