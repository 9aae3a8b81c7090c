"""What a scan could not take in although recordings may be in it, and how that is said.

Rule: pure. What is called lost may lie in a folder that could not be read, so this stands beside every report.
"""

from collections.abc import Mapping, Sequence

from schema.values import Oddities, Oddity, OddKind

MEDIA = (".mp4", ".ts", ".mkv", ".m4s", ".avi", ".mov", ".flv", ".webm")
"""How files end that may be recordings."""

_FOLDER = "folder cannot be read: "
_FILE = "cannot be read: "
_FOREIGN = "name is not this recorder's"
_STRANGE = "unknown folder: "

_OF_THE_FILE_SYSTEM = "lost+found"
"""Closed to everybody but root, in the root of every ext file system; no recorder writes there."""

_UNREADABLE = (OddKind.FOLDER_UNREADABLE, OddKind.FILE_UNREADABLE)


def sift(folder: str, skipped: Sequence[tuple[str, str]]) -> list[Oddity]:
    """Return by kind what of a folder's skipped entries, path and reason, may be recordings."""
    found: dict[OddKind, Oddity] = {}
    for path, why in skipped:
        if path.rpartition("/")[2] == _OF_THE_FILE_SYSTEM:
            continue
        if why.startswith(_FOLDER):
            kind, reason = OddKind.FOLDER_UNREADABLE, why.removeprefix(_FOLDER)
        elif why.startswith(_FILE):
            kind, reason = OddKind.FILE_UNREADABLE, why.removeprefix(_FILE)
        elif why == _FOREIGN and path.lower().endswith(MEDIA):
            kind, reason = OddKind.UNRECOGNISED, why
        elif why.startswith(_STRANGE):
            kind, reason = OddKind.STRANGE_FOLDER, why.removeprefix(_STRANGE)
        else:
            continue
        before = found.get(kind, Oddity(folder, kind, 0, path, reason))
        found[kind] = Oddity(folder, kind, before.number + 1, before.example, before.reason)
    return [found[kind] for kind in sorted(found)]


def unreadable(odd: Mapping[OddKind, Oddities]) -> int:
    """Return how many folders and files could not be read."""
    return sum(odd[kind].number for kind in _UNREADABLE if kind in odd)


def sentences(title: str, odd: Mapping[OddKind, Oddities]) -> list[str]:
    """Return what an operator should know of the storage called `title`."""
    said = []
    for kind, thing in zip(_UNREADABLE, ("folder", "file"), strict=True):
        if kind in odd:
            one = odd[kind]
            said.append(
                f"{title}: {_number(one.number, thing)} could not be read ({one.example}: {one.reason});"
                " what is called lost may lie there"
            )
    if OddKind.UNRECOGNISED in odd:
        one = odd[OddKind.UNRECOGNISED]
        verb = "is" if one.number == 1 else "are"
        said.append(
            f"{title}: {_number(one.number, 'media file')} {verb} not read, because the name is not this recorder's,"
            f" such as {one.example}"
        )
    if OddKind.STRANGE_FOLDER in odd:
        one = odd[OddKind.STRANGE_FOLDER]
        verb = "is" if one.number == 1 else "are"
        said.append(f"{title}: {_number(one.number, 'folder')} {verb} left alone ({one.example}: {one.reason})")
    return said


def _number(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"
