"""How intake and planning grow with the ledger: made-up segments, no files.

Rule: goes through the same doors as a scan and a service: `SegmentBook.apply` in batches as large as the scan's, then
`survey` and `plan`.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from backfill.peer import FolderPeer
from backfill.site import Site, build_site
from backfill.survey import Question, plan, survey
from benchmarks.data import HOUR, START
from benchmarks.pair import DESTINATION, SOURCE, config_text
from schema.ledger import Ledger
from schema.ledger.folders import FolderChange
from schema.settings import parse
from schema.spans import SECOND
from schema.values import Segment

CAMERAS = 50
BATCH = 4000
"""Segments a transaction, as in a scan."""
LOOKS = 5


def measure_ledger(folder: Path, wanted: int, length: int) -> dict[str, Any]:
    """Take in `wanted` segments of two servers, of which one lacks an hour of every camera, and plan that hour.

    `length` is that of a segment in seconds, a divisor of 3600.
    """
    text = config_text("frigate", (SOURCE, SOURCE), (DESTINATION, DESTINATION))
    settings = parse(text.encode(), folder / "recorder-sync.toml")
    per_hour = HOUR // length
    each = (wanted + CAMERAS * per_hour) // (2 * CAMERAS)
    hole = range(each // 2 // per_hour * per_hour, each // 2 // per_hour * per_hour + per_hour)
    with Ledger.open(settings.ledger) as ledger:
        site = build_site(settings, ledger)
        now = START * SECOND + (each + per_hour) * length * SECOND
        taken, seconds = 0, 0.0
        for storage in site.storages:
            lacking = hole if storage.server == DESTINATION else range(0)
            for batch in batches(storage.id, each, length, lacking):
                began = time.perf_counter()
                with ledger.writing() as connection:
                    ledger.segments.apply(connection, storage.id, batch)
                seconds += time.perf_counter() - began
                taken += sum(len(change.added) for change in batch)
            ledger.note_storage(storage.id, scanned_us=now)
        return {
            "segments": taken,
            "intake": taken / seconds,
            **_look(ledger, site, now),
        }


def _look(ledger: Ledger, site: Site, now: int) -> dict[str, Any]:
    """Survey and plan several times; the first time coverage is computed, later it is read."""
    began = time.perf_counter()
    survey(ledger, site, Question(now=now))
    first = time.perf_counter() - began
    surveys, plans, tasks = [], [], 0
    for _ in range(LOOKS):
        began = time.perf_counter()
        found = survey(ledger, site, Question(now=now))
        surveyed = time.perf_counter()
        planned = plan(ledger, site, found, DESTINATION, {SOURCE: FolderPeer(SOURCE, site, ledger)})
        plans.append(time.perf_counter() - surveyed)
        surveys.append(surveyed - began)
        tasks = len(planned.tasks)
    if not tasks:
        raise RuntimeError("nothing was planned, so its time says nothing")
    return {"first_survey": first, "survey": median(surveys), "plan": median(plans), "tasks": tasks}


def batches(
    storage_id: int, each: int, length: int, lacking: range = range(0), first_start: int = START
) -> Iterator[list[FolderChange]]:
    """Yield what a scan would find, a transaction at a time: a folder for every camera and hour."""
    per_hour = HOUR // length
    batch: list[FolderChange] = []
    inode = 0
    for first in range(0, each, per_hour):
        if first in lacking:
            continue
        hour = time.strftime("%Y-%m-%d/%H", time.gmtime(first_start + first * length))
        for camera in range(CAMERAS):
            name = f"camera-{camera + 1}"
            change = FolderChange(f"{hour}/{name}", START * 10**9, settled=True)
            for index in range(first, min(each, first + per_hour)):
                inode += 1
                change.added.append(_segment(storage_id, name, change.path, index, length, inode, first_start))
            batch.append(change)
            if sum(len(one.added) for one in batch) >= BATCH:
                yield batch
                batch = []
    if batch:
        yield batch


def _segment(
    storage_id: int, camera: str, folder: str, index: int, length: int, inode: int, first_start: int
) -> Segment:
    start = (first_start + index * length) * SECOND
    second = index * length % HOUR
    return Segment(
        storage_id=storage_id,
        camera=camera,
        path=f"{folder}/{second // 60:02d}.{second % 60:02d}.mp4",
        start=start,
        end=start + length * SECOND,
        size=2 * 1024 * 1024,
        mtime_ns=(start + length * SECOND) * 1000,
        inode=inode,
    )
