"""What an import looks like: what goes where, what stays and why, and the document of `--json`.

Rule: pure; takes values and returns what rich can show.
"""

from collections.abc import Iterable, Sequence

from backfill.importing.choose import Left, Move
from backfill.report.grid import Grid, Kind
from recorder_sync.importing.importer import Outcome
from schema.documents import ImportDocument, ImportedDocument, LeftDocument
from schema.moments import clock, human_duration, human_size, iso
from schema.spans import SECOND, total_each


def size(moves: Iterable[Move]) -> int:
    """Return the bytes of what moves."""
    return sum(move.segment.size for move in moves)


def moves_grid(moves: Sequence[Move], title: str = "To import") -> Grid:
    """Return what moves, by camera and folder."""
    grid = Grid(
        [
            ("camera", Kind.NAME),
            ("recordings", Kind.AMOUNT),
            ("from", Kind.PLAIN),
            ("to", Kind.PLAIN),
            ("size", Kind.AMOUNT),
            ("held twice", Kind.AMOUNT),
            ("into", Kind.TEXT),
        ],
        title=f"{title} ({len(moves):,})",
    )
    places: dict[tuple[str, str], list[Move]] = {}
    for move in moves:
        folder = move.path.rpartition("/")[0]
        into = f"{move.storage}/{folder}" if folder else move.storage
        places.setdefault((move.segment.camera, into), []).append(move)
    for (camera, into), here in sorted(places.items()):
        twice = sum(move.twice for move in here)
        grid.add(
            camera,
            f"{len(here):,}",
            clock(min(move.segment.start for move in here)),
            clock(max(move.segment.end for move in here)),
            human_size(size(here)),
            human_duration(twice) if twice else "-",
            into,
        )
    return grid


def left_grid(left: Sequence[Left]) -> Grid:
    """Return what stays, by reason."""
    grid = Grid(
        [("recordings", Kind.AMOUNT), ("length", Kind.AMOUNT), ("why", Kind.TEXT)],
        title=f"Left where they are ({len(left):,})",
    )
    reasons: dict[str, list[Left]] = {}
    for one in left:
        reasons.setdefault(one.why, []).append(one)
    for why, here in reasons.items():
        length = total_each((one.segment.camera, one.segment.span) for one in here)
        grid.add(f"{len(here):,}", human_duration(length), why)
    return grid


def told(outcome: Outcome) -> str:
    """Say whether the recorder knows of what was imported."""
    if outcome.told == len(outcome.moved):
        return "its own index tells of all of them"
    known = f"its own index tells of {outcome.told:,} of them by now"
    return f"{known}; it is said to make it anew when it starts, which can take long: look at them in a viewer later"


def document(
    server: str, state: str, at: int, moves: Iterable[Move], left: Iterable[Left], outcome: Outcome | None = None
) -> ImportDocument:
    """Return the document of an import, or of its taking back, at `at`; without `outcome` nothing was done."""
    return ImportDocument(
        generated=iso(at),
        state=state,
        server=server,
        service=None if outcome is None else outcome.service.value,
        moved=[
            ImportedDocument(
                camera=move.segment.camera,
                start=iso(move.segment.start),
                end=iso(move.segment.end),
                size=move.segment.size,
                twice=move.twice / SECOND,
                origin=move.segment.origin,
                side=move.side,
                source=move.segment.path,
                storage=move.storage,
                path=move.path,
                digest=None if move.segment.digest is None else move.segment.digest.hex(),
            )
            for move in moves
        ],
        left=[
            LeftDocument(
                camera=one.segment.camera,
                start=iso(one.segment.start),
                end=iso(one.segment.end),
                path=one.segment.path,
                why=one.why,
            )
            for one in left
        ],
        told=outcome.told if outcome is not None and state == "imported" else None,
        aside=[] if outcome is None else [one.place for one in outcome.aside],
        notes=[] if outcome is None else list(outcome.notes),
    )
