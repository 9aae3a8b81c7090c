"""What the project promises of the link, held against what was measured.

Rule: pure. Who is not installed is left out of the verdict, and named as absent by the run.
"""

from collections.abc import Iterator

from benchmarks.document import Case, Target
from benchmarks.link.peers import LIMIT, PLAIN, RCLONE_SFTP, RSYNC_DAEMON, RSYNC_SSH
from benchmarks.peers import OURS

_CASES = ("link-large", "link-small", "link-large-apart", "link-small-apart")
_LEVEL = 0.95
"""From when on two medians are called level: they scatter by this much."""


def judge_link(cases: dict[str, Case], measured: dict[str, float]) -> Iterator[Target]:
    """Yield every target of the link that can be judged."""
    for name in _CASES:
        if name in cases:
            yield from _throughput(cases[name])
    yield from _figures(measured)


def _throughput(case: Case) -> Iterator[Target]:
    for who in (RSYNC_SSH, RCLONE_SFTP):
        yield from _times(case, OURS, who, 2, f"{case.name}: encrypted, faster than {who}")
    yield from _times(case, OURS, RSYNC_DAEMON, 1, f"{case.name}: encrypted, not behind the unencrypted {RSYNC_DAEMON}")
    others = [row for row in case.rows if row.who not in (OURS, PLAIN, LIMIT)]
    if others:
        fastest = min(others, key=lambda row: row.durable).who
        yield from _times(
            case, PLAIN, fastest, _LEVEL, f"{case.name}: not encrypted, level with the fastest, {fastest}"
        )
    yield from _times(case, PLAIN, LIMIT, 0.8, f"{case.name}: not encrypted, of the bare stream")


def _times(case: Case, ours: str, who: str, wanted: float, title: str) -> Iterator[Target]:
    one, other = case.row(ours), case.row(who)
    if one is not None and other is not None:
        times = other.durable / one.durable
        yield Target(title=title, wanted=f">= {wanted} x", measured=f"{times:.2f} x", met=times >= wanted)


def _figures(measured: dict[str, float]) -> Iterator[Target]:
    if "line used" in measured:
        share = measured["line used"]
        title = "share of a line of 200 Mbit/s that an encrypted fill uses"
        yield Target(title=title, wanted=">= 0.95", measured=f"{share:.3f}", met=share >= 0.95)
    for key in ("fill.bandwidth", "link.bandwidth"):
        if key in measured:
            off = measured[key] - 1
            yield Target(title=f"{key} holds", wanted="within 5 %", measured=f"{off:+.1%}", met=abs(off) <= 0.05)
    limits = (
        ("back", "from a peer that is back to the first missing segment", 3, "s"),
        ("idle cpu", "share of a core of an idle service", 1, "%"),
        ("idle memory", "memory of an idle service", 200, "MiB"),
    )
    for name, title, limit, unit in limits:
        if name in measured:
            value = measured[name]
            yield Target(title=title, wanted=f"< {limit} {unit}", measured=f"{value:.2f} {unit}", met=value < limit)
