"""An independent recorder: copies what cameras send, never re-encoded, into files as Frigate or MediaMTX writes them.

Rule: it knows nothing of recorder-sync and shares nothing with it but the folder. While it runs no frame is lost or
written twice; SIGTERM closes every segment, SIGKILL leaves what a power cut leaves.

Source of what each recorder does when: read in the code of Frigate 0.18 beta and MediaMTX 1.20.
"""

import argparse
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from recorder_sync.demo import require_media, stop_with_parent
from recorder_sync.demo.stores import FrigateStore, MediaMTXStore, Segment, Store
from schema.errors import OperatorError

if TYPE_CHECKING:
    from av import Packet
    from av.video.stream import VideoStream

log = logging.getLogger("recorder")

_RETRY = 0.5
"""Seconds between two attempts to reach a camera."""

_OPEN = 5.0
"""Seconds to wait for a stream to begin, twice at most; a camera sends nothing before its next key frame."""

_SILENCE = 10.0
"""Seconds without a byte after which a camera counts as away."""


class Recording(threading.Thread):
    """Records one camera until `stop`, reaching for it again whenever it is not there."""

    def __init__(
        self, camera: str, url: str, store: Store, length: float, look: dict[str, str], stop: threading.Event
    ) -> None:
        """Prepare to read `url` with FFmpeg's options `look`; `length` of a segment in seconds."""
        super().__init__(name=camera, daemon=True)
        self.failed = True
        self._said = ""
        self._url, self._store, self._length, self._look, self._stop_asked = url, store, length, look, stop

    def run(self) -> None:
        """Record; a defect ends the whole process rather than leaving one camera out."""
        import av

        try:
            while not self._stop_asked.is_set():
                try:
                    self._record_run()
                    log.info("%s: the run ended", self.name)
                except (av.error.FFmpegError, OSError) as error:
                    self._say(str(error))
                self._stop_asked.wait(_RETRY)
            self.failed = False
        finally:
            self._stop_asked.set()

    def _say(self, problem: str) -> None:
        """Log why there is no picture, once for as long as it is so."""
        if problem != self._said:
            log.warning("%s: %s", self.name, problem)
        self._said = problem

    def _record_run(self) -> None:
        """Record until the camera goes away or `stop`. Raises av.error.FFmpegError, OSError."""
        import av

        with av.open(self._url, "r", format="mpegts", options=self._look, timeout=(_OPEN, _SILENCE)) as source:
            run = Run(self.name, source.streams.video[0], self._store, self._length)
            try:
                for packet in source.demux(run.video):
                    run.take(packet, time.time())
                    self._said = ""
                    if self._stop_asked.is_set():
                        break
            finally:
                run.end()


class Run:
    """One uninterrupted stream of a camera, cut into segments."""

    def __init__(self, camera: str, video: "VideoStream", store: Store, length: float) -> None:
        """Prepare to cut at the first key frame after `length` seconds."""
        self.video = video
        self._camera, self._store = camera, store
        assert video.time_base is not None
        self._tick = float(video.time_base)
        self._length = round(length / self._tick)
        self._segment: Segment | None = None
        self._due: int | None = None
        self._zero = float("inf")
        """Epoch seconds of time stamp 0 if the promptest frame so far was not held up at all."""

    def take(self, packet: "Packet[VideoStream]", arrival: float) -> None:
        """Write a packet that arrived at `arrival`, epoch seconds, into the segment it belongs to."""
        if packet.pts is None:  # the end of the stream
            return
        self._zero = min(self._zero, arrival - packet.pts * self._tick)
        if packet.is_keyframe and (self._due is None or packet.pts >= self._due):
            self._cut(packet.pts, arrival)
        if self._segment is not None:
            self._segment.write(packet)

    def _cut(self, first: int, arrival: float) -> None:
        self.end()
        if self._due is None:
            self._due = first
            log.info("%s: first frame", self._camera)
        start = self._zero + first * self._tick if self._store.steady else arrival
        self._segment = Segment(self._store.path(self._camera, start), self.video, first, self._store.movflags)
        self._due = (self._due if self._store.on_beat else first) + self._length

    def end(self) -> None:
        """Close the open segment, if there is one."""
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.close()
            self._store.closed(segment)


def main(arguments: Sequence[str] | None = None) -> int:
    """Record until SIGTERM or the end of the parent; returns the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        require_media()
    except OperatorError as error:
        log.critical("%s", error)
        return error.exit_code
    stop = stop_with_parent()
    store: Store = FrigateStore(options.root) if options.layout == "frigate" else MediaMTXStore(options.root)
    # FFmpeg would send even this through a proxy of the environment.
    os.environ["no_proxy"] = "*"
    # FFmpeg by itself watches two seconds and more, to guess a frame rate that a copy does not need.
    look = {} if options.linger else {"fpsprobesize": "0"}
    recordings = [
        Recording(camera, f"{options.url}/{camera}.ts", store, options.segment, look, stop) for camera in options.camera
    ]
    for recording in recordings:
        recording.start()
    stop.wait()
    for recording in recordings:
        recording.join()
    store.shut()
    return 1 if any(recording.failed for recording in recordings) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recorder_sync.demo.recorder", description="An independent recorder.")
    parser.add_argument("--layout", required=True, choices=["frigate", "mediamtx"], help="which recorder to be")
    parser.add_argument("--root", required=True, help="folder of the recordings")
    parser.add_argument("--url", required=True, help="where the cameras are, such as http://127.0.0.1:8080")
    parser.add_argument("--camera", required=True, action="append", help="a camera to record")
    parser.add_argument("--segment", type=float, default=10.0, help="seconds after which to cut at a key frame")
    parser.add_argument(
        "--linger",
        action="store_true",
        help="look at a stream for two seconds before recording it, as FFmpeg does: the first file is named late",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
