"""Telling what a fill brought from what the recorder here wrote (invariant 4), for each file that a scan judges.

Rule: in doubt a file is compared with its digest, and never called the recorder's own because a note was lost or a
time changed. Three witnesses, in this order: the origin records beside the data, the ledger's row of the very same
file, and the content. Reads a file only where one of the first two knows its path and size but not its last write, or
where the records of the same server know one of its camera, time and size under another path: recorders archive.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from backfill.beneath import open_beneath
from backfill.origins import Origin, OriginLog
from backfill.storage import Storage
from backfill.units import unit_files
from schema.digests import hasher
from schema.ledger.manifests import FileManifest, digest_of
from schema.values import LASTING, Kind, Mark, Segment, State

_BLOCK = 256 * 1024


class _Claim(NamedTuple):
    """What a witness says of a file: whose it is, and the time that its name here need not tell."""

    server: str
    camera: str
    start: int
    end: int
    digest: bytes | None


class Filled:
    """Knows the filled files of one storage.

    Args:
        log: its origin records; None if there can be none.
        others: those of the storages here from which the recorder, or an operator, may have moved files into it.
    """

    def __init__(self, storage: Storage, log: OriginLog | None, others: Sequence[OriginLog] = ()) -> None:
        self._storage = storage
        self._log = log
        self._logs = [*([] if log is None else [log]), *others]

    def settle(self, segment: Segment, before: Segment | None) -> Segment:
        """Return `segment`, just judged, as the filled one it is, or as it is. `before`: the ledger's row of its path.

        Raises OSError, PathRefused if its content must be compared and cannot be read.
        """
        records = self._records(segment)
        for one in records:
            if one.mtime_ns == segment.mtime_ns:
                return _filled(segment, _said(one))
        claims = [_said(one) for one in records]
        if before is not None and before.origin is not None and before.size == segment.size:
            known = _Claim(before.origin, before.camera, before.start, before.end, before.digest)
            if _same_file(before, segment) and before.state in (State.SEALED, State.GONE):
                return _filled(segment, known)
            claims.append(known)
        claims += [_said(one) for one in self._elsewhere(segment)]
        if not any(claim.digest for claim in claims):
            return segment
        content = _digest_at(self._storage.root, segment.path, segment.kind)
        return next((_filled(segment, claim) for claim in claims if claim.digest == content), segment)

    def waiting(self, segment: Segment, before: Segment | None) -> Segment:
        """Return `segment`, which is not final yet, with what the ledger knew: it is compared once it rests."""
        if before is None or before.origin is None or before.size != segment.size:
            return segment
        return msgspec.structs.replace(segment, origin=before.origin, digest=before.digest)

    def _records(self, segment: Segment) -> list[Origin]:
        return [] if self._log is None else self._log.about(segment.path, segment.start, segment.size)

    def _elsewhere(self, segment: Segment) -> list[Origin]:
        asked = (segment.path, segment.camera, segment.start, segment.size)
        return [one for log in self._logs for one in log.elsewhere(*asked)]


def moved_record(log: OriginLog, old: Segment, new: Segment, now: int) -> Origin:
    """Return the origin record of a filled file under its new path."""
    known = log.find(old.path, old.start, old.size, old.mtime_ns)
    digest = known.digest if known else (old.digest or b"").hex()
    return Origin(
        path=new.path,
        server=old.origin or "",
        camera=new.camera,
        start=new.start,
        end=new.end,
        size=new.size,
        mtime_ns=new.mtime_ns,
        digest=digest,
        source_path=known.source_path if known else old.path,
        landed=known.landed if known else now,
    )


def _said(origin: Origin) -> _Claim:
    return _Claim(origin.server, origin.camera, origin.start, origin.end, bytes.fromhex(origin.digest) or None)


def _same_file(before: Segment, segment: Segment) -> bool:
    return (before.inode, before.size, before.mtime_ns) == (segment.inode, segment.size, segment.mtime_ns)


def _filled(segment: Segment, claim: _Claim) -> Segment:
    return msgspec.structs.replace(
        segment,
        origin=claim.server,
        digest=claim.digest,
        camera=claim.camera,
        start=claim.start,
        end=claim.end,
        state=State.SEALED,
        marks=segment.marks & (LASTING | Mark.SUSPECT),
        reason="",
    )


def _digest_at(root: str, path: str, kind: Kind) -> bytes:
    """Return the digest of the segment at `path` as it is now. Raises OSError, PathRefused."""
    names = [""] if kind is Kind.FILE else [name for name, _ in unit_files(os.path.join(root, path))]
    return digest_of([_file_digest(root, f"{path}/{name}" if name else path, name) for name in names])


def _file_digest(root: str, path: str, name: str) -> FileManifest:
    fd = open_beneath(root, path)
    try:
        state, size = hasher(), 0
        while block := os.pread(fd, _BLOCK, size):
            state.update(block)
            size += len(block)
        return FileManifest(name, size, state.digest(), 0, ())
    finally:
        os.close(fd)
