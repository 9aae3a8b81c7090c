"""What must hold whatever went wrong, and the pair of recorders that things go wrong with.

`a` lacks a minute in the middle that its twin `b` has; their segments begin five seconds apart, as those of real twins
do, so that a file of `b` is told from one of `a` by its name.
"""

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from backfill.intake import measure_unit
from backfill.peer import FolderPeer
from backfill.storage import Storage
from recorder_sync.app import opened
from schema.digests import hasher
from schema.ledger import Ledger
from schema.ledger.manifests import FileManifest, digest_of
from schema.values import FillResult, Kind, Segment, State
from tests import make
from tests.faults import FaultyPeer

SIZE = 200_000
"""Of a segment: four chunks of 64 KiB, the last one short."""

MISSING = range(35, 100, 10)
"""Where the segments of `b` start that a fill of `a` brings, seconds after T0."""

ONE_BY_ONE = make.CONFIG + "in_flight = 1\n"
"""One segment at a time, newest first: which read a script spoils is then certain."""

NEWEST_FIRST = [make.frigate_path("front", make.T0 + second * 1_000_000) for second in reversed(MISSING)]


def record_both(
    a: Path,
    b: Path,
    camera: str = "front",
    path: Callable[[str, int], str] = make.frigate_path,
    *,
    size: int = SIZE,
) -> None:
    """Let `a` record with a hole, naming its files by `path`, and `b` without."""
    make.record(a, camera, [*make.tens(0, 40), *make.tens(100, 140)], seed=1, size=size, path=path)
    make.record(b, camera, range(5, 135, 10), seed=2, size=size)


def with_hole(bench: make.Bench) -> make.Bench:
    """Let the recorders of `bench` record, and scan them."""
    record_both(bench.root("a"), bench.root("b"))
    bench.scan()
    return bench


def spoil(bench: make.Bench, script: Iterable[str]) -> FaultyPeer:
    """Let every read from `b` follow `script`."""
    peer = FaultyPeer(FolderPeer("b", bench.site, bench.ledger), script)
    bench.peers["b"] = peer
    return peer


def whys(result: FillResult) -> list[str]:
    """Return why each segment was refused, in order."""
    return [one.why.name for one in result.refused]


def ext4(image: Path, size: int = 16 * 2**20) -> Path:
    """Make an ext4 file system in a file; skips where that cannot be done."""
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed")
    with open(image, "wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
    return image


_EXT4_IOC_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2


def cut(disk: Path) -> None:
    """Cut the power of a mounted ext4: from now on nothing reaches it, not even its journal, and all writes fail."""
    fd = os.open(disk, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
    finally:
        os.close(fd)


def digest(path: Path) -> bytes:
    """Return the digest of a file."""
    state = hasher()
    state.update(path.read_bytes())
    return state.digest()


def recordings(root: Path) -> list[Path]:
    """Return every file of a recorder's tree, not what lies in a state folder of ours."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".recorder-sync"]
        found += [Path(folder, name) for name in names]
    return sorted(found)


def digests(root: Path) -> dict[str, bytes]:
    """Return the digest of every file of a recorder's tree, by path."""
    return {str(path.relative_to(root)): digest(path) for path in recordings(root)}


def check_held(config: Path, root: Path, own: dict[str, bytes], theirs: dict[str, bytes]) -> None:
    """Check what must hold at every moment of a fill.

    What the recorder at `root` wrote is as it was, everything else is whole and equal to its source, and the ledger is
    sound and claims nothing that is not there.
    """
    found = digests(root)
    assert {path: found.get(path) for path in own} == own
    for path, what in found.items():
        assert what == own.get(path, theirs.get(path)), f"{path} is not what its source is"
    with opened(config) as app:
        app.ledger.check()
        for storage in app.site.storages:
            assert false_claims(app.ledger, storage) == []


Fingerprint = dict[str, tuple[bytes, int, int, int]]


def fingerprint(root: Path) -> Fingerprint:
    """Return content, inode, mode and last write of every file of a recorder's tree."""
    found = {}
    for path in recordings(root):
        info = path.stat()
        found[str(path.relative_to(root))] = (digest(path), info.st_ino, info.st_mode, info.st_mtime_ns)
    return found


def lost_or_touched(before: Fingerprint, root: Path) -> list[str]:
    """Return what a recorder wrote that is no longer exactly what it was."""
    now = fingerprint(root)
    return [path for path, what in before.items() if now.get(path) != what]


def not_whole(root: Path, own: Iterable[str], source: Path) -> list[str]:
    """Return the files in a tree that are neither the recorder's own nor a whole copy of what the source has there."""
    mine = set(own)
    theirs = {str(path.relative_to(source)): path for path in recordings(source)}
    found = []
    for path in recordings(root):
        name = str(path.relative_to(root))
        if name not in mine and (name not in theirs or path.read_bytes() != theirs[name].read_bytes()):
            found.append(name)
    return found


def claims(ledger: Ledger, storage: Storage) -> list[Segment]:
    """Return every sealed segment that the ledger has of a storage; a damaged row fails."""
    with ledger.reading() as connection:
        rows = ledger.segments.after(connection, storage.id, State.SEALED, 0, batch=1_000_000)
    assert all(segment is not None for _, segment in rows)
    return [segment for _, segment in rows if segment is not None]


def false_claims(ledger: Ledger, storage: Storage) -> list[str]:
    """Return what the ledger claims of a storage that is not there, or is something else."""
    found = []
    for segment in claims(ledger, storage):
        path = Path(storage.root, segment.path)
        folder = segment.kind is Kind.FOLDER
        if not (path.is_dir() if folder else path.is_file()):
            found.append(f"{segment.path} is not there")
        elif (measure_unit(str(path)) if folder else sized(path)) != (segment.size, segment.mtime_ns):
            found.append(f"{segment.path} has another size or time")
        elif segment.digest is not None and segment.digest != (digest_of(files(path)) if folder else digest(path)):
            found.append(f"{segment.path} has another content")
    return found


def sized(path: Path) -> tuple[int, int]:
    """Return size and last write of a file."""
    return path.stat().st_size, path.stat().st_mtime_ns


def files(folder: Path) -> list[FileManifest]:
    """Return what a segment that is a folder consists of."""
    names = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [FileManifest(str(one.relative_to(folder)), one.stat().st_size, digest(one), 0, ()) for one in names]
