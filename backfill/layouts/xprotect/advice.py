"""What a bank needs around it, said to operators: a virus scanner that stays away, space, and passwords that fit.

Rule: pure, and what is not sure says so. Nothing is concluded of a storage of which nothing is known.
"""

from collections.abc import Iterator

from backfill.layouts.capabilities import Advice, Around, Known, Sight
from schema.moments import human_duration
from schema.spans import HOUR

ARCHIVES = 5 * 10**9
_LIMITS = (
    (250 * 10**6, "250 MB", "stops recording"),
    (10**9, "1 GB", "only deletes its oldest recordings"),
    (ARCHIVES, "5 GB", "archives or deletes its oldest recordings"),
)
"""Below how many bytes of free space the recorder does what, the worst first."""

_SHARED = 'options = { passwords = "shared" }'


def advice(around: Around, *, shared: bool) -> Iterator[Advice]:
    """Yield what to say of a bank. `shared`: whether its passwords are said to be those of the peer's bank."""
    yield Advice(
        Sight.UNSEEN,
        "whether a virus scanner leaves the bank alone cannot be seen from here",
        "exclude the bank's folder and .blk and .idx files from it (usual practice; the vendor's own list was not"
        " found)",
    )
    yield from _space(around.free)
    yield from _kept(around)
    yield _own(around.own)
    for source in around.sources:
        yield _source(source, shared)


def _space(free: int | None) -> Iterator[Advice]:
    for limit, shown, does in _LIMITS:
        if free is not None and free < limit:
            said = f"below {shown} free the recorder {does} (documented)"
            yield Advice(Sight.WRONG, said, "free some space, or let the recorder keep less")
            return


def _kept(around: Around) -> Iterator[Advice]:
    """Yield what is to be said of how long recordings are kept, by the banks' own settings and by ours.

    A bank that moves its recordings on deletes nothing by age: the longest of the others counts.
    """
    longest = max((one.keeps for one in around.limits if one.keeps is not None), default=None)
    if longest is None:
        return
    shown = human_duration(longest)
    said = f"its recorder deletes after {shown}, by the bank's own settings (seen in public code)"
    if around.retention is None:
        do = f'set retention = "{longest // HOUR}h", so that nothing is fetched that is deleted at once'
        yield Advice(Sight.UNSEEN, f"{said}, and retention is not configured", do)
    elif around.retention > longest:
        said += f", and retention is configured as {human_duration(around.retention)}"
        yield Advice(Sight.WRONG, said, "set retention to what is right: older holes are fetched for nothing")


def _own(own: Known) -> Advice:
    """Return what is to be said of the tables that a peer would fetch from here."""
    if not own.encrypted:
        return _plain(own, "its")
    said = f"{_some(own, 'its')}, so in a peer's bank they open only if both have the same passwords (inferred)"
    do = f"if both banks have the same passwords, let the peer set {_SHARED}; if not, what it loses of them is lost"
    return Advice(Sight.UNSEEN, said, do)


def _source(source: Known, shared: bool) -> Advice:
    """Return what is to be said of the tables that would be fetched for this bank."""
    whose = f"{source.title}'s"
    if source.segments is None:
        return Advice(
            Sight.UNSEEN,
            f"whether {whose} tables are encrypted is known on its own host only",
            "run 'recorder-sync doctor' there; 'recorder-sync gaps' tells here what a fill refused",
        )
    if not source.encrypted:
        return _plain(source, whose)
    if shared:
        said = f"{_some(source, whose)}, and brought: that the bank here has the same passwords cannot be seen"
        return Advice(
            Sight.UNSEEN, said, "look at a table that was filled; whether the same passwords are enough is unknown"
        )
    said = f"{_some(source, whose)}, and refused: they open here only if both banks have the same passwords (inferred)"
    do = f"if both banks have the same passwords, set {_SHARED} here; if not, what is lost of them cannot be filled"
    return Advice(Sight.WRONG, said, do)


def _plain(known: Known, whose: str) -> Advice:
    if known.segments:
        return Advice(Sight.GOOD, f"none of {whose} {known.segments:,} tables is encrypted")
    said = f"whether {whose} tables are encrypted is not known: the ledger has none of them yet"
    return Advice(Sight.UNSEEN, said, "run 'recorder-sync scan', then this again")


def _some(known: Known, whose: str) -> str:
    return f"{known.encrypted:,} of {whose} {known.segments:,} tables are encrypted"
