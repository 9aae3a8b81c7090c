"""One storage as it stands on this machine: its root, its own notes beside it, and whether it is the right disk.

Rule: our notes (identity, origins, partials, side store) live in one *state folder* on the same file system, outside
the recorder's tree, or inside it only where the recorder is known to ignore it. Nothing else of ours is ever in there.
"""

import errno
import json
import os
import sys
import uuid
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from backfill.layouts import Layout
from schema.errors import (
    DescriptorsExhausted,
    OperatorError,
    PermissionMissing,
    StagingUnusable,
    StorageAway,
    StorageSwapped,
)
from schema.settings import StorageSettings

STATE_FOLDER = ".recorder-sync"
_IDENTITY = "identity.json"
_LONGEST_IDENTITY = 36
_LARGEST_NOTE = 64 * 1024

INODE_MASK = 2**63 - 1
"""Some file systems number inodes up to 2**64; the ledger's integers are signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A configured storage with everything needed to read and fill it. `id` is the ledger's."""

    id: int
    server: str
    name: str
    root: str
    layout: Layout
    settings: StorageSettings
    cameras: dict[str, str] = field(default_factory=dict)
    """The recorder's camera name -> the shared one."""
    origin: str | None = None
    """For a side store: the peer everything in it came from."""
    remote: bool = False
    """Whether its files can only be had from the peer's service; then `root` is empty."""

    @property
    def title(self) -> str:
        """How operators know it: `nvr-a/main`."""
        return f"{self.server}/{self.name}"

    @property
    def zone(self) -> ZoneInfo:
        """The zone of local names."""
        return ZoneInfo(self.settings.zone)

    def shared_channel(self, channel: str) -> str:
        """Return the name both servers use for a channel of this recorder."""
        camera, slash, stream = channel.partition("/")
        if channel in self.cameras:
            return self.cameras[channel]
        shared = self.cameras.get(camera, camera)
        if camera not in self.cameras and camera in self.cameras.values():
            shared = unmapped(camera, self.server)
        return shared + slash + stream

    def own_camera(self, camera: str) -> str:
        """Return this recorder's name for a shared camera name."""
        own = next((own for own, shared in self.cameras.items() if shared == camera), camera)
        bare = own.removesuffix(unmapped("", self.server))
        return bare if bare in self.cameras.values() else own

    def state_folder(self) -> str:
        """Return where our notes on this storage live. Raises StagingUnusable if no place is right."""
        if self.settings.state:
            return self.settings.state
        parent, name = os.path.split(self.root)
        try:
            same = os.stat(parent).st_dev == os.stat(self.root).st_dev
        except OSError as error:
            raise self._away(error, "cannot be read") from None
        if same and parent != self.root:
            return os.path.join(parent, STATE_FOLDER, name)
        if self.layout.traits.staging_inside:
            return os.path.join(self.root, STATE_FOLDER)
        recorder = self.layout.traits.title
        raise StagingUnusable(
            self.title, f"{self.root} is a file system of its own, and {recorder} does not ignore foreign files in it"
        )

    def side_folder(self) -> str:
        """Return where filled segments go that the recorder's tree does not take."""
        return self.settings.side or os.path.join(self.state_folder(), "side")

    def check_present(self) -> None:
        """Raise StorageAway, DescriptorsExhausted or PermissionMissing unless the root can be listed."""
        try:
            with os.scandir(self.root):
                pass
        except PermissionError as error:
            raise PermissionMissing(f"reading storage {self.title}", f"{self.root}: {error.strerror}") from None
        except NotADirectoryError:
            raise StorageAway(self.title, self.root, "is not a folder") from None
        except FileNotFoundError:
            raise StorageAway(self.title, self.root, "does not exist") from None
        except OSError as error:
            raise self._away(error, "cannot be read") from None

    def _away(self, error: OSError, what: str) -> OperatorError:
        """Return what it means that something of this storage cannot be read; our own limits are not its absence."""
        if error.errno in (errno.EMFILE, errno.ENFILE):
            return DescriptorsExhausted(f"storage {self.title}", error.strerror)
        return StorageAway(self.title, self.root, f"{what}: {error.strerror}")

    def identity(self) -> str:
        """Return the identity written on this disk, or nothing if there is none.

        Raises PermissionMissing, DescriptorsExhausted or StorageAway if it cannot be read, StorageSwapped if it is
        damaged.
        """
        try:
            with open(self._identity_file(), "rb") as file:
                text = file.read(_LARGEST_NOTE)
        except (FileNotFoundError, StagingUnusable):
            return ""
        except PermissionError as error:
            raise PermissionMissing(
                f"reading the identity of {self.title}", f"{error.filename}: {error.strerror}"
            ) from None
        except OSError as error:
            raise self._away(error, "has an identity that cannot be read") from None
        try:
            identity = json.loads(text)["storage"]
        except (ValueError, KeyError, TypeError, RecursionError):
            identity = None
        if not isinstance(identity, str) or not 0 < len(identity) <= _LONGEST_IDENTITY or not identity.isprintable():
            raise StorageSwapped(self.title, "its identity file is damaged")
        return identity

    def adopt(self) -> str:
        """Return the identity of the disk that is there now, whatever was there before; gives it one if it has none.

        A damaged identity file is set aside. Returns nothing if the disk cannot be written.
        Raises PermissionMissing, StorageAway.
        """
        try:
            found = self.identity()
        except StorageSwapped:
            path, found = self._identity_file(), ""
            try:
                os.replace(path, free_name(f"{path}.damaged"))
            except OSError as error:
                raise PermissionMissing(f"setting aside the damaged {path}", error.strerror) from None
        return found or self.give_identity()

    def _identity_file(self) -> str:
        """Return where the identity is. Raises StagingUnusable, StorageAway."""
        return os.path.join(self.state_folder(), _IDENTITY)

    def give_identity(self) -> str:
        """Write a new identity to this disk and return it; nothing if the disk cannot be written."""
        identity = str(uuid.uuid4())
        note = {"storage": identity, "server": self.server, "name": self.name, "root": self.root}
        try:
            path = self._identity_file()
            os.makedirs(os.path.dirname(path), exist_ok=True)
            write_durably(path, json.dumps(note, indent=1).encode() + b"\n")
        except (OSError, StagingUnusable):
            return ""
        return identity

    def check_identity(self, known: str) -> str:
        """Return the identity of the disk that is there. Raises StorageSwapped if it is not the `known` one.

        A storage that was never scanned gets one; a disk that cannot be written has none, and cannot be told apart.
        """
        found = self.identity()
        if known and found != known:
            what = "its identity file is missing" if not found else f"it says {found}, the ledger knows {known}"
            raise StorageSwapped(self.title, what)
        return found or self.give_identity()


def unmapped(camera: str, server: str) -> str:
    """Return what a camera is called whose own name another camera of its server was given: they are not one."""
    return f"{camera}@{server}"


def inode_of(info: os.stat_result) -> int:
    """Return a file's inode as the ledger holds it."""
    return info.st_ino & INODE_MASK


def free_name(path: str) -> str:
    """Return `path` with the first number behind it that is not taken."""
    number = 1
    while os.path.lexists(f"{path}-{number}"):
        number += 1
    return f"{path}-{number}"


def held_time(time_ns: int) -> int:
    """Return a file's time as the ledger can hold it: some file systems know years up to 9999."""
    return max(-(2**63), min(time_ns, 2**63 - 1))


def write_durably(path: str, content: bytes) -> None:
    """Replace a note of ours whole: a reader or a power cut sees the old or the new one. Raises OSError."""
    partial = f"{path}.new"
    with open(partial, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    sync_folder(os.path.dirname(path))


def make_folders(path: str, mode: int = 0o777) -> None:
    """Make a folder, and those above it that are missing, each durable in its own. Raises OSError.

    Args:
        mode: of the folder itself.
    """
    missing = [path]
    while not os.path.isdir(os.path.dirname(missing[-1]) or "."):
        missing.append(os.path.dirname(missing[-1]))
    for folder in reversed(missing):
        if os.path.isdir(folder):
            continue
        try:
            os.mkdir(folder, mode if folder == path else 0o777)
        except FileExistsError:
            if not os.path.isdir(folder):
                raise  # else somebody was faster
        sync_folder(os.path.dirname(folder) or ".")


def sync_folder(path: str) -> None:
    """Make the names in a folder durable. Windows cannot open a folder for that; its file system's own log must do."""
    if sys.platform == "win32":
        return
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
