"""A peer that is reached over the link, as a fill sees it.

Rule: what arrives is compared, chunk by chunk, with the digest of what was read at the other end. A read that is broken
off is begun again where it was; a peer that only drips is given up.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from backfill.link.client import TRIES, Asked, LinkClient
from backfill.link.connection import Answer
from backfill.link.taking import Room
from backfill.storage import Storage
from schema.digests import DIGEST_BYTES, hasher
from schema.errors import (
    PeerInvalid,
    PeerUnreachable,
    SourceChanged,
    SourceDamaged,
    SourceGone,
    SourceUnreadable,
    UnknownName,
)
from schema.spans import Span
from schema.values import FileDigest, Kind, Manifest, ManifestFile, Segment
from schema.wire import FileMessage, SegmentMessage

_SLOWEST = 8 * 1024
"""Bytes a second below which a peer is taken for one that only keeps us waiting."""
_SLOW_FOR = 30.0
_LOOKS = 1.0
"""Seconds after which it is looked at whether it drips, if what is waited for has not come."""
_MODES_KEPT = 65_536


class LinkPeer:
    """A peer whose storages are only its service's to read."""

    def __init__(self, client: LinkClient, storage: Callable[[int], Storage], chunk: int) -> None:
        self._client = client
        self._storage = storage
        self._chunk = chunk
        self._lock = threading.Lock()
        self._modes: OrderedDict[tuple[int, str], int] = OrderedDict()
        """Of segments lately told of that are one file."""

    @property
    def name(self) -> str:
        """The server's name."""
        return self._client.server

    def segments(self, storage: Storage, wanted: Mapping[str, Sequence[Span]]) -> dict[str, list[Segment]]:
        """Return what the peer has of the cameras around the spans.

        Of more than is held at once the beginning, camera by camera: what follows comes with a later plan.
        """
        found: dict[str, dict[str, Segment]] = {camera: {} for camera in wanted}
        names = {camera: camera for camera in wanted}
        """So that each is in memory once, and not with every segment."""
        room = Room()
        try:
            for told in self._client.segments(storage.name, wanted):
                if not room.holds(told):
                    break
                if told.start < told.end:
                    found[told.camera].setdefault(told.path, _segment(told, storage.id, names[told.camera]))
                    if told.mode is not None and not told.folder:
                        self._remember((storage.id, told.path), told.mode)
        except UnknownName:
            return {}  # it was renamed or removed there; the next pulse tells of it
        return {
            camera: sorted(paths.values(), key=lambda one: (one.start, one.path)) for camera, paths in found.items()
        }

    def _remember(self, segment: tuple[int, str], mode: int) -> None:
        with self._lock:
            self._modes[segment] = mode
            while len(self._modes) > _MODES_KEPT:
                self._modes.popitem(last=False)

    def manifest(self, segment: Segment) -> Manifest:
        """Return what `segment` consists of there now.

        One file of a single chunk is not asked about: everything was told with the segment, and that it still is the
        same is looked at when it is opened. Of several chunks the peer may know the digest of each.
        """
        mode = self._modes.get((segment.storage_id, segment.path))
        if mode is not None and segment.kind is Kind.FILE and segment.size <= self._chunk:
            known = None if segment.digest is None else FileDigest(segment.size, segment.digest, 0)
            return Manifest(
                Kind.FILE, (ManifestFile("", segment.size, segment.mtime_ns, mode, known),), segment.mtime_ns
            )
        with _of(segment.path):
            told = self._client.manifest(
                self._storage(segment.storage_id).name, segment.path, segment.size, segment.mtime_ns
            )
        kind = Kind.FOLDER if told.folder else Kind.FILE
        return Manifest(kind, tuple(_file(file) for file in told.files), told.mtime_ns)

    @contextmanager
    def open(self, segment: Segment, file: ManifestFile) -> Iterator["_LinkReader"]:
        """Open one file of `segment`; the peer sees to it that it does not change while it is sent."""
        asked = {
            "storage": self._storage(segment.storage_id).name,
            "path": segment.path,
            "name": file.name,
            "size": file.size,
            "mtime": file.mtime_ns,
            "chunk": self._chunk,
        }
        title = f"{segment.path}/{file.name}" if file.name else segment.path
        reader = _LinkReader(self._client, asked, title, file.size, self._chunk)
        try:
            with _of(segment.path):
                yield reader
        finally:
            reader.close()


class _LinkReader:
    """One file on its way. Sequential reads come from one answer; a read elsewhere begins another."""

    def __init__(self, client: LinkClient, asked: Asked, title: str, size: int, chunk: int) -> None:
        self._client = client
        self._asked = asked
        self._title = title
        self._size = size
        self._chunk = chunk
        self._response: Answer | None = None
        self._at = self._begin = 0
        self._state = hasher()
        self._waited = 0.0
        self._received = 0
        self._failed = 0

    def readinto(self, view: memoryview, offset: int) -> int:
        """Fill `view` from `offset`.

        Raises PeerUnreachable after a few attempts, SourceDamaged, and the source's errors.
        """
        while True:
            try:
                return self._readinto(view, offset)
            except PeerUnreachable:
                self.close()
                self._failed += 1
                if self._failed >= TRIES:
                    raise
                self._client.pause(self._failed - 1)

    def close(self) -> None:
        """Leave the connection as it can be used again, or drop it."""
        response, self._response = self._response, None
        if response is not None and not response.isclosed():
            self._client.drop(lane=True)

    def _readinto(self, view: memoryview, offset: int) -> int:
        if self._response is None or offset != self._at:
            self.close()
            self._response = self._client.data({**self._asked, "offset": offset})
            expected = self._size - offset
            expected += -(-expected // self._chunk) * DIGEST_BYTES
            if self._response.length != expected:
                raise PeerInvalid(self._client.server, f"{self._title}: it sends another length than it said")
            self._at = self._begin = offset
            self._state = hasher()
        if offset >= self._size:
            return 0
        rest = self._chunk - (offset - self._begin) % self._chunk
        wanted = view[: min(len(view), rest, self._size - offset)]
        self._receive(wanted)
        self._state.update(wanted)
        self._at += len(wanted)
        if len(wanted) == rest or self._at == self._size:
            self._check_digest()
        return len(wanted)

    def _check_digest(self) -> None:
        told = memoryview(bytearray(DIGEST_BYTES))
        self._receive(told)
        if told != self._state.digest():
            # TLS or not, what arrived is not what was read there: that way is not to be trusted with the rest.
            self.close()
            raise SourceDamaged(self._title, self._client.server, f"damaged on the way before byte {self._at:,}")
        self._state = hasher()
        self._failed = 0

    def _receive(self, view: memoryview) -> None:
        """Fill `view` from the answer. Raises PeerUnreachable if it breaks off, or drips."""
        assert self._response is not None
        done, began = 0, time.monotonic()
        try:
            with self._client.named(lane=True):
                while done < len(view):
                    got = self._response.receive(view[done:], _LOOKS)
                    if not got:
                        raise PeerUnreachable(self._client.server, "its answer broke off")
                    done += got
                    waited = self._waited + time.monotonic() - began
                    if waited > _SLOW_FOR and self._received + done < waited * _SLOWEST:
                        self._failed = TRIES
                        raise PeerUnreachable(
                            self._client.server, f"it sent {self._received + done:,} bytes in {waited:.0f} s"
                        )
        finally:
            self._waited += time.monotonic() - began
            self._received += done


@contextmanager
def _of(path: str) -> Iterator[None]:
    """Name the segment in errors that only say "the segment"."""
    try:
        yield
    except (SourceGone, SourceChanged, SourceDamaged, SourceUnreadable) as error:
        if error.details[0] == "the segment":
            raise type(error)(path, *error.details[1:]) from None
        raise
    except UnknownName:
        raise SourceGone(path, "the peer, which has no such storage any more") from None


def _segment(told: SegmentMessage, storage_id: int, camera: str) -> Segment:
    return Segment(
        storage_id=storage_id,
        camera=camera,
        path=told.path,
        start=told.start,
        end=told.end,
        size=told.size,
        mtime_ns=told.mtime_ns,
        inode=0,
        kind=Kind.FOLDER if told.folder else Kind.FILE,
        marks=told.marks,
        digest=None if told.digest is None else bytes.fromhex(told.digest),
    )


def _file(told: FileMessage) -> ManifestFile:
    known = None
    if told.digest is not None and told.chunk_size > 0:
        chunks = tuple(bytes.fromhex(chunk) for chunk in told.chunks)
        known = FileDigest(told.size, bytes.fromhex(told.digest), told.chunk_size, chunks)
    elif told.digest is not None:
        known = FileDigest(told.size, bytes.fromhex(told.digest), 0)
    return ManifestFile(told.name, told.size, told.mtime_ns, told.mode, known)
