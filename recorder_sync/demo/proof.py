"""Counting pictures: what each server held before and after the fill, by the number that every frame carries.

Rule: decodes the recordings themselves; believes neither file names nor the ledger. The counting is pure.
"""

from collections.abc import Mapping
from pathlib import Path

from recorder_sync.demo.barcode import frames_in_tree
from schema.documents import FrameCounts

Held = Mapping[tuple[str, str], frozenset[int]]
"""Frame numbers by (server, camera)."""


def held(roots: Mapping[str, Path], cameras: list[str]) -> Held:
    """Return the frames in the recordings of each server; unreadable files hold none."""
    found: dict[tuple[str, str], frozenset[int]] = {}
    for server, root in roots.items():
        for camera in cameras:
            files = [path for path in root.rglob("*.mp4") if camera in path.relative_to(root).parts]
            found[server, camera] = frozenset(frames_in_tree(files))
    return found


def count(before: Held, after: Held) -> list[FrameCounts]:
    """Return for each server and camera what was missing, came back, or is lost for good.

    Counted from the server's own first frame to the last one that all servers recorded: what lies outside is the edge
    of the demo, not an outage.
    """
    counts = []
    servers = sorted({server for server, _ in before})
    for server, camera in sorted(before):
        own = before[server, camera]
        others = frozenset().union(*(before[other, camera] for other in servers if other != server))
        last = min(max(before[other, camera], default=-1) for other in servers)
        expected = frozenset(range(min(own, default=0), last + 1))
        missing = expected - own
        counts.append(
            FrameCounts(
                server=server,
                camera=camera,
                filmed=len(expected),
                missing=len(missing),
                back=len(missing & after[server, camera]),
                lost=len(missing - others),
                fillable_left=len((missing & others) - after[server, camera]),
            )
        )
    return counts
