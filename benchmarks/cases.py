"""The recovery cases: the same missing hour brought over by everyone, in turns.

Rule: rounds take turns (A B C, C B A, ...); each run starts from the same trees and the same ledger, with the source in
the page cache and nothing waiting for the disk. Memory is primed before the first run; after that each run is given
the pages that the deleted destination of the one before gave back. Medians are reported.
"""

import json
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks import measure
from benchmarks.document import Case, Row
from benchmarks.measure import Sample
from benchmarks.pair import Pair
from benchmarks.peers import OURS, Peer, available

_PRIME_LEAST = 64 * 1024 * 1024
_ROUNDS_LEAST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a case is about, beside the trees."""

    name: str
    title: str
    peers: tuple[Peer, ...]
    seconds: float
    """How long the case may take: after the second round, no other begins that would not fit."""
    prepare: Callable[[Pair, Peer], int | None] = lambda _pair, _peer: None
    """Called before each run; returns how many bytes are here already, where that matters."""
    cold: bool = False
    """Begin each run without the folders of the archive in memory; the missing files themselves are."""
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Results:
    """What one way to do a task needed so far."""

    peer: Peer
    samples: list[Sample] = field(default_factory=list)
    complete: bool = True
    resent: int | None = None


def compare(pair: Pair, task: Task, rounds: int, say: Callable[[str], None]) -> tuple[Case, list[str]]:
    """Let everyone who is installed do `task` up to `rounds` times; returns the case and who was absent."""
    peers, absent = available(task.peers)
    results = [_Results(peer) for peer in peers]
    _warm(pair)
    measure.prime(max(_PRIME_LEAST, pair.shape.lost_bytes * 5 // 4))
    began = time.monotonic()
    done = 0
    while done < rounds:
        for one in results if done % 2 == 0 else reversed(results):
            say(f"{task.name}: round {done + 1}, {one.peer.who}")
            _run(pair, task, one)
        done += 1
        if done >= _ROUNDS_LEAST and (time.monotonic() - began) * (done + 1) / done > task.seconds:
            break
    ours = median(sample.durable for one in results if one.peer.who == OURS for sample in one.samples)
    case = Case(
        name=task.name,
        title=task.title,
        files=pair.shape.lost_files,
        size=pair.shape.lost_bytes,
        rounds=done,
        rows=[_row(one, pair, ours) for one in results],
        notes=list(task.notes),
    )
    return case, absent


def _run(pair: Pair, task: Task, one: _Results) -> None:
    """Do the task once from a fresh start and keep what came of it."""
    peer = one.peer
    pair.reset()
    here = task.prepare(pair, peer)
    os.sync()
    if task.cold:
        measure.drop_caches()
        _warm(pair)
    with peer.serve(pair) as servers:
        sample = measure.run(
            peer.command(pair), written=pair.destination, syncs=peer.syncs, works=peer.works, servers=servers
        )
    one.samples.append(sample)
    one.complete &= pair.complete(to_the_bit=peer.ours) and not _left_out(peer, sample)
    if here is not None:
        again = _sent(peer, sample, pair) - (pair.shape.lost_bytes - here)
        one.resent = again if one.resent is None else max(one.resent, again)


def _warm(pair: Pair) -> None:
    """Read what is to be copied, so that it is in the page cache from the first run on."""
    buffer = bytearray(1024 * 1024)
    for source, _ in pair.lost:
        for path in source.rglob("*"):
            if path.is_file():
                with open(path, "rb", buffering=0) as file:
                    while file.readinto(buffer):
                        pass


def _row(one: _Results, pair: Pair, ours: float) -> Row:
    durable = median(sample.durable for sample in one.samples)
    return Row(
        who=one.peer.who,
        seconds=median(sample.seconds for sample in one.samples),
        durable=durable,
        durable_rounds=[round(sample.durable, 4) for sample in one.samples],
        rate=pair.shape.lost_bytes / durable / 1e6,
        ratio=durable / ours,
        verifies=one.peer.verifies,
        syncs=one.peer.syncs,
        cpu=median(sample.cpu for sample in one.samples),
        peak_mib=max(sample.peak for sample in one.samples) / 2**20,
        resent=one.resent,
        complete=one.complete,
        note=_parts(one.samples),
    )


def _parts(samples: Sequence[Sample]) -> str:
    """Return what a fill of ours spent its time with."""
    told = [one.told for one in samples if "survey" in one.told]
    if not told:
        return ""
    return ", ".join(f"{part} {median(one[part] for one in told):.3f} s" for part in ("survey", "plan", "fill"))


def _left_out(peer: Peer, sample: Sample) -> bool:
    """Tell whether a fill of ours reported anything but success."""
    if not peer.ours:
        return False
    if peer.works:
        return bool(sample.told["refused"] or sample.told["stopped"])
    fills = json.loads(sample.output)["fills"]
    return any(one["refusals"] or one["stopped"] for one in fills)


def _sent(peer: Peer, sample: Sample, pair: Pair) -> int:
    """Return how many bytes were moved; tools that cannot tell do not resume and move everything."""
    if "sent" in sample.told:
        return int(sample.told["sent"])
    literal = re.search(r"Literal data: ([\d,]+)", sample.output)
    if literal:
        return int(literal[1].replace(",", ""))
    return pair.shape.lost_bytes // 2 if peer.works else pair.shape.lost_bytes


def beside(pair: Pair, peer: Peer) -> None:
    """Make the folder beside the tree, into which others are told to copy; ours makes its own."""
    if not peer.ours:
        pair.landing.mkdir(parents=True, exist_ok=True)


def half_there(pair: Pair, peer: Peer) -> int:
    """Leave the missing file as an interrupted run of `peer` would; returns how many bytes can be used again."""
    if peer.ours:
        begun = measure.run(measure.worker("half", str(pair.config)), written=pair.base, syncs=True, works=True).told
        # Only whole chunks are in the journal; the one under way when it stopped is moved again.
        return int(begun["arrived"]) // int(begun["chunk"]) * int(begun["chunk"])
    for source, landed in pair.lost:
        for path in source.rglob("*.mp4"):
            _copy_half(path, landed / path.relative_to(source))
    return pair.shape.lost_bytes // 2


def _copy_half(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True)
    left = path.stat().st_size // 2
    with open(path, "rb") as whole, open(target, "wb") as part:
        while left:
            left -= part.write(whole.read(min(left, 1024 * 1024)))
    os.utime(target, (0, 0))
