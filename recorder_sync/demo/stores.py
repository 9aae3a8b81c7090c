"""Where the demo's recorders put segments: Frigate's way through a cache and a database, MediaMTX's way in place.

Rule: what a file looks like while it is open, when it is closed and after a kill is what the real recorder leaves.
Source: read in the code of Frigate 0.18 beta and MediaMTX 1.20.
"""

import calendar
import contextlib
import logging
import os
import queue
import secrets
import sqlite3
import string
import struct
import threading
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from av import Packet
    from av.video.stream import VideoStream

log = logging.getLogger("recorder")

_LONGEST = 600.0
"""Frigate discards cached segments that claim to be longer; in seconds."""

_AS_SEEN_BY_FRIGATE = "/media/frigate/recordings"
"""What Frigate's container calls the recordings folder; its database knows no other name."""

_RECORDINGS = """CREATE TABLE IF NOT EXISTS recordings (id VARCHAR(30) PRIMARY KEY, camera VARCHAR(20),
 path VARCHAR(255) UNIQUE, start_time DATETIME, end_time DATETIME, duration REAL, motion INTEGER, objects INTEGER,
 dBFS INTEGER, segment_size REAL, regions INTEGER)"""


class Segment:
    """One file being written. Raises av.error.FFmpegError, OSError."""

    def __init__(self, path: str, video: "VideoStream", first: int, movflags: str) -> None:
        """Open `path`; `first` is the time stamp of `video` that becomes 0."""
        import av

        self.path = path
        self.length = Fraction()
        """Seconds so far."""
        options = {"movflags": movflags, "flush_packets": "1"} if movflags else {}
        self._file = av.open(path, "w", format="mp4", options=options)
        self._stream = self._file.add_stream_from_template(video)
        self._first = first

    def write(self, packet: "Packet[VideoStream]") -> None:
        """Append a packet as it came, but for its time stamps."""
        assert packet.pts is not None
        packet.pts -= self._first
        packet.dts = packet.pts if packet.dts is None else packet.dts - self._first
        self.length = (packet.pts + (packet.duration or 0)) * packet.time_base
        packet.stream = self._stream
        self._file.mux(packet)

    def close(self) -> None:
        """Write what the container writes last."""
        self._file.close()


class Store(Protocol):
    """Where a kind of recorder puts segments, and what it does when one is closed."""

    movflags: str
    on_beat: bool
    """Cut at the first key frame after each multiple of the length since the run began, else after the length."""
    steady: bool
    """Name a segment by when its first frame would have come had nothing held it up, else by when it came."""

    def path(self, camera: str, start: float) -> str:
        """Return the path for a new segment that starts at `start`, in epoch seconds."""
        ...

    def closed(self, segment: Segment) -> None:
        """Take over a segment that was closed."""
        ...

    def shut(self) -> None:
        """Finish what was taken over."""
        ...


class MediaMTXStore:
    """Fragmented MP4 in place, named in local time to the microsecond; a duration in mvhd says that it is closed."""

    # MediaMTX writes no mfra box at the end.
    movflags = "frag_keyframe+empty_moov+default_base_moof+skip_trailer"
    on_beat = False
    steady = True

    def __init__(self, root: str) -> None:
        self._root = root

    def path(self, camera: str, start: float) -> str:
        """Return `<root>/<camera>/%Y-%m-%d_%H-%M-%S-%f.mp4`; makes the folder."""
        seconds, micros = divmod(round(start * 1_000_000), 1_000_000)
        name = time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(seconds))
        folder = os.path.join(self._root, camera)
        os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, f"{name}-{micros:06d}.mp4")

    def closed(self, segment: Segment) -> None:
        """Write the duration into mvhd, in place."""
        with open(segment.path, "r+b") as file:
            head = file.read(4096)
            body = head.index(b"mvhd") + 4
            scale = struct.unpack_from(">I", head, body + 12)[0]
            file.seek(body + 16)
            file.write(struct.pack(">I", int(segment.length * scale)))
        log.info("closed %s", segment.path)

    def shut(self) -> None:
        """Nothing is left to do."""


class FrigateStore:
    """Plain MP4 in a cache, moved by a thread of its own to the final name and into the database."""

    # Plain: `moov` comes last, so a cached segment that was not closed is worth nothing.
    movflags = ""
    # As FFmpeg's segment muxer: with a key frame every 4 s, segments of 10 s are 12 and 8 s long in turn.
    on_beat = True
    steady = False

    def __init__(self, root: str) -> None:
        self._root = os.path.abspath(root)
        above = os.path.dirname(self._root)
        self._cache, self._discarded = os.path.join(above, "cache"), os.path.join(above, "discarded")
        self._database = os.path.join(above, "frigate.db")
        for folder in (self._root, self._cache):
            os.makedirs(folder, exist_ok=True)
        for name in os.listdir(self._cache):
            self._discard(os.path.join(self._cache, name), "it was open when the recorder died")
        with contextlib.closing(self._connect()) as database:
            database.execute(_RECORDINGS)
        self._closed: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._mover = threading.Thread(target=self._move_all, name="mover", daemon=True)
        self._mover.start()

    def path(self, camera: str, start: float) -> str:
        """Return `<cache>/<camera>@%Y%m%d%H%M%S+0000.mp4`, whole seconds in UTC."""
        return os.path.join(self._cache, time.strftime(f"{camera}@%Y%m%d%H%M%S+0000.mp4", time.gmtime(start)))

    def closed(self, segment: Segment) -> None:
        """Leave it to the mover."""
        self._closed.put(segment.path)

    def shut(self) -> None:
        """Wait until all is moved."""
        self._closed.put(None)
        self._mover.join()

    def _move_all(self) -> None:
        import av

        while (cached := self._closed.get()) is not None:
            try:
                self._move(cached)
            except av.error.InvalidDataError as error:
                self._discard(cached, str(error))
            except (av.error.FFmpegError, OSError, sqlite3.Error) as error:
                log.warning("%s stays in the cache: %s", cached, error)

    def _move(self, cached: str) -> None:
        """Copy a cached segment to its final name, enter it into the database, then delete it: in Frigate's order."""
        camera, stamp = os.path.basename(cached).rsplit("@", 1)
        start = calendar.timegm(time.strptime(stamp, "%Y%m%d%H%M%S+0000.mp4"))
        below = time.strftime(f"%Y-%m-%d/%H/{camera}/%M.%S.mp4", time.gmtime(start))
        final = os.path.join(self._root, below)
        duration = seconds_of(cached)
        if not 0 < duration <= _LONGEST:
            self._discard(cached, f"it claims to be {duration} s long")
            return
        if os.path.exists(final):
            self._discard(cached, f"{final} exists")
            return
        os.makedirs(os.path.dirname(final), exist_ok=True)
        remux(cached, final, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start)))
        self._insert(camera, below, start, duration, os.path.getsize(final))
        os.unlink(cached)
        log.info("closed %s", final)

    def _insert(self, camera: str, below: str, start: int, duration: float, size: int) -> None:
        key = f"{float(start)}-{''.join(secrets.choice(string.ascii_lowercase) for _ in range(6))}"
        megabytes = round(size / 2**20, 2)
        path = f"{_AS_SEEN_BY_FRIGATE}/{below}"
        row = (key, camera, path, start, start + duration, duration, 0, 0, 0, megabytes, 0)
        with contextlib.closing(self._connect()) as database, database:
            database.execute("INSERT INTO recordings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._database, timeout=30.0)
        database.execute("PRAGMA journal_mode=WAL")
        return database

    def _discard(self, cached: str, reason: str) -> None:
        os.makedirs(self._discarded, exist_ok=True)
        os.replace(cached, os.path.join(self._discarded, os.path.basename(cached)))
        log.warning("discarded %s: %s", cached, reason)


def seconds_of(path: str) -> float:
    """Return the seconds of picture in a recording, 0 if it has none. Raises av.error.FFmpegError."""
    import av

    with av.open(path, "r") as recording:
        return (recording.duration or 0) / av.time_base if recording.streams.video else 0.0


def remux(source: str, target: str, created: str) -> None:
    """Copy an MP4 with `moov` in front and a creation time. Raises av.error.FFmpegError."""
    import av

    with av.open(source, "r") as old, av.open(target, "w", format="mp4", options={"movflags": "+faststart"}) as new:
        new.metadata["creation_time"] = created
        video = old.streams.video[0]
        stream = new.add_stream_from_template(video)
        for packet in old.demux(video):
            if packet.pts is not None:  # the last one is empty
                packet.stream = stream
                new.mux(packet)
