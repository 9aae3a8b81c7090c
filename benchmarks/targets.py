"""The targets, as the project promises them, held against what was measured.

Rule: pure. A target of a case that was not run, or whose peer is not installed, is left out.
"""

from collections.abc import Callable, Iterator, Sequence
from statistics import median

from benchmarks.document import Case, Figure, Target
from benchmarks.link.targets import judge_link
from benchmarks.peers import LIMIT, OURS


def judge(cases: Sequence[Case], figures: Sequence[Figure]) -> list[Target]:
    """Return every target that can be judged."""
    by_name = {case.name: case for case in cases}
    measured = {figure.name: figure.value for figure in figures}
    found: list[Target] = []
    for name in ("large", "small"):
        if name in by_name:
            found += _throughput(by_name[name])
    if "hour" in by_name:
        found += _search(by_name["hour"], by_name.get("hour-tenth"))
    if "hour-cold" in by_name:
        found += _faster(by_name["hour-cold"], "rsync -a", 20, "hour-cold: faster than rsync -a, durable")
    if "resume" in by_name:
        found += _resume(by_name["resume"])
    return found + list(judge_link(by_name, measured)) + list(_scale(measured)) + list(_memory(cases))


def _faster(case: Case, who: str, times: float, title: str) -> Iterator[Target]:
    row = case.row(who)
    if row is not None and row.ratio is not None:
        yield Target(title=title, wanted=f">= {times} x", measured=f"{row.ratio:.2f} x", met=row.ratio >= times)


def _throughput(case: Case) -> Iterator[Target]:
    yield from _faster(case, "rsync -a", 1.5, f"{case.name}: faster than rsync -a, durable")
    yield from _faster(case, "rclone copy", 1.5, f"{case.name}: faster than rclone copy, durable")
    yield from _faster(case, LIMIT, 0.8, f"{case.name}: of the plain read, hash, write, fsync loop")


def _search(case: Case, tenth: Case | None) -> Iterator[Target]:
    yield from _faster(case, "rsync -a", 20, f"{case.name}: faster than rsync -a, durable")
    yield from _faster(case, LIMIT, 0.8, f"{case.name}: of the plain loop, which is told where the hour is")
    ours = case.row(OURS)
    smaller = tenth.row(OURS) if tenth is not None else None
    if ours is not None and smaller is not None:
        change = median(ours.durable_rounds) / median(smaller.durable_rounds) - 1
        yield Target(
            title=f"{case.name}: the same time as in a tenth of the archive",
            wanted="within 20 %",
            measured=f"{change:+.0%}",
            met=abs(change) <= 0.2,
        )


def _resume(case: Case) -> Iterator[Target]:
    ours = case.row(OURS)
    if ours is not None and ours.resent is not None:
        yield Target(
            title=f"{case.name}: bytes of verified chunks moved again",
            wanted="0",
            measured=f"{ours.resent:,}",
            met=ours.resent <= 0,
        )


def _scale(measured: dict[str, float]) -> Iterator[Target]:
    limits: tuple[tuple[str, str, float, Callable[[float], str], bool], ...] = (
        ("planning", "one missing hour of 50 cameras planned", 0.1, lambda value: f"{value * 1000:.0f} ms", True),
        ("intake", "ledger intake, segments a second", 50_000, lambda value: f"{value:,.0f}", False),
        ("first scan", "first scan of the archive", 15, lambda value: f"{value:.1f} s", True),
        ("rescan", "rescan of the unchanged archive", 2, lambda value: f"{value:.2f} s", True),
    )
    for name, title, limit, shown, below in limits:
        if name in measured:
            value = measured[name]
            met = value <= limit if below else value >= limit
            yield Target(title=title, wanted=f"{'<' if below else '>='} {shown(limit)}", measured=shown(value), met=met)
    if {"planning", "planning, tenth"} <= measured.keys():
        times = measured["planning"] / measured["planning, tenth"]
        yield Target(
            title="planning, against a tenth of the ledger",
            wanted="within 2 x",
            measured=f"{times:.2f} x",
            met=times <= 2,
        )


def _memory(cases: Sequence[Case]) -> Iterator[Target]:
    peaks = [
        row.peak_mib
        for case in cases
        for row in case.rows
        if row.who.startswith(OURS) and row.peak_mib and not case.name.startswith("link-")  # two processes, a service
    ]
    if peaks:
        yield Target(
            title="peak memory of any fill",
            wanted="< 250 MiB",
            measured=f"{max(peaks):.0f} MiB",
            met=max(peaks) < 250,
        )
