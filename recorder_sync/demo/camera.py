"""Endless synthetic cameras: each frame carries its number, and anybody may watch over HTTP.

Rule: a camera waits for nobody. Frame n is taken at start + n / rate on the monotonic clock, whatever the watchers do;
a watcher whose queue is full is dropped. Every watcher begins at a key frame, as with a real camera.

`GET /<name>.ts` on 127.0.0.1 is an MPEG transport stream of H.264 with the parameter sets before every key frame.
"""

import argparse
import contextlib
import json
import os
import queue
import sys
import threading
import time
import zlib
from collections.abc import Sequence
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import NamedTuple

from recorder_sync.demo import FPS, require_media, stop_with_parent
from recorder_sync.demo.barcode import BOX, HEIGHT, WIDTH, paint_frame
from schema.errors import OperatorError

_BITS_PER_SECOND = 96_000
_BEHIND = 100
"""Frames that a watcher may be behind before it is dropped: 10 s, far more than any recorder needs."""

_SEND_TIMEOUT = 10.0
"""Seconds that a watcher may take no bytes at all."""

_CAR_COLOURS = ((90, 200), (200, 100), (100, 90), (60, 150))
"""Blue and red difference of cars, so that cameras can be told apart: red, blue, green, yellow."""


class Plane(NamedTuple):
    """One plane of a picture, padded rows and all."""

    pixels: memoryview | bytearray
    stride: int
    width: int

    def fill(self, x: int, y: int, width: int, height: int, value: int) -> None:
        """Paint a rectangle, clipped at the left and right edge."""
        left, right = max(x, 0), min(x + width, self.width)
        if left < right:
            row = bytes([value]) * (right - left)
            for start in range(y * self.stride, (y + height) * self.stride, self.stride):
                self.pixels[start + left : start + right] = row


class Scene:
    """A street with a car and a walker below the bar code; only what moves is painted for each frame."""

    def __init__(self, name: str) -> None:
        import av

        self.frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        self._planes = [Plane(memoryview(p), p.line_size, p.width) for p in self.frame.planes]
        self._tint = zlib.crc32(name.encode())
        self._paint_still()
        self._still = [bytes(plane.pixels) for plane in self._planes]

    def paint(self, number: int) -> None:
        """Make `frame` the picture of this number."""
        for plane, still in zip(self._planes, self._still, strict=True):
            plane.pixels[:] = still
        luma, blue, red = self._planes
        car = number * 4 % (WIDTH + 120) - 60
        luma.fill(car, 118, 60, 14, 130)
        luma.fill(car + 14, 106, 30, 12, 170)
        for wheel in (car + 8, car + 42):
            luma.fill(wheel, 130, 10, 8, 25)
        for plane, colour in zip((blue, red), _CAR_COLOURS[self._tint % len(_CAR_COLOURS)], strict=True):
            plane.fill(car // 2, 59, 30, 7, colour)
        walker = WIDTH - number * 2 % (WIDTH + 40)
        luma.fill(walker, 146, 6, 6, 200)
        luma.fill(walker - 2, 152, 10, 14, 60)
        luma.fill(walker + number // 3 % 2 * 4 - 2, 166, 4, 8, 45)
        paint_frame(self.frame, number)

    def _paint_still(self) -> None:
        """Paint what stands still: sky, houses with windows, a road and a pavement with some stones."""
        luma, blue, red = self._planes
        blue.fill(0, 0, WIDTH // 2, HEIGHT // 2, 128)
        red.fill(0, 0, WIDTH // 2, HEIGHT // 2, 128)
        blue.fill(0, BOX // 2, WIDTH // 2, 44, 148)
        red.fill(0, BOX // 2, WIDTH // 2, 44, 112)
        for y in range(BOX, 64):
            luma.fill(0, y, WIDTH, 1, 150 + y)
        for house in range(8):
            top = 34 + (self._tint >> house * 3) % 8 * 4
            luma.fill(house * 40, top, 40, 104 - top, 90 + house * 37 % 60)
            blue.fill(house * 20, top // 2, 20, 52 - top // 2, 116 + house * 3 % 8)
            red.fill(house * 20, top // 2, 20, 52 - top // 2, 134 + house * 5 % 16)
            for window in range(3):
                luma.fill(house * 40 + 5 + window * 12, top + 8, 6, 10, 220 if (house + window) % 3 else 40)
        luma.fill(0, 104, WIDTH, 38, 70)
        luma.fill(0, 142, WIDTH, HEIGHT - 142, 120)
        for stone in range(0, WIDTH * 2, 5):
            luma.fill(stone % WIDTH, 104 + stone * 29 % 74, 3, 2, 80 + stone * 31 % 50)


class Watcher:
    """One client of a camera and the pieces it has not been sent yet."""

    def __init__(self) -> None:
        self.pieces: queue.Queue[bytes] = queue.Queue(_BEHIND)
        self.began = False
        self.dropped = threading.Event()


class Audience:
    """Whoever watches one camera at the moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watchers: list[Watcher] = []

    def join(self) -> Watcher:
        """Return a new watcher, which gets every piece from the next key frame on."""
        watcher = Watcher()
        with self._lock:
            self._watchers.append(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Forget a watcher; once more does no harm."""
        with self._lock, contextlib.suppress(ValueError):
            self._watchers.remove(watcher)

    def show(self, piece: bytes, *, key: bool) -> None:
        """Give a piece of the stream, one whole frame, to everyone; drop who has no room for it. Never waits."""
        with self._lock:
            watchers = list(self._watchers)
        for watcher in watchers:
            watcher.began = watcher.began or key
            if not watcher.began:
                continue
            try:
                watcher.pieces.put_nowait(piece)
            except queue.Full:
                watcher.dropped.set()
                self.leave(watcher)


class _Pieces:
    """The file that the muxer writes into: collects what one frame became."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        piece = b"".join(self._parts)
        self._parts.clear()
        return piece


class Camera(threading.Thread):
    """One camera: takes pictures, encodes them, shows them to its audience, until `stop`."""

    def __init__(self, name: str, gop: int, rate: int, log: str, stop: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self.audience = Audience()
        self.failed = True
        self._gop, self._rate, self._log, self._stop_asked = gop, rate, log, stop

    def run(self) -> None:
        """Film until `stop`; if that fails the whole process ends, so that nobody waits for a dead camera."""
        try:
            self._film()
            self.failed = False
        finally:
            self._stop_asked.set()

    def _film(self) -> None:
        import av

        pieces = _Pieces()
        # Without these the muxer keeps a frame until the next one comes.
        options = {"flush_packets": "1", "omit_video_pes_length": "0"}
        with av.open(pieces, "w", format="mpegts", options=options) as stream:
            video = stream.add_stream("libx264", rate=self._rate, options=self._encoder_options())
            video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            video.bit_rate = _BITS_PER_SECOND
            video.thread_count = 1
            scene = Scene(self.name)
            started = time.monotonic()
            self._note_start(time.time())
            number = 0
            while not self._stop_asked.wait(max(0.0, started + number / self._rate - time.monotonic())):
                scene.paint(number)
                scene.frame.pts, scene.frame.time_base = number, Fraction(1, self._rate)
                for packet in video.encode(scene.frame):
                    stream.mux(packet)
                    self.audience.show(pieces.take(), key=packet.is_keyframe)
                number += 1

    def _encoder_options(self) -> dict[str, str]:
        key_frames = f"keyint={self._gop}:min-keyint={self._gop}:scenecut=0"
        return {"preset": "ultrafast", "tune": "zerolatency", "x264-params": key_frames}

    def _note_start(self, wall: float) -> None:
        """Log when frame 0 was taken, in epoch seconds: frame n was taken n / fps later."""
        line = {"camera": self.name, "first_frame": wall, "fps": self._rate, "gop": self._gop}
        with open(self._log, "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")


class Server(ThreadingHTTPServer):
    """Serves the streams of `cameras` on a free port of 127.0.0.1."""

    daemon_threads = True

    def __init__(self, cameras: Sequence[Camera]) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.audiences = {f"/{camera.name}.ts": camera.audience for camera in cameras}

    def server_bind(self) -> None:
        """Bind without asking DNS for the name of 127.0.0.1, as HTTPServer would; that can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])


class _Request(BaseHTTPRequestHandler):
    """One watcher's connection."""

    server: Server
    timeout = _SEND_TIMEOUT
    # Frames are small; waiting to send two of them together would show in the recorders' clocks.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Send the stream until the watcher leaves or is dropped."""
        audience = self.server.audiences.get(self.path)
        if audience is None:
            self.send_error(404)
            return
        watcher = audience.join()
        with contextlib.suppress(OSError):  # the watcher left
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            self._send(watcher)
        audience.leave(watcher)

    def _send(self, watcher: Watcher) -> None:
        while not watcher.dropped.is_set():
            with contextlib.suppress(queue.Empty):
                self.wfile.write(watcher.pieces.get(timeout=1.0))

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: a line for each recorder's start helps nobody."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cameras until SIGTERM or the end of the parent; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        require_media()
    except OperatorError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the process has no other face
        return error.exit_code
    stop = stop_with_parent()
    cameras = [Camera(name, gop, options.fps, options.log_file, stop) for name, gop in options.camera]
    with Server(cameras) as server:
        threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
        for camera in cameras:
            camera.start()
        _write_whole(options.port_file, f"{server.server_port}\n")
        stop.wait()
        for camera in cameras:
            camera.join()
        server.shutdown()
    return 1 if any(camera.failed for camera in cameras) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recorder_sync.demo.camera", description="Endless synthetic cameras.")
    parser.add_argument("--port-file", required=True, help="file to write the port of 127.0.0.1 into")
    parser.add_argument("--log-file", required=True, help="file for the time of each camera's first frame")
    parser.add_argument("--camera", required=True, action="append", type=_camera, metavar="NAME:GOP")
    parser.add_argument("--fps", type=int, default=FPS, help="frames a second")
    return parser


def _camera(value: str) -> tuple[str, int]:
    """Return name and frames from key frame to key frame of `front:10`. Raises ValueError, which argparse reports."""
    name, gop = value.rsplit(":", 1)
    return name, int(gop)


def _write_whole(path: str, text: str) -> None:
    """Write a small file so that whoever waits for it never reads half of it."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)


if __name__ == "__main__":
    sys.exit(main())
