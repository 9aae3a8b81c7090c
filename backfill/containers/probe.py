"""One question for any recording: what does its container say?

Rule: never raises for what a file contains; a file that cannot be read is an OSError of the caller's.
"""

import os
from dataclasses import dataclass

from backfill.containers import matroska, mp4, transport
from backfill.containers.window import Window

STUB = 1024
"""Files below this size hold no recording: writers that are killed leave 36 to 48 bytes. Source: measured."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a container says. Times in microseconds; None where it does not tell."""

    container: str
    closed: bool | None
    """True: its writer closed it; False: not, or it is damaged; None: this container cannot tell."""
    duration: int | None
    problem: str = ""
    """Why it is not a whole recording; empty if it is, or if nothing speaks against it."""
    plays: bool = True
    """Whether what is there plays although it was not closed; true as well where nothing speaks against it."""


def probe(path: str, size: int) -> Probe:
    """Return what the container of the file at `path` says. Raises OSError."""
    if size < STUB:
        return Probe("stub", False, None, f"a stub of {size} bytes", plays=False)
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    try:
        return _probe(fd, size, path)
    finally:
        os.close(fd)


def flavour(path: str) -> str:
    """Return what kind of file is at `path`, as recorders that read only some of a container tell them apart.

    `mp4`, `fmp4`, `mkv`, `ts` and so on; `late fmp4` where `moov` does not stand right behind `ftyp`. Raises OSError.
    """
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    try:
        window = Window(fd, os.fstat(fd).st_size)
        name = _probe(fd, window.size, path).container
        second = int.from_bytes(window.read(0, 4), "big")
        follows = window.read(4, 4) == b"ftyp" and window.read(second + 4, 4) == b"moov"
    finally:
        os.close(fd)
    return f"late {name}" if name == "fmp4" and not follows else name


def _probe(fd: int, size: int, path: str) -> Probe:
    window = Window(fd, size)
    head = window.read(0, 16)
    if mp4.looks_like_mp4(head):
        found = mp4.inspect(window)
        name = "fmp4" if found.fragmented else "mp4"
        # An unclosed fragmented file plays as far as its fragments are whole; a cut one is damaged.
        plays = found.closed or (found.fragmented and not found.problem)
        return Probe(name, found.closed, found.duration, found.problem, plays)
    if matroska.looks_like_matroska(head):
        mkv = matroska.inspect(window)
        return Probe("mkv", mkv.closed, mkv.duration, mkv.problem, plays=mkv.closed)
    if transport.looks_like_transport(window):
        return Probe("ts", None, transport.duration(path), transport.problem(window))
    if not head.strip(b"\0"):
        return Probe("unknown", False, None, "it begins with zeros: the data never reached the disk", plays=False)
    return Probe("unknown", None, None, "no container we know")
