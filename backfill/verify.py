"""Reading storages again: is every segment still what it was when its digest was taken?

Rule: reports, and touches nothing. Rot is bytes that differ although size, last write and inode are what the ledger
knows; where those differ too, somebody wrote there, and it is not ours to judge or to replace.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from backfill.chunks import damaged as damaged_chunks
from backfill.digesting import keep, take
from backfill.gate import Gate
from backfill.scanned import ScanReport
from backfill.storage import Storage, write_durably
from schema.errors import Interrupted, SourceChanged, SourceGone, SourceUnreadable
from schema.ledger import Ledger
from schema.ledger.manifests import FileManifest, digest_of
from schema.spans import Span
from schema.values import Segment, State

_TOGETHER = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Something that is not as it should be. `chunks` numbers the differing pieces where that is known."""

    storage: Storage
    path: str
    kind: str
    detail: str
    segment: Segment | None = None
    chunks: tuple[int, ...] = ()

    @property
    def copy(self) -> tuple[int, str]:
        """Which segment it is: the ledger's number of its storage, and its path there."""
        return self.storage.id, self.path

    @property
    def repairable(self) -> bool:
        """Tell whether this is a copy of ours that can be fetched again; never what the recorder wrote."""
        return self.segment is not None and self.segment.origin is not None and self.kind in ("rot", "unreadable")


@dataclass(slots=True)
class VerifyReport:
    """What was read and what was found."""

    read: int = 0
    size: int = 0
    first_digests: int = 0
    """Segments whose digest was taken now, for the next time."""
    without_digest: int = 0
    damage: list[Damage] = field(default_factory=list)
    seconds: float = 0.0
    stopped: str = ""


Progress = Callable[[Segment, VerifyReport], None]


def verify(
    ledger: Ledger,
    storages: list[Storage],
    *,
    chunk_size: int,
    gate: Gate,
    window: Span | None = None,
    cameras: frozenset[str] = frozenset(),
    take_first: bool = True,
    progress: Progress | None = None,
) -> VerifyReport:
    """Read every sealed segment in `window` and compare it with its digest.

    `take_first`: segments without a digest get one, so that the next run can compare. Ends early, saying so, when
    `gate` is stopped.
    """
    began = time.monotonic()
    report = VerifyReport()
    try:
        for storage in storages:
            _verify_storage(ledger, storage, chunk_size, gate, _selected(window, cameras), take_first, report, progress)
    except Interrupted:
        report.stopped = "stopped on request"
    report.seconds = time.monotonic() - began
    return report


def _selected(window: Span | None, cameras: frozenset[str]) -> Callable[[Segment], bool]:
    def chosen(segment: Segment) -> bool:
        return (window is None or segment.span.overlaps(window)) and (not cameras or segment.camera in cameras)

    return chosen


def _verify_storage(
    ledger: Ledger,
    storage: Storage,
    chunk_size: int,
    gate: Gate,
    chosen: Callable[[Segment], bool],
    take_first: bool,
    report: VerifyReport,
    progress: Progress | None,
) -> None:
    first: list[tuple[Segment, tuple[FileManifest, ...]]] = []
    try:
        for segment in _sealed(ledger, storage, report):
            if not chosen(segment):
                continue
            if segment.digest is None and not take_first:
                report.without_digest += 1
                continue
            files = _read(storage, segment, chunk_size, gate, report)
            if files is not None:
                report.read += 1
                report.size += segment.size
                if segment.digest is None:
                    first.append((segment, files))
                    if len(first) >= _TOGETHER:
                        report.first_digests += keep(ledger, first)
                elif digest_of(files) != segment.digest:
                    report.damage.append(_rot(ledger, storage, segment, files))
            if progress:
                progress(segment, report)
    finally:
        report.first_digests += keep(ledger, first)


def _sealed(ledger: Ledger, storage: Storage, report: VerifyReport) -> Iterator[Segment]:
    """Yield the sealed segments of a storage; damaged rows of the ledger are reported on the way."""
    last = 0
    while True:
        with ledger.reading() as connection:
            batch = ledger.segments.after(connection, storage.id, State.SEALED, last)
        if not batch:
            return
        for ident, segment in batch:
            last = ident
            if segment is None:
                detail = "its row in the ledger is damaged; the next scan replaces it"
                report.damage.append(Damage(storage=storage, path=f"row {ident}", kind="ledger", detail=detail))
            else:
                yield segment


def _read(
    storage: Storage, segment: Segment, chunk_size: int, gate: Gate, report: VerifyReport
) -> tuple[FileManifest, ...] | None:
    try:
        return take(storage, segment, chunk_size, gate, from_disk=True)
    except SourceGone:
        kind, detail = "missing", "it is not there any more"
    except SourceChanged:
        kind, detail = "changed", "it is not what the last scan saw: someone wrote to it, or put another in its place"
    except SourceUnreadable as error:
        kind, detail = "unreadable", str(error)
    report.damage.append(Damage(storage=storage, path=segment.path, kind=kind, detail=detail, segment=segment))
    return None


def _rot(ledger: Ledger, storage: Storage, segment: Segment, files: tuple[FileManifest, ...]) -> Damage:
    """Return what is wrong with a segment whose bytes are not those digested; by chunk, where chunks have digests."""
    with ledger.reading() as connection:
        known = {file.name: file for file in ledger.segments.manifest(connection, segment)}
    chunks: list[int] = []
    for file in files:
        before = known.get(file.name)
        if before and before.chunks and len(before.chunks) == len(file.chunks) and before.chunk_size == file.chunk_size:
            chunks += damaged_chunks(file.chunks, before.chunks)
    where = f" in chunk {', '.join(str(number + 1) for number in chunks)}" if chunks else ""
    owner = "the recorder's own, not touched" if segment.origin is None else f"fetched from {segment.origin}"
    assert segment.digest is not None
    detail = f"its bytes changed{where}: {digest_of(files).hex()} instead of {segment.digest.hex()}; {owner}"
    return Damage(storage=storage, path=segment.path, kind="rot", detail=detail, segment=segment, chunks=tuple(chunks))


def from_scan(storage: Storage, scanned: ScanReport) -> list[Damage]:
    """Return what a full scan noticed: missing, foreign and rewritten files, and damage to the ledger."""
    found = [
        Damage(storage=storage, path=path, kind="missing", detail="it is not there any more")
        for path in scanned.vanished
    ]
    found += [Damage(storage=storage, path=path, kind="foreign", detail=reason) for path, reason in scanned.foreign]
    found += [
        Damage(storage=storage, path=path, kind="changed", detail="it was written to after it was sealed")
        for path in scanned.rewritten
    ]
    if scanned.repaired:
        detail = f"damaged rows, read anew from the storage: {scanned.repaired:,}; is the ledger's disk failing?"
        found.append(Damage(storage=storage, path="the ledger", kind="ledger", detail=detail))
    return found


def export(ledger: Ledger, storage: Storage, path: str) -> tuple[int, int]:
    """Write the digests of a storage to `path` as `xxhsum -H128` prints them.

    Returns how many there are, and how many segments have none yet. `cd ROOT && xxhsum -c PATH` then agrees, or names
    what is damaged.
    """
    lines: list[str] = []
    missing = 0
    for segment in _sealed(ledger, storage, VerifyReport()):
        with ledger.reading() as connection:
            files = ledger.segments.manifest(connection, segment)
        if not files:
            missing += 1
        for file in files:
            name = f"{segment.path}/{file.name}" if file.name else segment.path
            lines.append(f"{file.digest.hex()}  {name}\n")
    write_durably(path, "".join(sorted(lines, key=lambda line: line[34:])).encode())
    return len(lines), missing
