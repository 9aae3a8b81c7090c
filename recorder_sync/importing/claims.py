"""Who may answer with the id of the recorder here: asked before it is stopped, and again before it is started.

Rule: asks and changes nothing. What is certain forbids a start; what is only not known forbids no more than a stop.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from backfill.link.client import LinkClient
from recorder_sync.identity.clone import situation
from recorder_sync.identity.guid import same
from recorder_sync.identity.place import Place
from schema.errors import OperatorError
from schema.identity import IdentityRules


@dataclass(frozen=True, slots=True)
class Claim:
    """Why two recorders might answer with one id if the one here ran."""

    said: str
    certain: bool


def claims(rules: IdentityRules, place: Place, clients: Sequence[LinkClient]) -> list[Claim]:
    """Return what is against stopping, and starting, the recorder here. Raises what its file and notes raise."""
    if rules.config is None:
        return []
    found = situation(rules.config, place)
    if found.entry is not None:
        said = f"it has the id of {found.entry.server} for now, and that is to be given back first"
        return [Claim(said, certain=True)]
    return [one for client in clients if (one := _claim(client, found.own)) is not None]


def _claim(client: LinkClient, own: str) -> Claim | None:
    might = f"{client.server} might take its id over while it is stopped, and"
    try:
        told = client.identity()
    except OperatorError as error:
        return Claim(f"{might} does not answer: {error}", certain=False)
    if told.holds and same(told.holds, own):
        return Claim(f"{client.server} answers with its id", certain=True)
    if told.service == "running" and not told.id and not told.holds:
        # Where no recorder is configured, none is said to run.
        why = told.problem or "it gives no reason"
        return Claim(f"{might} does not tell with which id its own recorder answers: {why}", certain=False)
    return None
