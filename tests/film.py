"""A camera's stream made at once, and recorders that copy it: real files whose true times and clocks are known.

Frame n is filmed at T0 + n / RATE. The cameras and recorders are the demo's; only the waiting is left out.
"""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from recorder_sync.demo.barcode import HEIGHT, WIDTH
from recorder_sync.demo.camera import Scene
from recorder_sync.demo.recorder import Run
from recorder_sync.demo.stores import Segment
from schema.spans import SECOND
from tests.make import T0, mediamtx_path

RATE = 10
GOP = 10


def stream(
    frames: int, *, gop: int = GOP, codec: str = "libx264", still: bool = False, bit_rate: int = 96_000
) -> bytes:
    """Return a transport stream of so many frames with a key frame every `gop`; `still`: nothing ever moves."""
    key_frames = f"keyint={gop}:min-keyint={gop}:scenecut=0"
    params = {"libx264": "x264-params", "libx265": "x265-params"}
    options = {"preset": "ultrafast", "tune": "zerolatency", params.get(codec, "g"): key_frames}
    made = io.BytesIO()
    with av.open(made, "w", format="mpegts") as container:
        video = container.add_stream(codec, rate=RATE, options=options if codec in params else {})
        video.width, video.height, video.pix_fmt, video.bit_rate = WIDTH, HEIGHT, "yuv420p", bit_rate
        video.thread_count = 1
        video.gop_size = gop
        scene = Scene("front")
        for number in range(frames):
            scene.paint(0 if still else number)
            scene.frame.pts, scene.frame.time_base = number, Fraction(1, RATE)
            scene.frame.pict_type = 0
            container.mux(video.encode(scene.frame))
        container.mux(video.encode(None))
    return made.getvalue()


@dataclass
class _Shelf:
    """A store of the demo's recorder that names files by a clock and a layout of the test's choice."""

    root: Path
    named: Callable[[str, int], str]
    late: int
    movflags: str
    on_beat: bool = False
    steady: bool = False
    start: float = 0

    def path(self, camera: str, start: float) -> str:
        self.start = start
        us, self.late = round(start * 1000) * 1000 + self.late, 0
        full = self.root / self.named(camera, us)
        full.parent.mkdir(parents=True, exist_ok=True)
        return str(full)

    def closed(self, segment: Segment) -> None:
        """Date the file by when it ended on this recorder's clock: what was written just now is not read yet."""
        ended = self.start + float(segment.length)
        os.utime(segment.path, (ended, ended))

    def shut(self) -> None:
        """Nothing is left to do."""


def record(
    source: bytes,
    root: Path,
    *,
    camera: str = "front",
    first: int = 0,
    until: int = 1_000_000,
    length: float = 10,
    clock: int = 0,
    late: int = 0,
    named: Callable[[str, int], str] = mediamtx_path,
    movflags: str = "+faststart",
) -> None:
    """Record frames `first` up to `until` as one run of a recorder whose clock is ahead by `clock` microseconds.

    `late`: by how much the first file is named late, microseconds.
    """
    shelf = _Shelf(root, named, late, movflags)
    with av.open(io.BytesIO(source), format="mpegts") as container:
        video = container.streams.video[0]
        run = Run(camera, video, shelf, length)
        zero = video.start_time or 0
        for packet in container.demux(video):
            if packet.pts is None:
                continue
            number = round((packet.pts - zero) * packet.time_base * RATE)
            if first <= number < until:
                run.take(packet, (T0 + clock) / SECOND + number / RATE)
        run.end()


def reencode(source: bytes) -> bytes:
    """Return a stream of the same pictures, decoded and encoded again, as a recorder does that does not copy."""
    made = io.BytesIO()
    with av.open(io.BytesIO(source), format="mpegts") as container, av.open(made, "w", format="mpegts") as again:
        options = {"preset": "ultrafast", "tune": "zerolatency", "qp": "35", "x264-params": f"keyint={GOP}:scenecut=0"}
        video = again.add_stream("libx264", rate=RATE, options=options)
        video.width, video.height, video.pix_fmt, video.thread_count = WIDTH, HEIGHT, "yuv420p", 1
        for number, frame in enumerate(container.decode(video=0)):
            frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, RATE), 0
            again.mux(video.encode(frame))
        again.mux(video.encode(None))
    return made.getvalue()


def remux(source: bytes, path: Path, kind: str, options: dict[str, str] | None = None) -> Path:
    """Write a whole stream into another container, never re-encoded."""
    with av.open(io.BytesIO(source), format="mpegts") as container:
        video = container.streams.video[0]
        with av.open(str(path), "w", format=kind, options=options or {}) as made:
            copy = made.add_stream_from_template(video)
            for packet in container.demux(video):
                if packet.dts is not None:
                    packet.stream = copy
                    made.mux(packet)
    return path
