"""A fair sample of the media files below a folder, whatever its tree looks like and however large it is.

Rule: bounded. Every folder shares out what it may yield and look at among those below it, the newest names first, so
that neither a camera with many files, nor a million thumbnails, nor many days hide what lies beside them.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from backfill.oddities import MEDIA
from backfill.storage import STATE_FOLDER

FILES = 3000
"""Files in a sample."""

_LOOKS = 200_000
"""Entries looked at: half a second on a warm disk."""

_DEEPEST = 24
"""Folders in one another; no recorder nests so far."""


@dataclass(slots=True)
class Sample:
    """Some media files, as paths relative to the folder."""

    files: list[str] = field(default_factory=list)
    looks: int = 0
    """Entries looked at."""
    denied: list[str] = field(default_factory=list)
    """Folders that may not be read."""


def sample(root: str) -> Sample:
    """Return a sample of what lies below `root`; the same tree gives the same one."""
    found = Sample()
    _visit(root, "", FILES, _LOOKS, 0, found, random.Random(0))  # noqa: S311  a fair choice, not a secret one
    return found


def _visit(root: str, below: str, files: int, looks: int, depth: int, found: Sample, dice: random.Random) -> None:
    """Add up to `files` of what lies in and below one folder, looking at about `looks` entries."""
    before = found.looks
    folders, media = _listed(os.path.join(root, below), looks, found)
    prefix = f"{below}/" if below else ""
    # What lies beside folders shares with them as one of them does.
    own = files if not folders else max(files // (len(folders) + 1), 1)
    found.files += [prefix + name for name in media[:own]]
    left = files - min(own, len(media))
    looks -= found.looks - before
    chosen = list(_chosen(folders, left, dice)) if depth < _DEEPEST else []
    for index, name in enumerate(chosen):
        others = len(chosen) - index
        if left <= 0 or looks <= 0:
            return
        had, seen = len(found.files), found.looks
        _visit(root, prefix + name, max(left // others, 1), max(looks // others, 1), depth + 1, found, dice)
        left -= len(found.files) - had
        looks -= found.looks - seen


def _listed(path: str, looks: int, found: Sample) -> tuple[list[str], list[str]]:
    """Return the names of folders and media files in a folder, the newest first; nothing if it cannot be listed."""
    folders: list[str] = []
    media: list[str] = []
    try:
        with os.scandir(path) as entries:
            for number, entry in enumerate(entries):
                if number >= looks:
                    break
                found.looks += 1
                if entry.name.startswith(".") or not entry.name.isprintable() or entry.name == STATE_FOLDER:
                    continue  # a scan would not look at it
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif entry.name.lower().endswith(MEDIA) and entry.is_file(follow_symlinks=False):
                    media.append(entry.name)
    except PermissionError:
        found.denied.append(path)
        return [], []
    except OSError:
        return [], []
    return sorted(folders, reverse=True), sorted(media, reverse=True)


def _chosen(names: list[str], most: int, dice: random.Random) -> Iterator[str]:
    """Return all names, or where they are too many the newest half and some of the others: they may be cameras."""
    if len(names) <= most:
        return iter(names)
    newest = (most + 1) // 2
    return chain(names[:newest], dice.sample(names[newest:], most - newest))
